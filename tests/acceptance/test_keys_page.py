"""`docs/keys.md`, command for command: keys rotated, one leaked, one lost, then a whole machine."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.pages import ROOT, blocks, in_shell
from tests.conftest import running_hub

README, PAGE = ((ROOT / name).read_text("utf-8") for name in ("README.md", "docs/keys.md"))


def test_every_command_of_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, keys, operator, opening, *_ = blocks(README, "sh")
    rotate, watch, leaked, renew, give, read, named, lost = blocks(PAGE, "sh")
    secret = {"XIEBAN_PASSPHRASE": "change-me-please"}
    monkeypatch.setenv("XIEBAN_PASSPHRASE", secret["XIEBAN_PASSPHRASE"])
    (tmp_path / "hub-data").mkdir()
    with running_hub(data=tmp_path / "hub-data") as hub:

        def run(script: str, **more: str) -> str:
            return in_shell(script, tmp_path, hub, **secret, **more)

        def listed(command: str) -> Any:
            return json.loads(run(f"{opening.splitlines()[0]}\n{command} --json"))

        def signing(store: str) -> set[str]:
            return {row["kid"] for row in listed(f"xieban keys list --keys {store}") if row["use"] == "sig"}

        run(keys)
        run("\n".join(operator.strip().splitlines()[1:]))
        run(opening)
        (case,) = (one["id"] for one in listed("xieban case list")["items"])
        (old,) = signing("weidu")
        assert "removed" in run(rotate)
        assert json.loads(run(f"{operator.strip().splitlines()[-1]} --json"))["keys"] == []
        assert "all ours" in run(watch)
        (leaks,) = signing("weidu") - {old}
        run(leaked, LEAKED=leaks, SINCE=datetime.now(UTC).isoformat())
        run(renew)
        with pytest.raises(AssertionError, match="token-invalid"):
            run("xieban poll --hub http://127.0.0.1:8420 --as 411002-health --keys weidu")
        reader = "xieban poll --hub http://127.0.0.1:8420 --as 411002-health --keys weidu2"
        assert "case-assistance.request" in run(reader)
        with pytest.raises(AssertionError, match="seal-invalid"):
            run(f"{reader} --open")
        run(f"export XIEBAN_HUB=http://127.0.0.1:8420\n{give}", CASE=case)
        said = run(f"export XIEBAN_HUB=http://127.0.0.1:8420\n{read}", CASE=case)
        assert "everything holds" in said
        told = json.loads((tmp_path / "sealed.json").read_text())["narrative"]
        assert told in (tmp_path / "case.html").read_text("utf-8")
        run(named)
        assert "case-assistance.request" in run(reader)
        gone = {row["use"]: row["kid"] for row in listed("xieban keys list --keys weidu2")}
        said = run(lost, LOST=gone["sig"], LOST_TOO=gone["enc"], SINCE=datetime.now(UTC).isoformat())
        assert said.count("已停用 · revoked") == 2
        with pytest.raises(AssertionError, match="token-invalid"):
            run(reader)
