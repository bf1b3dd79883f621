"""The section of an AS4 partner, and the ledger of what was sent and received."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.as4 import content
from adapters.as4.errors import EbmsError, ModeMismatch, ValueInconsistent, ValueNotRecognized
from adapters.as4.ledger import Ledger
from adapters.as4.messaging import Party, UserMessage
from adapters.as4.packing import Opened, Sealed
from adapters.as4.settings import Agreement, agreement
from adapters.running.configuration import AdapterConfigInvalid, Common, Section
from tests.acceptance.as4.parties import keys


def made(folder: Path, listen: str | None = "127.0.0.1:1", partner: Any = None, **own: Any) -> Agreement:
    """The agreement of a section in `folder`; a value that is None is left out."""
    for name, held in (("own", keys("here")), ("ec", keys("ec", "ec"))):
        (folder / f"{name}.pem").write_text(held.pem)
        (folder / f"{name}.key").write_text(held.key_pem)
    common = Common(hub="h", organisations=("411002-health",), keys=folder, store=folder, listen=listen)
    far = {"party": "far", "certificate": keys("far").pem} | (partner or {})
    given = {"certificate": "own.pem", "key": "own.key", "partner": far} | own
    return agreement(
        Section("far", common, {name: value for name, value in given.items() if value is not None}, folder)
    )


def test_names_are_mapped_where_the_partner_has_its_own(tmp_path: Path) -> None:
    found = made(tmp_path, services={"errand": "urn:errand"}, actions={"errand.request": "Ask"}, service_type="t")
    assert (found.service("errand").id, found.service("errand").type) == ("urn:errand", "t")
    assert found.service("reverse-trace").id == "reverse-trace"
    assert found.action("errand.request") == "Ask" and found.action("errand.answer") == "errand.answer"
    assert found.us.id == "411002-health" and found.url is None


@pytest.mark.parametrize(
    ("own", "why"),
    [
        ({"key": "nothing.key"}, "nothing.key"),
        ({"key": None}, "key"),
        ({"key": "own.pem"}, "far"),
        ({"key": "ec.key"}, "not that of key"),
        ({"certificate": "ec.pem", "key": "ec.key", "encrypt": True}, "RSA"),
        ({"with_content": True}, "encrypt"),
        ({"attempts": 0}, "attempts"),
        ({"pull_wait": 99}, "pull_wait"),
        ({"party": "a b"}, "party"),
        ({"unknown": 1}, "unknown"),
        ({"partner": {"url": "http://far/as4"}}, "not https"),
        ({"partner": {"url": "ftp://far/as4", "allow_http": True}}, "not https"),
        ({"partner": {"certificate": "-----BEGIN CERTIFICATE-----"}}, "far"),
        ({"partner": {"tls_ca": "nothing.pem", "url": "https://far/as4"}}, "far"),
        ({"listen": None}, "listen"),
    ],
)  # fmt: skip
def test_a_section_that_can_not_be_used_says_why(tmp_path: Path, own: dict[str, Any], why: str) -> None:
    with pytest.raises(AdapterConfigInvalid, match=why):
        made(tmp_path, **own)


def test_the_ledger_gives_the_same_bytes_again_until_they_are_receipted_or_given_up(tmp_path: Path) -> None:
    now = [1000.0]
    ledger = Ledger(tmp_path, lambda: now[0])
    first = Sealed("text/a", b"one", frozenset({("#a", "sha", "x")}))
    assert ledger.keep("one", first).sealed == first
    assert ledger.keep("one", Sealed("text/b", b"other", frozenset())).sealed == first
    ledger.keep("two", Sealed("text/a", b"two", frozenset()))
    assert [one.id for one in (ledger.oldest(),) if one] == ["one"]
    assert ledger.handed_out("one", 10) == 1
    assert [one.id for one in (ledger.oldest(),) if one] == ["two"]
    now[0] += 10
    assert [one.id for one in (ledger.oldest(),) if one] == ["one"]
    ledger.receipted("one", b"<receipt/>")
    ledger.failed("one", "too late")
    ledger.receipted("one", b"<another/>")
    again = Ledger(tmp_path).sent("one")
    assert again is not None and (again.state, again.receipt, again.sealed.body) == ("receipted", b"<receipt/>", b"")
    ledger.failed("two", "no")
    ledger.drop("one")
    ledger.drop("two")
    assert ledger.sent("two") is None and ledger.sent("one") is not None and ledger.oldest() is None


def test_ids_are_known_again_and_those_of_pull_requests_for_an_hour(tmp_path: Path) -> None:
    now = [1000.0]
    ledger = Ledger(tmp_path, lambda: now[0])
    assert ledger.received("a") is None
    ledger.take("a", "digest")
    ledger.take("a", "another")
    assert Ledger(tmp_path).received("a") == "digest"
    assert ledger.pull("p") and not ledger.pull("p")
    now[0] += 3601
    assert ledger.pull("p")


def test_a_store_that_can_not_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AdapterConfigInvalid):
        Ledger(tmp_path / "file")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"sender": Party("somebody")}, ValueNotRecognized),
        ({"receiver": Party("somebody")}, ValueNotRecognized),
        ({"sender": Party("far", "urn:type")}, ValueNotRecognized),
        ({"agreement": "another"}, ModeMismatch),
        ({"service": Party("errand", "type")}, ModeMismatch),
        ({"service": Party("reverse-trace", "t")}, ModeMismatch),
        ({"action": "errand"}, ModeMismatch),
        ({}, ValueInconsistent),
    ],
)  # fmt: skip
def test_only_what_was_agreed_comes_up(tmp_path: Path, changed: dict[str, Any], error: type[EbmsError]) -> None:
    message = UserMessage(
        id="a@far", at=datetime.now(UTC), sender=Party("far"), receiver=Party("411002-health"), agreement="agreed",
        service=Party("errand", "t"), action="errand.request", conversation="case",
    )  # fmt: skip
    found = made(tmp_path, agreement="agreed", service_type="t")
    with pytest.raises(error):
        content.coming_up(found, dataclasses.replace(message, **changed), Opened(message, [], []))
