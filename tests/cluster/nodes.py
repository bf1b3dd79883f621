"""Nodes of one hub on one database, and the proxy that partners see."""

import contextlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.conftest import RunningHub, free_port, running_hub

SCALING = Path(__file__).parents[2] / "docs/scaling.md"
HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


@contextlib.contextmanager
def nodes(dsn: str, count: int, replica: str | None = None, more: str = "") -> Iterator[list[RunningHub]]:
    """So many nodes, each with a data directory of its own, and the hub's one key in all of them.

    `more` is what their config.toml says besides.
    """
    with (
        tempfile.TemporaryDirectory(prefix="nodes-", ignore_cleanup_errors=True) as folder,
        contextlib.ExitStack() as stack,
    ):
        base = Path(folder)
        config = base / "config.toml"
        database = f'[database]\nurl = "{dsn}"\n' + (f'replica = "{replica}"\n' if replica else "")
        config.write_text(f'{database}[attachments]\nstore = "{base / "attachments"}"\n{more}')
        found: list[RunningHub] = []
        for number in range(count):
            data = base / f"node-{number}"
            data.mkdir()
            if found:
                shutil.copytree(found[0].data / "keys", data / "keys")
                shutil.copy(found[0].data / "passphrase", data / "passphrase")
            found.append(stack.enter_context(running_hub("--config", str(config), data=data, bare=True)))
        yield found


@contextlib.contextmanager
def proxied(found: Sequence[RunningHub]) -> Iterator[str]:
    """The address of HAProxy before these nodes, run by the configuration that docs/scaling.md shows."""
    shown = re.search(r"```haproxy\n(.*?)```", SCALING.read_text("utf-8"), re.S)
    assert HAPROXY is not None and shown is not None
    port = free_port()
    servers = "\n".join(f"    server node{n} 127.0.0.1:{one.port} check" for n, one in enumerate(found))
    with tempfile.TemporaryDirectory(prefix="proxy-") as folder:
        file = Path(folder) / "haproxy.cfg"
        file.write_text(shown[1].replace("PORT", str(port)).replace("    server SERVERS", servers))
        process = subprocess.Popen(
            [HAPROXY, "-db", "-f", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        url = f"http://127.0.0.1:{port}"
        try:
            _answers(url)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _answers(url: str) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url + "/readyz", timeout=2):
                return
        except OSError:
            assert time.monotonic() < until, "the proxy does not answer"
            time.sleep(0.1)
