"""A PostgreSQL of one's own put back to a moment of the past, as docs/backup.md says: the log never forks."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.store import embedded
from tests.acceptance.bureaus import Bureau, mailbox, opened
from tests.cluster.databases import Database, dsn
from tests.cluster.nodes import nodes

CASE = "case-assistance"
PAGE = (Path(__file__).parents[2] / "docs" / "backup.md").read_text("utf-8")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that PostgreSQL's user may use."""
    with tempfile.TemporaryDirectory(prefix="moment-", ignore_cleanup_errors=True) as folder:
        user = embedded._user()
        (Path(folder) / "archive").mkdir()
        for one in (Path(folder), Path(folder) / "archive"):
            if user is not None:
                os.chown(one, user.pw_uid, user.pw_gid)
        yield Path(folder)


def said(name: str, place: Path) -> str:
    """A setting of postgresql.conf as the page has it, for folders of the test's own."""
    line = next(line for line in PAGE.splitlines() if line.startswith(f"{name} = "))
    return line.partition(" #")[0].replace("/srv/archive", str(place / "archive")).replace(" = ", "=").replace("'", "")


@pytest.mark.cluster
@pytest.mark.timeout(300)
async def test_a_database_is_put_back_to_a_moment_and_the_log_goes_on_under_a_new_origin(place: Path) -> None:
    database = Database(place, "own")
    database.initialise()
    database.start(said("archive_mode", place), said("archive_command", place))
    a, b = Bureau("411002-health"), Bureau("440306-health")
    try:
        with nodes(dsn(database), 1) as (hub,):
            beside = ["--data", str(hub.data), "--config", str(hub.data.parent / "config.toml")]
            file = hub.data.parent / "organisations.json"
            a.url = b.url = hub.url
            file.write_text(json.dumps([one.record() for one in (a, b)]))
            assert hub.run("organisations", "import", str(file), *beside).returncode == 0
            first = await opened(a, CASE, "request", [b.id])
            database.base_backup("base")
            second = await opened(a, CASE, "request", [b.id])
            moment = database.query("SELECT clock_timestamp()")
            lost = await opened(a, CASE, "request", [b.id])
            database.query("SELECT pg_switch_wal()")
            hub.stop()
            database.stop()
            again = Database(place, "base", database.port)
            again.recover(said("restore_command", place), moment)
            database.process = again.process
            assert "log-not-current" in hub.run("audit", *beside).stderr
            done = hub.run("restore", "--not-current", *beside)
            assert done.returncode == 0, done.stderr
            hub.start()
            found = await mailbox(b)
            assert [one.event.id for one in found] == [first.id, second.id]
            async with a.client() as client:
                receipt = (await client.resend(lost.compact)).receipt
                assert receipt.log.origin != lost.receipt.log.origin
            assert [one.event.id for one in await mailbox(b)] == [first.id, second.id, lost.id]
            audit = hub.run("audit", *beside)
            assert audit.returncode == 0, audit.stdout + audit.stderr
    finally:
        database.stop()
        shutil.rmtree(place / "base", ignore_errors=True)
