"""A simulated country at a throw-away hub of its own: as large as the machine bears, and what it cost."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from msgspec.structs import replace

from adapters.conformance.running import free_port
from adapters.simulation import checking, prediction
from adapters.simulation.cast import Cast, Plan
from adapters.simulation.checking import Cost, Played
from adapters.simulation.playing import TOLD, Play
from adapters.simulation.tally import planned
from hub.commands import beside
from hub.commands.demo.hub_process import HubProcess
from hub.commands.faults import UsageFault
from hub.commands.output import remark
from hub.config import Config
from hub.usage import cpu_seconds
from keys.jwk import VerifyingKey
from keys.keystore import KeyStore

_FILLED = 0.7
"""How much of what the machine can do the busiest hour takes."""
_UNEVEN = 2.0
"""How much busier the busiest hour is than the others that are played, roughly; it decides how long a play takes."""
_PROBED = 5_000
"""Messages by which is found what the machine can do; fewer where the play itself is to be short."""
_PROBE_SHARE = 25.0
"""Messages of the probe for each second of the play."""
_AT_ONCE = 1e6
"""So much faster that everything is always due."""
_REST = 0.05
"""CPU seconds a second of a hub that has nothing more to do."""
_SIZES = ("pg_database_size(current_database())", "pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")


@dataclass(frozen=True, slots=True)
class Slice:
    """What is played: a country, from the first to the last of these days, `speed` times as fast."""

    plan: Plan
    first: date
    last: date
    speed: float


async def fitting(plan: Plan, first: date, last: date, seconds: float, rate: float | None) -> Slice:
    """The slice with as many people as this machine can play in so many seconds, and how fast.

    `rate` is what hub and partners together do in a second; None has it found out at a hub of its own.

    Raises UsageFault where nothing happens in these days, and what `trial` raises.
    """
    small = replace(plan, people=4_000.0)
    traffic = small.traffic()
    found = planned(traffic, traffic.cases(first, last), first, last)
    if not found.messages:
        raise UsageFault(f"nothing happens from {first} to {last}: these are rest days")
    if rate is None:
        people = small.people * min(_PROBED, _PROBE_SHARE * seconds) / found.messages
        probe, _ = await trial(Slice(replace(plan, people=people), first, last, _AT_ONCE))
        rate = probe.tally.messages / probe.seconds
    times = seconds * rate * _FILLED / _UNEVEN / found.messages
    busiest = prediction.busiest_hour(found) * times
    return Slice(replace(plan, people=small.people * times), first, last, _FILLED * rate * 3600 / busiest)


async def trial(part: Slice, told: TOLD = lambda moment, taken, refused: None) -> tuple[Played, Cost]:
    """Play it at a hub that is gone afterwards. Audited; raises HubNotRunning, and what playing raises."""
    with tempfile.TemporaryDirectory(prefix="simulated-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "hub"
        data.mkdir()
        cast = Cast.make(Path(folder) / "country", part.plan)
        async with HubProcess(data, free_port()) as hub:
            await hub.start()
            await hub.run("organisations", "import", str(cast.write_records()[0]), "--data", str(data))
            keys = [key for key in KeyStore(data / "keys").public_keys() if isinstance(key, VerifyingKey)]
            before = await _at_rest(hub)
            try:
                await Play(cast, hub.url, part.first, part.last, part.speed, keys).run(told)
            except Exception:
                kept = Path(shutil.copy(data / "hub.log", Path(tempfile.gettempdir()) / f"{Path(folder).name}.log"))
                remark(f"枢纽日志留在 · the hub's log is kept: {kept}")
                raise
            after = await _at_rest(hub)
            await hub.run("audit", "--data", str(data))
        cost = Cost(*(late - early for late, early in zip(after, before, strict=True)))
        return checking.measured(cast, part.first, part.last), cost


async def _at_rest(hub: HubProcess) -> tuple[float, float, float, float]:
    """CPU seconds, bytes stored, of log and of attachments, once the hub has nothing left to do of what came."""
    used = cpu_seconds(hub.pid)
    for _ in range(60):
        await asyncio.sleep(1.0)
        before, used = used, cpu_seconds(hub.pid)
        if used - before < _REST:
            break
    async with beside.database(hub.data, Config()) as connection:
        stored, written = [await connection.fetchval(f"SELECT {size}") for size in _SIZES]
    files = [file.stat().st_size for file in (hub.data / "attachments").rglob("*") if file.is_file()]
    return used, float(stored), float(written), float(sum(files))
