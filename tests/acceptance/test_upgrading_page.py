"""`docs/upgrading.md`, command for command, on a hub's data; and what other commands say of an older schema."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from hub.store import embedded
from tests.acceptance.bureaus import Bureau, enrolled, mailbox, opened
from tests.acceptance.pages import ROOT, blocks, in_shell
from tests.conftest import running_hub

PAGE = (ROOT / "docs" / "upgrading.md").read_text("utf-8")


@contextlib.contextmanager
def database_alone(data: Path) -> Iterator[None]:
    """The database without its hub: each command would start and stop it by itself, which takes seconds."""
    with asyncio.Runner() as runner, embedded.locked(data):
        server = runner.run(embedded.start(data))
        try:
            yield
        finally:
            runner.run(server.stop())


def test_every_command_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    look, forward, back = blocks(PAGE, "sh")
    (tmp_path / "hub-data").mkdir()
    here, there = Bureau("411002-health"), Bureau("440306-health")
    with running_hub(data=tmp_path / "hub-data") as hub:
        enrolled(hub, here, there)
        asyncio.run(opened(here, "case-assistance", "request", [there.id]))
        in_use = hub.run(*back.split()[1:-1], str(hub.data))
        assert in_use.returncode == 1
        assert "downgrade-refused" in in_use.stderr
        unknown = hub.run("store", "downgrade", "--to", "9.9", "--data", str(hub.data))
        assert "there is no release '9.9'" in unknown.stderr
        hub.stop()

        with database_alone(hub.data):
            assert "0016_neighbours" in in_shell(back, tmp_path, hub)
            said = in_shell(look, tmp_path, hub)
            assert "release 0.1.0a1" in said
            assert "0016_neighbours" in said
            older = hub.run("audit", "--data", str(hub.data))
            assert older.returncode == 1
            assert "schema-outdated" in older.stderr
            assert "Traceback" not in older.stderr
            said = in_shell(forward, tmp_path, hub)
            assert "0016_neighbours" in said
            assert "everything holds" in said
            assert "that of this version" in in_shell(look, tmp_path, hub)

        hub.start()
        (item,) = asyncio.run(mailbox(there))
        assert item.event.source == here.id
