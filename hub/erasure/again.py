"""Erasures that a restored backup does not know of yet, done again before anybody reads what it brought back."""

import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from hub.erasure.erasing import ErasureRefused, Request, erase
from hub.errors import NotFound
from hub.identity import Identity
from hub.store import Connection
from protocols.loading import Catalogue

FILE: Final = "erased.jsonl"
"""In the data directory: one line for each erasure that was asked for, kept apart with the backups."""


def note(data: Path, request: Request) -> None:
    """Put it on disk before it is done, so that a backup of before never brings back what was erased."""
    with open(data / FILE, "ab") as file:
        file.write(msgspec.json.encode(request) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def noted(file: Path) -> list[Request]:
    """The erasures in such a file. Raises ErasureRefused naming the line that is none."""
    found = []
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            found.append(msgspec.json.decode(line, type=Request))
        except msgspec.MsgspecError as error:
            raise ErasureRefused(f"{file}, line {number}: {error}") from None
    return found


def step(requests: Sequence[Request], catalogue: Catalogue) -> Callable[[Connection, Identity], Awaitable[None]]:
    """Do them again where there is something to erase, whatever state the case is in by now."""

    async def work(connection: Connection, identity: Identity) -> None:
        for request in requests:
            try:
                await erase(connection, identity, catalogue, msgspec.structs.replace(request, although_open=True))
            except NotFound:
                continue  # opened after the backup was made
            except ErasureRefused as refusal:
                if refusal.data.get("empty") is None:
                    raise

    return work
