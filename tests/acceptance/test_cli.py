"""The command line, as its users meet it: real processes against a real hub."""

import asyncio
import contextlib
import json
import os
import pty
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.client import Client
from hub.identity import hub_key
from hub.store import embedded
from keys.keystore import KeyStore
from protocols import entries
from tests.conftest import XIEBAN, RunningHub, free_port

PASSPHRASE = "一句足够长的口令"
PARTNER = ("XIEBAN_HUB", "XIEBAN_ORGANISATION", "XIEBAN_KEYS", "XIEBAN_PASSPHRASE")
Done = subprocess.CompletedProcess[str]


def xieban(*arguments: str, stdin: str = "", **environment: str) -> Done:
    """Run one command to its end."""
    inherited = {name: value for name, value in os.environ.items() if name not in PARTNER}
    variables = inherited | {"PYTHONPATH": os.getcwd()} | environment
    return subprocess.run(
        [*XIEBAN, *arguments], input=stdin, env=variables, capture_output=True, text=True, timeout=90, check=False
    )


def parsed(done: Done) -> Any:
    """What a command that succeeded printed, all of it JSON."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def complaint(done: Done, status: int = 1) -> str:
    """The one line of a command that failed; nothing on standard output."""
    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert (done.returncode, done.stdout, len(said)) == (status, "", 1), done
    assert said[0].startswith("xieban: ")
    return said[0]


@dataclass(frozen=True)
class Bureau:
    """A bureau at its command line: its key store and its place."""

    id: str
    folder: Path
    hub: str

    def run(self, *arguments: str, stdin: str = "", **environment: str) -> Done:
        """One of its commands."""
        place = {
            "XIEBAN_HUB": self.hub,
            "XIEBAN_ORGANISATION": self.id,
            "XIEBAN_KEYS": str(self.folder / "keys"),
            "XIEBAN_PASSPHRASE": PASSPHRASE,
        }
        return xieban(*arguments, stdin=stdin, **(place | environment))

    def new_keys(self, *options: str) -> Any:
        """The record that `keys new` prints."""
        names = ["--organisation", self.id, "--name-zh", f"机构 {self.id}", "--name-en", f"Bureau {self.id}"]
        return parsed(self.run("keys", "new", *names, *options))

    def logged(self, id: str) -> list[type]:
        """The kinds of entries that the log has of a message it sent."""

        async def ask() -> list[type]:
            key = KeyStore(self.folder / "keys").signing_key(PASSPHRASE, datetime.now(UTC))
            async with Client(self.hub, self.id, key) as client:
                return [type(proven.entry) for proven in await client.events(self.id, id)]

        return asyncio.run(ask())

    def mailbox_end(self) -> int:
        """The position of its last message."""
        return int(parsed(self.run("poll", "--limit", "500", "--json"))["next"])


@pytest.fixture(scope="module")
def bureaus(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bureau, Bureau]:
    folder = tmp_path_factory.mktemp("bureaus")
    here = Bureau("411002-health", folder / "here", hub.url)
    there = Bureau("440306-health", folder / "there", hub.url)
    records = []
    for bureau, options in ((here, []), (there, ["--alg", "ES256", "--curve", "P-256", "--days", "30"])):
        bureau.folder.mkdir()
        records += bureau.new_keys(*options)
    taken = parsed(xieban("organisations", "import", "-", "--data", str(hub.data), "--json", stdin=json.dumps(records)))
    assert (taken["organisations"], taken["key_events"]) == (2, 4)
    assert [key["what"] for key in taken["keys"]] == ["added"] * 4
    return here, there


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The examples of the messages used here, as files, as the help recommends."""
    folder = tmp_path_factory.mktemp("papers")
    wanted = [("request", ""), ("request", "--sealed"), ("answer", ""), ("answer", "--sealed"), ("close", "")]
    for message, part in wanted:
        options = [part] if part else []
        done = xieban("protocols", "show", "case-assistance", message, "--example", *options)
        (folder / (message + part)).write_text(json.dumps(parsed(done), ensure_ascii=False), "utf-8")
    return {path.name: str(path) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def opened(bureaus: tuple[Bureau, Bureau], papers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A case that was opened, with its message and receipt in files and the hub's keys beside them."""
    here, there = bureaus
    folder = tmp_path_factory.mktemp("opened")
    files = ["--receipt", str(folder / "receipt"), "--message-out", str(folder / "message")]
    parts = ["--data", papers["request"], "--sealed", papers["request--sealed"]]
    sent = parsed(here.run("case", "open", "--to", there.id, *parts, *files, "--json"))
    with urllib.request.urlopen(f"{here.hub}/.well-known/jwks.json", timeout=20) as answer:
        (folder / "jwks").write_bytes(answer.read())
    return {**sent, "folder": folder}


# The work of two bureaus ------------------------------------------------------------------------------


def test_a_case_goes_from_open_to_close_by_commands_alone(
    bureaus: tuple[Bureau, Bureau], papers: dict[str, str], opened: Any
) -> None:
    here, there = bureaus
    case = opened["case"]
    read = parsed(there.run("poll", "--open", "--acknowledge", "--json"))
    item = next(item for item in read["items"] if item["case"] == case)
    assert (item["type"], item["source"]) == ("case-assistance.request", here.id)
    assert item["content"] == json.loads(Path(papers["request--sealed"]).read_text("utf-8"))
    assert "sealed" not in item["data"]

    accepted = parsed(there.run("case", "reply", case, "accept", "--json"))
    assert accepted["recipients"] == [here.id]
    sealed = Path(papers["answer--sealed"]).read_text("utf-8")
    answer = ["case", "reply", case, "answer", "--data", papers["answer"], "--sealed", "-", "--json"]
    assert parsed(there.run(*answer, stdin=sealed))["type"] == "case-assistance.answer"
    replies = parsed(here.run("poll", "--open", "--json"))["items"]
    assert [reply["type"] for reply in replies if reply["case"] == case] == [
        "case-assistance.accept",
        "case-assistance.answer",
    ]
    assert replies[-1]["content"] == json.loads(sealed)
    assert replies[0]["answers"] == item["id"]

    assert here.run("case", "reply", case, "close", "--data", papers["close"]).returncode == 0
    view = parsed(there.run("case", "show", case, "--json"))
    assert view["state"] == "closed"
    assert len(view["timeline"]) == 4
    assert case in [one["id"] for one in parsed(here.run("case", "list", "--state", "closed", "--json"))["items"]]


def test_what_people_read_names_case_state_and_what_may_be_sent(bureaus: tuple[Bureau, Bureau], opened: Any) -> None:
    here, _ = bureaus
    shown = here.run("case", "show", opened["case"])
    assert shown.returncode == 0
    assert opened["case"] in shown.stdout
    assert "现在可发" in shown.stdout
    held = here.run("case", "holders", opened["case"], "--purpose", "own-case")
    assert held.returncode == 0 and "requested" in held.stdout and "this look is log entry" in held.stdout
    assert here.run("case", "holders", opened["case"], "--purpose", "curiosity").returncode == 1
    assert here.run("case", "holders", opened["case"], "--purpose", "own-case", "--on", "soon").returncode != 0
    listed = here.run("case", "list")
    assert opened["case"] in listed.stdout
    assert listed.stderr == ""


def test_a_message_of_any_type_is_sent_and_saved_bytes_are_taken_once(
    bureaus: tuple[Bureau, Bureau], papers: dict[str, str], tmp_path: Path
) -> None:
    here, there = bureaus
    parts = ["--data", papers["request"], "--sealed", papers["request--sealed"]]
    kept = tmp_path / "message.jose"
    send = ["send", "case-assistance.request", "--to", there.id, *parts, "--message-out", str(kept), "--json"]
    sent = parsed(here.run(*send))
    end = there.mailbox_end()
    again = parsed(here.run("send", "--resend", str(kept), "--json"))
    assert again == sent
    assert there.mailbox_end() == end


def test_a_preflight_stores_nothing_and_says_what_is_wrong(
    bureaus: tuple[Bureau, Bureau], papers: dict[str, str]
) -> None:
    here, there = bureaus
    end = there.mailbox_end()
    parts = ["--data", papers["request"], "--sealed", papers["request--sealed"]]
    fine = here.run("case", "open", "--to", there.id, *parts, "--preflight")
    assert parsed(fine)["acceptable"] is True
    bad = here.run("case", "open", "--to", there.id, "--data", papers["close"], *parts[2:], "--preflight")
    assert bad.returncode == 1
    assert json.loads(bad.stdout)["problems"][0]["type"] == "/problems/data-invalid"
    assert there.mailbox_end() == end


def test_sealed_content_that_does_not_fit_stays_at_home_unless_told_otherwise(
    bureaus: tuple[Bureau, Bureau], papers: dict[str, str]
) -> None:
    here, there = bureaus
    end = there.mailbox_end()
    request = ["case", "open", "--to", there.id, "--data", papers["request"], "--sealed", "-"]
    assert "data-invalid" in complaint(here.run(*request, stdin='{"unknown": 1}'))
    assert there.mailbox_end() == end
    assert here.run(*request, "--no-check", stdin='{"unknown": 1}').returncode == 0
    assert there.mailbox_end() == end + 1


def test_what_a_partner_writes_does_not_drive_the_terminal(
    bureaus: tuple[Bureau, Bureau], papers: dict[str, str]
) -> None:
    here, there = bureaus
    end = there.mailbox_end()
    trick = {"narrative": "一\u3000二\x1b[31m\x9b2J\u202e\r三"}
    request = ["case", "open", "--to", there.id, "--data", papers["request"], "--sealed", "-", "--no-check"]
    assert here.run(*request, stdin=json.dumps(trick)).returncode == 0
    poll = ["poll", "--open", "--after", str(end)]
    shown = there.run(*poll).stdout
    assert "一\u3000二" in shown
    assert not set("\x1b\x9b\u202e\r") & set(shown)
    machine = there.run(*poll, "--json")
    assert not set("\x1b\x9b\u202e\r") & set(machine.stdout)
    assert parsed(machine)["items"][0]["content"] == trick


def test_what_can_not_be_opened_is_named_and_not_signed_for(
    bureaus: tuple[Bureau, Bureau], papers: dict[str, str], tmp_path: Path
) -> None:
    here, there = bureaus
    end = there.mailbox_end()
    request = ["case", "open", "--to", there.id, "--data", papers["request"]]
    sent = parsed(here.run(*request, "--sealed", papers["request--sealed"], "--json"))
    # A store with the right signing key and without the one that it was sealed to.
    for path in (there.folder / "keys").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / path.name).chmod(path.stat().st_mode & 0o777)
    tmp_path.chmod(0o700)
    listing = json.loads((tmp_path / "jwks.json").read_text())
    (sealing,) = [key["kid"] for key in listing["keys"] if key["use"] == "enc"]
    (tmp_path / f"{sealing}.jwe").unlink()
    poll = ["poll", "--keys", str(tmp_path), "--after", str(end), "--open", "--acknowledge"]
    assert f"--after {end + 1}" in complaint(there.run(*poll))
    assert entries.Acknowledged not in here.logged(sent["id"])
    whole = ["poll", "--after", str(end), "--open", "--acknowledge", "--json"]
    assert parsed(there.run(*whole))["items"][0]["id"] == sent["id"]
    assert entries.Acknowledged in here.logged(sent["id"])


def test_a_cursor_file_reads_each_message_once(bureaus: tuple[Bureau, Bureau], opened: Any, tmp_path: Path) -> None:
    _, there = bureaus
    poll = ["poll", "--cursor", str(tmp_path / "cursor"), "--limit", "500", "--json"]
    first = parsed(there.run(*poll))
    assert opened["case"] in [item["case"] for item in first["items"]]
    assert parsed(there.run(*poll)) == {"items": [], "next": first["next"], "behind": 0}


def test_what_was_polled_can_be_saved_and_verified_by_its_recipient(
    bureaus: tuple[Bureau, Bureau], opened: Any, tmp_path: Path
) -> None:
    _, there = bureaus
    assert there.run("poll", "--save", str(tmp_path / "inbox"), "--limit", "1").returncode == 0
    message, receipt = tmp_path / "inbox" / "1.jose", tmp_path / "inbox" / "1.receipt.json"
    key = ["--key", str(opened["folder"] / "jwks")]
    verdict = parsed(xieban("verify", str(receipt), "--message", str(message), *key, "--json"))
    assert verdict["recipients"] == {there.id: 1}


@pytest.fixture
def follower(bureaus: tuple[Bureau, Bureau]) -> Iterator["subprocess.Popen[str]"]:
    here, _ = bureaus
    place = {"XIEBAN_HUB": here.hub, "XIEBAN_ORGANISATION": here.id, "XIEBAN_PASSPHRASE": PASSPHRASE}
    options = ["--keys", str(here.folder / "keys"), "--after", str(here.mailbox_end()), "--acknowledge", "--json"]
    process = subprocess.Popen(
        [*XIEBAN, "poll", "--follow", *options],
        env=os.environ | {"PYTHONPATH": os.getcwd()} | place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_a_follower_prints_a_line_for_each_message_and_ends_quietly(
    bureaus: tuple[Bureau, Bureau], papers: dict[str, str], follower: "subprocess.Popen[str]"
) -> None:
    here, there = bureaus
    parts = ["--data", papers["request"], "--sealed", papers["request--sealed"]]
    sent = parsed(there.run("case", "open", "--to", here.id, *parts, "--json"))
    assert follower.stdout is not None
    assert json.loads(follower.stdout.readline())["id"] == sent["id"]
    follower.send_signal(signal.SIGINT)
    _, errors = follower.communicate(timeout=20)
    assert (follower.returncode, errors) == (130, "")


# Receipts, offline ------------------------------------------------------------------------------------


def verify(opened: Any, receipt: Any, message: str = "message", key: str = "jwks") -> Done:
    folder = opened["folder"]
    given = json.dumps(receipt) if not isinstance(receipt, str) else receipt
    options = ["--message", str(folder / message), "--key", str(folder / key), "--json"]
    return xieban("verify", "-", *options, stdin=given)


def test_a_saved_receipt_verifies_offline(opened: Any) -> None:
    verdict = parsed(verify(opened, opened["receipt"]))
    assert (verdict["valid"], verdict["message_checked"]) == (True, True)
    assert (verdict["message"], verdict["case"]) == (opened["id"], opened["case"])
    people = xieban("verify", str(opened["folder"] / "receipt"), "--key", str(opened["folder"] / "jwks"))
    assert people.returncode == 0
    assert "有效 · valid" in people.stdout
    assert "--message" in people.stdout


@pytest.mark.parametrize("change", ["accepted", "digest", "message", "index", "size", "entry", "extra", "garbage"])
def test_a_tampered_receipt_is_refused_in_one_line(opened: Any, change: str) -> None:
    receipt = opened["receipt"]
    log = receipt["log"]
    tampered = {
        "accepted": receipt | {"accepted": "2020-01-01T00:00:00Z"},
        "digest": receipt | {"digest": "sha-256:" + "0" * 64},
        "message": receipt | {"message": opened["case"]},
        "index": receipt | {"log": log | {"index": log["index"] + 1}},
        "size": receipt | {"log": log | {"checkpoint": log["checkpoint"].replace("\n", "\n1", 1)}},
        "entry": receipt | {"log": log | {"entry": log["entry"][:-8] + "AAAA" + log["entry"][-4:]}},
        "extra": receipt | {"trust": "me"},
        "garbage": "<html>",
    }[change]
    assert "receipt-invalid" in complaint(verify(opened, tampered))


def test_a_receipt_is_not_for_another_message_nor_under_another_key(
    opened: Any, bureaus: tuple[Bureau, Bureau]
) -> None:
    folder = opened["folder"]
    message = (folder / "message").read_bytes()
    (folder / "other").write_bytes(message[:-2] + (b"AA" if message[-2:] != b"AA" else b"QQ"))
    assert "other bytes" in complaint(verify(opened, opened["receipt"], message="other"))
    (folder / "stranger").write_text(json.dumps(parsed(bureaus[0].run("keys", "show"))))
    assert "receipt-invalid" in complaint(verify(opened, opened["receipt"], key="stranger"))


# Keys and organisations -------------------------------------------------------------------------------


def test_new_keys_are_listed_without_a_passphrase_and_the_files_are_private(tmp_path: Path) -> None:
    bureau = Bureau("410105-health", tmp_path, "http://127.0.0.1:9")
    (record,) = bureau.new_keys("--superior", "410100-supervision", "--role", "partner", "--days", "1")
    assert (record["superior"], record["roles"]) == ("410100-supervision", ["partner"])
    rows = parsed(xieban("keys", "list", "--keys", str(tmp_path / "keys"), "--json"))
    assert {row["use"] for row in rows} == {"sig", "enc"}
    assert all(row["valid"] and row["expires"] for row in rows)
    shown = parsed(xieban("keys", "show", rows[0]["kid"], "--keys", str(tmp_path / "keys")))
    assert shown in record["jwks"]["keys"]
    assert "d" not in shown
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").glob("*.jwe")} == {0o600}


def test_keys_made_again_are_added_so_that_a_rotation_loses_none(tmp_path: Path) -> None:
    bureau = Bureau("410105-health", tmp_path, "http://127.0.0.1:9")
    (first,) = bureau.new_keys()
    (second,) = bureau.new_keys("--alg", "ES256")
    assert len(second["jwks"]["keys"]) == 4
    assert all(key in second["jwks"]["keys"] for key in first["jwks"]["keys"])


def test_an_import_repeated_changes_nothing(hub: RunningHub, bureaus: tuple[Bureau, Bureau], tmp_path: Path) -> None:
    here, _ = bureaus
    words = ["--name-zh", f"机构 {here.id}", "--name-en", f"Bureau {here.id}"]
    record = here.run("keys", "show", "--organisation", here.id, *words)
    (tmp_path / "me.json").write_text(record.stdout, "utf-8")
    again = xieban("organisations", "import", str(tmp_path / "me.json"), "--data", str(hub.data), "--json")
    assert parsed(again) == {"organisations": 1, "key_events": 0, "keys": []}


def test_an_import_says_who_is_above_those_that_name_nobody(hub: RunningHub, tmp_path: Path) -> None:
    bureaus = [Bureau(f"41011{n}-health", tmp_path / str(n), hub.url) for n in (2, 3)]
    (first,), (second,) = bureaus[0].new_keys(), bureaus[1].new_keys("--superior", "410200-supervision")
    (tmp_path / "two.json").write_text(json.dumps([first, second]))
    for superior, code in (("410100-supervision", 0), ("nobody", 1), (first["id"], 1)):
        done = xieban(
            "organisations", "import", str(tmp_path / "two.json"), "--superior", superior, "--data", str(hub.data)
        )
        assert done.returncode == code and "Traceback" not in done.stderr, done.stderr
    listed = parsed(xieban("organisations", "list", "--hub", hub.url, "--json"))["items"]
    above = {one["id"]: one["superior"] for one in listed}
    assert (above[first["id"]], above[second["id"]]) == ("410100-supervision", "410200-supervision")


def test_a_file_with_bad_records_is_taken_not_at_all_and_each_is_named(
    hub: RunningHub, bureaus: tuple[Bureau, Bureau], tmp_path: Path
) -> None:
    bureau = Bureau("410105-health", tmp_path, hub.url)
    (good,) = bureau.new_keys()
    bad = [
        good | {"id": "nonsense"},
        good | {"id": "410106-health", "roles": ["king"]},
        good | {"id": "410107-health", "jwks": {"keys": [{"kty": "oct", "k": "AA"}]}},
    ]
    (tmp_path / "file.json").write_text(json.dumps([good, *bad]))
    before = parsed(xieban("organisations", "list", "--hub", hub.url, "--json"))
    done = xieban("organisations", "import", str(tmp_path / "file.json"), "--data", str(hub.data))
    assert (done.returncode, done.stdout) == (1, "")
    heading, *findings = done.stderr.splitlines()
    assert "import-invalid" in heading
    assert [finding.split(":")[0].strip() for finding in findings] == [
        "record 1 (nonsense)",
        "record 2 (410106-health)",
        "record 3 (410107-health)",
    ]
    assert "/jwks/keys/0" in findings[2]
    assert parsed(xieban("organisations", "list", "--hub", hub.url, "--json")) == before


def test_the_directory_is_the_same_beside_the_hub_and_over_http(
    hub: RunningHub, bureaus: tuple[Bureau, Bureau]
) -> None:
    here, there = bureaus
    beside = parsed(xieban("organisations", "list", "--data", str(hub.data), "--json"))
    listed = [one["id"] for one in beside["items"]]
    assert {here.id, there.id} <= set(listed) and listed == sorted(listed)
    assert parsed(xieban("organisations", "list", "--hub", hub.url, "--json")) == beside
    assert parsed(xieban("organisations", "list", "4403", "--hub", hub.url, "--json"))["items"] == [
        one for one in beside["items"] if one["id"].startswith("4403")
    ]
    shown = parsed(xieban("organisations", "show", here.id, "--data", str(hub.data), "--json"))
    assert parsed(xieban("organisations", "show", here.id, "--hub", hub.url, "--json")) == shown
    assert len(shown["jwks"]["keys"]) == 2


def test_the_audit_says_in_json_that_everything_holds(hub: RunningHub, opened: Any) -> None:
    report = parsed(xieban("audit", "--data", str(hub.data), "--json"))
    assert (report["holds"], report["findings"]) == (True, [])
    assert report["messages"] >= 1


def test_the_catalogue_is_checked_listed_and_shown(papers: dict[str, str]) -> None:
    assert "✓ case-assistance 1.0" in xieban("protocols", "check").stdout
    (protocol,) = [p for p in parsed(xieban("protocols", "list", "--json"))["items"] if p["name"] == "case-assistance"]
    assert [m["name"] for m in protocol["messages"] if m["opens"]] == ["request"]
    schema = parsed(xieban("protocols", "show", "case-assistance", "request", "--json"))
    assert json.loads(Path(papers["request"]).read_text("utf-8")) in schema["examples"]
    people = xieban("protocols", "show", "case-assistance", "request")
    assert "legal_basis" in people.stdout


# What goes wrong --------------------------------------------------------------------------------------


def check(table: dict[str, tuple[Done, str]]) -> None:
    """Each command failed with one line that holds its word."""
    said = {name: (complaint(done), word) for name, (done, word) in table.items()}
    assert {name: line for name, (line, word) in said.items() if word not in line or "internal error" in line} == {}


def test_input_that_can_not_be_read_is_one_line_and_no_traceback(
    bureaus: tuple[Bureau, Bureau], tmp_path: Path
) -> None:
    here, there = bureaus
    (tmp_path / "bad.json").write_text('{"a": 1, "a": 2}')
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "readable").write_text("open to all")
    (tmp_path / "readable").chmod(0o644)
    bad, missing = str(tmp_path / "bad.json"), str(tmp_path / "missing")
    open_case = ["case", "open", "--to", there.id]
    check(
        {
            "no such file": (here.run(*open_case, "--data", missing), "input-unreadable"),
            "JSON with a member twice": (here.run(*open_case, "--data", bad), "input-unreadable"),
            "JSON that is no object": (here.run(*open_case, "--data", str(tmp_path / "list.json")), "JSON object"),
            "standard input twice": (here.run(*open_case, "--data", "-", "--sealed", "-"), "usage"),
            "wrong passphrase": (here.run("poll", XIEBAN_PASSPHRASE="not this one"), "口令不对"),
            "no passphrase": (here.run("poll", XIEBAN_PASSPHRASE=""), "没有口令，请设 XIEBAN_PASSPHRASE"),
            "passphrase open to all": (here.run("poll", "--passphrase-file", str(tmp_path / "readable")), "chmod 600"),
            "no key store": (here.run("poll", "--keys", missing), "没有这个文件或目录，请核对路径 · keystore-fault"),
            "short passphrase": (here.run("keys", "new", "--keys", missing, XIEBAN_PASSPHRASE="1"), "口令太短"),
            "bytes that are no message": (here.run("send", "--resend", bad), "jws-malformed"),
            "another's cursor": (here.run("poll", "--cursor", bad), "cursor-invalid"),
            "receipt missing": (xieban("verify", missing, "--key", missing), "input-unreadable"),
            "unknown protocol": (xieban("protocols", "show", "nonsense"), "case-assistance"),
        }
    )


def test_a_new_passphrase_is_asked_for_twice_in_both_languages(tmp_path: Path) -> None:
    command = [*XIEBAN, "keys", "new", "--keys", str(tmp_path / "keys")]
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.pop("XIEBAN_PASSPHRASE", None)
        os.execvp(command[0], command)
    said = ""
    for asked, typed in (("口令 · passphrase: ", "correct horse"), ("再输一次 · once more: ", "another horse"),
                         ("两次输入不同", ""), ("口令 · passphrase: ", "correct horse"),
                         ("再输一次 · once more: ", "correct horse")):  # fmt: skip
        while asked not in said:
            said += os.read(terminal, 1000).decode(errors="replace")
        said = said.partition(asked)[2]
        os.write(terminal, f"{typed}\n".encode() if typed else b"")
    with contextlib.suppress(OSError):  # the end of a terminal
        while True:
            said += os.read(terminal, 1000).decode(errors="replace")
    assert os.waitpid(pid, 0)[1] == 0, said
    assert "horse" not in said and len(KeyStore(tmp_path / "keys").decryption_keys("correct horse")) == 1


def test_what_the_hub_does_not_know_or_take_is_one_line_and_no_traceback(
    hub: RunningHub, bureaus: tuple[Bureau, Bureau], papers: dict[str, str], opened: Any
) -> None:
    here, there = bureaus
    unused = "019a8f11-04b2-7a6c-8d3e-51f7b90c2a48"
    parts = ["--data", papers["request"], "--sealed", papers["request--sealed"]]
    nobody = f"http://127.0.0.1:{free_port()}"
    check(
        {
            "hub down": (here.run("poll", "--hub", nobody, "--patience", "0"), "undecided"),
            "no address": (here.run("poll", "--hub", "hub.example"), "hub-address-invalid"),
            "unknown recipient": (here.run("case", "open", "--to", "110101-health", *parts), "110101-health"),
            "unknown sender": (here.run("poll", "--as", "110101-health"), "token-invalid"),
            "another's name": (here.run("poll", "--as", there.id), "token-invalid"),
            "unknown case": (here.run("case", "show", unused), "not-found"),
            "reply in an unknown case": (here.run("case", "reply", unused, "accept"), "not-found"),
            "unknown message": (here.run("case", "reply", opened["case"], "nonsense"), "type-unknown"),
            "unknown type": (here.run("send", "nonsense", "--to", there.id), "type-unknown"),
            "unknown organisation": (xieban("organisations", "show", "110101-health", "--hub", hub.url), "not-found"),
        }
    )


def test_a_key_that_is_not_ours_is_seen_in_the_log(bureaus: tuple[Bureau, Bureau]) -> None:
    here, there = bureaus
    ours = here.run("keys", "watch")
    assert ours.returncode == 0 and "all ours" in ours.stdout, ours.stderr
    theirs = here.run("keys", "watch", "--as", there.id, "--json")
    assert theirs.returncode == 1
    found = json.loads(theirs.stdout)
    assert found["foreign"] == len(found["events"]) == 2
    assert {event["event"] for event in found["events"]} == {"added"}
    assert "not-found" in here.run("keys", "watch", "--as", "110101-health").stderr


def test_what_a_hub_can_not_work_with_is_one_line_and_no_traceback(hub: RunningHub, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[hub]\nnonsense = 1\n")
    (tmp_path / "bad.json").write_text('[{"id": "nonsense"}]')
    bad, missing, port = str(tmp_path / "bad.json"), str(tmp_path / "missing"), str(free_port())
    none, bare = str(tmp_path / "none.json"), tmp_path / "bare"
    Path(none).write_text("[]")
    hub_key(bare)
    (tmp_path / "away.toml").write_text(f'[database]\nurl = "postgresql://127.0.0.1:{port}/xieban"\n')
    (tmp_path / "theirs.toml").write_text(f'[database]\nurl = "{embedded.dsn(hub.data)}"\n')
    (tmp_path / "far.toml").write_text('[server]\nhost = "192.0.2.1"\n')
    bare.chmod(0o755)  # as the embedded database needs it, which runs as another user than root
    absent = str(tmp_path / "backup.key")
    elsewhere = ["serve", "--data", str(bare), "--port", port, "--config"]
    unreachable = ["serve", "--data", missing, "--port", port, "--config", str(tmp_path / "away.toml")]
    misconfigured = ["serve", "--data", missing, "--config", str(tmp_path / "bad.toml")]
    check(
        {
            "no directory named": (xieban("organisations", "list"), "--data"),
            "no hub's data": (xieban("audit", "--data", missing), "data-directory-absent"),
            "organisations missing": (xieban("organisations", "import", missing, "--data", missing), missing),
            "organisations malformed": (xieban("organisations", "import", bad, "--data", missing), "import-invalid"),
            "nothing to import to": (xieban("organisations", "import", none, "--data", missing), "directory-absent"),
            "no database": (xieban("audit", "--data", str(bare)), "database-absent"),
            "no configuration": (xieban("audit", "--data", str(bare), "--config", missing), "No such file"),
            "bad configuration": (xieban(*misconfigured), "config-invalid"),
            "database away": (xieban(*unreachable), "请核对它在运行，及 [database] url"),
            "a data directory for its keys": (xieban("keys", "list", "--keys", str(bare)), f"holds one: {bare}/keys"),
            "new keys in one": (xieban("keys", "new", "--keys", str(bare)), "密钥库是其中的 keys"),
            "keys of another hub": (xieban(*elsewhere, str(tmp_path / "theirs.toml")), "不是签这份日志的"),
            "an address of nobody here": (xieban(*elsewhere, str(tmp_path / "far.toml")), "它不是本机的地址"),
            "no key of a backup": (xieban("backup", "verify", bad, "--key", absent), "备份私钥文件读不到"),
            "a key that is none": (xieban("backup", "verify", bad, "--key", bad), "--key 不是备份私钥文件"),
            "short passphrase": (
                xieban("backup", "key", "--out", absent, XIEBAN_BACKUP_PASSPHRASE="7654321"),
                "口令太短，至少 8 个字符",
            ),
            "no public key": (xieban("backup", "--data", bad, "--to", bad, "--recipient", "age2"), "应为 age1…"),
            "data directory in use": (xieban("serve", "--data", str(hub.data), "--port", port), "data-directory-busy"),
            "port in use": (xieban("serve", "--data", str(tmp_path / "new"), "--port", str(hub.port)), "port-in-use"),
            "no place for data": (xieban("serve", "--data", "/dev/null/hub", "--port", port), "/dev/null"),
        }
    )
    assert not Path(missing, "postgres").exists() and not (bare / "postgres").exists()
    assert not Path(absent).exists()


def test_a_refusal_names_what_may_be_sent_instead(bureaus: tuple[Bureau, Bureau], papers: dict[str, str]) -> None:
    here, there = bureaus
    parts = ["--data", papers["request"], "--sealed", papers["request--sealed"]]
    case = parsed(here.run("case", "open", "--to", there.id, *parts, "--json"))["case"]
    said = complaint(here.run("case", "reply", case, "close", "--data", papers["close"]))
    assert "not-allowed-now" in said
    assert "withdraw" in said
