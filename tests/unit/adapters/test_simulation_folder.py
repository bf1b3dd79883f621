"""The folder of a simulation, its journal, and a prediction that is held against what was played."""

import dataclasses
import stat
from datetime import date
from pathlib import Path

import pytest

from adapters.simulation import checking, prediction
from adapters.simulation.cast import Cast, NotASimulation, Plan
from adapters.simulation.checking import Cost, Played
from adapters.simulation.journal import Clock, Journal, Line, Read, Refused, Taken
from adapters.simulation.playing import Play
from adapters.simulation.tally import Tally, planned, together
from hub import enrolment
from protocols import envelope

PLAN = Plan(seed=1, year=2026, counties=3, people=5_000)
FIRST, LAST = date(2026, 3, 2), date(2026, 3, 15)
DRAWS = 6


def test_a_folder_keeps_its_keys_and_nobody_else_may_read_their_secret(tmp_path: Path) -> None:
    cast = Cast.make(tmp_path / "country", PLAN)
    again = Cast.make(tmp_path / "country", PLAN)
    other = Cast.make(tmp_path / "other", PLAN)
    name = next(cast.plan.traffic().country.organisations())
    assert cast.member(name).signing.kid == again.member(name).signing.kid != other.member(name).signing.kid
    cast.member(name).signing.public.verify(b"x", cast.member(name).signing.sign(b"x"))
    assert stat.S_IMODE((tmp_path / "country" / "secret").stat().st_mode) == 0o600
    with pytest.raises(NotASimulation, match="another simulation"):
        Cast.make(tmp_path / "country", Plan(2, 2026, 3, 5_000))
    with pytest.raises(NotASimulation, match="holds no simulation"):
        Cast(tmp_path)


def test_the_file_of_organisations_is_one_that_a_hub_takes_in(tmp_path: Path) -> None:
    path, number = Cast.make(tmp_path, PLAN).write_records()
    records = enrolment.parse(path.read_bytes())
    assert len(records) == number
    ids = {record.id for record in records}
    assert all(record.superior is None or record.superior in ids for record in records)
    assert ids >= set(PLAN.traffic().country.organisations())


def test_a_journal_says_again_what_was_noted_and_passes_over_a_line_that_was_torn(tmp_path: Path) -> None:
    lines: list[Line] = [
        Clock(1.0, 2.0, 3.0),
        Taken("a", 0, 1.5, 900, 0.1),
        Read("x", 2.0, 1.6, 1, 7, [300]),
        Refused("a", 1, "why"),
    ]
    with Journal(tmp_path / "journal") as journal:
        for line in lines:
            journal.note(line)
    with open(tmp_path / "journal", "ab") as file:
        file.write(b'{"type":"taken","case":"a","st')
    assert list(Journal(tmp_path / "journal").lines()) == lines
    with Journal(tmp_path / "journal") as journal:
        journal.note(lines[0])
    assert list(Journal(tmp_path / "journal").lines()) == [*lines, lines[0]]
    assert list(Journal(tmp_path / "nowhere").lines()) == []


def test_ids_follow_from_the_plan(tmp_path: Path) -> None:
    cast = Cast.make(tmp_path, PLAN)
    plays = [Play(cast, "http://127.0.0.1:1", FIRST, LAST, 1.0) for _ in range(2)]
    cases = list(cast.plan.traffic().cases(FIRST, FIRST))
    ids = [[play.id_of(case, step) for case in cases for step in range(-1, len(case.steps))] for play in plays]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(ids[0])
    assert all(envelope.is_id(id) for id in ids[0])


# A prediction ----------------------------------------------------------------------------------------


def as_planned(plan: Plan) -> Played:
    """A play that went exactly as its plan has it."""
    traffic = plan.traffic()
    tally = planned(traffic, traffic.cases(FIRST, LAST), FIRST, LAST)
    return Played(tally, [], 60.0, int(tally.messages / 2), 0.1, 1_000.0, 0.0, (0.01, 0.1))


def wrong(predicted: Tally, played: Played, cost: Cost | None = None) -> set[str]:
    return {f.name for f in checking.compare(predicted, DRAWS, played, cost) if not f.holds}


@pytest.fixture(scope="module")
def foretold() -> Tally:
    return prediction.expected(PLAN, FIRST, LAST, DRAWS)


def test_a_prediction_holds_for_a_draw_that_it_does_not_know(foretold: Tally) -> None:
    for draw in (0, 50, 51):
        played = as_planned(another_draw(PLAN, draw))
        assert played.tally.messages > 500
        assert wrong(foretold, played) == set()


def another_draw(plan: Plan, draw: int) -> Plan:
    return Plan(plan.seed, plan.year, plan.counties, plan.people, draw)


def test_a_wrong_prediction_is_found_by_what_is_wrong_in_it(foretold: Tally) -> None:
    played = as_planned(PLAN)
    more = prediction.expected(Plan(1, 2026, 3, 7_500), FIRST, LAST, DRAWS)
    assert {"cases", "messages", "deliveries", "open, day 14"} <= wrong(more, played)
    slower = dataclasses.replace(played, tally=together([played.tally]))
    slower.tally.turnaround = [2 * days for days in played.tally.turnaround]
    assert "turnaround p50, days" in wrong(foretold, slower)
    unended = dataclasses.replace(played, tally=together([played.tally]))
    unended.tally.ended = [0.0] * unended.tally.days
    assert "open, day 14" in wrong(foretold, unended)
    unread = dataclasses.replace(played, tally=together([played.tally]))
    unread.tally.read = [count / 2 for count in unread.tally.read]
    assert "unread at the end" in wrong(foretold, unread)
    for name, found in (("files", "files"), ("fetched", "fetched"), ("file_bytes", "file, MiB"),
                        ("fetched_bytes", "fetched, MiB")):  # fmt: skip
        other = dataclasses.replace(played, tally=together([played.tally]))
        setattr(other.tally, name, 2 * getattr(other.tally, name))
        assert found in wrong(foretold, other), name


def test_a_refusal_a_machine_too_slow_and_a_cost_that_is_off_are_found(foretold: Tally) -> None:
    played = as_planned(PLAN)
    assert wrong(foretold, dataclasses.replace(played, refused=["2026-03-02/1 0: no"])) == {"refused"}
    load = played.load(played.tally)
    right = Cost(load.cpu, load.stored, load.written, load.attached)
    assert wrong(foretold, played, right) == set()
    assert wrong(foretold, dataclasses.replace(played, held=0.5), right) == {"time that stood still"}
    for name, factor in (("cpu", 2.0), ("cpu", 0.5), ("stored", 1.3), ("written", 0.6), ("attached", 1.1)):
        off = dataclasses.replace(right, **{name: factor * getattr(right, name)})
        assert len(wrong(foretold, played, off)) == 1, name
