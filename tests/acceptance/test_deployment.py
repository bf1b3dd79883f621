"""`deploy/` and `docs/installation.md`, each file tried as far as the machine has what it is for."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import typer.main

from hub.commands import app
from tests.acceptance.pages import BIN, ROOT, blocks, environment
from tests.conftest import RunningHub, running_hub

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
PAGE = (ROOT / "docs/installation.md").read_text("utf-8")
MOST_EXPOSED = 20
"""Tenths, on systemd's own scale of ten: below 2 is its best word."""
systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze: units are not tested")


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=60, check=False, **options
    )
    return done


# systemd --------------------------------------------------------------------------------------------------------


def placed(unit: Path, folder: Path, **changed: str) -> Path:
    """A copy of a unit whose program is there, with further changes."""
    text = unit.read_text().replace("/usr/local/bin/xieban", str(BIN / "xieban"))
    for before, after in changed.items():
        assert before in text
        text = text.replace(before, after)
    copy = folder / unit.name
    copy.write_text(text)
    return copy


@systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong_with_a_unit_and_little_that_it_may(unit: Path, tmp_path: Path) -> None:
    if unit.suffix == ".timer":
        placed(unit.with_suffix(".service"), tmp_path)
    copy = placed(unit, tmp_path)
    verified = run("systemd-analyze", "verify", copy, env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"})
    assert (verified.returncode, verified.stderr) == (0, "")
    if unit.suffix == ".service":
        assert exposed(copy) == 0
        (level,) = re.findall(
            r"level for .*: ([\d.]+)", run("systemd-analyze", "security", "--offline=yes", copy).stdout
        )
        assert unit.name != "xieban.service" or f"{level}/10" in PAGE


def exposed(unit: Path) -> int:
    """The status of systemd's own judgement: 0 where a unit may do little."""
    return run("systemd-analyze", "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", unit).returncode


@systemd
def test_systemds_judgement_is_seen_where_a_unit_is_wrong(tmp_path: Path) -> None:
    unit = DEPLOY / "systemd/xieban.service"
    misspelt = placed(unit, tmp_path, ProtectSystem="ProtectSistem")
    assert "ProtectSistem" in run("systemd-analyze", "verify", misspelt).stderr
    open_to_all = placed(unit, tmp_path, **{"SystemCallFilter=~@privileged\n": "", "CapabilityBoundingSet=\n": ""})
    assert exposed(open_to_all) != 0


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_units_command_is_one_that_there_is(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=/usr/local/bin/xieban (.+)$", unit.read_text(), re.MULTILINE)
    words = line.split()
    command: Any = typer.main.get_command(app)
    while words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert [word for word in words if word.startswith("--") and word not in options] == []


@systemd
def test_a_hub_makes_no_system_call_that_its_unit_forbids(long: None, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("no strace: the filter is not held against what a hub does (Debian: apt install strace)")
    trace, text = tmp_path / "trace", (DEPLOY / "systemd/xieban.service").read_text()
    with running_hub(within=("strace", "-D", "-f", "-qq", "-o", str(trace)), bare=True) as hub:
        assert hub.run("audit", "--data", str(hub.data)).returncode == 0
    made = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(errors="replace"), re.MULTILINE))
    allowed: set[str] = set()
    for without, name in re.findall(r"^SystemCallFilter=(~?)(\S+)$", text, re.MULTILINE):
        allowed = allowed - calls(name) if without else allowed | calls(name)
    assert {"fsync", "accept4", "execve"} <= made & allowed and "mount" not in allowed
    assert made - allowed <= AS_ROOT


AS_ROOT = {"setreuid", "setregid", "setgroups", "chown", "fchownat"}
"""By which root gives the database to its user; a unit has its user from the start."""


def calls(group: str) -> set[str]:
    """The system calls of one of systemd's groups."""
    lines = run("systemd-analyze", "syscall-filter", group).stdout.splitlines()[1:]
    words = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return {call for word in words for call in (calls(word) if word.startswith("@") else {word})}


def test_a_unit_stops_no_memory_that_another_of_its_user_needs() -> None:
    for unit in SERVICES:
        # The backup ends each night as the hub's own user; RemoveIPC would take the shared memory of its PostgreSQL.
        assert "User=xieban" in unit.read_text() and "RemoveIPC" not in unit.read_text()


# Logs -----------------------------------------------------------------------------------------------------------


def lines(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if line.startswith("{")] if file.exists() else []


def disturbed(hub: RunningHub, log: Path, count: int) -> None:
    """Have the hub say more: its follower is killed, which it notes."""
    until = time.monotonic() + 20
    while not (following := [int(p.name) for p in Path("/proc").iterdir() if follows(p, hub.data)]):
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)
    os.kill(following[0], 9)
    while sum('"worker-died"' in line for line in lines(log)) < count:
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)


def follows(process: Path, data: Path) -> bool:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"hub.supervision" in words and str(data).encode() in words


def test_logs_are_rotated_under_a_hub_that_goes_on_writing(hub: RunningHub, tmp_path: Path) -> None:
    program = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("no logrotate: its configuration is not tested (Debian: apt install logrotate)")
    log, rotated = hub.data / "hub.log", hub.data / "hub.log.1"
    disturbed(hub, log, 1)
    before = lines(log)
    config = tmp_path / "xieban"
    text = (DEPLOY / "logrotate/xieban").read_text()
    config.write_text(text.replace("/var/log/xieban/*.log", str(log)).replace("su xieban xieban", "su root root"))
    config.chmod(0o644)
    done = run(program, "--force", "--state", tmp_path / "state", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(rotated) == before and lines(log) == []
    disturbed(hub, log, 1)
    assert all('"worker-died"' in line for line in lines(log)) and lines(rotated) == before


# Completion -----------------------------------------------------------------------------------------------------


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    (command,) = (line for block in blocks(PAGE, "sh") for line in block.splitlines() if "--show-completion" in line)
    target = command.rpartition("> ")[2]
    script = f"""
        {command.replace(target, f"{tmp_path}/completion")} || true
        source {tmp_path}/completion
        complete -p xieban
        COMP_WORDS=(xieban sand) COMP_CWORD=1; _xieban_completion xieban; echo "1: ${{COMPREPLY[*]}}"
        COMP_WORDS=(xieban serve --wor) COMP_CWORD=2; _xieban_completion xieban; echo "2: ${{COMPREPLY[*]}}"
        """
    done = run("bash", "-c", script, env=environment())
    assert re.search(r"-F \w+ xieban\n1: sandbox\n2: --workers$", done.stdout.strip()), (done.stdout, done.stderr)


# The container --------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """The Containerfile, instruction by instruction."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Containerfile").read_text())
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in text.splitlines()) if word.isupper()]


def test_what_a_container_runs_is_there(hub: RunningHub) -> None:
    """Not the build itself: that is `test_container.py`'s, which needs podman and a base image."""
    found = dict(instructions())
    assert found["ENTRYPOINT"] == '["xieban"]' and found["USER"] == "xieban"
    command = re.findall(r'"([^"]+)"', found["CMD"])
    params = typer.main.get_command(app).commands[command[0]].params  # type: ignore[attr-defined]
    options = {option for parameter in params for option in parameter.opts}
    assert {word for word in command if word.startswith("--")} <= options
    assert found["VOLUME"] == command[command.index("--data") + 1]
    (program, flag, probe) = re.findall(r'"([^"]+)"', found["HEALTHCHECK"].partition("CMD ")[2])
    assert (program, flag) == ("python", "-c")
    asked = probe.replace("8420", str(hub.port))
    assert run(shutil.which("python3") or "python3", "-c", asked).returncode == 0
    assert run(shutil.which("python3") or "python3", "-c", probe.replace("8420", "1")).returncode != 0
    copied = next(rest for word, rest in instructions() if word == "COPY").split()[:-1]
    assert copied == ["xieban-*.lock", "xieban-*-py3-none-any.whl"]


# The page -------------------------------------------------------------------------------------------------------


def test_the_page_names_every_file_that_is_shipped_and_no_other() -> None:
    shipped = {str(file.relative_to(ROOT)) for file in DEPLOY.rglob("*") if file.is_file()}
    named = set(re.findall(r"\]\(\.\./(deploy/[^)]+)\)", PAGE))
    assert named == shipped


def test_the_pages_commands_have_only_options_that_there_are() -> None:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = re.findall(r"xieban ([a-z]+)((?: [^\n|&`]+)?)", "\n".join(blocks(PAGE, "sh")))
    assert {"init", "doctor", "serve"} <= {name for name, _ in found}
    for name, rest in found:
        if name in known and not hasattr(known[name], "commands"):
            options = {option for parameter in known[name].params for option in parameter.opts}
            assert set(re.findall(r" (--[a-z-]+)", rest)) <= options, name
