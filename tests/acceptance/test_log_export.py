"""The log as files: a plain web server serves them, and an outsider proves by them what the hub said."""

import base64
import contextlib
import functools
import http.server
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from adapters.witness.reading import LogUnreachable, Reader
from keys.merkle import consistency_nodes, consistency_proof, root, root_nodes, verify_consistency
from tests.acceptance.outsider import Outsider
from tests.acceptance.pages import ROOT, blocks
from tests.acceptance.test_proxies import caddy, listening, nginx
from tests.acceptance.verifier import (
    Head,
    consistency_path,
    inclusion_path,
    leaf_hash,
    path_root,
    read_note,
    tree_root,
    verify_growth,
    verify_receipt,
)
from tests.conftest import XIEBAN, RunningHub, free_port


@pytest.fixture(scope="module")
def bureaus(hub: RunningHub) -> tuple[Outsider, Outsider]:
    found = Outsider("411002-health", hub.url), Outsider("440306-health", hub.url, "P-256")
    hub.enrol([bureau.record() for bureau in found])
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the address of a web server that knows nothing but files."""
    folder = tmp_path_factory.mktemp("exported")
    with serving(folder) as url:
        yield folder, url


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        return bytes(response.read())


def grow(bureaus: tuple[Outsider, Outsider], count: int) -> dict[str, object]:
    """So many messages more; the receipt of the first."""
    here, there = bureaus
    case, _, receipt = here.open_case(there)
    events = [here.event("update", case, there, here.example("update")) for _ in range(count - 1)]
    lines = b"\n".join(here.sign(json.dumps(event).encode()) for event in events)
    status, _ = here.call("POST", "/v1/messages/batch", lines, "application/x-ndjson") if events else (200, None)
    assert status == 200
    return receipt


def leaves_at(url: str, size: int) -> list[bytes]:
    """The leaf hashes of a tree of `size`, from the tiles of the lowest level."""
    full, rest = divmod(size, 256)
    paths = [f"/tile/0/{n:03}" for n in range(full)] + ([f"/tile/0/{full:03}.p/{rest}"] if rest else [])
    lower = b"".join(get(url + path) for path in paths)
    return [lower[at : at + 32] for at in range(0, len(lower), 32)]


def exported(hub: RunningHub, folder: Path) -> subprocess.CompletedProcess[str]:
    return hub.run("log", "export", "--to", str(folder), "--data", str(hub.data))


def test_a_receipt_and_the_logs_growth_are_proven_by_files_alone(
    hub: RunningHub, bureaus: tuple[Outsider, Outsider], served: tuple[Path, str]
) -> None:
    folder, url = served
    jwks = json.loads(get(hub.url + "/.well-known/jwks.json"))
    receipt = grow(bureaus, 40)
    assert exported(hub, folder).returncode == 0
    old = read_note(get(url + "/checkpoint").decode(), jwks)
    assert tree_root(leaves_at(url, old.size)) == old.root
    grow(bureaus, 300)
    kept = {path: path.stat().st_ino for path in folder.rglob("*") if path.is_file() and path.name != "checkpoint"}
    assert exported(hub, folder).returncode == 0
    new = read_note(get(url + "/checkpoint").decode(), jwks)
    assert new.size == old.size + 300
    leaves = leaves_at(url, new.size)
    assert tree_root(leaves) == new.root
    assert get(f"{url}/tile/1/000.p/{new.size // 256}") == tree_root(leaves[:256])
    path = consistency_path(old.size, leaves)
    verify_growth(old, new, path)
    with pytest.raises(AssertionError):
        verify_growth(Head(old.origin, old.size, leaves[0]), new, path)
    log = receipt["log"]
    assert isinstance(log, dict)
    verify_receipt(receipt, jwks)
    leaf = leaf_hash(base64.b64decode(log["entry"]))
    assert path_root(leaf, log["index"], new.size, inclusion_path(log["index"], leaves)) == new.root
    # What was written before is the same file still, but for the partial tile that is complete by now.
    gone = {path for path in kept if not path.exists()}
    assert {path.parent for path in gone} == {folder / "tile" / "0" / "000.p"}
    assert all(path.stat().st_ino == inode for path, inode in kept.items() if path not in gone)
    assert not (folder / "tile" / "entries").exists()


def test_no_reader_sees_a_checkpoint_without_its_tiles(
    hub: RunningHub, bureaus: tuple[Outsider, Outsider], served: tuple[Path, str]
) -> None:
    folder, url = served
    jwks = json.loads(get(hub.url + "/.well-known/jwks.json"))
    following = subprocess.Popen(
        [*XIEBAN, "log", "export", "--to", str(folder), "--data", str(hub.data), "--follow", "--every", "0.1"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        last, seen = 0, set[int]()
        until = time.monotonic() + 60
        wanted = None
        while wanted is None or last < wanted:
            assert time.monotonic() < until
            head = read_note(get(url + "/checkpoint").decode(), jwks)
            assert head.size >= last
            if head.size != last:
                assert tree_root(leaves_at_or_whole(url, head.size)) == head.root
                seen.add(head.size)
            last = head.size
            if len(seen) < 4:
                grow(bureaus, 3)
            elif wanted is None:
                wanted = read_note(get(hub.url + "/log/checkpoint").decode(), jwks).size
        busy = exported(hub, folder)
        assert (busy.returncode, "export-impossible" in busy.stderr) == (1, True)
    finally:
        following.send_signal(signal.SIGTERM)
        output, _ = following.communicate(timeout=20)
    assert output.count("entries") >= 4


def leaves_at_or_whole(url: str, size: int) -> list[bytes]:
    """As `leaves_at`; where the partial tile was completed since, the whole one (C2SP tlog-tiles)."""
    try:
        return leaves_at(url, size)
    except urllib.error.HTTPError:
        return leaves_at(url, -(-size // 256) * 256)[:size]


def test_another_history_is_never_written_over(
    hub: RunningHub, bureaus: tuple[Outsider, Outsider], served: tuple[Path, str], tmp_path: Path
) -> None:
    folder = tmp_path / "there"
    grow(bureaus, 1)
    assert exported(hub, folder).returncode == 0
    note = (folder / "checkpoint").read_text()
    origin, size, root, rest = note.split("\n", 3)
    other = base64.b64encode(os.urandom(32)).decode()
    for spoilt in (f"{origin}\n{size}\n{other}\n{rest}", f"elsewhere\n{size}\n{root}\n{rest}"):
        (folder / "checkpoint").write_text(spoilt)
        done = exported(hub, folder)
        assert (done.returncode, "export-contradicted" in done.stderr) == (1, True), done.stderr
        assert (folder / "checkpoint").read_text() == spoilt
    (folder / "checkpoint").unlink()
    (folder / "tile" / "0" / "000").write_bytes(bytes(8192))
    assert "export-contradicted" in exported(hub, folder).stderr
    assert not (folder / "checkpoint").exists()


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_web_servers_let_caches_keep_tiles_for_ever_and_nothing_else(kind: str, served: tuple[Path, str]) -> None:
    program = shutil.which(kind, path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip(f"no {kind}: its configuration is not tested (Debian: apt install {kind})")
    (site,) = blocks((ROOT / "docs/scaling.md").read_text("utf-8"), kind)
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        shutil.copytree(served[0], folder / "srv/log")
        (folder / "srv/log").chmod(0o755)
        words = {"nginx": nginx, "caddy": caddy}[kind](
            folder, site.replace("/srv", f"{name}/srv").replace("8421", str(port))
        )
        environment = os.environ | {"HOME": name, "XDG_DATA_HOME": name, "XDG_CONFIG_HOME": name}
        said = folder / "said"
        with open(said, "wb") as output:
            process = subprocess.Popen([program, *words[1:]], stdout=output, stderr=output, env=environment)
        try:
            until = time.monotonic() + 20
            while not listening(port):
                assert process.poll() is None and time.monotonic() < until, said.read_text()
                time.sleep(0.05)
            url = f"http://127.0.0.1:{port}/log"
            assert cached(f"{url}/tile/0/000") == (200, "public, max-age=31536000, immutable")
            assert cached(f"{url}/checkpoint") == (200, "no-store")
            assert cached(f"{url}/tile/0/999") == (404, None)
            assert get(f"{url}/tile/0/000") == (served[0] / "tile/0/000").read_bytes()
        finally:
            process.terminate()
            process.wait(20)


def cached(url: str) -> tuple[int, str | None]:
    """The status, and for how long a cache may keep the answer."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.headers["Cache-Control"]
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Cache-Control"]


async def test_a_reader_takes_the_whole_tile_for_a_part_that_is_no_longer_there(
    served: tuple[Path, str], hub: RunningHub, tmp_path: Path
) -> None:
    folder, url = served
    (tmp_path / "log").symlink_to(folder)
    size, old = int((folder / "checkpoint").read_text().split("\n")[1]), 200
    assert size > 256 and not (folder / "tile/0/000.p").exists()
    with serving(tmp_path) as plain:
        async with aiohttp.ClientSession() as session:
            log = Reader(plain, session)
            before, after = await log.nodes(root_nodes(old), old), await log.nodes(consistency_nodes(old, size), size)
            known = before | after | await log.nodes(root_nodes(size), size)
            with pytest.raises(LogUnreachable):
                await log.nodes([(0, size + 256)], size + 512)
    roots = [root(of, lambda level, index: known[level, index]) for of in (old, size)]
    proof = consistency_proof(old, size, lambda level, index: known[level, index])
    verify_consistency(old, size, proof, *roots)
    assert roots[0] == tree_root(leaves_at(url, size)[:old])
