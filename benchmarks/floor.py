"""The floor: what nobody can beat in Python on the same cores, in one process with its own PostgreSQL.

`python -m benchmarks.floor MESSAGES KEYS` verifies each message's Ed25519 signature, validates its open part, and
writes the rows that a hub writes for it by COPY, synchronous_commit on. It knows no sender, no case, no position,
no log and no receipt. MESSAGES holds a compact JWS a line, KEYS the JWK Set of the senders.
"""

import asyncio
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from hub.store import embedded
from hub.store.migrate import migrate
from hub.usage import cpu_seconds
from keys import jws
from keys.jwk import VerifyingKey, parse_public
from protocols import envelope
from protocols.loading import catalogue

BATCH = 256
COLUMNS = {
    "message": "case_id log_index accepted jws",
    "message_key": "source id signing_input digest case_id log_index tree_size accepted",
    "mailbox": "recipient position case_id log_index tree_size source id digest accepted",
    "case_file": "case_id protocol version state opener responder due opened updated record",
    "case_step": "case_id log_index source id type state_before state_after due provisional accepted",
    "case_party": "organisation case_id",
    "log_entry": "index leaf",
}
RECORD = "x" * 480
LEAF = b"x" * 420
DUE = date(2026, 12, 1)


def judge(token: bytes, keys: dict[str, VerifyingKey]) -> dict[str, Any]:
    """Verify and validate one message; its attributes."""
    compact = jws.decode(token, typ=envelope.TYP)
    jws.verify(compact, keys[str(compact.header.kid)])
    event: dict[str, Any] = msgspec.json.decode(compact.payload)
    _, message = catalogue().message(event["type"], event["dataschema"])
    if not message.schema.accepts(event["data"]):
        raise ValueError("a message of the benchmark does not fit its schema")
    return event


def rows(first: int, tokens: Sequence[bytes], events: Sequence[dict[str, Any]]) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of a batch, by table."""
    at = datetime.now(UTC)
    made: dict[str, list[tuple[Any, ...]]] = {table: [] for table in COLUMNS}
    for index, (token, event) in enumerate(zip(tokens, events, strict=True), first):
        case, source, id, to = event["subject"], event["source"], event["id"], event["recipients"]
        type, digest = event["type"], hashlib.sha256(token).digest()
        made["message"].append((case, index, at, token))
        made["message_key"].append((source, id, digest, digest, case, index, index, at))
        made["mailbox"].append((to, index, case, index, index, source, id, digest, at))
        made["case_file"].append((case, "case-assistance", "1.0", "requested", source, to, DUE, at, at, RECORD))
        made["case_step"].append((case, index, source, id, type, None, "requested", DUE, False, at))
        made["case_party"] += [(source, case), (to, case)]
        made["log_entry"].append((index, LEAF))
    return made


async def work(tokens: Sequence[bytes], keys: dict[str, VerifyingKey], dsn: str) -> tuple[float, float]:
    """Do it all; the seconds it took, and the CPU seconds of this process and PostgreSQL together."""
    connection = await asyncpg.connect(dsn)
    await migrate(connection)
    judge(tokens[0], keys)
    before, started = cpu_seconds(os.getpid()), time.perf_counter()
    for first in range(0, len(tokens), BATCH):
        batch = tokens[first : first + BATCH]
        made = rows(first, batch, [judge(token, keys) for token in batch])
        async with connection.transaction():
            for table, columns in COLUMNS.items():
                await connection.copy_records_to_table(table, records=made[table], columns=columns.split())
    elapsed, cpu = time.perf_counter() - started, cpu_seconds(os.getpid()) - before
    await connection.close()
    return elapsed, cpu


async def main() -> None:
    """Run and print."""
    messages, jwks = map(Path, sys.argv[1:])
    tokens = messages.read_bytes().split()
    parsed = [parse_public(key) for key in json.loads(jwks.read_text())["keys"]]
    keys = {key.kid: key for key in parsed if isinstance(key, VerifyingKey)}
    with tempfile.TemporaryDirectory(prefix="floor-", ignore_cleanup_errors=True) as folder:
        server = await embedded.start(Path(folder))
        try:
            elapsed, cpu = await work(tokens, keys, embedded.dsn(Path(folder)))
        finally:
            await server.stop()
    print(json.dumps({"messages": len(tokens), "elapsed": elapsed, "cpu": cpu}))


if __name__ == "__main__":
    asyncio.run(main())
