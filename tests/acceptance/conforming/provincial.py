"""A province's platform: messages are pushed to it; it accepts by a call of its own, and its answers are pulled."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from adapters.conformance.running import free_port
from tests.acceptance.conforming.common import LOOK, Given, keep, replies, run

KEY = "k-1"
MAPPING = """
ignore = ["errand.*", "case-assistance.update", "case-assistance.close", "case-assistance.withdraw",
          "case-assistance.remind", "case-assistance.accept", "case-assistance.answer"]
[messages."case-assistance.request"]
body = '{"id": id, "case": case, "organisation": organisation, "reference": content.reference}'
[records.accept]
type = "case-assistance.accept"
key = ["key"]
source = "source"
case = "case"
causationid = "cause"
data = "{}"
[records.answer]
type = "case-assistance.answer"
key = ["key"]
source = "source"
case = "case"
causationid = "cause"
data = "data"
content = "content"
[records.request]
type = "case-assistance.request"
key = ["key"]
source = "source"
to = "to"
case = "case"
data = "data"
content = "content"
"""
TABLES = """
[adapters.provincial.authentication]
type = "key"
secret = {{ file = "key" }}
[adapters.provincial.pull]
url = "{url}/api/records"
items = "list"
kind = "kind"
paging = {{ by = "offset", parameter = "offset", size_parameter = "size", size = 50 }}
since = {{ parameter = "since", mark = "number" }}
[adapters.provincial.push]
url = "{url}/api/messages/{{type}}"
[adapters.provincial.settle]
url = "{url}/api/receipts/{{record}}/{{key}}"
[adapters.provincial.webhook]
secret = {{ file = "key" }}
"""


@dataclass
class Platform:
    """What the platform has, in files: what came, what it says to it, what of that was taken."""

    given: Given
    adapter: str
    records: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("came", "answered", "records"):
            self.folder(name).mkdir(exist_ok=True)
        self.records = [json.loads(file.read_bytes()) for file in sorted(self.folder("records").iterdir())]

    def folder(self, name: str) -> Path:
        return self.given.state / name

    def application(self) -> web.Application:
        """Its interface."""
        app = web.Application(client_max_size=8 << 20)
        app.router.add_get("/api/records", self.listed)
        app.router.add_post("/api/messages/{type}", self.came)
        app.router.add_post("/api/receipts/{record}/{key}", self.settled)
        return app

    async def listed(self, request: web.Request) -> web.Response:
        """What changed since a moment, page by page."""
        found = [one for one in self.records if one["number"] >= int(request.query.get("since", 0))]
        begin = int(request.query["offset"])
        return web.json_response({"list": found[begin : begin + int(request.query["size"])]})

    async def came(self, request: web.Request) -> web.Response:
        """A message, known again by its key."""
        name = request.headers["Idempotency-Key"].strip('"')
        if not (self.folder("answered") / f"{name}.json").exists():
            keep(self.folder("came") / f"{name}.json", await request.json())
        return web.json_response({"code": 0})

    async def settled(self, request: web.Request) -> web.Response:
        """What became of a record."""
        if (said := await request.json())["record"] == "request" and said["taken"]:
            self.given.opened(said["key"])
        return web.json_response({"code": 0})

    def add(self, kind: str, key: str, **said: Any) -> None:
        """A record that is pulled."""
        number = len(self.records) + 1
        record = {"kind": kind, "key": key, "number": number, "source": self.given.organisation} | said
        keep(self.folder("records") / f"{number:06}.json", record)
        self.records.append(record)

    async def answer(self, session: aiohttp.ClientSession) -> None:
        """Accept what came, and once the adapter has that, answer it."""
        for file in sorted(self.folder("came").glob("*.json")):
            said = json.loads(file.read_bytes())
            about, (_, (_, data, content)) = {"case": said["case"], "cause": said["id"]}, replies(said["reference"])
            accepted = about | {"key": f"{said['id']}.accept", "source": self.given.organisation}
            async with session.post(f"{self.adapter}/provincial/accept", json=accepted) as taken:
                taken.raise_for_status()
            self.add("answer", f"{said['id']}.answer", data=data, content=content, **about)
            file.rename(self.folder("answered") / file.name)
        for name, wanted in self.given.wishes():
            self.add("request", name, case=f"豫协-{name}", **wanted)
            self.given.handed(name)


async def work(given: Given) -> None:
    """Serve, and answer what came."""
    (given.state / "mapping").mkdir(exist_ok=True)
    (given.state / "mapping" / "mapping.toml").write_text(MAPPING, "utf-8")
    (given.state / "key").write_text(KEY)
    own, listen = free_port(), f"127.0.0.1:{free_port()}"
    tables = TABLES.format(url=f"http://127.0.0.1:{own}")
    platform = Platform(given, f"http://{listen}")
    runner = web.AppRunner(platform.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", own).start()
    section = {"listen": listen, "mapping": "mapping", "allow_private": ["127.0.0.0/8"], "allow_http": True}
    async with given.adapter("provincial", section, tables), aiohttp.ClientSession(headers={"X-API-Key": KEY}) as calls:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                await platform.answer(calls)
            await asyncio.sleep(LOOK)


if __name__ == "__main__":
    run(work)
