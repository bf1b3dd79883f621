"""Evidence of a case: verified by anybody offline, and whatever is changed in it is found."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters import evidence as evidences
from adapters.evidence import Evidence, EvidenceUnreadable, Piece
from hub.identity import hub_key
from keys import jwk
from keys.jwk import VerifyingKey
from protocols.loading import catalogue
from tests.acceptance.bureaus import Bureau, enrolled, opened, said
from tests.conftest import RunningHub

HERE, THIRD = Bureau("411002-health"), Bureau("320583-health")
THERE = Bureau("440306-health", signing=jwk.generate_signing("ES256"))


@pytest.fixture(scope="module")
def keys(hub: RunningHub) -> list[VerifyingKey]:
    enrolled(hub, HERE, THERE, THIRD)
    return [hub_key(hub.data).public]


async def gathered(case: str, bureau: Bureau = HERE, **more: Any) -> Evidence:
    async with bureau.client() as client:
        return await evidences.gather(client, case, **more)


def findings(evidence: Evidence, keys: list[VerifyingKey]) -> list[str]:
    return evidences.check(evidences.read(evidences.write(evidence)), keys, catalogue()).findings


async def worked() -> str:
    found = await opened(HERE, "case-assistance", "request", [THERE.id])
    for bureau, message in ((THERE, "accept"), (THERE, "ask"), (HERE, "answer"), (THERE, "answer"), (HERE, "close")):
        await said(bureau, found.case, "case-assistance", message)
    return found.case


async def test_a_case_is_verified_offline_whole(keys: list[VerifyingKey]) -> None:
    case = await worked()
    closed = await gathered(case)
    report = evidences.check(evidences.read(evidences.write(closed)), keys, catalogue())
    assert (report.findings, report.state, report.opened, len(report.steps)) == ([], "closed", 0, 6)
    assert evidences.write(closed) == evidences.write(evidences.read(evidences.write(closed)))
    assert b".sealed" not in evidences.write(closed)
    clear = await gathered(case, opening=[HERE.sealing])
    report = evidences.check(clear, keys, catalogue())
    assert report.findings == [] and report.opened == sum(step.sealed for step in report.steps) > 0
    assert "全部核对一致" in clear.summary and "<script" not in clear.summary
    stranger = evidences.check(closed, [jwk.generate_signing().public], catalogue())
    assert len(stranger.findings) > 6 and stranger.steps == []


Change = Callable[[Evidence], Evidence]


def piece(number: int, **changed: Any) -> Change:
    def change(evidence: Evidence) -> Evidence:
        pieces = list(evidence.pieces)
        made = {name: make(pieces[number]) for name, make in changed.items()}
        pieces[number] = replace(pieces[number], **made)
        return replace(evidence, pieces=pieces)

    return change


def other(one: Piece, number: int) -> dict[str, Any]:
    document = msgspec.json.decode(msgspec.json.encode(one.receipt))
    document["log"]["index"] += number
    return dict(document)


CHANGES: dict[str, Change] = {
    "a message left out": lambda e: replace(e, pieces=[e.pieces[0], *e.pieces[2:]]),
    "a message twice": lambda e: replace(e, pieces=[*e.pieces, e.pieces[0]]),
    "no message": lambda e: replace(e, pieces=[]),
    "another case": lambda e: replace(e, case="019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7"),
    "another hub": lambda e: replace(e, hub="440000-hub"),
    "another log": lambda e: replace(e, origin="log.example/x"),
    "no keys": lambda e: replace(e, keys={}),
    "a key not in the log": lambda e: replace(e, keys={**e.keys, HERE.id: e.keys[THERE.id]}),
    "a message's signature": piece(
        1, compact=lambda p: p.compact[:-4] + (b"AAAA" if p.compact[-4:] != b"AAAA" else b"BBBB")
    ),
    "a message of another": piece(1, compact=lambda p: p.compact[:100]),
    "a receipt of another place": piece(1, receipt=lambda p: other(p, 1)),
    "a receipt of another time": piece(1, receipt=lambda p: {**p.receipt, "accepted": "2020-01-01T00:00:00.000000Z"}),
    "a log entry without proof": piece(1, events=lambda p: [{}]),
    "a plaintext that was not sealed": piece(0, plaintext=lambda p: b"{}" + b" " * 1022),
    "a plaintext where nothing was sealed": piece(1, plaintext=lambda p: b"{}" + b" " * 1022),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_whatever_is_changed_is_found(keys: list[VerifyingKey], what: str) -> None:
    true = await gathered(await worked())
    assert findings(true, keys) == []
    assert findings(CHANGES[what](true), keys)


async def test_a_newcomer_says_what_it_could_not_get(keys: list[VerifyingKey]) -> None:
    found = await opened(HERE, "case-assistance", "request", [THERE.id])
    await said(THERE, found.case, "case-assistance", "forward", to=THIRD.id)
    await said(THIRD, found.case, "case-assistance", "accept")
    given = await gathered(found.case, THIRD)
    assert [one["type"] for one in given.withheld] == ["case-assistance.request"]
    assert findings(given, keys) == [] and "不在本文件中" in given.summary


async def test_the_commands_make_and_verify_it(hub: RunningHub, keys: list[VerifyingKey], tmp_path: Path) -> None:
    evidence = await gathered(await worked())
    (tmp_path / "case.zip").write_bytes(evidences.write(evidence))
    (tmp_path / "hub.jwks").write_text(json.dumps({"keys": [keys[0].jwk]}))
    arguments = ("verify-evidence", str(tmp_path / "case.zip"), "--key", str(tmp_path / "hub.jwks"))
    done = hub.run(*arguments, "--html", str(tmp_path / "case.html"))
    assert done.returncode == 0 and "everything holds" in done.stdout, done.stderr
    assert (tmp_path / "case.html").read_text("utf-8") == evidence.summary
    (tmp_path / "case.zip").write_bytes(evidences.write(replace(evidence, summary="<p>已结案</p>")))
    assert hub.run(*arguments).returncode == 1
    (tmp_path / "case.zip").write_bytes(b"PK")
    broken = hub.run(*arguments)
    assert broken.returncode == 1 and "evidence-unreadable" in broken.stderr and "Traceback" not in broken.stderr


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_are_evidence_or_are_not(data: st.DataObject) -> None:
    true = evidences.write(EMPTY)
    cut = data.draw(st.integers(0, len(true)))
    content = true[:cut] + data.draw(st.binary(max_size=20)) + true[cut + data.draw(st.integers(0, 5)) :]
    try:
        found = evidences.read(content)
    except EvidenceUnreadable:
        return
    assert evidences.check(found, [], catalogue()).findings


EMPTY = Evidence("410000-hub", "log.example/x", "c", "2026-01-01T00:00:00Z", "411002-health", [], [], {})


@pytest.mark.parametrize("name", ["../../etc/passwd", "messages/1.jose", "notes.txt", "messages/0002.jose"])
def test_a_file_that_holds_something_else_is_no_evidence(name: str) -> None:
    whole = io.BytesIO(evidences.write(EMPTY))
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr(name, "x")
    with pytest.raises(EvidenceUnreadable):
        evidences.read(whole.getvalue())
