"""What a partner's system does behind every adapter: it answers requests, opens a case when told to, and is started."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from adapters.conformance.counterpart import REQUEST, request
from adapters.conformance.running import FROM
from adapters.running.store import Store
from keys.jwk import DecryptionKey
from keys.keystore import KeyStore
from protocols.loading import BASE

ASKED: Final = "case-assistance.request"
KNOWN: Final = f"{BASE}/case-assistance/1.0/request"
"""The version that this system was made for."""
LOOK: Final = 0.1
"""Seconds between two looks at what came."""
WAIT: Final = 60.0
PASSPHRASE: Final = "correct horse"


@dataclass(frozen=True)
class Given:
    """What the kit says, and the folder in which this system and its adapter keep what they know."""

    hub: str
    organisation: str
    hub_jwks: Path
    keys: Path
    state: Path

    def openers(self) -> list[DecryptionKey]:
        """The organisation's own keys, where the adapter hands over what is sealed as it is."""
        return KeyStore(self.keys).decryption_keys(PASSPHRASE)

    @contextlib.asynccontextmanager
    async def adapter(self, kind: str, own: Mapping[str, Any], tables: str = "") -> AsyncIterator[None]:
        """`xieban adapter run`, while it lasts; with its cursor lost where the kit wants that."""
        store = self.state / "store"
        if os.environ.get(FROM) == "0":
            known = Store(store)
            known.note(f"cursor/{self.organisation}", 0)
            known.close()
        (self.state / "passphrase").write_text(PASSPHRASE)
        (self.state / "passphrase").chmod(0o600)
        common = {"hub": self.hub, "organisation": self.organisation, "keys": str(self.keys), "store": str(store),
                  "passphrase_file": "passphrase", "hub_keys": str(self.hub_jwks), "every": 0.1}  # fmt: skip
        lines = [f"{name} = {json.dumps(value)}" for name, value in {**common, **own}.items()]
        config = self.state / "config.toml"
        config.write_text("\n".join([f"[adapters.{kind}]", *lines, tables, ""]), "utf-8")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hub.commands", "adapter", "run", kind, "--config", str(config)
        )
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    # Cases that are to be opened ------------------------------------------------------------------------

    def opens(self, counterpart: str) -> None:
        """Have the system that runs open a case with `counterpart`, and wait until the hub has it."""
        name, folder = str(uuid4()), self.state / "open"
        folder.mkdir(parents=True, exist_ok=True)
        keep(folder / f"{name}.json", {"to": counterpart, "data": REQUEST, "content": request()[1]})
        end = time.monotonic() + WAIT
        while not (folder / f"{name}.done").exists():
            if time.monotonic() > end:
                sys.exit("the case was not opened")
            time.sleep(LOOK)

    def wishes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The cases that are to be opened and were not handed to the adapter yet, each by its name."""
        for file in sorted((self.state / "open").glob("*.json")):
            yield file.stem, json.loads(file.read_bytes())

    def handed(self, name: str) -> None:
        """Note that the adapter has it."""
        file = self.state / "open" / f"{name}.json"
        file.rename(file.with_suffix(".handed"))

    def opened(self, name: str) -> None:
        """Note that the hub has it."""
        file = self.state / "open" / f"{name}.handed"
        if file.exists():
            file.rename(file.with_suffix(".done"))


def keep(file: Path, said: Any) -> None:
    """A JSON file, whole or not at all."""
    new = file.with_suffix(".part")
    new.write_text(json.dumps(said, ensure_ascii=False, sort_keys=True), "utf-8")
    new.rename(file)


def replies(reference: str) -> list[tuple[str, dict[str, Any], dict[str, Any] | None]]:
    """What is answered to a request whose file number this is: always the same, however often it comes."""
    found = {"narrative": f"经查属实，复贵机关{reference}。 Established; your file {reference}."}
    return [("accept", {}, None), ("answer", {"outcome": "established"}, found)]


def run(work: Callable[[Given], Awaitable[None]]) -> None:
    """The command line of such a system: work until SIGTERM, or have the one that runs open a case."""
    parser = argparse.ArgumentParser()
    for name in ("hub", "organisation", "hub_jwks", "keys", "state"):
        parser.add_argument(name, type=Path if name in ("hub_jwks", "keys", "state") else str)
    parser.add_argument("--open", metavar="COUNTERPART")
    said = vars(parser.parse_args())
    counterpart = said.pop("open")
    given = Given(**said)
    given.state.mkdir(parents=True, exist_ok=True)
    if counterpart:
        given.opens(counterpart)
        return
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_until_told(work(given)))


async def _until_told(work: Awaitable[None]) -> None:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task
