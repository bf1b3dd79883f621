"""The people of a desk: who gets in, who does not, and how long."""

from pathlib import Path

import pytest

from adapters.desk import officers
from adapters.desk.officers import LoginRefused, OfficerInvalid, Officers
from adapters.desk.vault import Vault

PASSWORD = "staple-staple"


@pytest.fixture
def people(tmp_path: Path) -> Officers:
    made = Officers(Vault.open(tmp_path / "desk.db", "correct horse battery"))
    made.add("zhou", "周明", "head", PASSWORD)
    return made


def test_a_head_signs_and_a_clerk_does_not(people: Officers) -> None:
    clerk = people.add("li.na", "李娜", "clerk", PASSWORD)
    assert not clerk.signs and [one.signs for one in people.everybody()] == [False, True]
    token = people.enter("zhou", PASSWORD)
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
        ("chen", "陈", "boss", PASSWORD),
        ("chen", "陈", "clerk", "short"),
    ],
)
def test_what_is_no_account_is_refused(people: Officers, name: str, full_name: str, role: str, password: str) -> None:
    with pytest.raises(OfficerInvalid):
        people.add(name, full_name, role, password)
    assert len(people.everybody()) == 1


def test_who_guesses_is_shut_out_even_with_the_right_password(people: Officers) -> None:
    for _ in range(officers.MOST_FAILURES):
        with pytest.raises(LoginRefused):
            people.enter("zhou", "wrong password")
    with pytest.raises(LoginRefused):
        people.enter("zhou", PASSWORD)
    with pytest.raises(LoginRefused):
        people.enter("nobody", PASSWORD)


def test_who_does_nothing_is_logged_out(people: Officers, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("adapters.desk.officers.time.monotonic", lambda: clock[0])
    token = people.enter("zhou", PASSWORD)
    clock[0] += officers.IDLE - 1
    assert people.of(token) is not None
    clock[0] += officers.IDLE - 1
    assert people.of(token) is not None
    clock[0] += officers.IDLE + 1
    assert people.of(token) is None


def test_who_did_what_is_kept_by_case(people: Officers) -> None:
    (head,) = people.everybody()
    people.note(head, "签发 signed request", "case-1")
    people.note(head, "起草 drafted answer", "case-2")
    people.note(head, "签发 signed answer", "case-1")
    assert [deed["what"] for deed in people.deeds("case-1")] == ["签发 signed request", "签发 signed answer"]
