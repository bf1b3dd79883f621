"""The demo's hub: a real `xieban serve` as a child process, to be killed and started again."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from hub.store import embedded
from keys.errors import Fault

START_WITHIN = 90.0
STOP_WITHIN = 45.0
_XIEBAN = (sys.executable, "-m", "hub.commands")


class HubNotRunning(Fault):
    """The demo's hub does not run; see hub.log in the data directory."""

    code: ClassVar[str] = "hub-not-running"


_ENDING = (signal.SIGTERM, signal.SIGHUP)


class HubProcess:
    """A hub on a data directory and a port. As an async context manager it leaves nothing running behind.

    A closed terminal or a SIGTERM cancels the task that entered it, as Ctrl-C does.
    """

    def __init__(self, data: Path, port: int) -> None:
        self.data, self.port = data, port
        self.url = f"http://127.0.0.1:{port}"
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "HubProcess":
        task = asyncio.current_task()
        assert task is not None
        for number in _ENDING:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        finally:
            for number in _ENDING:
                asyncio.get_running_loop().remove_signal_handler(number)

    async def start(self) -> None:
        """Start it and wait until it says that it is ready. Raises HubNotRunning with what it said instead."""
        with open(self.data / "hub.log", "ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *_XIEBAN,
                *("serve", "--data", str(self.data), "--port", str(self.port)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                # A group of its own: Ctrl-C is for the demo, which stops the hub in good order; a kill takes all of it.
                start_new_session=True,
            )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_WITHIN):
            if not await self._process.stdout.readline():
                raise HubNotRunning(self._last_words())

    @property
    def pid(self) -> int:
        """The process, with all of the hub below it."""
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        """SIGKILL to every process of the hub: no warning, nothing saved."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """Stop it as an operator does, and the database that a killed hub leaves behind."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_WITHIN)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode != 0 and (self.data / "postgres" / "postmaster.pid").exists():
            async with embedded.attached(self.data):
                pass
        self._process = None

    async def run(self, *arguments: str) -> str:
        """The output of another `xieban` command beside it. Raises HubNotRunning with what it said instead."""
        process = await asyncio.create_subprocess_exec(
            *_XIEBAN, *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise HubNotRunning(f"xieban {' '.join(arguments[:2])}: {errors.decode(errors='replace')[-500:].strip()}")
        return output.decode()

    def _last_words(self) -> str:
        lines = (self.data / "hub.log").read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it ended without a word"
