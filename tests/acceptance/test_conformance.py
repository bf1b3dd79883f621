"""The conformance kit: who keeps to the contract passes it, and whoever does not fails where he does not."""

import asyncio
import json
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.conformance import SCENARIOS, Commands, NotRunning, Outcome, Report, Settings
from adapters.conformance import report as reports
from adapters.conformance.across import Neighbours
from adapters.conformance.counterpart import Counterpart
from adapters.conformance.kit import conducted, hub_for
from adapters.conformance.running import Hub
from hub.commands import conformance
from hub.identity import hub_key
from keys import jwk
from keys.errors import Fault
from tests.acceptance.careless import FAULTS, Careless, InProcess
from tests.acceptance.pages import ROOT, blocks, environment

PATIENCE = 10.0
QUICKLY = ("happy-path", "sealed-content")
"""Scenarios that take no time where they are passed: played to everybody who can pass any, beside where he fails."""
HOPELESS = ("no-acknowledge", "no-cause", "garbles", "no-schema")
"""Faults that show in every case there is."""
TWICE, OPENS = "nothing is signed twice", "all 1 requests are accepted and answered"
FAILS: dict[str, dict[str, str]] = {
    "no-verification": {"tampering": "what was altered is not signed for"},
    "new-ids": {"duplicate-sends": TWICE, "own-case": "only one case was opened"},
    "hot-loop": {"idle": "requests are few while nothing comes"},
    "ignores-retry-after": {"retry-after": "nothing is sent again before", "retry-after-date": "the answer's own Date"},
    "naive-date": {"retry-after-date": OPENS},
    "forgets": {"duplicate-pages": TWICE, "resent-year": TWICE},
    "no-acknowledge": {"happy-path": "the requests are signed for"},
    "mixes-up": {"reordering": "the answer quotes the file number"},
    "old-keys": {"key-rotation": OPENS},
    "strict": {"schema-upgrade": "all 2 requests are accepted and answered"},
    "trusts-date": {"clock-skew": "true time"},
    "reads-anything": {"sealed-content": "what can't be opened is not answered as if read"},
    "impatient": {"slow-hub": OPENS},
    "small": {"limits": "all 3 requests are accepted and answered"},
    "silent": {"own-case": "the counterpart receives a request"},
    "keeps-cursor": {"resent-year": "it reads from the beginning again"},
    "no-cause": {"happy-path": "the answer names the message it answers"},
    "garbles": {"happy-path": "the answer's sealed part opens"},
    "no-schema": {"happy-path": "the sealed answer fits its schema"},
}
"""Where each fault is found out, and in which words, of what can be played at the same time on one hub."""


@dataclass(frozen=True)
class Run:
    """One partner with counterparts of its own, and what is played to it."""

    number: int
    partner: Careless
    names: Collection[str]

    def parties(self, url: str) -> list[Counterpart]:
        return [Counterpart(f"{440300 + self.number}-{name}", url) for name in ("health", "housing")]


def settings(run: Run, folder: Path) -> Settings:
    played = [one for one in SCENARIOS if one.name in run.names]
    return Settings(run.partner.id, run.partner.jwks(), folder, quick=True, patience=PATIENCE, scenarios=tuple(played))


async def together(hub: Hub | Neighbours, runs: list[Run]) -> list[Report]:
    """Several runs on one hub: what one waits for, another uses."""
    crowd = [Counterpart(f"{320500 + number}-health", hub.url) for number in range(30)]
    parties = {run.number: run.parties(hub.url) for run in runs}
    folders = [hub.folder / f"{run.number}" for run in runs]
    for folder in folders:
        folder.mkdir()
    records = [settings(run, hub.folder).record() for run in runs]
    own = [one.record() for one in (*crowd, *(one for both in parties.values() for one in both))]
    await hub.enrol([*records, *own])
    return await asyncio.gather(
        *(
            conducted(settings(run, folder), InProcess(run.partner), hub, [*parties[run.number], *crowd])
            for run, folder in zip(runs, folders, strict=True)
        )
    )


def failed(report: Report) -> dict[str, str]:
    return {one.name: one.finding for one in report.results if one.outcome is not Outcome.PASSED}


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder beside those of pytest, which lets nobody in: PostgreSQL runs as a user of its own."""
    with tempfile.TemporaryDirectory(prefix="kit-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.mark.timeout(240)
async def test_whoever_breaks_the_contract_fails_where_he_does(place: Path) -> None:
    """A partner without our SDK passes everything; with one fault it fails there, for that reason, and nowhere else."""
    runs = [
        Run(
            number,
            Careless(f"{410200 + number}-health", frozenset({fault})),
            {*FAILS[fault], *(() if fault in HOPELESS else QUICKLY)},
        )
        for number, fault in enumerate(FAULTS)
    ]
    everything = [one.name for one in SCENARIOS if one.name != "dying-hub"]
    whole = [Run(90 + half, Careless(f"{410290 + half}-health"), everything[half::3]) for half in range(3)]
    async with hub_for(place / "run") as hub:
        reports = await together(hub, [*runs, *whole])
        flood = Run(80, Careless("410280-health", frozenset({"hot-loop"})), {"dying-hub"})
        (flooded,) = await together(hub, [flood])
        with pytest.raises(NotRunning, match="/nothing/here: No such file"):
            run = Run(81, Careless("410281-health"), {"happy-path"})
            absent = Commands(place / "log", "/nothing/here {hub}")
            await conducted(settings(run, place), absent, hub, run.parties(hub.url))
    found = {fault: failed(report) for fault, report in zip(FAULTS, reports, strict=False)}
    assert {fault: set(names) for fault, names in found.items()} == {fault: set(FAILS[fault]) for fault in FAULTS}
    for fault, names in FAILS.items():
        for name, words in names.items():
            assert words in found[fault][name], (fault, name)
    assert [failed(report) for report in reports[len(runs) :]] == [{}, {}, {}]
    assert "requests are few while the hub is away" in failed(flooded)["dying-hub"]
    assert {name for names in FAILS.values() for name in names} | {"dying-hub"} == {one.name for one in SCENARIOS}


# The page, which runs the reference partner ---------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_every_command_of_the_page_does_what_it_says_and_our_sdk_passes(tmp_path: Path) -> None:
    """The whole quick run by the command line against the reference partner, then the badge for it."""
    explain, play, sign, verify = blocks((ROOT / "docs" / "conformance.md").read_text("utf-8"), "sh")
    said = shell(explain, tmp_path)
    for one in SCENARIOS:
        assert one.name in said and one.told.title.zh in said and one.told.title.en in said
    shell(play, tmp_path)
    folder = tmp_path / "conformance"
    found = reports.read((folder / "report.json").read_bytes())
    assert failed(found) == {} and found.conforms and found.quick
    assert [one.name for one in found.results] == [one.name for one in SCENARIOS]
    assert sum(one.seconds for one in found.results) < 180
    suite = ElementTree.fromstring((folder / "report.xml").read_bytes())[0]
    assert (suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuite", str(len(SCENARIOS)), "0")
    assert len(suite.findall("testcase")) == len(SCENARIOS)
    assert "符合 · conforms" in (folder / "report.html").read_text("utf-8")
    key = hub_key(tmp_path / "hub").public
    (tmp_path / "hub.jwks").write_text(json.dumps({"keys": [key.jwk]}))
    assert "已签发 · signed" in shell(sign, tmp_path)
    assert "有效 · valid: 411002-health" in shell(verify, tmp_path)
    (folder / "report.json").write_bytes((folder / "report.json").read_bytes() + b" ")
    with pytest.raises(AssertionError, match="another report"):
        shell(verify, tmp_path)


def shell(script: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment(XIEBAN_PASSPHRASE="change-me-please"),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


# The command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "--partner and --jwks"),
        ({"partner": "411002-health", "jwks": "keys"}, "needs a --port"),
        ({"partner": "411002-health", "jwks": "keys", "port": 8430, "only": ["no"]}, "no scenario no;"),
        ({"partner": "411002-health", "jwks": "none", "command": "true"}, "none: No such file"),
        ({"partner": "nobody", "jwks": "keys", "command": "true"}, "organisation-id-malformed"),
        ({"partner": "411002-health", "jwks": "keys", "command": "true"}, "one to seal to"),
    ],
)
def test_what_can_not_be_run_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("keys").write_text(json.dumps(jwk.public_jwks([jwk.generate_signing().public])))
    jwks = {"jwks": Path(given["jwks"])} if "jwks" in given else {}
    with pytest.raises(Fault, match=words):
        conformance.run(**given | jwks, out=tmp_path / "out")
