"""A hub that has taken millions of messages long ago, filled by COPY: the cost of one more is then measured.

Every row is there that the hub would have written, and the log is one the hub goes on from; only the messages'
content is short and the log's leaves are all alike, so that the tree of ten million leaves takes no hour to hash.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from benchmarks.floor import COLUMNS
from hub.identity import PUBLISHED, hub_key
from hub.store import embedded
from keys import checkpoint, merkle
from keys.checkpoint import Checkpoint
from keys.tiles import TILE_WIDTH, Edge, partial_widths

CHUNK = 20_000
ORGANISATIONS, PROVINCES = 3_000, 30
"""How many organisations there are, and over how many provinces they are spread."""
LEAF = b"x" * 420
_FIRST = 1_700_000_000_000
_DIGEST = "\\\\x" + "ab" * 32
Row = Callable[[int, str, str, str, str], str]
_ROWS: dict[str, Row] = {
    "message": lambda i, id, case, who, at: f"{case}\t{i}\t{at}\t\\\\x{'78' * 300}\n",
    "message_key": lambda i, id, case, who, at: f"{who}\t{id}\t{_DIGEST}\t{_DIGEST}\t{case}\t{i}\t{i + 1}\t{at}\n",
    "mailbox": lambda i, id, case, who, at: (
        f"{who}\t{i // ORGANISATIONS + 1}\t{case}\t{i}\t{i + 1}\t{who}\t{id}\t{_DIGEST}\t{at}\n"
    ),
    "case_file": lambda i, id, case, who, at: (
        f"{case}\tcase-assistance\t1.0\trequested\t{who}\t{who}\t2026-12-01\t{at}\t{at}\t{'x' * 480}\n"
    ),
    "case_step": lambda i, id, case, who, at: (
        f"{case}\t{i}\t{who}\t{id}\tcase-assistance.request\t\\N\trequested\t2026-12-01\tf\t{at}\n"
    ),
    "case_party": lambda i, id, case, who, at: f"{who}\t{case}\n",
    "log_entry": lambda i, id, case, who, at: f"{i}\t\\\\x{LEAF.hex()}\n",
}
_ONE_A_CASE = {"case_file", "case_party"}


def fill(data: Path, size: int, per_case: int = 1) -> None:
    """Fill the hub in `data`, which does not run and has taken nothing yet, with `size` messages, so many a case."""
    asyncio.run(_fill(data, size, per_case))


async def _fill(data: Path, size: int, per_case: int) -> None:
    server = await embedded.start(data)
    try:
        connection = await asyncpg.connect(embedded.dsn(data))
        await connection.execute("SET synchronous_commit = off")
        first = int(await connection.fetchval("SELECT size FROM log_head"))
        await connection.execute("TRUNCATE log_entry, log_tile, log_checkpoint")
        for table, columns in COLUMNS.items():
            await connection.copy_to_table(table, source=_text(table, size, per_case), columns=columns.split())
        await _grow(connection, data, size)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
        assert first <= size
        await connection.close()
    finally:
        await server.stop()


async def _text(table: str, size: int, per_case: int) -> AsyncIterator[bytes]:
    at, row, step = datetime.now(UTC).isoformat(), _ROWS[table], per_case if table in _ONE_A_CASE else 1
    for start in range(0, size, CHUNK):
        yield "".join(
            row(i, id_of(i), id_of(i - i % per_case), name_of(i % ORGANISATIONS), at)
            for i in range(start, min(start + CHUNK, size), step)
        ).encode()


def name_of(number: int) -> str:
    """The organisation of a number: in the provinces by turns."""
    return f"{(11 + number % PROVINCES) * 10_000 + 100 + number // PROVINCES}-health"


def id_of(number: int) -> str:
    """A UUIDv7 of its own for each number, in their order as those of real cases nearly are."""
    moment = f"{_FIRST + number:012x}"
    return f"{moment[:8]}-{moment[8:]}-7{number & 0xFFF:03x}-8{number >> 12 & 0xFFF:03x}-{number:012x}"


async def _grow(connection: asyncpg.Connection, data: Path, size: int) -> None:
    """The tree over `size` equal leaves: its tiles, its checkpoint, its head."""
    hash, partial, tiles = merkle.leaf_hash(LEAF), [], []
    for level, width in enumerate(partial_widths(size)):
        whole = Edge.empty()
        root = _root(whole, hash)
        count = size // TILE_WIDTH ** (level + 1)
        tiles.append((level, count, hash * TILE_WIDTH, root))
        partial.append([hash] * width)
        hash = root
    for level, count, hashes, root in tiles:
        statement = "INSERT INTO log_tile SELECT $1, n, $3, $4 FROM generate_series(0, $2::bigint - 1) AS n"
        await connection.execute(statement, level, count, hashes, root)
    origin = str(await connection.fetchval("SELECT origin FROM log_head"))
    top = Edge.load(size, partial).root()
    note = checkpoint.sign_checkpoint(Checkpoint(origin, size, top), hub_key(data))
    await connection.execute("INSERT INTO log_checkpoint VALUES ($1, $2)", size, note)
    await connection.execute("UPDATE log_head SET size = $1, root = $2, note = $3", size, top, note)
    # Another log than the one that was handed out: nobody is left to whom that could be owed.
    shutil.rmtree(data / PUBLISHED, ignore_errors=True)
    # The leaves are no entries that a case could be followed by.
    await connection.execute("UPDATE supervision_head SET through = $1", size)
    await connection.execute(
        "INSERT INTO mailbox_counter SELECT recipient, max(position) FROM mailbox GROUP BY recipient"
        " ON CONFLICT (recipient) DO UPDATE SET last = excluded.last"
    )


def _root(edge: Edge, hash: bytes) -> bytes:
    (tile,) = edge.append([hash] * TILE_WIDTH)
    return tile.root
