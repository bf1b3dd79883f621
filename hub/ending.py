"""When a process of the hub ends: told by a signal, or because its parent, which holds its standard input, is gone."""

import asyncio
import os
import signal
import sys

WITHIN = 30.0
"""Seconds after which a process whose parent is gone ends, whatever it still waits for: nobody else would end it."""


def told() -> asyncio.Event:
    """Set once this process is to end."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def orphaned() -> None:
        loop.remove_reader(sys.stdin.fileno())  # it would be readable for ever
        stop.set()
        loop.call_later(WITHIN, os._exit, 1)

    loop.add_reader(sys.stdin.fileno(), orphaned)
    return stop
