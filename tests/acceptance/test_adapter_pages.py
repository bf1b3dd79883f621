"""`docs/adapters/README.md`, command for command, and what it says against what there is."""

import contextlib
import json
import re
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from adapters.running.kinds import KINDS
from keys.keystore import KeyStore
from tests.acceptance.bureaus import Bureau, enrolled
from tests.acceptance.pages import ROOT, blocks, environment, in_shell
from tests.conftest import RunningHub

FOLDER = ROOT / "docs/adapters"
PAGE = (FOLDER / "README.md").read_text("utf-8")
PASSPHRASE = "correct horse"


def test_the_page_names_every_kind_and_every_page() -> None:
    rows = re.findall(r"^\| \[`(\w+)`\]\((\S+)\) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    assert {kind: (zh, en) for kind, _, zh, en in rows} == {kind: (one.zh, one.en) for kind, one in KINDS.items()}
    pages = {page.name for page in FOLDER.glob("*.md")} - {"README.md"}
    assert pages <= {page for _, page, _, _ in rows}


def test_every_command_of_the_page_does_what_it_says(hub: RunningHub, tmp_path: Path) -> None:
    who = Bureau("411002-health")
    enrolled(hub, who)
    store = KeyStore(tmp_path / "weidu")
    store.create()
    for key in (who.signing, who.sealing):
        store.add(key, PASSPHRASE)
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    (tmp_path / "passphrase").chmod(0o600)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    # As a service it is tried by test_systemd.py.
    (config, _), (begin, _, look) = blocks(PAGE, "toml"), blocks(PAGE, "sh")
    (tmp_path / "config.toml").write_text(
        config.replace("http://127.0.0.1:8420", hub.url).replace("127.0.0.1:8431", address)
    )
    *first, run = begin.strip().splitlines()
    said = in_shell("\n".join(first), tmp_path, hub)
    assert all(kind in said for kind in KINDS)
    command = run.removesuffix(" &").split()
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 30
            while True:
                with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/healthz") as answer:
                    if json.load(answer)["running"]:
                        break
                assert process.poll() is None and time.monotonic() < end
                time.sleep(0.1)
            second = subprocess.run(
                command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=False
            )
            assert second.returncode == 1 and f"adapter-running: process {process.pid} " in second.stderr
            said = in_shell(look, tmp_path, hub)
            assert '"well": true' in said and "已重置 0 路" in said
            with urllib.request.urlopen(f"http://{address}/metrics") as answer:
                metrics = set(re.findall(r"^(\w+)\{", answer.read().decode(), re.MULTILINE))
            assert metrics == set(re.findall(r"^\| `(xieban_\w+)`", PAGE, re.MULTILINE))
        finally:
            process.terminate()
            process.wait(20)
