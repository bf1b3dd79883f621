"""The people of a desk: who gets in, who does not, and how long; whose case it is, and who stands in."""

import asyncio
import sqlite3
from datetime import date
from pathlib import Path

import pytest

from adapters.desk import officers
from adapters.desk.officers import Absence, LoginRefused, OfficerInvalid, Officers
from adapters.desk.vault import Vault

PASSWORD = "staple-staple"
TODAY = date(2026, 12, 1)


@pytest.fixture
def people(tmp_path: Path) -> Officers:
    made = Officers(Vault(tmp_path / "desk.db"))
    made.add("zhou", "周明", "head", PASSWORD)
    return made


@pytest.fixture
def three(people: Officers) -> Officers:
    people.add("li.na", "李娜", "clerk", PASSWORD)
    people.add("chen", "陈静", "clerk", PASSWORD)
    return people


async def test_a_head_signs_and_a_clerk_does_not(people: Officers) -> None:
    clerk = people.add("li.na", "李娜", "clerk", PASSWORD)
    assert not clerk.signs and [one.signs for one in people.everybody()] == [False, True]
    token = await people.log_in("zhou", PASSWORD)
    found = people.of(token)
    assert found is not None and found.signs and found.full_name == "周明"
    people.leave(token)
    assert people.of(token) is None and people.of(None) is None and people.of("guess") is None


@pytest.mark.parametrize(
    ("name", "full_name", "role", "password"),
    [
        ("zhou", "周明", "clerk", PASSWORD),
        ("Zhou", "周明", "clerk", PASSWORD),
        ("../zhou", "周明", "clerk", PASSWORD),
        ("chen", " ", "clerk", PASSWORD),
        ("chen", "陈" * 41, "clerk", PASSWORD),
        ("chen", "陈\n静", "clerk", PASSWORD),
        ("chen", "陈", "boss", PASSWORD),
        ("chen", "陈", "clerk", "short"),
    ],
)
def test_what_is_no_account_is_refused(people: Officers, name: str, full_name: str, role: str, password: str) -> None:
    with pytest.raises(OfficerInvalid):
        people.add(name, full_name, role, password)
    assert len(people.everybody()) == 1


async def test_who_guesses_is_shut_out_even_with_the_right_password_and_many_at_once(people: Officers) -> None:
    tries = [people.log_in("zhou", f"wrong password {n}", "10.0.0.9") for n in range(3 * officers.MOST_FAILURES)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert all(isinstance(one, LoginRefused) for one in outcomes)
    with pytest.raises(LoginRefused):
        await people.log_in("zhou", PASSWORD, "10.0.0.9")
    with pytest.raises(LoginRefused):
        await people.log_in("nobody", PASSWORD)
    # The owner, at another machine, is not kept out by that.
    assert people.of(await people.log_in("zhou", PASSWORD, "10.0.0.1")) is not None


async def test_who_does_nothing_is_logged_out(people: Officers, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("adapters.desk.officers.time.monotonic", lambda: clock[0])
    token = await people.log_in("zhou", PASSWORD)
    clock[0] += officers.IDLE - 1
    assert people.of(token) is not None
    clock[0] += officers.IDLE - 1
    assert people.of(token, touch=False) is not None and people.anybody()
    clock[0] += 2
    assert not people.anybody() and people.of(token) is None


async def test_another_password_takes_the_place_of_the_last_and_ends_what_was_open(people: Officers) -> None:
    token = await people.log_in("zhou", PASSWORD)
    people.set_password("zhou", "a new password")
    assert people.fits("zhou", "a new password") and not people.fits("zhou", PASSWORD)
    assert people.of(token) is None
    for name, password in (("zhou", "short"), ("nobody", PASSWORD)):
        with pytest.raises(OfficerInvalid):
            people.set_password(name, password)


async def test_who_left_has_no_account_and_stays_known_by_name(three: Officers) -> None:
    token = await three.log_in("li.na", PASSWORD)
    three.give("case-1", "li.na")
    for taker in ("li.na", "nobody"):
        with pytest.raises(OfficerInvalid):
            three.dismiss("li.na", taker)
    assert three.of(token) is not None
    assert three.dismiss("li.na", "chen") == ["case-1"]
    assert three.of(token) is None
    with pytest.raises(LoginRefused):
        await three.log_in("li.na", PASSWORD)
    known = three.one("li.na")
    assert known is not None and known.left and [one.name for one in three.present()] == ["chen", "zhou"]
    holder = three.holder("case-1", TODAY)
    assert holder is not None and holder.name == "chen"
    for again in (lambda: three.dismiss("zhou", "chen"), lambda: three.add("li.na", "另一人", "clerk", PASSWORD)):
        with pytest.raises(OfficerInvalid):
            again()


def test_an_account_that_was_taken_away_opens_nothing_whatever_the_file_says(tmp_path: Path, three: Officers) -> None:
    with sqlite3.connect(tmp_path / "desk.db") as database:
        row = database.execute("SELECT name, body FROM lock WHERE name = 'li.na'").fetchone()
        three.dismiss("li.na", "chen")
        database.execute("INSERT INTO lock VALUES (?, ?)", row)
    again = Officers(Vault(tmp_path / "desk.db"))
    assert not again.fits("li.na", PASSWORD) and again._vault.locked
    assert again.fits("chen", PASSWORD) and not again._vault.locked


def test_a_stand_in_has_the_cases_of_who_is_away(three: Officers) -> None:
    three.give("case-1", "li.na")
    three.give("case-2", "chen")
    three.absent("li.na", Absence(date(2026, 12, 1), date(2026, 12, 3), "chen"))

    def held(day: date) -> dict[str, str]:
        return {case: one.name for case, one in three.holders(day).items()}

    assert held(date(2026, 11, 30)) == {"case-1": "li.na", "case-2": "chen"}
    assert held(date(2026, 12, 3)) == {"case-1": "chen", "case-2": "chen"}
    assert held(date(2026, 12, 4)) == {"case-1": "li.na", "case-2": "chen"}
    three.absent("chen", Absence(date(2026, 12, 2), date(2026, 12, 2), "zhou"))
    assert held(date(2026, 12, 2)) == {"case-1": "zhou", "case-2": "zhou"}
    # Two who name each other: one of them has it, and nobody looks for ever.
    three.absent("chen", Absence(date(2026, 12, 2), date(2026, 12, 2), "li.na"))
    assert held(date(2026, 12, 2))["case-1"] in ("li.na", "chen")
    three.absent("li.na", None)
    assert held(date(2026, 12, 1))["case-1"] == "li.na"
    for absence in (
        Absence(TODAY, TODAY, "li.na"),
        Absence(TODAY, date(2026, 11, 1), "chen"),
        Absence(TODAY, TODAY, "x"),
    ):
        with pytest.raises(OfficerInvalid):
            three.absent("li.na", absence)


def test_who_takes_over_stands_in_for_whom_the_leaver_stood_in(three: Officers) -> None:
    for case, name in (("case-1", "li.na"), ("case-2", "zhou")):
        three.give(case, name)
        three.absent(name, Absence(TODAY, TODAY, "chen"))
    assert three.dismiss("chen", "zhou") == []
    # Whoever takes the cases is not away; nobody's case falls to somebody who left.
    assert {case: one.name for case, one in three.holders(TODAY).items()} == {"case-1": "zhou", "case-2": "zhou"}
    head, clerk = three.one("zhou"), three.one("li.na")
    assert head is not None and head.absence is None
    assert clerk is not None and clerk.absence is not None and clerk.absence.stand_in == "zhou"


def test_who_did_what_is_kept_by_case(people: Officers) -> None:
    (head,) = people.everybody()
    people.note(head, ("签发", "signed"), "case-1")
    people.note(head, ("起草", "drafted"), "case-2", reason="因为")
    people.note(head, ("办结", "closed"), "case-1")
    people.note(head, ("更改设置", "changed the settings"))
    assert [tuple(deed["what"]) for deed in people.deeds("case-1")] == [("签发", "signed"), ("办结", "closed")]
    assert people.deeds("case-2")[0]["reason"] == "因为" and people.deeds()[0]["full_name"] == "周明"
