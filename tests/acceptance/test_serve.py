"""How a hub starts, runs with several workers, on a database of one's own, and stops."""

import asyncio
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from hub.identity import hub_key
from hub.store import embedded
from keys import jwk
from keys.keystore import KeyStore
from tests.acceptance.outsider import Outsider, uuid7
from tests.acceptance.pages import ROOT, blocks, shell
from tests.acceptance.verifier import verify_receipt
from tests.conftest import XIEBAN, RunningHub, free_port, running_hub

SCALING = (ROOT / "docs/scaling.md").read_text("utf-8")


def refused(*arguments: str) -> str:
    """What `xieban serve` says when it can't."""
    done = subprocess.run([*XIEBAN, "serve", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_second_hub_on_the_same_directory_or_port_is_refused(hub: RunningHub, tmp_path: Path) -> None:
    assert "data-directory-busy" in refused("--data", str(hub.data), "--port", "1")
    assert "port-in-use" in refused("--data", str(tmp_path), "--port", str(hub.port))
    assert not (tmp_path / "postgres").exists()


@pytest.mark.parametrize(
    ("text", "word"),
    [("[hub", "Expected"), ("[hub]\nname = 1", "unknown field `name`"), ("[server]\nhost = 5", "Expected `str`")],
)
def test_a_configuration_that_can_not_be_used_is_refused(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    said = refused("--data", str(tmp_path / "data"), "--port", "1", "--config", str(tmp_path / "config.toml"))
    assert "config-invalid" in said
    assert word in said


def test_a_database_that_is_not_there_is_a_clear_word(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[database]\nurl = "postgresql://nobody@127.0.0.1:1/none"')
    said = refused("--data", str(tmp_path / "data"), "--port", "1", "--config", str(tmp_path / "config.toml"))
    assert "database-unavailable" in said


def test_a_hub_that_is_made_by_a_mistyped_folder_says_that_it_is_a_new_one(tmp_path: Path) -> None:
    command = [*XIEBAN, "serve", "--data", str(tmp_path / "hub-dtaa"), "--port", str(free_port())]
    for new in (True, False):
        with (tmp_path / "said").open("w") as said:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
            assert process.stdout is not None and "hub ready" in process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(40) == 0
        assert ("this is a new one" in (tmp_path / "said").read_text()) is new


def test_no_hub_is_made_in_a_folder_that_is_a_key_store(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "weidu")
    store.create()
    store.add(jwk.generate_signing(), "a passphrase of this test")
    before = sorted(tmp_path.rglob("*"))
    said = refused("--data", str(tmp_path / "weidu"), "--port", str(free_port()))
    assert "folder-taken" in said and "key store" in said
    assert sorted(tmp_path.rglob("*")) == before and (tmp_path / "weidu").stat().st_mode & 0o777 == 0o700


def test_without_the_passphrase_of_its_key_no_hub_starts_and_none_is_made_up() -> None:
    with tempfile.TemporaryDirectory(prefix="hub-", ignore_cleanup_errors=True) as folder:
        hub_key(data := Path(folder))
        for change in (lambda file: file.write_text("another"), Path.unlink):
            change(data / "passphrase")
            said = refused("--data", folder, "--port", str(free_port()))
            assert "hub-key-locked" in said and f"{data}/passphrase" in said and "keys new" not in said
        assert not (data / "passphrase").exists()


@pytest.fixture(scope="module")
def own_database() -> Iterator[str]:
    """A PostgreSQL that somebody else runs, as far as the hub knows."""
    with tempfile.TemporaryDirectory(prefix="own-", ignore_cleanup_errors=True) as folder:
        runner = asyncio.Runner()
        server = runner.run(embedded.start(Path(folder)))
        yield embedded.dsn(Path(folder))
        runner.run(server.stop())
        runner.close()


def test_one_line_of_configuration_moves_the_hub_to_a_database_of_ones_own(own_database: str, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"[database]\nurl = {json.dumps(own_database)}")
    with running_hub("--workers", "2", "--config", str(config), bare=True) as hub:
        here, there = Outsider("411002-health", hub.url), Outsider("440306-health", hub.url)
        (tmp_path / "organisations.json").write_text(json.dumps([here.record(), there.record()]))
        where = ["--data", str(hub.data), "--config", str(config)]
        done = hub.run("organisations", "import", str(tmp_path / "organisations.json"), *where)
        assert done.returncode == 0, done.stderr
        # Connections spread over both workers: each knows the newcomers, and the log grows as one.
        jwks = here.call("GET", "/.well-known/jwks.json")[1]
        indexes = [verify_receipt(here.open_case(there)[2], jwks).size for _ in range(20)]
        assert indexes == sorted(indexes)
        assert not (hub.data / "postgres").exists()
        done = hub.run("audit", *where)
        assert done.returncode == 0, done.stderr
        (page,) = (block for block in blocks(SCALING, "sh") if "node-2" in block)
        copying, starting = page.splitlines()
        assert starting == "xieban serve --data node-2 --config config.toml --port 8421"
        shell(copying.replace("hub-data", str(hub.data)), tmp_path)
        with running_hub("--config", str(config), data=tmp_path / "node-2") as second:
            here.url = second.url
            assert verify_receipt(here.open_case(there)[2], jwks).size > indexes[-1]
        # The second node is down, and its data directory free; the first one would go on under the old origin.
        done = hub.run("restore", "--not-current", "--yes", "--data", str(tmp_path / "node-2"), *where[2:])
        assert done.returncode == 1 and "data-directory-busy" in done.stderr and "stop every hub" in done.stderr

        hub.stop()
        # Another line, another database: it is empty, and stays so.
        asyncio.run(of(own_database, "CREATE DATABASE another"))
        another = own_database.replace("@/postgres?", "@/another?")
        config.write_text(f"[database]\nurl = {json.dumps(another)}")
        assert "database-elsewhere" in refused(*where, "--port", str(hub.port))
        for command in (["status"], ["migrate"], ["downgrade", "--to", "0.1.0a1"]):
            done = hub.run("store", *command, *where)
            assert done.returncode == 1 and "database-elsewhere" in done.stderr and "store migrate" not in done.stderr
        done = hub.run("restore", "--not-current", *where)
        assert done.returncode == 1 and "database-elsewhere" in done.stderr
        assert asyncio.run(of(another, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")) == 0
    assert asyncio.run(of(own_database, "SELECT count(*) FROM log_entry")) == 25


async def of(dsn: str, statement: str) -> Any:
    """What a database answers."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def test_stopped_in_the_middle_it_finishes_what_it_accepted() -> None:
    with running_hub() as hub:
        here, there = Outsider("411002-health", hub.url), Outsider("440306-health", hub.url)
        hub.enrol([here.record(), there.record()])
        data = here.example("request")
        tokens = [here.sign(json.dumps(here.event("request", uuid7(), there, data)).encode()) for _ in range(200)]
        answers: list[int] = []

        async def send(session: aiohttp.ClientSession, token: bytes) -> None:
            headers = {"Content-Type": "application/jose"}
            try:
                async with session.post(hub.url + "/v1/messages", data=token, headers=headers) as answer:
                    await answer.read()
                    answers.append(answer.status)
            except aiohttp.ClientConnectionError:
                answers.append(0)

        async def all_at_once() -> None:
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
                sending = [tasks.create_task(send(session, token)) for token in tokens]
                await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
                hub.process.send_signal(signal.SIGTERM)

        asyncio.run(all_at_once())
        assert hub.process.wait(40) == 0
        assert set(answers) <= {201, 0}
        taken = answers.count(201)
        assert taken > 0
        hub.start()
        status, page = there.call("GET", "/v1/mailbox?limit=500")
        assert status == 200
        # Nothing that was answered is missing; an answer cut off by the client's side may be there too.
        assert len(page["items"]) >= taken
        assert hub.run("audit", "--data", str(hub.data)).returncode == 0


def test_it_stops_at_once_though_somebody_waits_for_mail(hub: RunningHub) -> None:
    with running_hub() as waiting:
        here = Outsider("411002-health", waiting.url)
        waiting.enrol([here.record()])

        async def poll_and_stop() -> int:
            headers = {"Authorization": f"Bearer {here.token()}"}
            async with aiohttp.ClientSession(headers=headers) as session:
                poll = asyncio.create_task(session.get(waiting.url + "/v1/mailbox?wait=30"))
                await asyncio.sleep(1)
                waiting.process.send_signal(signal.SIGTERM)
                return (await poll).status

        started = time.monotonic()
        assert asyncio.run(poll_and_stop()) == 200
        assert waiting.process.wait(40) == 0
        assert time.monotonic() - started < 20


def test_a_worker_that_dies_is_replaced(hub: RunningHub) -> None:
    here = Outsider("411002-health", hub.url)
    hub.enrol([here.record()])
    children = Path(f"/proc/{hub.process.pid}/task/{hub.process.pid}/children").read_text().split()
    (worker,) = [pid for pid in children if b"hub.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(int(worker), signal.SIGKILL)
    until = time.monotonic() + 20
    while worker in Path(f"/proc/{hub.process.pid}/task/{hub.process.pid}/children").read_text().split():
        assert time.monotonic() < until
        time.sleep(0.05)
    while True:
        try:
            assert here.call("GET", "/readyz") == (200, {"status": "ok"})
            return
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.1)


def test_a_passphrase_that_is_wrong_is_a_clear_word(tmp_path: Path) -> None:
    with running_hub(data=tmp_path) as hub:
        hub.stop()
        command = [*XIEBAN, "serve", "--data", str(tmp_path), "--port", str(hub.port)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | {"XIEBAN_HUB_PASSPHRASE": "another"},
        )
    assert done.returncode == 1
    assert "passphrase" in done.stderr
    assert "Traceback" not in done.stderr
