"""When a process of the hub ends: told by a signal, or because its parent, which holds its standard input, is gone."""

import asyncio
import os
import signal
import sys

WITHIN = 30.0
"""Seconds after which a process whose parent is gone ends, whatever it still waits for: nobody else would end it."""


def signalled() -> asyncio.Event:
    """Set once somebody ends this process."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def told() -> asyncio.Event:
    """Set once this process is to end: by a signal, or because its parent is gone."""
    stop, loop = signalled(), asyncio.get_running_loop()

    def orphaned() -> None:
        loop.remove_reader(sys.stdin.fileno())  # it would be readable for ever
        stop.set()
        loop.call_later(WITHIN, os._exit, 1)

    loop.add_reader(sys.stdin.fileno(), orphaned)
    return stop
