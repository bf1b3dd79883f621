"""`xieban demo`: what it says adds up, it proves what it claims, and it leaves nothing running."""

import asyncio
import contextlib
import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import tomllib
import urllib.request
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.client import Client, Cursor
from hub.commands.demo import proof, stories
from hub.commands.demo.board import Board
from hub.commands.demo.bureau import Bureau
from hub.commands.demo.turn import next_message
from keys import jwk
from protocols import loading, notions
from protocols.refusals import ReceiptInvalid
from tests.acceptance.browsing import browser, screenshots
from tests.acceptance.pages import ROOT, environment
from tests.conftest import XIEBAN, RunningHub, free_port


def processes_on(folder: Path) -> list[tuple[int, str]]:
    """The processes that name a directory, but for the demo itself: its hub, its workers, its PostgreSQL."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if process.name.isdigit() and str(folder) in line and " demo " not in line:
                found.append((int(process.name), line))
    return found


def numbers(pattern: str, text: str) -> list[int]:
    """The numbers that a line of the demo's output says."""
    match = re.search(pattern, text)
    assert match is not None, (pattern, text)
    return [int(group) for group in match.groups()]


# The demo ----------------------------------------------------------------------------------------------


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    command = [*XIEBAN, "demo", "--exit", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, env=environment())


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A directory after the demo of 24 cases, and what it said."""
    data = tmp_path_factory.mktemp("demo") / "data"
    options = ("--cases", "24", "--port", str(free_port()), "--data", str(data), "--picture", str(data) + ".svg")
    done = demo(*options)
    assert done.returncode == 0, done.stdout + done.stderr
    return data, done.stdout


def test_the_demo_says_only_numbers_that_agree(shown: tuple[Path, str]) -> None:
    _, said = shown
    cases, closed, declined, messages = numbers(
        r"cases (\d+) = 办结 closed (\d+) \+ 不予协查 declined (\d+)；消息 messages (\d+)", said
    )
    assert (cases, closed + declined) == (24, 24)
    assert declined > 0
    assert numbers(r"offline: (\d+) 份回执全部有效", said) == [messages]
    entries, audited, positions = numbers(r"entries (\d+) · 消息 messages (\d+) · 位置 positions (\d+)", said)
    assert audited == messages
    assert entries > messages + 11
    mailboxes, walked, receipts = numbers(r"mailboxes: (\d+) 个 (\d+) 个位置，(\d+) 份回执", said)
    assert (mailboxes, walked, receipts) == (11, positions, messages)
    total = re.search(r"合计 all.*", said)
    assert total is not None
    in_all = [int(n) for n in re.findall(r"│ +(\d+)(?= │)", total[0])]
    assert in_all[:3] == [cases, closed, declined]
    assert in_all[3] > 0
    assert "everything holds" in said


def test_the_rows_of_the_demos_table_add_up(shown: tuple[Path, str]) -> None:
    _, said = shown
    rows = [re.findall(r"[^│┃\s]+", line) for line in said.splitlines() if re.match(r"│ \S+[市] ", line)]
    sums = [sum(int(row[column]) for row in rows) for column in (2, 3, 4, 5)]
    total = re.search(r"合计 all.*", said)
    assert total is not None
    assert sums == [int(n) for n in re.findall(r"│ +(\d+)(?= │)", total[0])][:4]
    assert {row[0] for row in rows} >= {"许昌市"} and {row[1] for row in rows} >= {"许昌市"}
    for row in rows:
        seconds = [float(value) for value in row[6:] if value != "—"]
        assert seconds and all(value >= 0 for value in seconds)
        assert int(row[2]) == int(row[3]) + int(row[4])


def test_the_demo_finds_every_receipt_from_before_the_kill_again(shown: tuple[Path, str]) -> None:
    _, said = shown
    ended, receipts = numbers(r"SIGKILL 强行终止枢纽：已办结 (\d+) 件，已发回执 (\d+) 份", said)
    found, mailboxes, positions = numbers(r"此前 (\d+) 份回执的消息都在原位，(\d+) 个收件箱 (\d+) 个位置无缺号", said)
    assert ended >= 12
    assert (found, mailboxes) == (receipts, 11)
    assert positions >= receipts > 24


def test_the_demo_leaves_no_process_behind(shown: tuple[Path, str]) -> None:
    assert processes_on(shown[0]) == []


def test_the_demos_picture_fetches_nothing(shown: tuple[Path, str]) -> None:
    data, _ = shown
    for picture in (Path(f"{data}.svg"), ROOT / "docs/demo.svg"):
        drawn = picture.read_text("utf-8")
        assert "turnaround" in drawn.replace("&#160;", " ")
        assert not re.search(r"@font-face|@import|<image|url\((?!#)|xlink:href", drawn)


def test_the_demo_works_again_on_the_same_directory(shown: tuple[Path, str]) -> None:
    data, before = shown
    done = demo("--cases", "3", "--port", str(free_port()), "--data", str(data))
    assert done.returncode == 0, done.stdout + done.stderr
    (messages,) = numbers(r"offline: (\d+) 份回执全部有效", done.stdout)
    (earlier,) = numbers(r"offline: (\d+) 份回执全部有效", before)
    assert numbers(r"消息 messages (\d+) · 位置", done.stdout) == [messages + earlier]


@contextlib.contextmanager
def demo_running(*options: str) -> Iterator[subprocess.Popen[str]]:
    """The demo with its output as a pipe; killed if it should not end."""
    command = [*XIEBAN, "demo", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()) as p:
        try:
            yield p
        finally:
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)


def lines_until(process: subprocess.Popen[str], words: str, more: int = 0) -> list[str]:
    """What it says up to a line with these words, and so many lines after it."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line.rstrip("\n"))
        if words in line:
            return said + [process.stdout.readline().rstrip("\n") for _ in range(more)]
    raise AssertionError("\n".join(said))


def test_what_the_demo_offers_works_as_printed(tmp_path: Path) -> None:
    data, port = tmp_path / "data", str(free_port())
    with demo_running("--cases", "16", "--port", port, "--data", str(data)) as running:
        said = lines_until(running, "接下来可以试", 3)
        (link,) = re.findall(r"http\S+/console/enter/\S+", "\n".join(said))
        asyncio.run(pictured(link))
        outputs = []
        for command in said[-3:]:
            done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, (command, done.stderr)
            outputs.append(done.stdout)
        assert len(re.findall(r"\d{6}-health", outputs[0])) == 2 * 16
        assert "有效 · valid" in outputs[1]
        assert "everything holds" in outputs[2]
        (url,) = re.findall(r"goes on running: (\S+)", "\n".join(said))
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert json.load(answer)["name"]["zh"] == "魏都区卫生健康委员会"
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
    assert processes_on(data) == []


async def pictured(link: str) -> None:
    """The supervisor's first look by the demo's link; the README's picture is one of these."""
    async with browser() as chromium:
        page = await chromium.new_page(viewport={"width": 1180, "height": 820}, locale="zh-CN")
        await page.goto(link)
        await page.get_by_role("button", name="进入").click()
        await page.get_by_role("heading", name="今日").first.wait_for()
        for name, path in (("demo-turnaround", "turnaround"), ("console", "scorecards")):
            await page.goto(f"{link.partition('/enter/')[0]}/{path}")
            await page.locator("table").first.wait_for()
            await page.screenshot(path=screenshots() / f"{name}.png")
        assert await page.locator("tbody tr").count() >= 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("words", ["xieban demo", "SIGKILL"], ids=["at the start", "while the hub is away"])
def test_whoever_stops_the_demo_stops_all_of_it(tmp_path: Path, words: str, number: signal.Signals) -> None:
    data = tmp_path / "data"
    with demo_running("--cases", "4", "--port", str(free_port()), "--data", str(data)) as running:
        lines_until(running, words)
        running.send_signal(number)
        assert running.stdout is not None
        rest = running.stdout.read()
        assert running.wait(60) == 130
    assert "interrupted, the hub is stopped" in rest
    assert processes_on(data) == []


def test_what_an_interrupted_demo_left_unfinished_is_finished_by_the_next(tmp_path: Path) -> None:
    options = ("--port", str(free_port()), "--data", str(tmp_path / "data"))
    with demo_running("--cases", "12", *options) as running:
        lines_until(running, "SIGKILL")
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
    with demo_running("--cases", "2", *options) as running:
        said = lines_until(running, "接下来可以试", 1)
        (carried,) = numbers(r"interrupted run carried on: (\d+)", "\n".join(said))
        listed = subprocess.run(["bash", "-c", said[-1]], capture_output=True, text=True, timeout=60, check=False)
        states = re.findall(r"\b(requested|in-progress|clarifying|answered|closed|declined)\b", listed.stdout)
        assert set(states) <= {"closed", "declined"}
        assert len(states) >= 2 + 6 and 0 < carried <= 6
        running.send_signal(signal.SIGINT)


def test_a_demo_that_fails_leaves_nothing_running_either(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with demo_running("--cases", "300", "--port", str(free_port()), "--data", str(data)) as running:
        lines_until(running, "发起 opened")
        (serving,) = (pid for pid, line in processes_on(data) if " serve " in line)
        os.killpg(serving, signal.SIGKILL)
        assert running.stdout is not None
        rest = running.stdout.read()
        assert running.wait(60) == 1
    assert "xieban: " in rest and "hub.log" in rest and "Traceback" not in rest
    assert processes_on(data) == []


async def test_a_message_that_is_not_where_its_receipt_says_is_found_out(hub: RunningHub, tmp_path: Path) -> None:
    names = ("411003-health", "440307-health")
    keys = {name: (jwk.generate_signing(), jwk.generate_encryption()) for name in names}
    hub.enrol(
        [
            {
                "id": name,
                "name": {"zh": name, "en": name},
                "superior": None,
                "roles": ["bureau"],
                "jwks": jwk.public_jwks([pair[0].public, pair[1].public]),
            }
            for name, pair in keys.items()
        ]
    )
    data, content = stories.request(stories.stories()[0], *names, 1)
    async with (
        Client(hub.url, names[0], keys[names[0]][0]) as here,
        Client(hub.url, names[1], keys[names[1]][0], [keys[names[1]][1]]) as there,
    ):
        sent = await here.open_case(names[1], data, content, check=True)
        reading = Bureau(there, Cursor(tmp_path / "c"), [], Board(1))
        assert await proof.still_there([reading], [sent]) == proof.Kept(1, 1, 1)
        for changed in ({"digest": "sha-256:" + 64 * "0"}, {"log": replace(sent.receipt.log, index=10**6)}):
            other = dataclasses.replace(sent, receipt=replace(sent.receipt, **changed))
            with pytest.raises(proof.NotProven):
                await proof.still_there([reading], [other])
            with pytest.raises(ReceiptInvalid):
                proof.offline([other], there.hub_keys)
        assert [one.index for one in proof.offline([sent], there.hub_keys)] == [sent.receipt.log.index]


def test_a_port_in_use_is_one_line_and_nothing_is_made(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = demo("--port", str(port), "--data", str(tmp_path / "data"))
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "--port" in done.stderr and str(port) in done.stderr
    assert not (tmp_path / "data").exists()


def test_the_demo_keeps_off_a_hub_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    done = demo("--port", str(free_port()), "--data", str(tmp_path))
    assert done.returncode == 1
    assert "no demo made" in done.stderr and "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys"]


# What the demo's cases are about ------------------------------------------------------------------------


def test_the_demos_texts_hold_no_forbidden_notion() -> None:
    told = tomllib.loads((ROOT / "hub/commands/demo/stories.toml").read_text("utf-8"))
    assert len(told["story"]) >= 12
    assert list(notions.walk(told)) == []


def test_every_message_of_the_demos_stories_fits_its_schemas() -> None:
    messages = loading.catalogue().protocols["case-assistance", "1.0"].messages
    here, there = "411002-health", "440306-health"
    day = date(2026, 9, 1)
    sent = set()
    for story in stories.stories():
        parts = {"request": stories.request(story, here, there, 7)}
        for name in {*story.course, "accept", "agree-date", "close"} & story.told.keys():
            parts[name] = stories.words_for(name, story, there, here, day, "440307-health")
        if "clarify" in story.told:
            parts["answer"] = stories.words_for("answer", story, here, here, day, None)
        for name, (data, content) in parts.items():
            if name == "forward":
                content |= {"messages": [{"jws": "e30.e30.AA"}]}
            assert not [f for f in messages[name].schema.findings(data) if "seal" not in str(f)], (story.key, name)
            sealed = messages[name].sealed_schema
            assert sealed is not None and not sealed.findings(content), (story.key, name)
            sent.add(name)
    assert sent >= {"request", "accept", "ask", "progress", "answer", "decline", "forward", "close", "propose-date"}


def view(state: str, steps: list[tuple[str, str]], allowed: list[str], responder: str = "B") -> dict[str, Any]:
    return {
        "opener": "A",
        "responder": responder,
        "state": state,
        "timeline": [{"source": source, "type": f"case-assistance.{name}"} for source, name in steps],
        "allowed_actions": [{"message": name} for name in allowed],
    }


def test_a_bureau_goes_on_where_the_case_is_and_only_when_it_is_its_turn() -> None:
    asking = next(story for story in stories.stories() if story.course == ["accept", "ask", "progress", "answer"])
    steps = [("A", "request"), ("B", "accept"), ("B", "ask")]
    paused = view("clarifying", steps, ["answer"])
    assert next_message(paused, "A", asking) == "answer"
    assert next_message(view("clarifying", steps, []), "B", asking) is None
    working = view("in-progress", [*steps, ("A", "answer"), ("B", "progress")], ["answer", "progress", "forward"])
    assert next_message(working, "B", asking) == "answer"
    assert next_message(working, "C", asking) is None


def test_whom_a_case_was_forwarded_to_accepts_and_answers_it() -> None:
    moved = next(story for story in stories.stories() if story.course == ["accept", "forward"])
    steps = [("A", "request"), ("B", "accept"), ("B", "forward")]
    assert next_message(view("requested", steps, ["accept"], "C"), "C", moved) == "accept"
    assert next_message(view("in-progress", [*steps, ("C", "accept")], ["answer"], "C"), "C", moved) == "answer"
    assert next_message(view("requested", steps, ["progress"], "C"), "B", moved) is None
