"""A partner with nothing but files: what it puts in is sent once, what is for it lies there, all of it provable."""

import asyncio
import contextlib
import hashlib
import io
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import openpyxl
import pytest
from asyncssh.sftp import SFTPServerHandler

from adapters.client import Item
from adapters.exchange import signing
from adapters.running import health
from adapters.running.store import Store
from keys import jwk, jws
from keys.keystore import KeyStore
from protocols import receipt
from tests.acceptance.bureaus import Bureau, audited, content, enrolled, example
from tests.acceptance.exchanging import asked, at_work, configured, lying, put, read
from tests.acceptance.pages import BIN, ROOT, blocks, environment, in_shell
from tests.acceptance.stations import until
from tests.conftest import XIEBAN, RunningHub

HERE, THERE = Bureau("411002-health"), Bureau("440306-health")
PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module", autouse=True)
def known(hub: RunningHub) -> None:
    enrolled(hub, HERE, THERE)


async def arrived(bureau: Bureau, source: Bureau = HERE) -> list[Item]:
    """All that came to a bureau from another."""
    async with bureau.client() as client:
        found: list[Item] = []
        after = 0
        while page := (await client.poll(after, limit=500)).items:
            found += page
            after = page[-1].position
        return [item for item in found if item.event.source == source.id]


def stored(folder: Path) -> None:
    """A key store."""
    keys = KeyStore(folder)
    keys.create()
    for key in (HERE.signing, HERE.sealing):
        keys.add(key, PASSPHRASE)


def checked(file: Path) -> dict[str, Any]:
    """The manifest that was signed for a file, once it fits."""
    compact = jws.decode((file.parent / f"{file.name}.sig").read_bytes().strip(), typ=signing.TYP)
    said: dict[str, Any] = json.loads(jws.verify(compact, HERE.signing.public))
    body = file.read_bytes()
    assert (said["file"], said["sha256"], said["size"]) == (file.name, hashlib.sha256(body).hexdigest(), len(body))
    return said


async def test_files_go_both_ways_and_can_be_proven(hub: RunningHub, tmp_path: Path) -> None:
    files = tmp_path / "files"
    async with at_work(tmp_path, HERE):
        put(files, "请求 1.json", asked(THERE, reference="字 2026-11"))
        async with HERE.client() as here:
            draft = await here.prepare("errand.request", "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21a1", [THERE.id],
                                       example("errand", "request"), content("errand", "request"))  # fmt: skip
        put(files, "own.jose", draft.compact + b"\r\n")
        put(files, "unknown.json", asked(Bureau("999999-health")))
        await until(lambda: len(lying(files / "done")) == 2 and len(lying(files / "rejected")) == 2)
        assert lying(files / "in") == []
        given = read(files / "receipts" / "请求 1.json.receipt.json")
        assert given["taken"] and given["reference"] == "字 2026-11"
        async with HERE.client() as here:
            proven = receipt.verify(receipt.parse(given["receipt"]), here.hub_keys, compact=given["message"].encode())
            assert getattr(proven.entry, "subject", None) == given["case"]
        assert read(files / "receipts" / "own.jose.receipt.json")["id"] == draft.id
        assert "999999" in (files / "receipts" / "unknown.json.problem.txt").read_text()
        assert (files / "rejected" / "unknown.json.problem.txt").exists()
        # The other side answers.
        item = next(one for one in await arrived(THERE) if one.event.id == given["id"])
        async with THERE.client() as there:
            sent = await there.reply(item, "accept", example("errand", "accept"))
        await until(lambda: lying(files / "out"))
        (out,) = (files / "out").glob("*.json")
        said = read(out)
        assert said["event"]["id"] == sent.id and said["event"]["subject"] == given["case"]
        async with HERE.client() as here:
            receipt.verify(receipt.parse(said["receipt"]), here.hub_keys, compact=said["message"].encode())
        assert checked(out)["organisation"] == HERE.id and checked(out)["hub"]
        for folder in ("receipts", "rejected", "templates"):
            for file in (files / folder).iterdir():
                if file.suffix != ".sig" and file.name != "unknown.json":
                    checked(file)
        assert "协" in (files / "README.txt").read_text() or "文件交换" in (files / "README.txt").read_text()
        assert out.stat().st_mode & 0o007 == 0
    assert audited(hub) == ""


async def test_the_same_is_not_sent_twice_unless_it_is_said_so(tmp_path: Path) -> None:
    files, body, before = tmp_path / "files", asked(THERE, reference="once"), len(await arrived(THERE))
    async with at_work(tmp_path, HERE):
        put(files, "a.json", body)
        put(files, "b.json", body)
        await until(lambda: lying(files / "done") == ["a.json"] and "b.json" in lying(files / "rejected"))
        assert "a.json" in (files / "receipts" / "b.json.problem.txt").read_text()
        put(files, "a.json", body)  # the same file again
        await until(lambda: "a.2.json" in lying(files / "rejected"))
        # What was refused may come again as it is; another one of the same name is another one.
        put(files, "bad.json", b"{")
        await until(lambda: "bad.json" in lying(files / "rejected"))
        put(files, "bad.json", b"{")
        await until(lambda: "bad.2.json" in lying(files / "rejected"))
        put(files, "a.json", asked(THERE, reference="another"))
        await until(lambda: len(lying(files / "done")) == 2)
    assert len(await arrived(THERE)) == before + 2
    async with at_work(tmp_path, HERE, 'root = "files"\nsettle = 0.1\ndoubles = "take"'):
        put(files, "c.json", body)
        await until(lambda: len(lying(files / "done")) == 3)
    assert len(await arrived(THERE)) == before + 3


async def test_a_file_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    files, body = tmp_path / "files", asked(THERE, reference="slow")
    async with at_work(tmp_path, HERE, 'root = "files"\nsettle = 0.6'):
        await until(lambda: (files / "in").exists())
        (files / "in" / "x.json.filepart").write_bytes(body)
        (files / "in" / ".hidden.json").write_bytes(body)
        (files / "in" / "~$book.xlsx").write_bytes(b"lock")
        (files / "in" / "link.json").symlink_to(tmp_path / "config.toml")
        (files / "in" / "folder.json").mkdir()
        os.mkfifo(files / "in" / "pipe.json")
        with (files / "in" / "slow.json").open("wb") as out:
            for at in range(0, len(body), len(body) // 6):
                out.write(body[at : at + len(body) // 6])
                out.flush()
                assert lying(files / "rejected") == []
                await asyncio.sleep(0.3)
        await until(lambda: lying(files / "done") == ["slow.json"])
        assert lying(files / "in") == [".hidden.json", "folder.json", "link.json", "pipe.json", "x.json.filepart",
                                       "~$book.xlsx"]  # fmt: skip
        assert lying(files / "rejected") == []
    async with at_work(tmp_path, HERE, 'root = "files"\ncomplete = "ready"\nsettle = 0'):
        (files / "in" / "marked.json").write_bytes(asked(THERE, reference="marked"))
        await asyncio.sleep(0.5)
        assert "marked.json" in lying(files / "in")
        (files / "in" / "marked.json.ready").touch()
        await until(lambda: "marked.json" in lying(files / "done"))
        await until(lambda: not (files / "in" / "marked.json.ready").exists())


async def test_what_must_be_signed_is_rejected_unsigned_or_altered(tmp_path: Path) -> None:
    files, partner = tmp_path / "files", jwk.generate_signing()
    (tmp_path / "partner.jwks.json").write_text(json.dumps(jwk.public_jwks([partner.public])))
    own = 'root = "files"\nsettle = 0.3\nrequire_signed = true\npartner_keys = "partner.jwks.json"'

    def handed(name: str, signed_as: str, body: bytes, key: jwk.SigningKey = partner) -> None:
        (files / "in").mkdir(parents=True, exist_ok=True)
        token = signing.signed(signed_as, body, "x", "y", key)
        (files / "in" / f"{name}.sig").write_bytes(token)

    async with at_work(tmp_path, HERE, own):
        bodies = {name: asked(THERE, reference=name) for name in ("good", "altered", "stranger", "renamed", "unsigned")}
        handed("good.json", "good.json", bodies["good"])
        handed("altered.json", "altered.json", bodies["altered"] + b" ")
        handed("stranger.json", "stranger.json", bodies["stranger"], jwk.generate_signing())
        handed("renamed.json", "other.json", bodies["renamed"])
        (files / "in" / "garbage.json.sig").write_bytes(b"\xff.\x00.")
        for name, body in (*bodies.items(), ("garbage", asked(THERE, reference="garbage"))):
            put(files, f"{name}.json", body)
        await until(lambda: len(lying(files / "rejected")) == 10 and lying(files / "done") == ["good.json"])
        assert (files / "done" / "good.json.sig").exists() and lying(files / "in") == []
        why = {name: (files / "receipts" / f"{name}.json.problem.txt").read_text() for name in bodies if name != "good"}
        assert "改动" in why["altered"] and "另一个文件名" in why["renamed"] and "NAME.sig" in why["unsigned"]
        assert "签名无效" in why["stranger"]


# Workbooks ------------------------------------------------------------------------------------------------


def filled(template: bytes, rows: list[dict[str, str]]) -> bytes:
    """A template with rows in it, by the Chinese titles of its columns."""
    book = openpyxl.load_workbook(io.BytesIO(template))
    page = book["填写"]
    titles = {str(cell.value).rstrip(" *"): cell.column for cell in page[1] if cell.value}
    for number, row in enumerate(rows, 4):
        for title, value in row.items():
            page.cell(number, titles[title], value)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def errand(n: object, **changed: str) -> dict[str, str]:
    """A row."""
    return {"对方机构": THERE.id, "理由": f"第{n}号送达任务", "法律依据 · 法律依据编号": "npc-70-2021",
            "紧急程度": "一般", "事项": "告知当事人", "具体要求": f"请告知当事人{n}到场"} | changed  # fmt: skip


def cells(file: Path) -> list[str]:
    return [str(cell.value) for row in openpyxl.load_workbook(file).active.iter_rows() for cell in row if cell.value]


async def test_a_workbook_is_sent_as_a_whole_or_not_at_all(hub: RunningHub, tmp_path: Path) -> None:
    files, before = tmp_path / "files", len(await arrived(THERE))
    own = 'root = "files"\nsettle = 0.1\ndaily_workbook = true'
    async with at_work(tmp_path, HERE, own):
        await until(lambda: len(lying(files / "templates")) == 2)
        assert lying(files / "templates") == ["errand.request.xlsx", "service-handover.request.xlsx"]
        template = (files / "templates" / "errand.request.xlsx").read_bytes()
        put(files, "坏.xlsx", filled(template, [errand(1), errand(2, **{"紧急程度": "十万火急", "理由": ""})]))
        many = [errand(n) for n in range(51)]
        put(files, "many.xlsx", filled(template, many))
        put(files, "none.xlsx", filled(template, []))
        put(files, "no.xlsx", b"PK\x03\x04 nothing")
        await until(lambda: len([one for one in lying(files / "rejected") if one.endswith(".problem.txt")]) == 4)
        assert any("必须填写" in value for value in cells(files / "rejected" / "坏.marked.xlsx"))
        assert "2 行中有 1 行要改正" in (files / "rejected" / "坏.xlsx.problem.txt").read_text()
        assert any("每天至多" in value for value in cells(files / "rejected" / "many.marked.xlsx"))
        assert len(await arrived(THERE)) == before
        put(files, "好.xlsx", filled(template, [errand(n) for n in "甲乙丙"]))
        await until(lambda: lying(files / "done") == ["好.xlsx"])
        assert {"回执", "案号", "状态"} <= set(cells(files / "receipts" / "好.xlsx"))
        rows = read(files / "receipts" / "好.xlsx.receipts.json")["rows"]
        assert [row["row"] for row in rows] == [4, 5, 6] and all(row["taken"] for row in rows)
        assert all(row["case"] in cells(files / "receipts" / "好.xlsx") for row in rows)
        got = [one for one in await arrived(THERE) if one.event.id in {row["id"] for row in rows}]
        assert len(got) == 3
        async with THERE.client() as there:
            said = there.unseal(next(one for one in got if one.event.id == rows[0]["id"]))
            assert said["narrative"].startswith("理由：第甲号送达任务")
            await there.reply(next(one for one in got if one.event.id == rows[1]["id"]), "accept",
                              example("errand", "accept"))  # fmt: skip
        # The same request in another workbook, and the copy that came back, send nothing again.
        put(files, "again.xlsx", filled(template, [errand("甲"), errand("丁")]))
        put(files, "back.xlsx", (files / "receipts" / "好.xlsx").read_bytes())
        await until(lambda: {"again.xlsx", "back.xlsx"} <= set(lying(files / "rejected")))
        assert any("已经发出过同样的请求" in value for value in cells(files / "rejected" / "again.marked.xlsx"))
        # The answer stands in the workbook of the day, with the row it is about.
        await until(lambda: list((files / "out").glob("*.xlsx")))
        (day,) = (files / "out").glob("*.xlsx")
        await until(lambda: rows[1]["case"] in cells(day))
        assert {"好.xlsx", "5"} <= set(cells(day))
    assert len(await arrived(THERE)) == before + 3
    assert audited(hub) == ""


async def test_what_can_not_be_read_or_moved_shows_in_the_status_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapters.exchange.folder import FileTrouble
    from adapters.exchange.local import Local

    files, free = tmp_path / "files", False
    read_, move_ = Local.read, Local.move

    async def reading(self: Local, folder: str, name: str, at_most: int) -> bytes:
        if name == "locked.json" and not free:
            raise FileTrouble("'locked.json': Permission denied")
        return await read_(self, folder, name, at_most)

    async def moving(self: Local, folder: str, name: str, into: str, new: str) -> None:
        if name == "open.json" and not free:
            raise FileTrouble("'open.json': it is open in another program")
        await move_(self, folder, name, into, new)

    monkeypatch.setattr(Local, "read", reading)
    monkeypatch.setattr(Local, "move", moving)
    for name in ("locked", "open", "fine"):
        put(files, f"{name}.json", asked(THERE, reference=f"trouble {name}"))

    def waiting() -> str:
        return " ".join(
            f"{one.way} {one.why}" for one in health.look("x", "exchange", Store(tmp_path / "store")).waiting
        )

    async with at_work(tmp_path, HERE):
        await until(lambda: lying(files / "done") == ["fine.json"])
        await until(lambda: "in/locked.json" in waiting() and "in/open.json" in waiting())
        assert "Permission denied" in waiting()
        assert (files / "receipts" / "open.json.receipt.json").exists()
        free = True
        await until(lambda: len(lying(files / "done")) == 3 and not waiting())


# SFTP -----------------------------------------------------------------------------------------------------


class Slow(asyncssh.SFTPServer):
    """What the server does with files."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], server: "Server") -> None:
        super().__init__(channel, chroot=str(server.folder).encode())
        self._server = server

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        await asyncio.sleep(self._server.pause)
        super().rename(oldpath, newpath)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        await asyncio.sleep(self._server.pause)
        super().posix_rename(oldpath, newpath)

    def remove(self, path: bytes) -> None:
        if self._server.keeps:
            raise asyncssh.SFTPPermissionDenied("nobody removes anything here")
        super().remove(path)

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        await self._answering()
        return bytes(super().read(file_obj, offset, size))  # type: ignore[arg-type]

    async def close(self, file_obj: object) -> None:
        await self._answering()
        super().close(file_obj)

    async def _answering(self) -> None:
        while self._server.silent:
            await asyncio.sleep(0.05)


class Server:
    """An SFTP server with one user, who logs in with a key; `folder` is all that there is."""

    def __init__(self, folder: Path, keys: Path) -> None:
        self.folder, self.keys, self.port = folder, keys, 0
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.pause = 0.0
        """Seconds that a rename takes."""
        self.keeps = False
        """Whether it refuses to remove a file."""
        self.silent = False
        """Whether what is read and closed is not answered, though the connection stands."""
        self.host, self.user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        keys.mkdir()
        for name, body in (
            ("id", self.user.export_private_key("openssh", "a passphrase")),
            ("passphrase", b"a passphrase\n"),
        ):
            (keys / name).touch(0o600)
            (keys / name).write_bytes(body)
        (keys / "authorized").write_bytes(self.user.export_public_key())
        folder.mkdir()

    async def start(self) -> None:
        self.listening = await asyncssh.listen(
            "127.0.0.1", self.port, server_host_keys=[self.host], authorized_client_keys=str(self.keys / "authorized"),
            sftp_factory=lambda channel: Slow(channel, self),
            acceptor=self.connections.append,
        )  # fmt: skip
        self.port = self.listening.get_port()
        self.pin(self.host)

    def pin(self, key: asyncssh.SSHKey) -> None:
        host = f"[127.0.0.1]:{self.port} ".encode()
        (self.keys / "known_hosts").write_bytes(host + key.export_public_key())

    async def stop(self) -> None:
        while self.connections:
            self.connections.pop().abort()
        self.listening.close()
        await self.listening.wait_closed()

    def section(self, more: str = "") -> str:
        return (
            f'settle = 0.3\n{more}\n[adapters.exchange.sftp]\nhost = "127.0.0.1"\nport = {self.port}\nuser = "bureau"\n'
            'key = "ssh/id"\nkey_passphrase_file = "ssh/passphrase"\nknown_hosts = "ssh/known_hosts"\n'
            'folder = "exchange"\nwithin = 5\n'
        )


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Server, Path]]:
    """A server, and where the files of an exchange lie on it."""
    server = Server(folder / "server", folder / "ssh")
    await server.start()
    try:
        yield server, server.folder / "exchange"
    finally:
        await server.stop()


@pytest.mark.parametrize("replaces", [True, False], ids=["posix-rename", "plain"])
async def test_sftp_does_the_same_and_is_reached_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaces: bool
) -> None:
    if not replaces:
        kept = [one for one in SFTPServerHandler._extensions if b"rename" not in one[0]]
        monkeypatch.setattr(SFTPServerHandler, "_extensions", kept)
    server, name = Server(tmp_path / "server", tmp_path / "ssh"), f"sftp {replaces}"
    files = server.folder / "exchange"
    await server.start()
    try:
        async with at_work(tmp_path, HERE, server.section("daily_workbook = true")) as made:
            await until(lambda: len(lying(files / "templates")) == 2)
            assert made._folder.replaces is replaces
            put(files, "bad.json", b"{}")
            (files / "in" / "link.json").symlink_to(tmp_path / "config.toml")
            put(files, "good.json", asked(THERE, reference=name))
            template = (files / "templates" / "errand.request.xlsx").read_bytes()
            put(files, "book.xlsx", filled(template, [errand(f"{name} {n}") for n in range(2)]))
            await until(lambda: len(lying(files / "done")) == 2 and len(lying(files / "rejected")) == 2)
            assert checked(files / "receipts" / "good.json.receipt.json")["organisation"] == HERE.id
            case = read(files / "receipts" / "good.json.receipt.json")["case"]
            # The server goes away, and comes back.
            await server.stop()
            store = Store(tmp_path / "store")
            await until(lambda: any(one.way == "up/partner" for one in store.waiting()))
            item = next(one for one in await arrived(THERE) if one.event.subject == case)
            async with THERE.client() as there:
                sent = await there.reply(item, "accept", example("errand", "accept"))
            put(files, "later.json", asked(THERE, reference=f"{name} later"))
            await server.start()
            store.reset()
            await until(lambda: "later.json" in lying(files / "done"))
            await until(lambda: any(sent.id in one for one in lying(files / "out")))
            await until(lambda: list((files / "out").glob("*.xlsx")))
            assert lying(files / "in") == ["link.json"]
            assert all(checked(files / where / one) for where in ("out", "receipts") for one in lying(files / where))
        assert not list(files.rglob("*.tmp"))
        # Another machine answers in the server's place.
        server.pin(asyncssh.generate_private_key("ssh-ed25519"))
        store.reset()
        async with at_work(tmp_path, HERE, server.section()):
            await until(lambda: any("known_hosts" in one.why for one in store.waiting()))
    finally:
        await server.stop()


async def test_stopped_while_it_writes_it_leaves_nothing_half_written(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, files):
        async with at_work(tmp_path, HERE, server.section()):
            await until(lambda: len(lying(files / "templates")) == 2)
            server.pause = 0.7
            put(files, "stopped.json", asked(THERE, reference="stopped while it writes"))
            await until(lambda: list(files.rglob("*.tmp")))
        assert not list(files.rglob("*.tmp"))
        server.pause = 0
        async with at_work(tmp_path, HERE, server.section()):
            await until(lambda: "stopped.json" in lying(files / "done"))
        assert not list(files.rglob("*.tmp"))


async def test_a_server_that_lets_nobody_remove_anything_is_written_to_all_the_same(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, files), at_work(tmp_path, HERE, server.section()):
        await until(lambda: len(lying(files / "templates")) == 2)
        server.keeps, server.pause = True, 1.0
        put(files, "kept.json", asked(THERE, reference="a server that keeps everything"))
        await until(lambda: list(files.rglob("*.tmp")))
        await server.stop()  # in the midst of a file: something half written is left
        server.pause = 0
        await server.start()
        await until(lambda: "kept.json" in lying(files / "done"))


async def test_a_server_that_falls_silent_is_left_after_the_seconds_of_a_step(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, files), at_work(tmp_path, HERE, server.section()):
        await until(lambda: len(lying(files / "templates")) == 2)
        server.silent, store = True, Store(tmp_path / "store")
        put(files, "silent.json", asked(THERE, reference="a server that falls silent"))
        await until(lambda: any(one.way.startswith("up/") for one in store.waiting()), 20)
        server.silent = False
        await until(lambda: store.reset() or "silent.json" in lying(files / "done"))


async def test_what_lies_in_the_way_of_an_original_is_gone_round(tmp_path: Path) -> None:
    files = tmp_path / "files"
    (files / "done" / "first.json").mkdir(parents=True)
    for name in ("first", "second"):
        put(files, f"{name}.json", asked(THERE, reference=f"in the way {name}"))
    async with at_work(tmp_path, HERE):
        await until(lambda: {"first.2.json", "second.json"} <= {*lying(files / "done")})
    assert (files / "receipts" / "first.2.json.receipt.json").exists() and not lying(files / "in")


# Killed ---------------------------------------------------------------------------------------------------


async def test_whatever_moment_it_is_killed_nothing_is_lost_or_doubled(hub: RunningHub, tmp_path: Path) -> None:
    files, before = tmp_path / "files", {item.event.id for item in await arrived(THERE)}
    stored(tmp_path / "keys")
    config = configured(tmp_path, HERE, 'root = "files"\nsettle = 0.1\ndaily_workbook = true')
    moments, wanted = random.Random(20261128), [f"字 {n}" for n in range(24)]
    async with THERE.client() as there:
        sent = [(await there.open_case(HERE.id, example("errand", "request"), content("errand", "request"),
                                       protocol="errand")).id for _ in range(12)]  # fmt: skip

    def run() -> subprocess.Popen[bytes]:
        environment = os.environ | {"XIEBAN_PASSPHRASE": PASSPHRASE, "PYTHONPATH": os.getcwd()}
        command = [*XIEBAN, "adapter", "run", "exchange", "--config", str(config)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=(tmp_path / "log").open("ab"),
                                env=environment)  # fmt: skip

    for n, reference in enumerate(wanted):
        put(files, f"{n}.json", asked(THERE, reference=reference))
    book_put = False

    def progress() -> int:
        return sum(1 for one in files.rglob("*") if one.is_file())

    for _ in range(4):
        process, at, ends = run(), progress(), time.monotonic() + 5
        further, pause = moments.randint(1, 30), moments.random() * 0.02
        try:
            while time.monotonic() < ends and progress() < at + further:
                await asyncio.sleep(0.01)
            await asyncio.sleep(pause)
            templates = files / "templates" / "errand.request.xlsx"
            if templates.exists() and not book_put:
                put(files, "book.xlsx", filled(templates.read_bytes(), [errand(f"被杀{n}") for n in range(9)]))
                book_put = True
        finally:
            process.kill()
            process.wait()
    process = run()
    try:
        if not book_put:
            await until(lambda: (files / "templates" / "errand.request.xlsx").exists())
            template = (files / "templates" / "errand.request.xlsx").read_bytes()
            put(files, "book.xlsx", filled(template, [errand(f"被杀{n}") for n in range(9)]))
        await until(lambda: len(lying(files / "done")) == 25, within=30)
        await until(lambda: len(list((files / "out").glob("*.json"))) >= len(sent))
        await until(lambda: list((files / "out").glob("*.xlsx")))
    finally:
        process.terminate()
        process.wait(10)
    single = [read(files / "receipts" / f"{n}.json.receipt.json") for n in range(24)]
    rows = read(files / "receipts" / "book.xlsx.receipts.json")["rows"]
    ids = [one["id"] for one in (*single, *rows)]
    assert len(set(ids)) == 33 and [one["reference"] for one in single] == wanted
    assert sorted({item.event.id for item in await arrived(THERE)} - before) == sorted(ids)
    handed = [read(file)["event"]["id"] for file in (files / "out").glob("*.json")]
    assert len(set(handed)) == len(handed) and set(sent) <= set(handed)
    for folder in ("out", "receipts"):
        for file in (files / folder).iterdir():
            if not file.name.endswith(".sig"):
                checked(file)
    assert not [one for one in files.rglob("*.tmp")] and lying(files / "in") == []
    assert audited(hub) == ""


# The page -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_the_page_is_as_it_says(hub: RunningHub, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "adapters" / "exchange.md").read_text("utf-8")
    section, server = blocks(page, "toml")
    running, asking, *verifying = blocks(page, "sh")
    (tmp_path / "passphrase").touch(0o600)
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    stored(tmp_path / "weidu")
    quick = section.replace("http://127.0.0.1:8420", hub.url) + "every = 0.2\nsettle = 0.1\n"
    (tmp_path / "config.toml").write_text(quick)
    check, run = running.strip().splitlines()
    assert "nothing wrong" in await asyncio.to_thread(in_shell, check, tmp_path, hub)
    command = shlex.split(run.rstrip("& "))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([str(BIN / command[0]), *command[1:]], cwd=tmp_path, env=environment(), stdout=log,
                                   stderr=log)  # fmt: skip
    files = tmp_path / "files"
    try:
        await until(lambda: (files / "README.txt").exists())
        await asyncio.to_thread(in_shell, asking, tmp_path, hub)
        await until(lambda: (files / "receipts" / "ask.json.receipt.json").exists())
    finally:
        process.terminate()
        process.wait(10)
    assert read(files / "receipts" / "ask.json.receipt.json")["reference"] == "卫函〔2026〕12号"
    receipts, files_ = [await asyncio.to_thread(in_shell, script, tmp_path, hub) for script in verifying]
    assert "有效" in receipts and "Verified Successfully" in files_
    # The partner's own signature, by another library.
    (tmp_path / "next.json").write_bytes(asked(THERE, reference="signed as the page says"))
    (signed,) = blocks(page, "python")
    done = subprocess.run([sys.executable, "-c", signed], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (tmp_path / "in").mkdir()
    own = 'root = "."\nsettle = 0.1\nrequire_signed = true\npartner_keys = "partner.jwks"\ntemplates = false'
    async with at_work(tmp_path, HERE, own):
        (tmp_path / "next.json.sig").rename(tmp_path / "in" / "next.json.sig")
        (tmp_path / "next.json").rename(tmp_path / "in" / "next.json")
        await until(lambda: "next.json" in lying(tmp_path / "done"))
    # The section of SFTP can be read.
    for name in ("known_hosts", "sftp.key"):
        (tmp_path / name).touch(0o600)
    (tmp_path / "config.toml").write_text(section.replace('root = "files"\n', "") + "\n" + server)
    assert "nothing wrong" in await asyncio.to_thread(in_shell, check, tmp_path, hub)
