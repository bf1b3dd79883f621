"""Who leads: one row says which process does, and when it was last alive; any may take over from a silent one."""

import os
import secrets
import socket
from datetime import datetime, timedelta
from typing import NamedTuple

from hub.store import Connection
from hub.store.queries import SQL

BEAT = 2.0
"""Seconds between two signs of life."""
SILENT = timedelta(seconds=10)
"""After so long without one another process takes over."""


class LeadLost(Exception):
    """Another process leads by now; what was begun is left undone."""


class Turn(NamedTuple):
    """The lead, taken or kept: whether it is new, and when a leader was last alive before (None: never)."""

    new: bool
    seen: datetime | None
    now: datetime


class Lead:
    """This process's claim to lead: a row, not a session's lock, so that any pooler will do and all see it."""

    def __init__(self) -> None:
        self.name = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(3)}"

    async def take(self, connection: Connection) -> Turn | None:
        """Say that this process lives; None where another leads."""
        async with connection.transaction():
            row = await connection.fetchrow(SQL["lock_lead"])
            assert row is not None
            ours = row["leader"] == self.name
            if not ours and row["leader"] is not None and row["now"] - row["seen"] < SILENT:
                return None
            await connection.execute(SQL["take_lead"], self.name)
        return Turn(not ours, row["seen"], row["now"])

    async def hold(self, connection: Connection) -> None:
        """Within a transaction: nobody else takes over before its end. Raises LeadLost."""
        if await connection.fetchval(SQL["hold_lead"], self.name) is None:
            raise LeadLost(self.name)

    async def leave(self, connection: Connection) -> None:
        """Let another take over at once."""
        await connection.execute(SQL["leave_lead"], self.name)
