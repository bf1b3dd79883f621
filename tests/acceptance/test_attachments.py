"""Attachments: sealed, uploaded in parts, read by whom a message gives them, collected when none does."""

import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.client import Client, Refused
from adapters.client.attachments import Sealed, seal
from hub import processes
from hub.attachments.incoming import Incoming
from hub.attachments.keeping import Attachments, Limits
from hub.attachments.store import Directory
from hub.commands import beside
from hub.config import Config
from hub.store import connecting
from hub.store.queries import SQL
from keys import jwt
from keys.errors import BadSeal
from protocols import attachments, envelope
from protocols.attachments import Manifest
from tests.acceptance.bureaus import Bureau, audited, content, enrolled, example, mailbox, said
from tests.conftest import XIEBAN, RunningHub, running_hub

HERE, THERE, THIRD = Bureau("411002-health"), Bureau("440306-health"), Bureau("440307-health")
ABOVE = Bureau("411000-supervision", roles=("supervisor",))
HERE.superior = ABOVE.id


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    config = tmp_path_factory.mktemp("config") / "config.toml"
    config.write_text("[attachments]\nlargest = 40_000_000\nunnamed = 60_000_000\n")
    with running_hub("--config", str(config), "--workers", "2") as running:
        enrolled(running, HERE, THERE, THIRD, ABOVE)
        yield running
        assert audited(running) == ""


@pytest.fixture(autouse=True)
def at_this_hub(hub: RunningHub) -> None:
    """Whatever hub of its own the test before had."""
    for bureau in (HERE, THERE, THIRD, ABOVE):
        bureau.url = hub.url


def sealed_file(folder: Path, size: int = 3_000_000, name: str = "工资表.pdf") -> tuple[Path, Sealed]:
    file = folder / name
    file.write_bytes(os.urandom(size))
    return file, seal(file, folder / "sealed")


def put(
    who: Bureau, digest: str, body: bytes, span: str | None = None, **headers: str
) -> tuple[int, dict[str, Any], Any]:
    return call("PUT", who, digest, body, **(headers | ({"Content-Range": span} if span else {})))


def call(method: str, who: Bureau, digest: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, Any]:
    request = urllib.request.Request(f"{who.url}/v1/attachments/{digest}", body, method=method)
    request.add_header("Authorization", f"Bearer {token(who)}")
    request.add_header("Content-Type", "application/octet-stream")
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            got = answer.read()
            return answer.status, json.loads(got) if method == "PUT" else got, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), error.headers


async def sent_with(client: Client, to: Bureau, *files: Manifest) -> str:
    data, part = attachments.attached(
        example("case-assistance", "request"), dict(content("case-assistance", "request") or {}, attachments=[]), files
    )
    return (await client.send("case-assistance.request", envelope.new_id(), [to.id], data, part, check=True)).case


async def test_a_file_reaches_the_other_side_and_nobody_else(hub: RunningHub, tmp_path: Path) -> None:
    file, sealed = sealed_file(tmp_path)
    told: list[tuple[int, int]] = []
    async with HERE.client() as here:
        manifest = await here.attach(sealed, lambda done, size: told.append((done, size)))
        digest = manifest.attachment.removeprefix("sha-256:")
        assert told[-1][0] == told[-1][1] == sealed.blob.stat().st_size
        assert [call("GET", who, digest)[0] for who in (HERE, THERE, THIRD, ABOVE)] == [200, 403, 403, 403]
        case = await sent_with(here, THERE, manifest)
    assert [call("GET", who, digest)[0] for who in (HERE, THERE, THIRD, ABOVE)] == [200, 200, 403, 403]
    async with THERE.client() as there:
        item = (await mailbox(THERE))[-1]
        (got,) = attachments.manifests(there.unseal(item))
        found = await there.fetch_attachment(got, tmp_path / "there")
        again = await there.fetch_attachment(got, tmp_path / "there")
    assert (found.name, found.read_bytes()) == ("工资表.pdf", file.read_bytes())
    assert again.name == "工资表 (2).pdf" and sorted(os.listdir(tmp_path / "there")) == sorted([found.name, again.name])
    # What the hub holds is not the file, nor anything of its name.
    kept = [path for path in (hub.data / "attachments" / "kept").rglob("*") if path.is_file()]
    assert any(path.read_bytes() == sealed.blob.read_bytes() for path in kept)
    assert file.read_bytes()[:64] not in sealed.blob.read_bytes()
    # Handed over with the case, the newcomer reads what the author sealed, and fetches it itself.
    await said(THERE, case, "case-assistance", "accept")
    async with THERE.client() as there:
        forward = example("case-assistance", "forward", to=THIRD.id)
        await there.reply_in(case, "forward", forward, content("case-assistance", "forward"))
    async with THIRD.client() as third:
        item = (await mailbox(THIRD))[-1]
        (one,) = [m for handed in await third.handed_over(item) for m in attachments.manifests(handed.content)]
        assert (await third.fetch_attachment(one, tmp_path / "third")).read_bytes() == file.read_bytes()


async def test_naming_a_digest_gives_nobody_what_its_sender_never_had(hub: RunningHub, tmp_path: Path) -> None:
    _, sealed = sealed_file(tmp_path)
    digest = sealed.manifest.attachment.removeprefix("sha-256:")
    async with HERE.client() as here, THIRD.client() as third:
        for client in (here, third):
            with pytest.raises(Refused) as refused:
                await sent_with(client, THERE, sealed.manifest)
            assert refused.value.reason == "attachment-unknown"
        await here.attach(sealed)
        with pytest.raises(Refused):
            await sent_with(third, HERE, sealed.manifest)
        data, part = attachments.attached(
            example("case-assistance", "request"), content("case-assistance", "request") or {}, [sealed.manifest]
        )
        draft = await third.prepare("case-assistance.request", envelope.new_id(), [HERE.id], data, part)
        problems = (await third.preflight(draft)).problems
        assert [problem["type"] for problem in problems] == ["/problems/attachment-unknown"]
        # To have it, one sends every byte: the digest alone, or a part, is not enough.
        status, said_so, _ = put(THIRD, digest, b"", f"bytes */{sealed.blob.stat().st_size}")
        assert (status, said_so["received"]) == (202, 0)
        assert call("GET", THIRD, digest)[0] == 403
        assert put(THIRD, digest, sealed.blob.read_bytes())[0] == 201
        assert call("GET", THIRD, digest)[0] == 200


async def test_an_upload_goes_on_where_it_stood_after_the_hub_was_killed(tmp_path: Path) -> None:
    with running_hub() as hub:
        enrolled(hub, HERE, THERE)
        _, sealed = sealed_file(tmp_path, 6_000_000)
        blob, digest = sealed.blob.read_bytes(), sealed.manifest.attachment.removeprefix("sha-256:")
        status, said_so, headers = put(HERE, digest, blob[:5_000_000], f"bytes 0-4999999/{len(blob)}")
        assert (status, said_so["received"], headers["Range"]) == (202, 5_000_000, "bytes=0-4999999")
        hub.process.kill()
        hub.process.wait()
        hub.start()
        assert put(HERE, digest, b"", f"bytes */{len(blob)}")[1]["received"] == 5_000_000
        for span in (f"bytes 0-9/{len(blob)}", f"bytes 5000001-5000010/{len(blob)}"):
            status, problem, _ = put(HERE, digest, bytes(10), span)
            assert (status, problem["type"], problem["received"]) == (409, "/problems/range-not-next", 5_000_000)
        told: list[int] = []
        async with HERE.client() as here:
            await here.attach(sealed, lambda done, size: told.append(done))
        assert told[0] == 5_000_000
        assert put(HERE, digest, blob)[0] == 200
        assert put(HERE, digest, b"", f"bytes */{len(blob)}")[0] == 200
        assert [path.name for path in (hub.data / "attachments" / "incoming").iterdir()] == []
        HERE.url = THERE.url = hub.url


async def test_an_upload_whose_last_byte_came_while_the_store_was_away_is_finished(
    hub: RunningHub, tmp_path: Path
) -> None:
    _, sealed = sealed_file(tmp_path, 1_000_000)
    blob, digest = sealed.blob.read_bytes(), sealed.manifest.attachment.removeprefix("sha-256:")
    place = hub.data / "attachments" / "kept" / digest[:2]
    with contextlib.suppress(FileNotFoundError):
        place.rename(tmp_path / "aside")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.touch()  # where a folder belongs
    try:
        status, problem, _ = put(HERE, digest, blob)
        assert (status, problem["type"]) == (503, "/problems/storage-full")
        assert put(HERE, digest, b"", f"bytes */{len(blob)}")[0] == 503
    finally:
        place.unlink()
        with contextlib.suppress(FileNotFoundError):
            (tmp_path / "aside").rename(place)
    async with HERE.client() as here:
        await here.attach(sealed)
    assert call("GET", HERE, digest)[:2] == (200, blob)


def test_what_does_not_fit_is_refused_by_name_and_nothing_is_kept(hub: RunningHub) -> None:
    for who in (HERE, THERE, THIRD, ABOVE):
        who.url = hub.url
    body = os.urandom(1000)
    right, wrong = hashlib.sha256(body).hexdigest(), hashlib.sha256(b"another").hexdigest()
    expected = [
        (put(HERE, wrong, body), 422, "attachment-mismatch"),
        (put(HERE, wrong, b""), 422, "attachment-mismatch"),
        (put(HERE, right, body, "bytes 0-10/1000"), 400, "request-malformed"),
        (put(HERE, right, body, "bytes 0-999/999"), 400, "request-malformed"),
        (put(HERE, right, body, "bytes */1000"), 400, "request-malformed"),
        (put(HERE, right, body, "lines 0-999/1000"), 400, "request-malformed"),
        (put(HERE, right, body, "bytes 0-999/40000001"), 413, "too-large"),
        (put(HERE, right, body, Content_Encoding="gzip"), 400, "request-malformed"),
        (put(HERE, right.upper(), body), 404, "not-found"),
        (put(HERE, "x", body), 404, "not-found"),
        (call("GET", HERE, right), 404, "not-found"),
    ]
    for (status, problem, _), code, name in expected:
        assert (status, problem["type"]) == (code, f"/problems/{name}"), problem
    assert put(HERE, wrong, b"", "bytes */1000")[1]["received"] == 0
    assert put(HERE, right, body)[0] == 201


def test_ranges_are_read_as_http_has_them(hub: RunningHub) -> None:
    body = os.urandom(100_000)
    digest = hashlib.sha256(body).hexdigest()
    assert put(HERE, digest, body)[0] == 201
    for header, first, end in (
        ("bytes=0-9", 0, 10),
        ("bytes=99990-", 99_990, 100_000),
        ("bytes=-7", 99_993, 100_000),
        ("bytes=99999-200000", 99_999, 100_000),
        ("bytes=-200000", 0, 100_000),
    ):
        status, got, headers = call("GET", HERE, digest, Range=header)
        assert (status, got) == (206, body[first:end]), header
        assert headers["Content-Range"] == f"bytes {first}-{end - 1}/100000"
    for header in ("bytes=0-1,3-4", "lines=1-2"):
        assert call("GET", HERE, digest, Range=header)[:2] == (200, body)
    assert call("GET", HERE, digest, Range="bytes=100000-")[0] == 416


def test_an_answer_that_fails_on_its_way_breaks_off_and_is_not_followed_by_another(hub: RunningHub) -> None:
    body = os.urandom(30_000_000)
    digest = hashlib.sha256(body).hexdigest()
    assert put(THIRD, digest, body)[0] == 201
    (kept,) = (hub.data / "attachments" / "kept").rglob(f"{digest}.*")
    with contextlib.closing(http.client.HTTPConnection(hub.host, hub.port, timeout=10)) as connection:
        answer = asked_for(connection, digest)
        got = answer.read(1000)
        os.truncate(kept, 20_000_000)
        with contextlib.suppress(ConnectionResetError):
            while part := answer.read(1 << 16):
                got += part
    assert len(got) <= 20_000_000 and body.startswith(got)


def test_who_hangs_up_is_no_word_about_the_disk_or_the_database(hub: RunningHub) -> None:
    log, body = hub.data / "hub.log", os.urandom(30_000_000)
    digest, before = hashlib.sha256(body).hexdigest(), log.stat().st_size
    for sent in (0, 1_000_000, 5_000_000):
        with contextlib.closing(http.client.HTTPConnection(hub.host, hub.port, timeout=10)) as connection:
            connection.putrequest("PUT", f"/v1/attachments/{digest}")
            connection.putheader("Authorization", f"Bearer {token(THERE)}")
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body[:sent])
    assert put(THERE, digest, b"", f"bytes */{len(body)}")[1]["complete"] is False
    while (status := put(THERE, digest, body[-1:], f"bytes 0-0/{len(body)}")[0]) == 503:
        time.sleep(0.1)  # the hub sees a moment later that the other end is gone
    assert status in (202, 409)
    whole = os.urandom(20_000_000)
    digest = hashlib.sha256(whole).hexdigest()
    assert put(THERE, digest, whole)[0] == 201
    for read in (0, 1000, 1_000_000):
        with contextlib.closing(http.client.HTTPConnection(hub.host, hub.port, timeout=10)) as connection:
            asked_for(connection, digest, THERE).read(read)
    time.sleep(1.0)
    said = log.read_bytes()[before:].decode()
    assert not said.strip(), said


def token(who: Bureau) -> str:
    return jwt.bearer(who.id, "410000-hub", who.signing, datetime.now(UTC))


def asked_for(connection: http.client.HTTPConnection, digest: str, who: Bureau = THIRD) -> http.client.HTTPResponse:
    connection.request("GET", f"/v1/attachments/{digest}", headers={"Authorization": f"Bearer {token(who)}"})
    answer = connection.getresponse()
    assert answer.status == 200
    return answer


def test_who_asks_and_then_does_not_read_is_cut_off(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[limits]\nbody = 1.0\n")
    with running_hub("--config", str(config)) as hub:
        enrolled(hub, HERE)
        body = os.urandom(30_000_000)
        digest, before = hashlib.sha256(body).hexdigest(), (hub.data / "hub.log").stat().st_size
        assert put(HERE, digest, body)[0] == 201
        with contextlib.closing(http.client.HTTPConnection(hub.host, hub.port, timeout=10)) as connection:
            answer = asked_for(connection, digest, HERE)
            got = answer.read(1000)
            time.sleep(4.0)
            with contextlib.suppress(ConnectionResetError):
                while part := answer.read(1 << 16):
                    got += part
        assert len(got) < len(body) and body.startswith(got)
        assert call("GET", HERE, digest)[:2] == (200, body)
        assert b"away" not in (hub.data / "hub.log").read_bytes()[before:]


def test_what_nobody_names_is_bounded(hub: RunningHub) -> None:
    size, statuses = 30_000_000, []
    for _ in range(3):
        statuses.append(put(ABOVE, hashlib.sha256(os.urandom(8)).hexdigest(), b"x", f"bytes 0-0/{size}")[0])
    assert statuses == [202, 202, 202]  # announced only
    for _ in range(2):
        body = os.urandom(size)
        assert put(ABOVE, hashlib.sha256(body).hexdigest(), body)[0] == 201
    status, problem, _ = put(ABOVE, hashlib.sha256(b"x").hexdigest(), b"x")
    assert (status, problem["type"]) == (413, "/problems/too-large")


async def test_an_organisation_has_its_quota_and_takes_nothing_of_anothers(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[attachments]\nquota = 7_000_000\n")
    with running_hub("--config", str(config)) as hub:
        enrolled(hub, HERE, THERE)
        _, sealed = sealed_file(tmp_path, 4_000_000)
        async with HERE.client() as here:
            await here.attach(sealed)
            await sent_with(here, THERE, sealed.manifest)
        body = os.urandom(4_000_000)
        digest = hashlib.sha256(body).hexdigest()
        status, problem, _ = put(HERE, digest, body)
        assert (status, problem["type"]) == (413, "/problems/too-large") and "7000000" in problem["detail"]
        assert put(HERE, digest, body[:1000], "bytes 0-999/4000000")[0] == 413
        # The receiver of the named one has uploaded nothing.
        assert put(THERE, digest, body)[0] == 201
        small = os.urandom(500_000)
        assert put(HERE, hashlib.sha256(small).hexdigest(), small)[0] == 201


async def test_a_disk_that_takes_its_time_holds_up_nobody_who_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, body, done = Directory(tmp_path / "kept"), os.urandom(1_000_000), threading.Event()
    monkeypatch.setattr(os, "fsync", lambda file: done.wait(30))
    (tmp_path / "kept" / "ab").mkdir(parents=True)
    (tmp_path / "kept" / "ab" / "abcd").write_bytes(body)
    uploads = [Incoming(tmp_path / "incoming", HERE.id, bytes([number])) for number in range(40)]
    for upload in uploads:
        with upload.mine():
            upload.path.write_bytes(b"not what its digest says")
    verified = [asyncio.create_task(upload.verify()) for upload in uploads]
    try:
        async with asyncio.timeout(5):
            assert b"".join([part async for part in kept.read("abcd", 0, len(body))]) == body
    finally:
        done.set()
        await asyncio.gather(*verified, return_exceptions=True)


def test_what_is_begun_and_never_finished_is_bounded_too(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[attachments]\nquota = 7_000_000\n")
    with running_hub("--config", str(config)) as hub:
        enrolled(hub, HERE, THERE)
        digests = [hashlib.sha256(os.urandom(8)).hexdigest() for _ in range(6)]
        part, span = bytes(2_900_000), "bytes 0-2899999/3000000"
        assert [put(HERE, digest, part, span)[0] for digest in digests] == [202, 202, 413, 413, 413, 413]
        problem = put(HERE, digests[2], part)[1]
        assert problem["type"] == "/problems/too-large" and "5800000" in problem["detail"]
        assert put(THERE, digests[2], part, span)[0] == 202
        # What was begun goes on.
        assert put(HERE, digests[0], part[:10], "bytes 2900000-2900009/3000000")[0] == 202


async def test_what_was_altered_on_the_way_is_not_opened(hub: RunningHub, tmp_path: Path) -> None:
    _, sealed = sealed_file(tmp_path, 2_500_000)
    lines = sealed.blob.read_bytes().splitlines(keepends=True)
    forgeries = {
        "swapped": [lines[1], lines[0], lines[2]],
        "dropped": lines[:2],
        "doubled": [*lines, lines[2]],
        "changed": [lines[0], lines[1][:-5] + b"AAAA\n", lines[2]],
    }
    async with HERE.client() as here:
        for name, forged in forgeries.items():
            blob = b"".join(forged)
            digest = hashlib.sha256(blob).hexdigest()
            assert put(HERE, digest, blob)[0] == 201
            # Even with a digest that fits what is stored, it is not what the sender sealed.
            manifest = msgspec.structs.replace(sealed.manifest, attachment=f"sha-256:{digest}")
            with pytest.raises(BadSeal):
                await here.fetch_attachment(manifest, tmp_path / name)
            assert not list((tmp_path / name).iterdir())
        await here.attach(sealed)
        for change in ({"digest": "sha-256:" + "0" * 64}, {"size": 2_500_001}, {"key": "A" * 43}, {"chunks": 9}):
            with pytest.raises(BadSeal):
                await here.fetch_attachment(msgspec.structs.replace(sealed.manifest, **change), tmp_path / "wrong")
        for name in ("../../../etc/passwd", "/etc/passwd", "..", "", "a\0b", "\u202e.exe", "."):
            named = msgspec.structs.replace(sealed.manifest, name=name)
            found = await here.fetch_attachment(named, tmp_path / "names")
            assert found.parent == tmp_path / "names" and found.exists()


async def test_what_no_message_names_is_collected_and_what_one_names_stays(tmp_path: Path) -> None:
    with running_hub() as hub:
        enrolled(hub, HERE, THERE)
        (tmp_path / "a").mkdir()
        (_, named), (_, unnamed) = sealed_file(tmp_path), sealed_file(tmp_path / "a")
        async with HERE.client() as here:
            await here.attach(named)
            await here.attach(unnamed)
            await sent_with(here, THERE, named.manifest)
        kept = hub.data / "attachments" / "kept"
        put(HERE, "0" * 64, b"x", "bytes 0-0/2")
        async with processes.attached(hub.data, Config()) as dsn, beside.database(hub.data, Config()) as connection:
            pool = await connecting.pool(dsn, 4)
            keeping = Attachments(pool, Directory(kept), hub.data / "attachments" / "incoming", Limits(9, 0, 9, 14))
            assert await keeping.collect() == 0
            await connection.execute("UPDATE attachment SET uploaded = now() - interval '15 days'")
            for path in keeping.incoming.iterdir():
                os.utime(path, (0, 0))
            assert await keeping.collect() == 1
            await pool.close()
        assert len([path for path in kept.rglob("*") if path.is_file()]) == 1 and not list(keeping.incoming.iterdir())
        digests = [one.manifest.attachment.removeprefix("sha-256:") for one in (named, unnamed)]
        assert [call("GET", THERE, digest)[0] for digest in digests] == [200, 404]
        assert call("GET", HERE, digests[1])[0] == 404
        assert audited(hub) == ""
        # Gone from the store behind the hub's back: said, and not a wrong file.
        next(path for path in kept.rglob("*") if path.is_file()).unlink()
        assert call("GET", THERE, digests[0])[0] == 503


async def test_what_is_named_costs_an_upload_and_a_collection_nothing_however_much_it_is(tmp_path: Path) -> None:
    with running_hub() as hub:
        async with beside.database(hub.data, Config()) as connection, connection.transaction():
            # Of 20,000 uploads of one organisation three are named by no message.
            await connection.execute("""
                INSERT INTO attachment SELECT sha256(n::text::bytea), 7, n, '-infinity'
                    FROM generate_series(1, 20000) n;
                INSERT INTO attachment_reader SELECT digest, 'a', true, false FROM attachment;
                INSERT INTO attachment_use SELECT digest, gen_random_uuid(), place::int FROM attachment
                    WHERE place::int > 3;
                UPDATE attachment_reader SET unnamed = true WHERE digest NOT IN (SELECT digest FROM attachment_use);
                ANALYZE attachment; ANALYZE attachment_reader; ANALYZE attachment_use
            """)
            assert await connection.fetchval(SQL["unnamed_bytes"], "a") == 21
            for name, argument in (("unnamed_bytes", "'a'"), ("collect_attachments", "14")):
                explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {SQL[name].replace('$1', argument)}"
                ((plan,),) = [json.loads(row[0]) for row in await connection.fetch(explained)]
                pages = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
                assert pages < 60, (name, plan)  # all the rows are on 1,000


@pytest.fixture
def stores(hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, ...]]:
    """Two organisations with key stores, and what a request of the first holds: the options of their commands."""
    monkeypatch.setenv("XIEBAN_PASSPHRASE", "a passphrase of this test")
    found: dict[str, tuple[str, ...]] = {}
    for me in ("411005-health", "440305-health"):
        found[me] = ("--hub", hub.url, "--as", me, "--keys", str(tmp_path / me))
        names = ("--json", "--organisation", me, "--name-zh", "卫健委", "--name-en", "Health")
        hub.enrol(json.loads(hub.run("keys", "new", "--keys", str(tmp_path / me), *names).stdout))
    (tmp_path / "data.json").write_text(json.dumps(example("case-assistance", "request")))
    part = {k: v for k, v in (content("case-assistance", "request") or {}).items() if k != "attachments"}
    (tmp_path / "sealed.json").write_text(json.dumps(part))
    return found


def test_the_commands_attach_and_fetch(hub: RunningHub, tmp_path: Path, stores: dict[str, tuple[str, ...]]) -> None:
    here, there = stores
    file = tmp_path / "证据 1.bin"
    file.write_bytes(os.urandom(1_200_000))
    data = ("--data", str(tmp_path / "data.json"))
    opening = ("case", "open", *stores[here], "--to", there, *data, "--attach", str(file), "--json")
    without = hub.run(*opening)
    assert without.returncode != 0 and "--sealed" in without.stderr and "Traceback" not in without.stderr
    done = hub.run(*opening, "--sealed", str(tmp_path / "sealed.json"))
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / here / "attachments").iterdir())
    case = json.loads(done.stdout)["case"]
    got = hub.run("case", "attachments", case, *stores[there], "--into", str(tmp_path / "got"), "--json")
    assert got.returncode == 0, got.stderr
    (item,) = json.loads(got.stdout)["items"]
    assert Path(item["file"]).read_bytes() == file.read_bytes() and Path(item["file"]).name == file.name
    lost = hub.run(*opening[:-3], "--attach", str(tmp_path / "none"), "--sealed", str(tmp_path / "sealed.json"))
    assert lost.returncode == 1 and "attachment-unreadable" in lost.stderr and "Traceback" not in lost.stderr


def peak(pid: int) -> int:
    """The most memory a process has held, in bytes, since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) << 10


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def workers(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def ran(*arguments: str) -> tuple[int, str]:
    """Run a command to its end: the most memory it held, and what it said."""
    most = 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([*XIEBAN, *arguments], stdout=said, env=os.environ | {"PYTHONPATH": os.getcwd()})
        while process.poll() is None:
            with contextlib.suppress(OSError, StopIteration):  # it ended between the two looks
                most = max(most, peak(process.pid))
            time.sleep(0.02)
        said.seek(0)
        assert process.returncode == 0 and most > 0
        return most, said.read().decode()


def test_a_large_file_passes_through_little_memory(
    pytestconfig: pytest.Config, tmp_path: Path, stores: dict[str, tuple[str, ...]]
) -> None:
    """With `--attachment-mib 2048` it is the 2 GiB of the promise; memory grows with the file in neither form."""
    size = pytestconfig.getoption("--attachment-mib") << 20
    (here, there), file = stores, tmp_path / "large.bin"
    with running_hub() as hub:
        names = ("--name-zh", "卫健委", "--name-en", "Health", "--json")
        for me in stores:
            shown = hub.run("keys", "show", "--keys", str(tmp_path / me), "--organisation", me, *names)
            hub.enrol(json.loads(shown.stdout))
        who = {me: ("--hub", hub.url, *stores[me][2:]) for me in stores}
        with file.open("wb") as into:
            for _ in range(size >> 20):
                into.write(os.urandom(1 << 20))
        (worker,) = workers(hub.process.pid)
        forget_peak(worker)
        before = peak(worker)
        parts = ("--data", str(tmp_path / "data.json"), "--sealed", str(tmp_path / "sealed.json"))
        sender, said = ran("case", "open", *who[here], "--to", there, *parts, "--attach", str(file), "--json")
        case = json.loads(said)["case"]
        receiver, said = ran("case", "attachments", case, *who[there], "--into", str(tmp_path / "got"), "--json")
        ((item,), grown) = json.loads(said)["items"], peak(worker) - before
    with file.open("rb") as one, Path(item["file"]).open("rb") as other:
        assert hashlib.file_digest(one, "sha256").digest() == hashlib.file_digest(other, "sha256").digest()
    print(f"\n{size >> 20} MiB: hub +{grown >> 20}, sender {sender >> 20}, receiver {receiver >> 20} MiB at most")
    assert max(before + grown, sender, receiver) < 512 << 20
    assert grown < 32 << 20 and max(sender, receiver) < 256 << 20
