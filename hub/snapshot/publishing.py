"""The snapshot published: renewed when an organisation or a key changes, and before anything of it expires."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from tuf.api.metadata import Root

from hub.identity import Identity
from hub.organisations import load
from hub.snapshot import content, metadata
from hub.store import CONNECTION_LOST, Connection, Pool
from hub.store.queries import SQL
from keys.jwk import SigningKey

logger = structlog.get_logger()
EVERY = 1.0
"""Seconds between two looks whether the directory changed."""
RENEWED_EVERY = 600.0
"""Seconds between two looks whether something expires."""
KEPT = timedelta(days=1)


async def publish(connection: Connection, identity: Identity, known: content.Files | None = None) -> int:
    """Store what is to be renewed now, by the database's clock; how many documents and files that were.

    Of several processes one does it, the others find nothing left to do. Who publishes again and again gives what is
    `known` from before.
    """
    known = known or content.Files(identity.hub)
    async with connection.transaction():
        published = await connection.fetchval(SQL["lock_snapshot"])
        now = await connection.fetchval("SELECT clock_timestamp()")
        directory = await load(connection, known.directory)
        before = {row["role"]: row["body"] for row in await connection.fetch(SQL["snapshot_documents"])}
        files = await asyncio.to_thread(known.of, directory)
        renewed = metadata.renew(before, files, identity.key, now, directory.epoch != published)
        for name, body in renewed.stored.items():
            await connection.execute(SQL["add_snapshot_file"], name, body)
        await _point(connection, renewed, now)
        await connection.execute(SQL["set_snapshot_epoch"], directory.epoch)
    return len(renewed.stored)


async def _point(connection: Connection, renewed: metadata.Renewed, now: datetime) -> None:
    """Make what was stored the newest; the files that nothing names any more go in a day."""
    if not renewed.stored:
        return
    for role, name in metadata.names(renewed.documents).items():
        await connection.execute(SQL["set_snapshot_role"], role, name)
    live = [*metadata.names(renewed.documents).values(), *metadata.named(renewed.documents)]
    await connection.execute(SQL["supersede_snapshot"], live, now)
    await connection.execute(SQL["forget_snapshot"], now - KEPT)


async def root(
    connection: Connection, identity: Identity, offline: SigningKey | None = None, previous: Sequence[SigningKey] = ()
) -> bytes:
    """The newest root; with `offline` that is a new one, signed with this key. Raises RootInvalid."""
    await publish(connection, identity)
    async with connection.transaction():
        await connection.fetchval(SQL["lock_snapshot"])
        now = await connection.fetchval("SELECT clock_timestamp()")
        root: bytes = await connection.fetchval(SQL["snapshot_document"], Root.type)
        if offline is None:
            return root
        made = metadata.next_root(root, identity.key, offline, [identity.key, *previous], now)
        name = metadata.names({Root.type: made})[Root.type]
        await connection.execute(SQL["add_snapshot_file"], name, made)
        await connection.execute(SQL["set_snapshot_role"], Root.type, name)
    return made


async def publish_for_ever(pool: Pool, identity: Identity) -> None:
    """Publish at once what changed, and now and then what would expire; while the database is away, later."""
    looked, known = float("-inf"), content.Files(identity.hub)
    clock = asyncio.get_running_loop().time
    while True:
        try:
            async with pool.acquire() as connection:
                published = await connection.fetchval(SQL["snapshot_epoch"])
                changed = published != await connection.fetchval(SQL["key_epoch"])
                if changed or clock() - looked > RENEWED_EVERY:
                    looked = clock()
                    if stored := await publish(connection, identity, known):
                        logger.info("snapshot-published", files=stored)
        except CONNECTION_LOST as error:
            logger.warning("snapshot-not-published", error=type(error).__name__)
        except Exception:
            logger.exception("snapshot-failed")  # messages are taken on; the snapshot that there is holds for a while
        await asyncio.sleep(EVERY)
