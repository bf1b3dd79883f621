"""`python -m hub.supervision DATA PORT [CONFIG]`: follows the log beside the workers, and gives way to them."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import uvloop

from hub import config as configuration
from hub import ending, journal
from hub.store import connecting
from hub.supervision.following import follow_for_ever

NICE = 10


async def follow(dsn: str, config: configuration.Config) -> None:
    """Follow until SIGTERM or until the parent is gone."""
    stop = ending.told()
    async with await connecting.pool(dsn, 2) as pool:
        following = asyncio.create_task(follow_for_ever(pool, config.catalogue()))
        await stop.wait()
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


def main() -> None:
    """The DSN is in XIEBAN_DSN."""
    journal.configure(follower=os.getpid())
    os.nice(NICE)
    _, _, *rest = sys.argv[1:]
    config = configuration.load(Path(rest[0]) if rest else None)
    uvloop.run(follow(os.environ["XIEBAN_DSN"], config))


if __name__ == "__main__":
    main()
