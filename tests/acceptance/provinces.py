"""Several hubs, each of a province of its own with its own anchor, and the adapters that carry between them."""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from adapters import out_of_province
from adapters.client import Client, Patience
from adapters.running.configuration import Common, Section
from adapters.running.process import this_side
from adapters.running.station import Station
from adapters.running.store import Store
from hub.identity import hub_key
from keys.jwk import public_jwks
from protocols import vouching
from protocols.vouching import Constraints
from tests.acceptance.bureaus import Bureau
from tests.conftest import RunningHub, running_hub


@dataclass
class Province:
    """A hub with its anchor and its bureaus."""

    code: str
    folder: Path
    hub: RunningHub
    anchor: Bureau
    bureaus: dict[str, Bureau] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.code}0000-hub"

    @property
    def url(self) -> str:
        return self.hub.url

    @property
    def config(self) -> str:
        return str(self.folder / "config.toml")

    def run(self, *arguments: str) -> str:
        """Run `xieban … --data … --config …`; what it says."""
        done = self.hub.run(*arguments, "--data", str(self.hub.data), "--config", self.config)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def bureau(self, division: str, department: str = "health") -> Bureau:
        """A bureau of this hub, enrolled."""
        made = Bureau(f"{self.code}{division}-{department}", self.url)
        self.bureaus[made.id] = made
        self.enrol(made)
        return made

    def enrol(self, *bureaus: Bureau) -> None:
        """Enrol bureaus, or their new keys."""
        file = self.folder / "organisations.json"
        file.write_text(json.dumps([one.record() for one in bureaus]))
        self.run("organisations", "import", str(file))

    def audited(self) -> str:
        """What the audit finds; empty where everything holds."""
        done = self.hub.run("audit", "--data", str(self.hub.data), "--config", self.config)
        return "" if done.returncode == 0 else done.stdout + done.stderr


@contextlib.contextmanager
def province(code: str, more: str = "") -> Iterator[Province]:
    """A running hub of a province, `more` in its configuration."""
    with tempfile.TemporaryDirectory(prefix=f"province-{code}-", ignore_cleanup_errors=True) as folder:
        base, anchor = Path(folder), Bureau(f"{code}0000-supervision", roles=("supervisor",))
        (base / "anchor.jwks").write_text(json.dumps(public_jwks([anchor.signing.public])))
        (base / "config.toml").write_text(
            f'[hub]\nid = "{code}0000-hub"\nname_zh = "{code} 枢纽"\nname_en = "hub {code}"\n'
            f'[trust]\nanchor = "{anchor.id}"\nanchor_jwks = "{base / "anchor.jwks"}"\n{more}'
        )
        (base / "data").mkdir()
        with running_hub("--config", str(base / "config.toml"), data=base / "data") as hub:
            yield Province(code, base, hub, anchor)


def admitted(
    at: Province, other: Province, *, url: str | None = None, seconds: float | None = None, **limits: Any
) -> None:
    """Make `other` a neighbour of `at`, by the word of its anchor."""
    application = other.run("hubs", "apply", at.anchor.id).strip()
    days = timedelta(days=365)
    now = datetime.now(UTC) if seconds is None else datetime.now(UTC) - days + timedelta(seconds=seconds)
    if departments := limits.get("departments"):
        limits["departments"] = [*departments, "hub"]
    statement = vouch(at, application, now, days, Constraints(**limits))
    chain = at.folder / f"{other.id}.chain"
    chain.write_text(f"{application}\n{statement}\n")
    at.run("hubs", "admit", str(chain), "--url", url or other.url)


def vouch(at: Province, application: str, now: datetime, days: timedelta, limits: Constraints) -> str:
    """The anchor's word; `now` may lie back, so that it expires soon."""
    asked = vouching.read_application(application, datetime.now(UTC))
    claims = vouching.Claims(
        iss=at.anchor.id,
        sub=asked.sub,
        iat=int(now.timestamp()),
        exp=int((now + days).timestamp()),
        jwks=asked.jwks,
        metadata=asked.metadata,
        constraints=limits if limits != Constraints() else None,
    )
    return vouching._signed(claims, at.anchor.signing)


def neighbours(*provinces: Province) -> None:
    """Make each a neighbour of each."""

    def all_at(at: Province) -> None:
        for other in provinces:
            if at is not other:
                admitted(at, other)

    with ThreadPoolExecutor() as threads:
        list(threads.map(all_at, provinces))


def section(at: Province, other: Province, url: str | None = None) -> Section:
    """What the adapter beside `at` is configured with, to carry what `other` has for it."""
    store = at.folder / f"adapter-{other.code}"
    common = Common(
        kind="out_of_province", hub=url or other.url, organisations=(at.id,), keys=at.hub.data / "keys", store=store
    )
    return Section(f"from-{other.code}", common, {"home": at.url, "rate": 1000.0}, at.folder)


def station(at: Province, other: Province, url: str | None = None) -> Station:
    """The adapter beside `at`."""
    held = section(at, other, url)
    own = this_side(held, (at.hub.data / "passphrase").read_text().strip())
    quick = {name: impatient(make) for name, make in own.clients.items()}
    partner = out_of_province.partner(held, lambda offer: False)
    partner.meet(type(own)(quick, own.signing))
    return Station(Store(held.common.store), partner, quick, 0.2)


def impatient(make: Callable[[], Client]) -> Callable[[], Client]:
    """A client that gives up soon: a test has no time."""

    def made() -> Client:
        client = make()
        client._connection.patience = Patience(within=0.5)
        return client

    return made


@contextlib.asynccontextmanager
async def carrying(*stations: Station) -> AsyncIterator[None]:
    """The adapters at work for a while."""
    tasks = [asyncio.create_task(one.run()) for one in stations]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def eventually(holds: Callable[[], Any], within: float = 30) -> Any:
    """What `holds` comes to once that is something; an error of its own is waited out."""
    until = asyncio.get_running_loop().time() + within
    while True:
        try:
            found = await holds()
        except Exception:
            if asyncio.get_running_loop().time() > until:
                raise
            found = None
        if found:
            return found
        assert asyncio.get_running_loop().time() < until, f"not within {within} s"
        await asyncio.sleep(0.1)


def key_of(at: Province) -> Any:
    """The hub's public key."""
    return hub_key(at.hub.data).public
