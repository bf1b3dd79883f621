"""Reports and badges of the conformance kit as values: what is written reads back, what was altered does not verify."""

import dataclasses
import json
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from adapters.conformance import badge as badges
from adapters.conformance import report as reports
from adapters.conformance.badge import BadgeInvalid, NotConforming
from adapters.conformance.report import Check, Outcome, Report, ReportInvalid, Result, Seen
from adapters.conformance.scenarios import MUST, SCENARIOS
from keys import jwk, jws

NOW = datetime(2026, 11, 28, 8, tzinfo=UTC)
KEY = jwk.generate_signing("Ed25519")
HUB = "410000-hub"


def report(**outcomes: Outcome) -> Report:
    """Everything passed but for what is said otherwise, by names with underscores."""
    results = []
    for one in SCENARIOS:
        outcome = outcomes.get(one.name.replace("-", "_"), Outcome.PASSED)
        bad = outcome is not Outcome.PASSED
        finding = "<script>alert('x')</script>\x1b[2J\x00" if bad else ""
        checks = (Check("应当 <b>如此</b>", "so & so", not bad),)
        seen = (Seen(1.25, "GET", "/v1/<mailbox>", None, 503),) if bad else ()
        results.append(Result(one.name, one.told.severity, outcome, 1.5, finding, checks, seen))
    return Report("1.0", "411002-health", "0.1.0", NOW, NOW + timedelta(minutes=1), True, tuple(results))


def written(one: Report) -> bytes:
    return msgspec.json.encode(one)


def test_a_report_reads_back_as_it_was_and_nothing_else_is_one() -> None:
    one = report(idle=Outcome.FAILED)
    assert reports.read(written(one)) == one
    for content in (b"", b"{}", b"[]", written(one)[:-9], b"\xff", b"[" * 9999):
        with pytest.raises(ReportInvalid):
            reports.read(content)


def test_what_must_pass_decides_and_what_was_not_played_has_not_passed() -> None:
    assert report().holds and report().conforms
    assert report(idle=Outcome.FAILED, own_case=Outcome.SKIPPED).conforms
    for outcome in (Outcome.FAILED, Outcome.SKIPPED, Outcome.BROKEN):
        assert not report(tampering=outcome).holds and not report(tampering=outcome).conforms
    part = msgspec.structs.replace(report(), results=report().results[:3])
    assert part.holds and not part.conforms


def test_junit_counts_and_holds_only_what_xml_can() -> None:
    one = report(idle=Outcome.FAILED, own_case=Outcome.SKIPPED, limits=Outcome.BROKEN)
    suite = ElementTree.fromstring(reports.junit(one))[0]
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": str(len(SCENARIOS)), "failures": "1", "errors": "1", "skipped": "1"}
    (failure,) = suite.findall("testcase/failure")
    assert failure.get("message") == "<script>alert('x')</script>\ufffd[2J\ufffd"
    assert {case.get("name") for case in suite.findall("testcase")} == {one.name for one in SCENARIOS}


def test_the_page_is_escaped_fetches_nothing_and_runs_nothing() -> None:
    page = reports.html(report(idle=Outcome.FAILED, own_case=Outcome.SKIPPED))
    assert "<script" not in page and "&lt;script&gt;" in page and "<b>如此" not in page and "/v1/&lt;mailbox" in page
    assert "src=" not in page and "http://" not in page and "default-src &#39;none&#39;" not in page
    assert "default-src 'none'" in page and all(one.told.title.zh in page for one in SCENARIOS)
    assert "符合 · conforms" in page and "不符合 · does not conform" in reports.html(report(limits=Outcome.FAILED))


def badge(one: Report, now: datetime = NOW) -> bytes:
    return badges.sign(one, written(one), HUB, KEY, now)[1]


def test_a_badge_verifies_for_a_year_and_for_its_report() -> None:
    one = report(idle=Outcome.FAILED, own_case=Outcome.SKIPPED)
    found = badges.verify(badge(one), [KEY.public], NOW + timedelta(days=364), written(one))
    assert (found.hub, found.organisation, found.kit, found.quick) == (HUB, "411002-health", "1.0", True)
    assert (found.passed, found.failed, found.skipped) == (len(SCENARIOS) - 2, 1, 1)
    for then in (NOW + timedelta(days=365), NOW - timedelta(hours=1)):
        with pytest.raises(BadgeInvalid, match="valid from"):
            badges.verify(badge(one), [KEY.public], then)
    with pytest.raises(BadgeInvalid, match="another report"):
        badges.verify(badge(one), [KEY.public], NOW, written(report()))


@pytest.mark.parametrize("name", sorted(MUST))
def test_there_is_no_badge_where_one_thing_did_not_pass(name: str) -> None:
    with pytest.raises(NotConforming):
        badge(report(**{name.replace("-", "_"): Outcome.SKIPPED}))


def test_what_is_not_the_hubs_badge_is_refused() -> None:
    token = badge(report())
    claims: dict[str, Any] = json.loads(jws.decode(token, typ=badges.TYP).payload)
    stranger = jwk.generate_signing("Ed25519")
    head, payload, signature = token.split(b".")

    def signed(said: object, key: jwk.SigningKey = KEY, typ: str = badges.TYP) -> bytes:
        return jws.sign(json.dumps(said).encode(), key, typ=typ)

    forged = [
        signed(claims, stranger),
        signed(claims, typ="xieban-mailbox+jws"),
        signed(claims | {"more": 1}),
        signed({name: value for name, value in claims.items() if name != "exp"}),
        signed(claims | {"exp": 1e300}),
        signed([]),
        b".".join([head, payload, signature[:-8] + b"AAAAAAAA"]),
        b"",
        b"\xff.\xff.\xff",
    ]
    for one in forged:
        with pytest.raises(BadgeInvalid):
            badges.verify(one, [KEY.public], NOW)
    with pytest.raises(BadgeInvalid, match="not signed with a key of this hub"):
        badges.verify(token, [stranger.public], NOW)


def test_the_picture_is_well_formed_and_escaped() -> None:
    made, _ = badges.sign(report(), written(report()), HUB, KEY, NOW)
    evil = msgspec.structs.replace(made, organisation='"><script>x</script>', kit="<b>")
    for one in (made, evil):
        root = ElementTree.fromstring(badges.picture(one))
        assert {element.tag.rpartition("}")[2] for element in root.iter()} == {"svg", "title", "rect", "g", "text"}


def test_every_scenario_says_in_both_languages_what_it_is_for() -> None:
    for one in SCENARIOS:
        for words in (one.told.title, one.told.does, one.told.expects, one.told.why):
            assert any("\u4e00" <= char <= "\u9fff" for char in words.zh) and words.en.isprintable(), one.name
        assert one.told.section and dataclasses.is_dataclass(one)
