"""A country's organisations at one hub: taken in at once, and their keys rotated while somebody sends."""

import asyncio
import json
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.client import Client
from adapters.simulation import words
from adapters.simulation.cast import Cast, Member, Plan
from benchmarks import processes
from benchmarks.processes import Hub
from keys import jwk
from protocols.deadlines import local_date

ROTATIONS = 5
SETTLED = 1.0
"""Seconds for which is sent before a rotation and after it."""


def measure(port: int, counties: int) -> dict[str, Any]:
    """Seconds that the import took, and the longest milliseconds of a message: as a rule, and beside each rotation."""
    with tempfile.TemporaryDirectory(prefix="country-") as folder, processes.hub(port) as hub:
        cast = Cast.make(Path(folder), Plan(2026, 2026, counties, 1.0))
        file, number = cast.write_records()
        begun = time.monotonic()
        processes.xieban("organisations", "import", str(file), "--data", str(hub.data))
        taken_in = time.monotonic() - begun
        steady, beside = asyncio.run(_rotations(hub, cast, json.loads(file.read_bytes())))
    return {"organisations": number, "import_seconds": taken_in, "steady_ms": steady, "beside_rotations_ms": beside}


async def _rotations(hub: Hub, cast: Cast, records: list[dict[str, Any]]) -> tuple[float, list[float]]:
    bureaus = [record for record in records if record["id"].endswith("-health")]
    sender, other = (cast.member(record["id"]) for record in bureaus[:2])
    sending = _Sending(hub, sender, other)
    task = asyncio.create_task(sending.run())
    await asyncio.sleep(2 * SETTLED)
    sending.longest = 0.0
    await asyncio.sleep(2 * SETTLED)
    steady, beside = sending.longest, list[float]()
    for record in bureaus[2 : 2 + ROTATIONS]:
        record["jwks"]["keys"].append(dict(jwk.generate_signing().public.jwk))
        file = cast.folder / "rotated.json"
        file.write_text(json.dumps([record]))
        sending.longest = 0.0
        await asyncio.to_thread(processes.xieban, "organisations", "import", str(file), "--data", str(hub.data))
        await asyncio.sleep(SETTLED)
        beside.append(sending.longest)
    task.cancel()
    return steady, beside


@dataclass
class _Sending:
    """One bureau that opens case after case at another."""

    hub: Hub
    sender: Member
    other: Member
    longest: float = 0.0
    """Milliseconds until a receipt came, the most since it was set to 0."""

    async def run(self) -> None:
        data = words.open_part(
            "errand", "request", True, local_date(datetime.now(UTC)), self.sender.id, self.other.id
        )  # fmt: skip
        content = words.sealed_part("errand", "request")
        async with Client(self.hub.url, self.sender.id, self.sender.signing, [self.sender.sealing]) as client:
            while True:
                begun = time.monotonic()
                await client.open_case(self.other.id, data, content, protocol="errand")
                self.longest = max(self.longest, 1e3 * (time.monotonic() - begun))
