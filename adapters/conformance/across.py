"""Two hubs of two provinces, an adapter beside each: the system under test at one, its counterparts at the other."""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from adapters.conformance.running import XIEBAN, Hub, NotRunning, ended
from keys import jwk
from protocols import vouching
from protocols.vouching import Constraints

NEAR, FAR = "410000-hub", "440000-hub"
ANCHORS: Final = {NEAR: "410000-supervision", FAR: "440000-supervision"}
KNOWN_WITHIN = 60.0
"""Seconds in which what one hub learns of its organisations reaches the other."""
LOOK = 0.1


class Neighbours:
    """As `running.Hub` to the kit: what it asks of a hub is asked of the one that it concerns."""

    def __init__(self, folder: Path, partner: str) -> None:
        self.folder, self._partner = folder, partner
        self._anchors = {id: jwk.generate_signing() for id in ANCHORS}
        self._near, self._far = (Hub(folder / id, self._lines(id)) for id in (NEAR, FAR))
        self.url, self.tested_url = self._far.url, self._near.url
        self._adapters: list[asyncio.subprocess.Process] = []

    def _lines(self, id: str) -> str:
        file = json.dumps(str(self.folder / f"{id}.anchor.jwks"))
        return f'[hub]\nid = "{id}"\n[trust]\nanchor = "{ANCHORS[id]}"\nanchor_jwks = {file}\n'

    async def prepare(self) -> None:
        """Start both, make them neighbours, start the adapters. Raises NotRunning."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for id, key in self._anchors.items():
            file = self.folder / f"{id}.anchor.jwks"
            file.write_text(json.dumps(jwk.public_jwks([key.public])), "utf-8")
        await asyncio.gather(self._near.prepare(), self._far.prepare())
        await asyncio.gather(self._admitted(self._near, NEAR, self._far), self._admitted(self._far, FAR, self._near))
        for id, home, other in ((NEAR, self._near, self._far), (FAR, self._far, self._near)):
            self._adapters.append(await self._adapter(id, home, other))

    async def _admitted(self, at: Hub, id: str, other: Hub) -> None:
        """Have `other` admitted at a hub, by the word of that hub's anchor."""
        application = (await other.administer("hubs", "apply", ANCHORS[id])).strip()
        word = vouching.vouch(ANCHORS[id], application, self._anchors[id], Constraints(), datetime.now(UTC))
        await at.administer("hubs", "admit", "-", "--url", other.url, given=f"{application}\n{word}\n")

    async def _adapter(self, id: str, home: Hub, other: Hub) -> asyncio.subprocess.Process:
        said = {"kind": "out_of_province", "hub": other.url, "organisation": id, "keys": str(home.data / "keys"),
                "passphrase_file": str(home.data / "passphrase"), "store": str(home.folder / "store"),
                "home": home.url, "every": 0.2}  # fmt: skip
        file = home.folder / "adapter.toml"
        file.write_text("\n".join(["[adapters.across]", *(f"{k} = {json.dumps(v)}" for k, v in said.items()), ""]))
        with open(home.folder / "adapter.log", "ab") as log:
            return await asyncio.create_subprocess_exec(
                *XIEBAN, "adapter", "run", "across", "--config", str(file),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    async def start(self) -> None:
        """Both hubs again, after they were killed. Raises NotRunning."""
        await asyncio.gather(self._near.start(), self._far.start())

    async def kill(self) -> None:
        """SIGKILL to both hubs; the adapters go on."""
        await asyncio.gather(self._near.kill(), self._far.kill())

    async def stop(self) -> None:
        """Stop all of it in good order."""
        await asyncio.gather(*(ended(one) for one in self._adapters))
        await asyncio.gather(self._near.stop(), self._far.stop())

    async def enrol(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Enrol each where it belongs, until the other hub knows its keys too. Raises NotRunning."""
        for hub, other, mine in ((self._near, self._far, True), (self._far, self._near, False)):
            concerned = [one for one in records if (one["id"] == self._partner) is mine]
            if concerned:
                await hub.enrol(concerned)
                await self._known(other, concerned)

    async def _known(self, at: Hub, records: Sequence[Mapping[str, Any]]) -> None:
        clock = asyncio.get_running_loop().time
        end = clock() + KNOWN_WITHIN
        async with aiohttp.ClientSession() as session:
            for one in records:
                wanted = {key["kid"] for key in one["jwks"]["keys"]}
                while await _kids(session, f"{at.url}/v1/organisations/{one['id']}/jwks.json") != wanted:
                    if clock() > end:
                        raise NotRunning(f"the other hub did not learn of {one['id']}; see {self.folder}")
                    await asyncio.sleep(LOOK)


async def _kids(session: aiohttp.ClientSession, url: str) -> set[str]:
    with contextlib.suppress(aiohttp.ClientError):
        async with session.get(url) as answer:
            if answer.status == 200:
                return {key["kid"] for key in (await answer.json(content_type=None))["keys"]}
    return set()
