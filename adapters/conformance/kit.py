"""A run of the kit: the hub started, everybody enrolled, the scenarios played one after the other, the results kept."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

import aiohttp

from adapters.conformance.across import Neighbours
from adapters.conformance.counterpart import Counterpart
from adapters.conformance.proxy import Call, Proxy
from adapters.conformance.report import Check, Outcome, Report, Result, Seen
from adapters.conformance.running import Hub, NotRunning, Subject
from adapters.conformance.scenarios import SCENARIOS, Scenario
from adapters.conformance.stage import CantPlay, Stage, Unmet
from keys.errors import Fault
from keys.jwk import EncryptionKey, VerifyingKey, parse_jwks
from protocols.departments import parse_organisation_id

KIT: Final = "1.0"
PATIENCE: Final = 20.0
"""Seconds that the system under test has for each step, where nothing else is said."""
LONGEST: Final = 300.0
"""Seconds after which a scenario is given up, whatever it waits for."""
SHOWN: Final = 15
"""How many of the last requests are shown with what failed."""
_PLACES: Final = ("440306", "440307", "320583", "411003")
_DEPARTMENTS: Final = (
    *("health", "public-security", "civil-affairs", "human-resources", "market-regulation"),
    *("housing", "education", "transport", "finance", "development-reform"),
)


class KeysMissing(Fault):
    """Among the public keys must be one that signs (use: sig) and one to seal to (use: enc)."""

    code: ClassVar[str] = "conformance-keys"


Progress = Callable[[Result | None, Scenario | None], None]
"""Is told what ended and what begins."""


@dataclass(frozen=True)
class Settings:
    """Who is tested, and how: its id, its public keys (RFC 7517), what is played."""

    partner: str
    jwks: Mapping[str, Any]
    folder: Path
    quick: bool = False
    patience: float = PATIENCE
    host: str = "127.0.0.1"
    port: int = 0
    across: bool = False
    """Whether who it works with is at another hub, of another province."""
    scenarios: Sequence[Scenario] = field(default=SCENARIOS)

    def record(self) -> dict[str, Any]:
        """Its line in the file of organisations. Raises Fault where the id or the keys are not what they must be."""
        parse_organisation_id(self.partner)
        keys = parse_jwks(dict(self.jwks))
        if not any(isinstance(key, VerifyingKey) for key in keys) or not self.readable():
            raise KeysMissing()
        name = {"zh": "被测系统", "en": "System under test"}
        algorithms = sorted({"Ed25519", "ES256"} | {key.alg for key in keys if isinstance(key, VerifyingKey)})
        return {
            **{"id": self.partner, "name": name, "superior": None, "roles": ["bureau"]},
            **{"algorithms": algorithms, "jwks": {"keys": [key.jwk for key in keys]}},
        }

    def readable(self) -> list[EncryptionKey]:
        """The keys that are sealed to."""
        return [key for key in parse_jwks(dict(self.jwks)) if isinstance(key, EncryptionKey)]


def company(partner: str, url: str) -> list[Counterpart]:
    """The kit's own organisations: two that work, and 30 that are only named, so that 32 can receive one message."""
    ids = [f"{place}-{department}" for place in _PLACES for department in _DEPARTMENTS]
    return [Counterpart(id, url) for id in ids if id != partner][:32]


@contextlib.asynccontextmanager
async def hub_for(folder: Path, across: str | None = None) -> AsyncIterator[Hub | Neighbours]:
    """A throw-away hub; or two that are neighbours, with `across` alone at one of them. Raises NotRunning."""
    hub = Hub(folder) if across is None else Neighbours(folder, across)
    try:
        await hub.prepare()
        yield hub
    finally:
        await hub.stop()


async def run(settings: Settings, subject: Subject, progress: Progress = lambda ended, begins: None) -> Report:
    """The whole run, on a hub of its own. Raises NotRunning, Fault."""
    record = settings.record()
    async with hub_for(settings.folder / "run", settings.partner if settings.across else None) as hub:
        parties = company(settings.partner, hub.url)
        await hub.enrol([record, *(one.record() for one in parties)])
        return await conducted(settings, subject, hub, parties, progress)


async def conducted(
    settings: Settings,
    subject: Subject,
    hub: Hub | Neighbours,
    parties: Sequence[Counterpart],
    progress: Progress = lambda ended, begins: None,
) -> Report:
    """The scenarios on a hub that runs and knows everybody."""
    began = datetime.now(UTC)
    here, there, *_ = parties
    async with Proxy(hub.tested_url, settings.host, settings.port) as proxy, here.working(), there.working():
        stage = Stage(
            hub=hub,
            proxy=proxy,
            subject=subject,
            partner=settings.partner,
            keys=settings.readable(),
            here=here,
            there=there,
            crowd=parties[1:32],
            patience=settings.patience,
            quick=settings.quick,
        )
        version = await _hub_version(hub)
        try:
            await subject.start(await _places(stage, settings.folder))
            await _arrived(stage)
            results = [await _played(stage, scenario, progress) for scenario in settings.scenarios]
        finally:
            await subject.stop()
    progress(None, None)
    return Report(KIT, settings.partner, version, began, datetime.now(UTC), settings.quick, tuple(results))


async def _places(stage: Stage, folder: Path) -> dict[str, str]:
    """What the placeholders of commands stand for; the hub's keys are written beside the report."""
    file = folder / "hub.jwks"
    jwks = f"{stage.hub.tested_url}/.well-known/jwks.json"
    async with aiohttp.ClientSession() as session, session.get(jwks) as answer:
        file.write_text(await answer.text(), "utf-8")
    where = {"hub": stage.proxy.url, "hub_jwks": str(file)}
    return where | {"organisation": stage.partner, "counterpart": stage.here.id}


async def _hub_version(hub: Hub | Neighbours) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{hub.url}/v1/hub") as answer:
        return str((await answer.json()).get("version", ""))


async def _arrived(stage: Stage) -> None:
    """Wait until the system under test reads its mailbox. Raises NotRunning."""
    clock = asyncio.get_running_loop().time
    end = clock() + max(stage.patience * 3, 30.0)
    while not any(call.polls and call.taken in (None, 200) for call in stage.proxy.calls):
        if clock() > end:
            raise NotRunning(f"nobody read the mailbox of {stage.partner} at {stage.proxy.url}")
        await asyncio.sleep(0.1)


async def _played(stage: Stage, scenario: Scenario, progress: Progress) -> Result:
    progress(None, scenario)
    stage.checks.clear()
    clock = asyncio.get_running_loop().time
    begun, calls = clock(), len(stage.proxy.calls)
    outcome, finding = Outcome.PASSED, ""
    try:
        async with asyncio.timeout(LONGEST):
            await scenario.play(stage)
    except Unmet:
        last = stage.checks[-1]
        outcome, finding = Outcome.FAILED, f"未达到 · not met: {last.zh} · {last.en}"
    except CantPlay as reason:
        outcome, finding = Outcome.SKIPPED, " · ".join(map(str, reason.args))
    except TimeoutError:
        outcome, finding = Outcome.FAILED, f"超时 · not done within {LONGEST:.0f} s"
    except Fault as fault:
        outcome, finding = Outcome.BROKEN, f"测试工具出错 · the kit could not go on: {fault}"
    seen = [] if outcome is Outcome.PASSED else [_seen(call, begun) for call in stage.proxy.calls[calls:][-SHOWN:]]
    result = Result(
        scenario.name,
        scenario.told.severity,
        outcome,
        round(clock() - begun, 2),
        finding,
        tuple(Check(one.zh, one.en, one.held) for one in stage.checks),
        tuple(seen),
    )
    progress(result, None)
    return result


def _seen(call: Call, begun: float) -> Seen:
    return Seen(round(call.begun - begun, 2), call.method, call.path[:200], call.taken, call.given)
