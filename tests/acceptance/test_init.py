"""`xieban init`: four answers, or four options, and a hub that the doctor and `serve` take; nothing is written over."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import time
import tomllib
import urllib.request
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from hub import config
from hub.commands import app
from hub.commands.explaining import line
from hub.commands.init import filled
from hub.store import embedded
from keys.errors import Fault
from tests.acceptance.examined import examined
from tests.acceptance.pages import ROOT, blocks, environment, shell
from tests.conftest import XIEBAN, running_hub

PAGE = (ROOT / "docs/installation.md").read_text("utf-8")
QUESTIONS = ["the hub's id", "its name in Chinese", "its data directory", "a PostgreSQL of your own"]
MACHINE = {"calendar-missing", "disk-slow", "disk-filling", "open-files"}
"""What the doctor may say of this machine and this day, whatever was written."""


def init(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run it where there is nobody to ask."""
    command = [*XIEBAN, "init", *options]
    return subprocess.run(
        command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def answered(folder: Path, answers: dict[str, list[str]]) -> str:
    """Run it at a terminal, each question answered once it is asked; all that was said."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*XIEBAN, "init"], cwd=folder, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    left, said, seen = {question: list(given) for question, given in answers.items()}, "", 0
    while True:
        try:
            said += os.read(ours, 4096).decode(errors="replace")
        except OSError:  # which is how a terminal ends
            break
        for question, given in left.items():
            at = said.rfind(question)
            if given and at >= seen and said[at:].rstrip(" ").endswith(":"):
                os.write(ours, (given.pop(0) + "\n").encode())
                seen = len(said)
    os.close(ours)
    assert process.wait(60) == 0, said
    return said


def test_four_answers_make_a_hub_that_the_doctor_and_serve_take(tmp_path: Path) -> None:
    said = answered(tmp_path, dict(zip(QUESTIONS, [["nowhere", "411000-hub"], [""], ["data"], [""]], strict=True)))
    assert [said.count(question) for question in QUESTIONS] == [2, 1, 1, 1]
    file, data = tmp_path / "config.toml", tmp_path / "data"
    hub = config.load(file).hub
    assert (hub.id, hub.name_zh, hub.name_en) == ("411000-hub", "许昌市协办枢纽", "Xuchang collaboration hub")
    assert (file.stat().st_mode & 0o077, data.stat().st_mode & 0o076) == (0, 0)
    found = examined("--data", data, "--config", file)["findings"]
    assert [one for one in found if one["level"] == "error" or one["code"] not in MACHINE] == []
    with (
        running_hub("--config", str(file), data=data) as running,
        urllib.request.urlopen(running.url + "/v1/hub", timeout=10) as answer,
    ):
        assert json.load(answer)["id"] == "411000-hub"


def test_a_database_of_ones_own_is_made_ready_and_named_in_the_file(long: None, tmp_path: Path) -> None:
    with running_hub() as lending:
        asyncio.run(another_database(lending.data))
        url = embedded.dsn(lending.data).replace("/postgres?", "/another?")
        answers = ["--id", "440300-hub", "--name", "深圳枢纽", "--database", url]
        assert init(tmp_path, *answers, "--data", "data").returncode == 0
        file = tmp_path / "config.toml"
        assert config.load(file).database.url == url
        found = examined("--data", tmp_path / "data", "--config", file)["findings"]
        assert [one for one in found if one["level"] == "error" or one["code"] not in MACHINE] == []
        again = init(tmp_path, *answers, "--data", "another", "--config", "another.toml")
    assert again.returncode == 1 and "hub-key-gone" in again.stderr and "another hub's" in again.stderr


async def another_database(data: Path) -> None:
    connection = await asyncpg.connect(embedded.dsn(data))
    await connection.execute("CREATE DATABASE another")
    await connection.close()


def test_the_pages_command_asks_nothing_and_the_file_is_the_shipped_one(tmp_path: Path) -> None:
    (block,) = (block for block in blocks(PAGE, "sh") if block.startswith("xieban init"))
    command, *following = block.strip().splitlines()
    assert "config.toml · hub-data" in shell(f"{command} 2> noted", tmp_path)
    assert (tmp_path / "noted").read_text() == ""
    assert all("--data hub-data --config config.toml" in one for one in following)
    assert (tmp_path / "config.toml").read_text() == config.shipped()
    assert (tmp_path / "hub-data/postgres/PG_VERSION").exists() and (tmp_path / "hub-data/passphrase").exists()


def test_answers_stand_in_their_lines_whatever_is_in_them() -> None:
    said = {"hub": {"id": "440300-hub", "name_zh": '深圳"枢纽\\'}, "database": {"url": "postgresql://x@db/x"}}
    written, shipped = "".join(filled(config.shipped(), said)).splitlines(), config.shipped().splitlines()
    assert len(written) == len(shipped)
    changed = "\n".join(text for text in written if text not in shipped)
    assert tomllib.loads(changed) == said["hub"] | said["database"]


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A folder with a configuration and a directory in which something lies."""
    (tmp_path / "config.toml").write_text("# mine\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/keep").write_text("mine")
    return tmp_path


GIVEN = {"--id": "410000-hub", "--name": "枢纽", "--data": "new", "--database": "", "--config": "new.toml"}
NOBODY = "postgresql://x@127.0.0.1:1/x"


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"--config": "config.toml"}, "already-there"),
        ({"--data": "data"}, "already-there"),
        ({"--data": "data/keep"}, "input-unreadable"),
        ({"--config": "data/keep/config.toml"}, "input-unreadable"),
        ({"--database": NOBODY}, "database-unavailable"),
        ({"--database": "mysql://x"}, "database-unavailable"),
        ({"--database": "postgresql://x@127.0.0.1:x/x"}, "database-unavailable"),
        ({"--id": "410000-health"}, "usage"),
        ({"--id": "410000"}, "as in 410000-hub"),
        ({"--id": "henan-hub"}, "as in 410000-hub"),
        ({"--id": "999999-hub"}, "division-unknown"),
        ({"--name": "两\n行"}, "usage"),
        ({"--name": None}, "--name is not given"),
    ],
)
def test_what_is_there_stays_and_what_is_wrong_is_named(
    full: Path, changed: dict[str, str | None], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(full)
    options = [part for name, value in (GIVEN | changed).items() if value is not None for part in (name, value)]
    done = CliRunner().invoke(app, ["init", *options])
    assert isinstance(done.exception, Fault) and word in line(done.exception), done.exc_info
    assert sorted(str(path.relative_to(full)) for path in full.rglob("*")) == ["config.toml", "data", "data/keep"]
    assert (full / "config.toml").read_text() == "# mine\n"


def test_one_that_is_broken_off_goes_on_when_it_is_run_again(tmp_path: Path) -> None:
    options = [part for name, value in GIVEN.items() for part in (name, value)]
    data = tmp_path / "new"
    moments: dict[signal.Signals, Callable[[], bool]] = {
        signal.SIGKILL: lambda: any(data.glob(f"{embedded.MAKING}*/base")),
        signal.SIGINT: (data / "postgres/postmaster.pid").exists,
    }
    for number, moment in moments.items():
        with subprocess.Popen(
            [*XIEBAN, "init", *options], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
        ) as process:
            while not moment():
                assert process.poll() is None
                time.sleep(0.001)
            process.send_signal(number)
            said = process.communicate(timeout=60)[1]
        assert process.returncode and not (tmp_path / "new.toml").exists()
    assert "goes on where it was" in said
    done = init(tmp_path, *options)
    assert done.returncode == 0, done.stderr
    assert {file.name for file in tmp_path.iterdir()} == {"new", "new.toml"}
    assert {file.name for file in data.iterdir()} == {
        "keys",
        "keys.lock",
        "lock",
        "passphrase",
        "postgres",
        "postgres.log",
    }
    assert "already-there" in init(tmp_path, *options, "--config", "other.toml").stderr
