"""What the kit starts: a throw-away hub, and the system under test where it has a command for that."""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

from adapters.conformance.upgrade import offered
from keys.errors import Fault

START_WITHIN = 90.0
STOP_WITHIN = 40.0
FROM = "XIEBAN_CONFORMANCE_FROM"
"""Set to 0 where the system under test is started to read its mailbox from the beginning."""
XIEBAN = (sys.executable, "-m", "hub.commands")


class NotRunning(Fault):
    """What the kit has to start does not run."""

    code: ClassVar[str] = "conformance-not-running"


class Hub:
    """A real hub in a folder of its own, with one more version of a protocol than anybody knows.

    `url` is where the kit's own organisations are, `tested_url` where the system under test is. `said` are further
    lines of its configuration.
    """

    def __init__(self, folder: Path, said: str = "") -> None:
        self.folder, self.data, self.config = folder, folder / "hub", folder / "config.toml"
        self.port = free_port()
        self.url = self.tested_url = f"http://127.0.0.1:{self.port}"
        self._said = said
        self._process: asyncio.subprocess.Process | None = None

    async def prepare(self) -> None:
        """Lay out its folder and start it. Raises NotRunning."""
        self.data.mkdir(parents=True)
        offered(self.folder / "catalogue")
        protocols = f"[protocols]\nfolder = {json.dumps(str(self.folder / 'catalogue'))}\n"
        self.config.write_text(self._said + protocols, "utf-8")
        await self.start()

    async def start(self) -> None:
        """Start it and wait until it is ready. Raises NotRunning with what it said instead."""
        with open(self.data / "hub.log", "ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *XIEBAN,
                *("serve", "--data", str(self.data), "--port", str(self.port), "--config", str(self.config)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        said = b""
        with contextlib.suppress(TimeoutError):
            said = await asyncio.wait_for(self._process.stdout.readline(), START_WITHIN)
        if not said:
            raise NotRunning(f"the hub: {(self.data / 'hub.log').read_text('utf-8', 'replace')[-300:].strip()}")

    async def kill(self) -> None:
        """SIGKILL to all of it: nothing is saved, nobody is told."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def stop(self) -> None:
        """Stop it in good order. One that was killed is started once more, to stop the database that it left."""
        if self._process is None:
            return
        if self._process.returncode is not None and self._process.returncode < 0:
            await self.start()
        await ended(self._process)

    async def enrol(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Import organisations; a key that a record no longer lists is revoked. Raises NotRunning."""
        await self.administer("organisations", "import", "-", given=json.dumps(list(records)))

    async def administer(self, *words: str, given: str = "") -> str:
        """What a command of the operator prints; `given` is its standard input. Raises NotRunning."""
        process = await asyncio.create_subprocess_exec(
            *XIEBAN,
            *(*words, "--data", str(self.data), "--config", str(self.config)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        said, errors = await process.communicate(given.encode())
        if process.returncode != 0:
            raise NotRunning(f"{' '.join(words[:2])}: {errors.decode(errors='replace')[-300:].strip()}")
        return said.decode()


class Subject(Protocol):
    """The system under test, as far as the kit moves it."""

    @property
    def rewinds(self) -> bool:
        """Whether the kit can have it read its mailbox from the beginning again."""
        ...

    @property
    def opens(self) -> bool:
        """Whether the kit can have it open a case."""
        ...

    async def start(self, places: Mapping[str, str]) -> None:
        """Have it run; `places` are what the placeholders stand for."""
        ...

    async def rewind(self) -> None:
        """Have it start again with its cursor lost."""
        ...

    async def open_case(self) -> None:
        """Have it open a case with the counterpart."""
        ...

    async def stop(self) -> None:
        """Have it end, where the kit started it."""
        ...


class Commands:
    """A system under test moved by commands; without `command` it runs already."""

    def __init__(self, log: Path, command: str | None, restart: str | None = None, trigger: str | None = None) -> None:
        self._log, self._command, self._restart, self._trigger = log, command, restart, trigger
        self._places: Mapping[str, str] = {}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def rewinds(self) -> bool:
        """See Subject."""
        return bool(self._restart or self._command)

    @property
    def opens(self) -> bool:
        """See Subject."""
        return bool(self._trigger)

    async def start(self, places: Mapping[str, str]) -> None:
        """See Subject. Raises NotRunning."""
        self._places = places
        if self._command:
            self._process = await self._run(self._command)

    async def rewind(self) -> None:
        """See Subject. Raises NotRunning."""
        if self._restart:
            await self._done(self._restart, "--restart")
        elif self._command:
            await self.stop()
            self._process = await self._run(self._command, **{FROM: "0"})

    async def open_case(self) -> None:
        """See Subject. Raises NotRunning."""
        assert self._trigger is not None
        await self._done(self._trigger, "--trigger")

    async def stop(self) -> None:
        """See Subject."""
        process, self._process = self._process, None
        if process is not None:
            await ended(process)

    async def _done(self, command: str, option: str) -> None:
        process = await self._run(command)
        try:
            status = await asyncio.wait_for(process.wait(), START_WITHIN)
        except TimeoutError:
            await ended(process)
            raise NotRunning(f"{option} did not end within {START_WITHIN:.0f} s") from None
        if status != 0:
            raise NotRunning(f"{option} ended with status {status}; see {self._log}")

    async def _run(self, command: str, **environment: str) -> asyncio.subprocess.Process:
        words = [_filled(word, self._places) for word in shlex.split(command)]
        with open(self._log, "ab") as log:
            try:
                return await asyncio.create_subprocess_exec(
                    *words,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=os.environ | environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise NotRunning(f"{words[0]}: {error.strerror}") from error


def _filled(word: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        word = word.replace("{" + name + "}", value)
    return word


async def ended(process: asyncio.subprocess.Process) -> None:
    """The process and its children stopped, by force where it does not end by itself."""
    if process.returncode is None:
        process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_WITHIN)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
