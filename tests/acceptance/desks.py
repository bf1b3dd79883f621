"""Desks as processes, and the people at them: by HTTP forms as a browser sends them, without one."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path

import aiohttp

from keys.keystore import KeyStore
from tests.conftest import XIEBAN, RunningHub

PASSWORD = "staple-staple"
NAMES = {
    "411002-health": ("魏都区", "health", "魏都区卫生健康委员会", "Weidu Health"),
    "440306-health": ("宝安区", "health", "宝安区卫生健康局", "Bao'an Health"),
}
HERE, THERE = NAMES


@dataclass
class Desk:
    """A desk's process, and where its page is."""

    hub: RunningHub
    folder: Path
    organisation: str
    options: Sequence[str] = ()
    port: int = 0
    first: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where its page is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it printed."""
        return (self.folder / "desk.log").read_text()

    def start(self) -> "Desk":
        """Start it; `first` is where its first account is made."""
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = int(probe.getsockname()[1])
        command = [*XIEBAN, "desk", "--store", str(self.folder / "store"), "--port", str(self.port), *self.options]
        with (self.folder / "desk.log").open("w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | {"PYTHONUNBUFFERED": "1"})
        until = time.monotonic() + 30
        while "the desk is ready" not in self.log:
            assert self.process.poll() is None and time.monotonic() < until, self.log
            time.sleep(0.1)
        time.sleep(0.1)
        found = re.search(r"http\S+/first/\S+", self.log)
        self.first = found.group(0) if found else ""
        return self

    def stop(self, how: int = signal.SIGTERM) -> None:
        """Stop it as its user does, or as a power cut does."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(20)


@dataclass(frozen=True)
class Answer:
    """A page as it came."""

    status: int
    path: str
    text: str
    body: bytes
    headers: Mapping[str, str]

    @property
    def words(self) -> str:
        """What stands on the page, without its tags."""
        return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", self.text)))


class Person:
    """Somebody at a desk, with a browser's cookies. Use as an async context manager."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def __aenter__(self) -> "Person":
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str) -> Answer:
        """Look at a page."""
        async with self._session.get(self._at(path)) as answer:
            return await _read(answer)

    async def post(self, path: str, form: Mapping[str, str] | Sequence[tuple[str, str]] = ()) -> Answer:
        """Send a form of the desk's own."""
        async with self._session.post(self._at(path), data=list(form.items() if isinstance(form, Mapping) else form),
                                      headers={"Origin": self.desk.url}) as answer:  # fmt: skip
            return await _read(answer)

    async def fill(self, path: str, form: Mapping[str, str], seen: Answer | None = None) -> Answer:
        """Send the form of a draft as it stands on its page now, or as it was `seen`."""
        return await self.post(path, {"revision": revision(seen or await self.get(path)), **form})

    async def upload(self, path: str, called: str, content: bytes, file: str = "file", **fields: str) -> Answer:
        """Send a form with a file in it."""
        form = aiohttp.FormData()
        for key, value in fields.items():
            form.add_field(key, value)
        form.add_field(file, content, filename=called, content_type="application/octet-stream")
        async with self._session.post(self._at(path), data=form, headers={"Origin": self.desk.url}) as answer:
            return await _read(answer)

    async def enter(self, name: str, password: str = PASSWORD) -> Answer:
        """Log in."""
        return await self.post("/enter", {"name": name, "password": password})

    async def until(self, path: str, words: str, within: float = 30, *, shown: bool = True) -> Answer:
        """Look at a page until it says something, or has it among its tags."""
        clock = asyncio.get_running_loop().time
        end = clock() + within
        while True:
            page = await self.get(path)
            if words in (page.words if shown else page.text):
                return page
            assert clock() < end, (words, page.words)
            await asyncio.sleep(0.2)

    def _at(self, path: str) -> str:
        return path if path.startswith("http") else self.desk.url + path


async def _read(answer: aiohttp.ClientResponse) -> Answer:
    body = await answer.read()
    return Answer(answer.status, answer.url.path, body.decode("utf-8", "replace"), body, answer.headers)


def revision(page: Answer) -> str:
    """Which revision of a draft a page shows."""
    return page.headers["Draft-Revision"]


def wanted(page: Answer) -> dict[str, str]:
    """Something in every field that the page demands."""
    found = {}
    for id in re.findall(r'<label class="title" for="([\w-]+)">[^<]*<span class="must"', page.text):
        asked = re.search(rf'id="{id}" name="([\w.]+)"([^>]*)>(.*?)</div>', page.text, re.S)
        assert asked is not None
        choice = re.search(r'<option value="([^"]+)"', asked[3])
        text = "2027-01-04" if 'type="date"' in asked[2] else "0374-0000101" if "phone" in asked[1] else "请办理"
        found[asked[1]] = choice[1] if choice else text
    return found


def fingerprints(hub: RunningHub) -> str:
    """The ids of the hub's keys, as its operator hands them over on paper."""
    return " ".join(key.kid for key in KeyStore(hub.data / "keys").public_keys())


async def set_up(desk: Desk, hub: RunningHub, name: str, superior: str = "") -> None:
    """All steps of the guided set-up, the operator's part included; `name` is the first head."""
    place, department, zh, en = NAMES[desk.organisation]
    async with Person(desk) as person:
        account = {"name": name, "full_name": "周明", "password": PASSWORD, "again": PASSWORD}
        assert (await person.post(desk.first, account)).path == "/setup"
        assert (await person.post("/setup/hub", {"url": hub.url})).status == 200
        assert (await person.post("/setup/recognise", {"fingerprints": fingerprints(hub)})).status == 200
        bureau = {"place": place, "department": department, "zh": zh, "en": en, "superior": superior}
        named = await person.post("/setup/bureau", bureau)
        assert named.status == 200 and desk.organisation in named.text, named.words
        assert (await person.post("/setup/keys")).status == 200
        record = await person.get("/setup/record")
        hub.enrol(json.loads(record.body))
        await person.until("/setup", "已登记，可以办案了")
