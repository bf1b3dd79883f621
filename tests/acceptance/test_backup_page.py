"""`docs/backup.md`, command for command: a hub backed up, put back, told that it was set back, moved."""

import shutil
from pathlib import Path

import pytest

from tests.acceptance.pages import ROOT, blocks, in_shell
from tests.conftest import running_hub

pytestmark = pytest.mark.timeout(300)
PAGE = (ROOT / "docs/backup.md").read_text("utf-8")


def test_every_command_of_the_page_does_what_it_says(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    key, back_up, apart, verify, restore, not_current, snapshot, move = blocks(PAGE, "sh")
    secret = {"XIEBAN_BACKUP_PASSPHRASE": "change-me-too"}
    (tmp_path / "hub-data").mkdir()
    with running_hub(data=tmp_path / "hub-data") as hub:

        def run(script: str) -> str:
            return in_shell(script, tmp_path, hub, **secret)

        shutil.copy(hub.data / "keys" / "jwks.json", tmp_path / "hub.jwks")
        run(key)
        assert run(back_up).strip().endswith(".age")
        run(apart)
        assert "完好" in run(verify)
        hub.stop()
        said = run(restore)
        assert "the log goes on as" in said and "restored and audited" in said and "everything holds" in said
        with pytest.raises(AssertionError, match=r"restore-refused.*--yes"):
            run(not_current)
        assert "the log goes on as" in run(snapshot)
        if not request.config.getoption("--backup-long"):
            return
        said = run(move)
        assert "restored and audited" in said and "the log goes on as" not in said
        with pytest.raises(AssertionError, match="hub-moved"):
            run("xieban audit --data restored")
        assert "everything holds" in run("xieban audit --data moved")
