"""A hub is backed up beside its work, lost, and put back: nothing that was published ever lies on two versions."""

import asyncio
import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
import pytest
from msgspec.structs import replace
from pyrage.x25519 import Identity

from adapters.client import Client, Cursor, Item, Patience, Sent, Undecided
from adapters.client.attachments import seal
from adapters.evidence import check, gather, read, write
from adapters.witness import Follower, LogSetBack, Reader, fetching
from adapters.witness.memory import Memory
from hub.backup import BackupInvalid, archive, keeping, sealing
from hub.backup.making import SUFFIX
from hub.identity import hub_key
from hub.processes import UNFINISHED
from hub.store import embedded
from keys import checkpoint, jwk, jwt
from keys.jwk import VerifyingKey
from keys.keystore import KeyStore
from protocols import attachments, envelope, epochs, receipt
from protocols.loading import catalogue
from tests.acceptance.bureaus import Bureau, content, enrolled, example, opened, said
from tests.acceptance.examined import found
from tests.acceptance.pages import shell
from tests.conftest import XIEBAN, RunningHub, free_port, running_hub

pytestmark = pytest.mark.timeout(300)  # the first test of the module waits for a hub that is lost and restored
PASSPHRASE = "the passphrase of the backup key"
HERE, THERE = Bureau("411002-health"), Bureau("440306-health")
AUDITOR = Bureau("410000-supervision", roles=("auditor",))
NAME, WITNESS = "witness.example", jwk.generate_signing()


@dataclass
class Lost:
    """A hub that was backed up, went on, and was lost; then put back from the backup, on the same address."""

    hub: RunningHub
    folder: Path
    runner: asyncio.Runner
    recipient: str
    trusted: list[VerifyingKey]
    backup: Path = Path()
    before: list[Sent] = field(default_factory=list)
    after: list[Sent] = field(default_factory=list)
    read: list[tuple[int, str]] = field(default_factory=list)
    """What the recipient had dealt with when the hub was lost: positions and ids."""
    attached: bytes = b""
    restored: dict[str, Any] = field(default_factory=dict)
    clients: list[Client] = field(default_factory=list)
    """One that was connected all along."""

    @property
    def key(self) -> Path:
        return self.folder / "backup.key"

    @property
    def origins(self) -> tuple[str, str]:
        """The old one and the new one."""
        return self.before[0].receipt.log.origin, self.restored["continued"]["origin"]

    @property
    def ends(self) -> int:
        """How many entries the old origin has."""
        return checkpoint.verify_checkpoint(self.restored["continued"]["was"], self.trusted, self.origins[0]).size

    def xieban(self, *arguments: str) -> dict[str, Any]:
        """What a command says, in JSON."""
        done = self.hub.run(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(done.stdout))

    def back_up(self, *more: str) -> Path:
        arguments = "--data", str(self.hub.data), "--to", str(self.folder / "kept"), "--recipient", self.recipient
        return Path(self.xieban("backup", *arguments, *more)["file"])

    def restore(self, backup: Path, data: Path, *more: str) -> dict[str, Any]:
        data.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(self.folder / "passphrase", data)
        return self.xieban("restore", str(backup), "--data", str(data), "--key", str(self.key), *more)


@pytest.fixture(scope="module")
def lost() -> Iterator[Lost]:
    """Made once: the tests below look at what became of it."""
    with contextlib.ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="backup-", ignore_cleanup_errors=True))
        folder = Path(name)
        (folder / "first").mkdir()
        hub = stack.enter_context(running_hub(data=folder / "first"))
        runner = stack.enter_context(asyncio.Runner())
        made = Identity.generate()
        (folder / "backup.key").write_text(f"# made by age-keygen, as it were\n{made}\n")
        found = Lost(hub, folder, runner, str(made.to_public()), [hub_key(hub.data).public])
        shutil.copy(hub.data / "passphrase", folder)
        enrolled(hub, HERE, THERE, AUDITOR)
        runner.run(work(found))
        found.backup = found.back_up()
        runner.run(go_on(found))
        hub.stop()
        hub.data = folder / "second"
        found.restored = found.restore(found.backup, hub.data)
        hub.start()
        yield found
        runner.run(found.clients[0].__aexit__(None, None, None))


async def work(lost: Lost) -> None:
    """Cases, an attachment, and a recipient that has read part of it."""
    lost.attached = os.urandom(1_500_000)
    (lost.folder / "evidence.bin").write_bytes(lost.attached)
    async with HERE.client() as client:
        sealed = seal(lost.folder / "evidence.bin", lost.folder / "sealed")
        await client.attach(sealed)
        wanted = (
            example("case-assistance", "request"),
            dict(content("case-assistance", "request") or {}, attachments=[]),
        )
        data, part = attachments.attached(*wanted, [sealed.manifest])
        lost.before = [await client.open_case(THERE.id, data, part)]
    lost.before += [await opened(HERE, "case-assistance", "request", [THERE.id]) for _ in range(4)]
    await following(lost, 3)
    await look(lost, "early")


async def go_on(lost: Lost) -> None:
    """What is published after the backup: receipts, pages of the mailbox, acknowledgements, checkpoints."""
    lost.after = [await opened(HERE, "case-assistance", "request", [THERE.id]) for _ in range(4)]
    lost.after.append(await said(THERE, lost.before[0].case, "case-assistance", "accept"))
    await following(lost, 5)
    await look(lost, "late")
    lost.clients.append(THERE.client())
    await lost.clients[0].__aenter__()
    with urllib.request.urlopen(f"{lost.hub.url}/log/checkpoint", timeout=10) as answer:
        (lost.folder / "published").write_bytes(answer.read())


async def look(lost: Lost, state: str, accepted: str | None = None) -> int:
    """One look of a witness with a memory of its own; how large the log was."""
    async with aiohttp.ClientSession() as session:
        memory = Memory(lost.folder / f"{state}.json")
        witness = Follower(NAME, WITNESS, lost.hub.url, lost.trusted, memory, accepted)
        return (await witness.look(session)).size


async def following(lost: Lost, count: int) -> list[Item]:
    """The next messages that the recipient is given by its cursor; it acknowledges each."""
    found: list[Item] = []
    cursor = Cursor(lost.folder / "cursor")
    async with THERE.client() as client:
        stream = client.follow(cursor, wait=1)
        while len(found) < count:
            item = await anext(stream)
            await client.acknowledge(item)
            lost.read.append((item.position, item.event.id))
            found.append(item)
        # Asking for the next one says that this one is dealt with.
        asking = asyncio.ensure_future(anext(stream))
        async with asyncio.timeout(10):
            while cursor.load(client.hub, THERE.id) < found[-1].position:
                await asyncio.sleep(0.02)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await stream.aclose()
    return found


async def pages(client: Client, after: int) -> AsyncIterator[Item]:
    """Everything behind a cursor, as whoever knows of no epochs reads it."""
    while True:
        page = await client.poll(after)
        for item in page.items:
            yield item
        if not page.behind:
            return
        after = page.next


def test_what_was_restored_is_audited_and_says_under_which_origin_it_goes_on(lost: Lost) -> None:
    assert lost.restored["holds"] and lost.restored["report"]["findings"] == []
    old, new = lost.origins
    assert lost.restored["continued"]["epoch"] == 1 and old != new
    last = checkpoint.verify_checkpoint((lost.folder / "published").read_text(), lost.trusted, old)
    assert lost.ends < last.size
    assert lost.restored["manifest"]["attachments"] == 1


async def test_old_and_new_receipts_never_lie_on_two_versions_of_one_origin(lost: Lost) -> None:
    async with HERE.client() as client:
        again = [await client.resend(sent.compact) for sent in lost.before]
        assert [sent.receipt for sent in again] == [sent.receipt for sent in lost.before]
        assert not any([await client.lost(sent.receipt) for sent in lost.before])
        assert all([await client.lost(sent.receipt) for sent in lost.after])
    others = [await opened(HERE, "case-assistance", "request", [THERE.id]) for _ in range(3)]
    seen = [*lost.before, *lost.after, *others]
    proven = [receipt.verify(sent.receipt, lost.trusted, compact=sent.compact) for sent in seen]
    placed: dict[tuple[str, int], bytes] = {}
    roots: dict[tuple[str, int], bytes] = {}
    for one in proven:
        head, leaf = one.checkpoint, receipt.leaf(one.log)
        assert placed.setdefault((head.origin, one.index), leaf) == leaf
        assert roots.setdefault((head.origin, head.size), head.root) == head.root
    old, new = lost.origins
    assert {one.checkpoint.origin for one in proven[-3:]} == {new}
    indexes = [{one.index for one in proven if one.checkpoint.origin == origin} for origin in (old, new)]
    assert indexes[0] & indexes[1], "two entries must have wanted one place, or the test shows nothing"
    connection = await asyncpg.connect(embedded.dsn(lost.hub.data))
    notes = [row["note"] for row in await connection.fetch("SELECT note FROM log_checkpoint")]
    await connection.close()
    for head in (checkpoint.verify_checkpoint(note, lost.trusted) for note in notes):
        assert head.origin == (old if head.size <= lost.ends else new)


async def test_the_reader_goes_on_by_its_cursor_with_nothing_lost_and_nothing_doubled(lost: Lost) -> None:
    had = {id for _, id in lost.read}
    assert len(had) == len(lost.read) == 8
    async with HERE.client() as client:
        for sent in lost.after[:4]:
            assert (await client.resend(sent.compact)).receipt != sent.receipt
    await opened(HERE, "case-assistance", "request", [THERE.id])
    async with THERE.client() as client:
        waiting = [item async for item in pages(client, max(position for position, _ in lost.read))]
    doubled = [item for item in waiting if item.event.id in had]
    assert doubled, "what was sent again must be among it, or the test shows nothing"
    given = await following(lost, len(waiting) - len(doubled))
    assert [item.event.id for item in given] == [item.event.id for item in waiting if item not in doubled]
    assert all(epochs.epoch(item.position) == 1 for item in given)
    assert {one.id for one in (*lost.before, *lost.after[:4])} <= {id for _, id in lost.read}
    assert len(lost.read) == len({id for _, id in lost.read})


def test_who_was_connected_all_along_learns_of_the_new_origin_by_itself(lost: Lost) -> None:
    (client,) = lost.clients
    old, new = lost.origins
    assert client.log_origin == old
    page = lost.runner.run(client.poll(0, limit=500, prove_end=True))
    assert client.log_origin == new
    assert {item.receipt.log.origin for item in page.items} == {old, new}
    assert page.end is not None and page.end.position >= page.items[-1].position


async def test_attachments_evidence_and_answers_from_the_log_cross_the_seam(lost: Lost, tmp_path: Path) -> None:
    case = lost.before[0].case
    accepted = await said(THERE, case, "case-assistance", "accept")
    async with THERE.client() as client:
        item = await client.message(HERE.id, lost.before[0].id)
        (manifest,) = attachments.manifests(client.unseal(item))
        assert (await client.fetch_attachment(manifest, tmp_path)).read_bytes() == lost.attached
        evidence = read(write(await gather(client, case)))
        assert {piece.receipt["log"]["origin"] for piece in evidence.pieces} == set(lost.origins)
        report = check(evidence, lost.trusted, catalogue())
        assert report.findings == [] and [step.index for step in report.steps][-1] == accepted.receipt.log.index
        proven = [receipt.verify(sent.receipt, lost.trusted) for sent in (lost.before[4], lost.after[0])]

    def token() -> str:
        return jwt.bearer(AUDITOR.id, "410000-hub", AUDITOR.signing, datetime.now(UTC))

    async with aiohttp.ClientSession() as session:
        reader = Reader(lost.hub.url, session, token)
        assert (await fetching(reader, lost.trusted, proven[0], THERE.id)).fetched is not None
        with pytest.raises(Exception, match="went on without it"):
            await fetching(reader, lost.trusted, proven[1], THERE.id)


async def test_a_witness_that_lost_nothing_goes_on_and_one_that_did_says_so_with_proof(lost: Lost) -> None:
    assert await look(lost, "early") > lost.ends
    with pytest.raises(LogSetBack) as caught:
        await look(lost, "late")
    both = json.loads(Path(str(caught.value.data["evidence"])).read_text())
    seen = [checkpoint.verify_checkpoint(note, lost.trusted).origin for note in (both["before"], both["now"])]
    assert tuple(seen) == lost.origins
    assert await look(lost, "late", accepted=lost.origins[1]) > lost.ends
    assert await look(lost, "late") > lost.ends


def test_the_audit_walks_over_the_seam_and_sees_what_is_changed_there(lost: Lost) -> None:
    assert lost.xieban("audit", "--data", str(lost.hub.data))["holds"]

    async def changed(statement: str, back: str) -> str:
        connection = await asyncpg.connect(embedded.dsn(lost.hub.data))
        try:
            await connection.execute(statement)
            done = await asyncio.to_thread(lost.hub.run, "audit", "--data", str(lost.hub.data))
            await connection.execute(back)
            return done.stderr
        finally:
            await connection.close()

    found = lost.runner.run(
        changed("UPDATE log_head SET epoch_base = 0", f"UPDATE log_head SET epoch_base = {1 << 40}")
    )
    assert "origin and epoch" in found


async def test_a_database_that_is_set_back_under_a_running_hub_takes_nothing_more(lost: Lost) -> None:
    connection = await asyncpg.connect(embedded.dsn(lost.hub.data))
    async with HERE.client(patience=Patience(within=0.5)) as client:
        data, part = example("case-assistance", "request"), content("case-assistance", "request")
        draft = await client.prepare("case-assistance.request", envelope.new_id(), [THERE.id], data, part)
        await connection.execute("UPDATE log_head SET size = size - 1")
        with pytest.raises(Undecided):
            await client.resend(draft)
        await connection.execute("UPDATE log_head SET size = size + 1")
        assert (await client.resend(draft)).receipt.log.origin == lost.origins[1]
    await connection.close()


def test_a_backup_that_is_damaged_cut_short_or_anothers_is_refused(lost: Lost, tmp_path: Path) -> None:
    mine = [sealing.identity(lost.key, str)]
    assert archive.verify(lost.backup, mine, lost.trusted).entries == lost.ends
    whole = lost.backup.read_bytes()
    for number, (bad, why) in enumerate([
        (whole[: len(whole) // 2], "does not open|cut short"),
        (whole[:-20_000] + bytes(1) + whole[-19_999:], "does not open|cut short"),
        (b"", "does not open|cut short"),
        (b"something else", "does not open|cut short"),
    ]):  # fmt: skip
        (file := tmp_path / f"{number}.age").write_bytes(bad)
        with pytest.raises(BackupInvalid, match=why):
            archive.verify(file, mine, lost.trusted)
    with pytest.raises(BackupInvalid, match="another hub"):
        archive.verify(lost.backup, mine, [jwk.generate_signing().public])
    with pytest.raises(BackupInvalid, match="does not open"):
        archive.verify(lost.backup, [Identity.generate()], [])
    sealing.new_identity(tmp_path / "other.key", PASSPHRASE)
    with pytest.raises(BackupInvalid, match="no key that this passphrase opens"):
        sealing.identity(tmp_path / "other.key", lambda: "another passphrase")
    assert b"AGE-SECRET-KEY" not in (tmp_path / "other.key").read_bytes()
    assert lost.attached[:64] not in whole and b"case-assistance" not in whole


def test_many_backups_are_verified_each_and_the_newest_of_a_folder_is_restored(lost: Lost, tmp_path: Path) -> None:
    older = tmp_path / lost.backup.name.replace("-20", "-19")
    older.write_bytes(lost.backup.read_bytes()[:-20_000])
    copied(lost.backup, tmp_path)
    key = "--key", str(lost.key)
    done = lost.hub.run("backup", "verify", str(lost.backup), str(lost.backup), *key)
    assert done.returncode == 0 and done.stdout.count("完好") == 2
    done = lost.hub.run("backup", "verify", *map(str, sorted(tmp_path.glob("*.age"))), *key)
    bad, good, count = done.stdout.splitlines()
    assert done.returncode == 1 and bad.startswith(f"✗ {older.name}") and good.startswith(lost.backup.name)
    assert "1 do not hold" in count
    done = lost.hub.run("backup", "verify", str(older), str(lost.backup), *key, "--json")
    assert done.returncode == 1 and [one["holds"] for one in json.loads(done.stdout)] == [False, True]
    data, others = tmp_path / "new", tmp_path / "config.toml"
    assert lost.restore(tmp_path, data)["manifest"]["entries"] == lost.ends
    others.write_text('[hub]\nid = "420000-hub"\n')
    done = lost.hub.run("restore", str(tmp_path), *key, "--data", str(tmp_path / "no"), "--config", str(others))
    assert done.returncode == 1 and "holds no backup of 420000-hub" in done.stderr


def test_a_place_that_is_not_empty_and_a_hub_without_its_passphrase_are_refused(lost: Lost, tmp_path: Path) -> None:
    arguments = "restore", str(lost.backup), "--key", str(lost.key), "--data"
    done = lost.hub.run(*arguments, str(lost.hub.data))
    assert done.returncode == 1 and "restore-refused" in done.stderr and "is not empty" in done.stderr
    done = lost.hub.run(*arguments, str(tmp_path / "new"))
    assert done.returncode == 1 and "the passphrase of the hub's keys is in no backup" in done.stderr
    assert "缺枢纽密钥的口令" in done.stderr and "只能恢复到空处" not in done.stderr
    assert not (tmp_path / "new").exists()
    (tmp_path / "new").mkdir()
    (tmp_path / "new/passphrase").write_text("that of another hub")
    done = lost.hub.run(*arguments, str(tmp_path / "new"))
    assert done.returncode == 1 and "口令不是备份中枢纽密钥的" in done.stderr and "is not the passphrase" in done.stderr
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["passphrase"]
    shutil.copy(lost.hub.data / "passphrase", tmp_path / "new")
    full = tmp_path / "config.toml"
    full.write_text(f'[database]\nurl = "{embedded.dsn(lost.hub.data)}"\n')
    done = lost.hub.run(*arguments, str(tmp_path / "new"), "--config", str(full))
    assert done.returncode == 1 and "restore-refused" in done.stderr and "tables" in done.stderr
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["passphrase"]


def test_a_backup_that_lies_with_the_data_is_said_to_be_lost_with_them(lost: Lost, tmp_path: Path) -> None:
    for place, remarked in ((lost.hub.data / "backups" / "daily", True), (tmp_path, False)):
        done = lost.hub.run("backup", "--data", str(lost.hub.data), "--to", str(place), "--recipient", lost.recipient)
        assert done.returncode == 0 and ("会与数据一起丢失" in done.stderr) == remarked, done.stderr
    shutil.rmtree(lost.hub.data / "backups")


def test_a_restore_that_is_broken_off_says_so_and_is_run_again(lost: Lost, request: pytest.FixtureRequest) -> None:
    data = lost.folder / "broken-off"
    data.mkdir(0o700)
    shutil.copy(lost.folder / "passphrase", data)
    done = broken_off(lost, data, signal.SIGINT, lambda: (data / UNFINISHED).exists())
    assert done.returncode == 1 and "restore-unfinished" in done.stderr and "run again" in done.stderr
    assert {file.name for file in data.iterdir()} == {UNFINISHED, "lock", "passphrase"}
    assert set(found("--data", data)) == {"restore-unfinished"}
    for command in (["serve", "--port", str(free_port())], ["audit"]):
        refused = lost.hub.run(*command, "--data", str(data))
        assert refused.returncode == 1 and "restore-unfinished" in refused.stderr
    assert not (data / "keys").exists() and not (data / "postgres").exists()
    moments = [lambda: (data / "attachments").exists()]
    if request.config.getoption("--backup-long"):
        moments += [until(number / 8) for number in range(24)]
    for moment, number in zip(moments, cycle([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]), strict=False):
        if broken_off(lost, data, number, moment).returncode == 0:
            break  # the moment came when it was over
        assert (data / UNFINISHED).exists()
    else:
        assert lost.restore(lost.backup, data)["holds"]
    assert not (data / UNFINISHED).exists() and found("--data", data).keys() <= {"calendar-missing"}


def spare(lost: Lost) -> Path:
    """A hub that was restored, and does not run."""
    data = lost.folder / "broken-off"
    if not (data / "keys").exists():
        lost.restore(lost.backup, data)
    return data


def mended(lost: Lost, data: Path, code: str) -> None:
    """The doctor finds this alone, and what it says mends it."""
    mends = found("--data", data)
    assert mends.keys() - {"calendar-missing"} == {code}
    shell(mends[code].replace("BACKUP", str(lost.backup)).replace("backup.key", str(lost.key)), lost.folder)
    assert found("--data", data).keys() <= {"calendar-missing"}


def test_keys_that_are_gone_come_back_from_the_backup_and_none_is_made_up(lost: Lost) -> None:
    data = spare(lost)
    mine = {file.name: file.read_bytes() for file in (data / "keys").iterdir()}
    (data / "keys/jwks.json").unlink()
    mended(lost, data, "keystore-fault")
    shutil.rmtree(data / "keys")
    done = lost.hub.run("serve", "--data", str(data), "--port", str(free_port()))
    assert done.returncode == 1 and "hub-key-gone" in done.stderr and "--keys-only" in done.stderr
    mended(lost, data, "hub-key-gone")
    assert {file.name: file.read_bytes() for file in (data / "keys").iterdir()} == mine
    shutil.rmtree(data / "keys")
    store = KeyStore(data / "keys")
    store.create()
    store.add(jwk.generate_signing("Ed25519"), (data / "passphrase").read_text())
    mended(lost, data, "another-key")
    assert lost.xieban("audit", "--data", str(data))["holds"]
    arguments = "restore", str(lost.backup), "--keys-only", "--data", str(data), "--key", str(lost.key)
    done = lost.hub.run(*arguments)
    assert done.returncode == 1 and "restore-refused" in done.stderr and "holds keys" in done.stderr


def test_a_backup_that_did_not_come_for_days_is_missed(lost: Lost) -> None:
    data = spare(lost)
    into = "--to", str(lost.folder / "nightly"), "--recipient", lost.recipient
    assert lost.hub.run("backup", "--data", str(data), *into).returncode == 0
    assert found("--data", data).keys() <= {"calendar-missing"}
    note = data / keeping.NOTE
    said = msgspec.json.decode(note.read_bytes(), type=keeping.Last)
    note.write_bytes(msgspec.json.encode(replace(said, made=said.made - timedelta(days=3))))
    mended(lost, data, "backup-old")
    assert len(list((lost.folder / "nightly").iterdir())) == 2


def test_a_database_without_its_version_is_damaged_and_the_hub_comes_back_elsewhere(lost: Lost, long: None) -> None:
    data = spare(lost)
    (data / "postgres/PG_VERSION").unlink()
    done = lost.hub.run("serve", "--data", str(data), "--port", str(free_port()))
    assert done.returncode == 1 and "PG_VERSION" in done.stderr and "xieban restore" in done.stderr
    mend = found("--data", data)["database-damaged"]
    shell(mend.replace("BACKUP", str(lost.backup)).replace("backup.key", str(lost.key)), lost.folder)
    assert found("--data", data.with_name("broken-off-restored")).keys() <= {"calendar-missing"}


def until(seconds: float) -> Callable[[], bool]:
    """A moment so long after it is first asked for."""
    began: list[float] = []

    def reached() -> bool:
        began.append(time.monotonic())
        return began[-1] - began[0] >= seconds

    return reached


def broken_off(
    lost: Lost, data: Path, number: signal.Signals, moment: Callable[[], bool]
) -> "subprocess.CompletedProcess[str]":
    """A restore that gets a signal at a moment, once it has begun."""
    command = [*XIEBAN, "restore", str(lost.backup), "--data", str(data), "--key", str(lost.key)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not moment():
            time.sleep(0.001)
        process.send_signal(number)
        said = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, *said)


def test_a_partners_passphrase_is_not_tried_on_the_key_of_backups(
    lost: Lost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealing.new_identity(tmp_path / "own.key", PASSPHRASE)
    monkeypatch.setenv("XIEBAN_PASSPHRASE", "that of a bureau")
    done = lost.hub.run("backup", "verify", str(lost.backup), "--key", str(tmp_path / "own.key"))
    assert done.returncode == 1 and "XIEBAN_BACKUP_PASSPHRASE" in done.stderr


def test_old_backups_expire_by_number_and_age_but_never_the_newest(tmp_path: Path) -> None:
    made = [f"410000-hub-202611{day:02d}T020000000000Z{SUFFIX}" for day in range(1, 11)]
    others = ["410000-hub.txt", made[0].replace("410000", "420000")]
    for name in (*made, *others):
        (tmp_path / name).touch()

    def expired(keep: int | None, days: int | None, at: datetime) -> list[str]:
        return [file.name for file in keeping.expire(tmp_path, "410000-hub", keep, days, at)]

    now = keeping.kept(tmp_path, "410000-hub")[0][0]
    assert expired(8, None, now) == [made[1], made[0]]
    assert expired(None, 5, now) == [made[3], made[2]]
    assert expired(None, 1, now.replace(year=2027)) == made[8:3:-1]
    assert {file.name for file in tmp_path.iterdir()} == {made[9], *others}


async def origin_now() -> str:
    async with HERE.client() as client:
        return client.log_origin


async def said_no(hub: RunningHub) -> str:
    """What a hub says that does not start."""
    done = await asyncio.to_thread(hub.run, "serve", "--data", str(hub.data), "--port", str(hub.port))
    assert done.returncode == 1
    return done.stderr


async def not_current(hub: RunningHub) -> str:
    """How a new origin is refused."""
    done = await asyncio.to_thread(hub.run, "restore", "--not-current", "--data", str(hub.data))
    assert done.returncode == 1
    return done.stderr


def answered(text: str, *arguments: str) -> str:
    """What a command says at a terminal to somebody who types this."""
    ours, theirs = pty.openpty()
    os.write(ours, text.encode())
    done = subprocess.run([*XIEBAN, *arguments], stdin=theirs, capture_output=True, text=True, timeout=60, check=False)
    os.close(ours)
    os.close(theirs)
    return done.stderr


def copied(here: Path, there: Path) -> None:
    """A copy that still belongs to the user that PostgreSQL runs as."""
    subprocess.run(["cp", "-a", here, there], check=True)


def test_a_database_that_was_set_back_by_other_means_is_noticed_and_goes_on_anew(lost: Lost) -> None:
    hub, origin = lost.hub, lost.runner.run(origin_now())
    assert "data-directory-busy" in asyncio.run(not_current(hub))
    hub.stop()
    assert "--yes" in asyncio.run(not_current(hub))
    assert "the log goes on as it was" in answered("n\n", "restore", "--not-current", "--data", str(hub.data))
    copied(hub.data / "postgres", lost.folder / "earlier")
    hub.start()
    assert lost.runner.run(origin_now()) == origin
    gone = lost.runner.run(opened(HERE, "case-assistance", "request", [THERE.id]))
    hub.process.kill()
    hub.process.wait()
    assert found("--data", hub.data)["hub-stopped"].startswith("xieban serve")
    shutil.rmtree(hub.data / "postgres")
    copied(lost.folder / "earlier", hub.data / "postgres")
    assert "log-not-current" in asyncio.run(said_no(hub))
    assert "restore --not-current" in found("--data", hub.data)["log-not-current"]
    continued = lost.xieban("restore", "--not-current", "--data", str(hub.data))
    assert continued["epoch"] == 2
    seen = checkpoint.verify_checkpoint(continued["published"], lost.trusted)
    assert seen.size > checkpoint.verify_checkpoint(continued["was"], lost.trusted).size
    hub.start()

    async def sent_again() -> None:
        async with HERE.client() as client:
            assert await client.lost(gone.receipt) and await client.lost(lost.after[4].receipt)
            again = await client.resend(gone.compact)
            assert again.receipt.log.origin == continued["origin"] == client.log_origin

    lost.runner.run(sent_again())
    assert lost.xieban("audit", "--data", str(hub.data))["holds"]


def test_a_hub_moves_to_an_own_postgresql_and_back_under_one_origin(lost: Lost, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--backup-long"):
        pytest.skip("a hub moved twice takes half a minute; run with --backup-long")
    hub, origin = lost.hub, lost.runner.run(origin_now())
    hub.stop()
    final, first = lost.back_up("--final"), hub.data
    assert "hub-moved" in asyncio.run(said_no(hub))
    assert "moved" in found("--data", hub.data)["hub-moved"]
    # Another server's database is its own PostgreSQL; here it is the first hub's server, started for it.
    with running_server(lost.folder / "first") as dsn:
        config = lost.folder / "config.toml"
        config.write_text(f'[database]\nurl = "{dsn}"\n')
        moved = lost.restore(final, lost.folder / "third", "--moved", "--config", str(config))
        assert moved["holds"] and moved["continued"] is None
        hub.data, hub.options = lost.folder / "third", ("--config", str(config))
        hub.start()
        sent = lost.runner.run(opened(HERE, "case-assistance", "request", [THERE.id]))
        assert sent.receipt.log.origin == origin
        hub.stop()
        final = lost.back_up("--final", "--config", str(config))
    assert lost.restore(final, lost.folder / "fourth", "--moved")["holds"]
    hub.data, hub.options = lost.folder / "fourth", ()
    assert first != hub.data


@contextlib.contextmanager
def running_server(data: Path) -> Iterator[str]:
    """A PostgreSQL that is nobody's, with an empty database in it."""
    with asyncio.Runner() as runner:
        found = runner.run(embedded.start(data))

        async def made() -> None:
            connection = await asyncpg.connect(found.dsn)
            await connection.execute("CREATE DATABASE elsewhere")
            await connection.close()

        try:
            runner.run(made())
            yield found.dsn.replace("@/postgres?", "@/elsewhere?")
        finally:
            runner.run(found.stop())
