"""Fault after fault under load; after each an independent checker looks at all that partners hold."""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.acceptance.outsider import Outsider
from tests.faults.checker import Checker
from tests.faults.evidence import Evidence
from tests.faults.injections import FAULTS, LOCKED_AT_MOST, ONE_CUT_OFF, SHORT, WRONG_CLOCK, Fault, missing
from tests.faults.reading import read_all
from tests.faults.report import Report
from tests.faults.stage import Stage, staged
from tests.faults.traffic import Traffic

CODES = ("411002", "411003", "440306", "440307")
MESSAGES = ("request", "accept", "decline", "answer", "close", "withdraw")
RECOVERS_WITHIN = 90.0
"""Seconds within which both nodes take messages again, by themselves, once a fault is over."""


class Campaign:
    """Bureaus at work on a stage, a checker and a report."""

    def __init__(self, stage: Stage, report: Report, chance: random.Random) -> None:
        self.stage, self.report, self.chance = stage, report, chance
        self.bureaus = [Outsider(f"{code}-health", stage.first.url) for code in CODES]
        self.auditor = Outsider("410000-supervision", stage.first.url, roles=("auditor",))
        stage.first.enrol([one.record() for one in (*self.bureaus, self.auditor)])
        examples = {name: self.bureaus[0].example(name) for name in MESSAGES}
        self.evidence = Evidence(self.bureaus[0].call("GET", "/.well-known/jwks.json")[1])
        self.checker = Checker()
        doors = [f"http://127.0.0.1:{door.port}" for door in stage.doors]
        self.traffic = Traffic(self.bureaus, doors, examples, self.evidence, chance)

    async def run(self, faults: Sequence[Fault]) -> None:
        """All of the faults, each under load, each followed by a check."""
        working = asyncio.create_task(self.traffic.run())
        for fault in faults:
            self.traffic.resume()
            await self.recovered()
            self.checker.clock_wrong = self.checker.clock_wrong or fault in WRONG_CLOCK
            await self._harm(fault)
            self.report.done(fault.__name__, await self.recovered())
            await self.traffic.pause()
            await asyncio.to_thread(self.check)
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working

    async def _harm(self, fault: Fault) -> None:
        harm = asyncio.create_task(fault(self.stage, self.chance))
        if fault in ONE_CUT_OFF:
            await asyncio.sleep(LOCKED_AT_MOST + 1)
            door, before = next(iter(self.traffic.taken.items()))
            await harm
            went_on = self.traffic.taken[door] > before
            self.checker.require(went_on, "a node goes on while another is cut off", fault.__name__)
        await harm

    async def recovered(self) -> float:
        """The seconds until three more messages were taken through each door."""
        began = time.monotonic()
        before = dict(self.traffic.taken)
        async with asyncio.timeout(RECOVERS_WITHIN):
            while not before or any(self.traffic.taken[door] < count + 3 for door, count in before.items()):
                before = before or dict(self.traffic.taken)
                await asyncio.sleep(0.01)
        return time.monotonic() - began

    def check(self) -> None:
        """Nothing that holds before holds no more, as far as anybody outside can see."""
        read_all(self.evidence, self.stage.first.url, self.auditor, self.bureaus)
        self.checker.check(self.evidence)
        assert not self.checker.findings, self.checker.findings

    def check_afresh(self) -> None:
        """Everything once more from the beginning, by a checker that has seen nothing; through the other node."""
        evidence = self.evidence.reread()
        for one in (*self.bureaus, self.auditor):
            one.url = self.stage.second.url
        read_all(evidence, self.stage.second.url, self.auditor, self.bureaus)
        checker = Checker(clock_wrong=self.checker.clock_wrong)
        checker.check(evidence)
        self.report.checks = self.checker.checks + checker.checks
        self.report.findings += checker.findings
        self.report.messages, self.report.log_size = len(evidence.sent), len(evidence.entries)


def chosen(stage: Stage, report: Report, rounds: int, chance: random.Random) -> list[Fault]:
    """Every fault that can be had here `rounds` times, in a new order each time; the short form for 0."""
    report.unavailable = {fault.__name__: why for fault in FAULTS if (why := missing(fault, stage))}
    possible = [fault for fault in FAULTS if fault.__name__ not in report.unavailable]
    if rounds == 0:
        return [fault for fault in possible if fault.__name__ in SHORT]
    return [fault for _ in range(rounds) for fault in chance.sample(possible, len(possible))]


async def campaign(report: Report, rounds: int, only: str | None) -> None:
    chance = random.Random(report.seed)
    async with staged() as stage:
        faults = [one for one in chosen(stage, report, rounds, chance) if only in (None, one.__name__)]
        # In a thread: the second node reaches its database through this loop.
        acting = await asyncio.to_thread(Campaign, stage, report, chance)
        try:
            await acting.run(faults)
            await asyncio.to_thread(acting.check_afresh)
        finally:
            report.findings += acting.checker.findings
            for (call, status, code), count in acting.evidence.answers.items():
                report.answers[f"{call} {status or 'no answer'} {code}".rstrip()] += count
        audit = await asyncio.to_thread(stage.first.run, "audit", "--data", str(stage.first.data))
        assert audit.returncode == 0, audit.stderr


@pytest.mark.timeout(0)
def test_whatever_happens_nothing_acknowledged_is_lost_doubled_or_changed(pytestconfig: pytest.Config) -> None:
    report = Report(seed=pytestconfig.getoption("--fault-seed"))
    began = time.monotonic()
    try:
        asyncio.run(campaign(report, pytestconfig.getoption("--fault-rounds"), pytestconfig.getoption("--fault")))
    finally:
        report.seconds = time.monotonic() - began
        report.show()
        if path := pytestconfig.getoption("--fault-report"):
            report.write(Path(path))
    assert not report.findings
    assert report.faults and report.checks.total() > report.messages
