"""A mapping is data that is checked when it is loaded; whatever it is applied to becomes an offer or a problem."""

import json
import math
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.provincial import checking, code_lists, mapping, reading, translating
from adapters.provincial.case_numbers import CaseNumbers, NumberTaken
from adapters.provincial.expressions import Expression, ExpressionInvalid, Unmapped
from adapters.running.configuration import AdapterConfigInvalid
from protocols.envelope import is_id

EXAMPLE = Path("adapters/provincial/example")
RULES = mapping.load(EXAMPLE)
OURS = ("411002-health",)
RECORD = json.loads((EXAMPLE / "examples/request-record.json").read_text())


@pytest.fixture
def cases(tmp_path: Path) -> Iterator[CaseNumbers]:
    found = CaseNumbers(tmp_path)
    yield found
    found.close()


def test_the_example_holds() -> None:
    assert checking.examples(RULES) == []


def test_an_example_that_does_not_hold_and_a_rule_without_one_are_findings(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "m")
    file = tmp_path / "m" / "mapping.toml"
    text = file.read_text().replace('"act": $ours("act", sx)', '"act": "notify"')
    file.write_text(text[: text.rindex("[[examples]]")])
    (tmp_path / "m/examples/accept-record.json").write_text("{")
    found = checking.examples(mapping.load(tmp_path / "m"))
    assert any("errand.close has no example" in one for one in found)
    assert any("request-wanted.json says otherwise" in one for one in found)
    assert any("accept-record.json" in one for one in found) and len(found) == 4


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('case = "ajbh"', 'case = "ajbh +"', "records.XBSQ.case"),
        ('case = "ajbh"', 'case = "$match(ajbh, /x/)"', "regular expressions"),
        ('case = "ajbh"', 'case = "[1..9]"', "ranges"),
        ('type = "errand.request"', 'type = "errand.ask-nicely"', "no message"),
        ('type = "errand.accept"', 'type = "errand.request"', "needs `to`"),
        ('type = "errand.request"', 'type = "errand.accept"', "has no `to`"),
        ("content = '{\"narrative\": jgms}'", "", "needs `content`"),
        ('[messages."errand.close"]', '[messages."errand.nothing"]', "no message"),
        ("ignore =", "ignores =", "ignores"),
        ("ignore =", "ignore", "mapping.toml"),
    ],
)
def test_a_mapping_that_can_not_be_used_is_said_to_be_so(tmp_path: Path, before: str, after: str, why: str) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "m")
    file = tmp_path / "m" / "mapping.toml"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))
    with pytest.raises(AdapterConfigInvalid, match=why):
        mapping.load(tmp_path / "m")


@pytest.mark.parametrize("text", ['[a]\nx = "1"\ny = "1"', '[a]\nx = ["1", 2]\ny = 2', "[a]\nx = []", "a = 1", "[a"])
def test_a_code_list_says_one_thing_only(text: str) -> None:
    with pytest.raises(ValueError, match=r"code list|TOML|Invalid|Expected"):
        code_lists.read(text)


@given(st.dictionaries(st.text("abc-", min_size=1), st.integers(0, 10**6), min_size=1, max_size=20))
def test_code_lists_are_their_own_inverse(held: dict[str, int]) -> None:
    if len(set(held.values())) < len(held):
        return
    functions = code_lists.CodeLists({"l": dict(held)}).functions()
    for ours, theirs in held.items():
        assert functions["ours"]("l", functions["theirs"]("l", ours)) == ours
        assert functions["theirs"]("l", functions["ours"]("l", f" {theirs} ")) == theirs
    with pytest.raises(Unmapped):
        functions["ours"]("l", -1)
    with pytest.raises(Unmapped):
        functions["ours"]("other", 1)
    assert functions["ours"]("l", None) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [("($f := function($x){$f($x)}; $f(1))", "D1012"), ("($f := function($x){1 + $f($x)}; $f(1))", "D1011"),
     ('$eval("1")', "T1006"), ("$now()", "T1006"), ('$pad("x", 100000000)', "T1006"), ("1/0", "ZeroDivision"),
     ("$map", "no JSON")],
)  # fmt: skip
def test_expressions_are_bounded_and_pure(text: str, code: str) -> None:
    begun = time.monotonic()
    with pytest.raises(Unmapped, match=code):
        Expression(text).of({})
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("text", ["", "(", "{a", "/x/", "a[[1..2]]", "$x(/y/i)", '"\\'])
def test_an_expression_that_can_not_be_read_is_said_to_be_so(text: str) -> None:
    with pytest.raises(ExpressionInvalid):
        Expression(text)


def test_a_case_and_its_number_are_one_to_one(cases: CaseNumbers) -> None:
    one = cases.reserve("31")
    assert is_id(one) and cases.reserve("31") == one == cases.case("31") and cases.number(one) == "31"
    cases.link("31", one)
    for number, case in (("31", "another"), ("32", one)):
        with pytest.raises(NumberTaken):
            cases.link(number, case)
    assert cases.case("32") is None and cases.number("another") is None


def test_the_same_record_is_the_same_offer_in_the_same_case(cases: CaseNumbers) -> None:
    first, again = (translating.offered(RULES, "XBSQ", RECORD, cases, OURS) for _ in range(2))
    assert first == again and first.wanted is not None and is_id(first.wanted.case or "")
    newer = translating.offered(RULES, "XBSQ", RECORD | {"bbh": 2}, cases, OURS)
    assert newer.key != first.key and newer.wanted is not None and newer.wanted.case == first.wanted.case


@pytest.mark.parametrize(
    ("changed", "why"),
    [({"sx": "99"}, "act"), ({"sx": {"a": 1}}, r"value \(dict\)"), ({"sx": True}, "act"),
     ({"xh": None}, "a part of the key"),
     ({"ajbh": ""}, "case is no text"), ({"ajbh": "a\nb"}, "case is no text"),
     ({"nr": "x" * 8001}, "/content/narrative"),
     ({"qwrq": "20301341"}, "/data/by_date"), ({"wssl": "1"}, "/data/documents"), ({"xbdw": None}, "source and to"),
     ({"dsr": "李某某"}, "content|JException|[TD]\\d")],
)  # fmt: skip
def test_what_does_not_fit_is_a_problem_that_names_the_place_and_never_the_value(
    cases: CaseNumbers, changed: dict[str, Any], why: str
) -> None:
    offer = translating.offered(RULES, "XBSQ", RECORD | changed, cases, OURS)
    assert offer.wanted is None and offer.problem is not None and re.search(why, offer.problem)
    assert "李某某" not in offer.problem
    if "ajbh" not in changed:
        assert cases.case(RECORD["ajbh"]) is None  # nothing was reserved for what is no message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["01", "XZCF-26"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*RECORD, "x"]), inner, max_size=8),
    max_leaves=20,
)


@given(record=st.sampled_from([*RULES.records, "", "../x", "无"]), item=JSON | st.builds(
    lambda changed: RECORD | changed, st.dictionaries(st.sampled_from([*RECORD]), JSON, max_size=4)))  # fmt: skip
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_json_is_an_offer_or_a_problem(cases: CaseNumbers, record: str, item: Any) -> None:
    written = json.dumps(item).encode()
    offer = translating.offered(RULES, record, reading.loads(written), cases, OURS)
    assert (offer.wanted is None) != (offer.problem is None)
    kept = msgspec.json.decode(msgspec.json.encode(offer), type=type(offer))
    assert kept.key == offer.key and offer.key.isascii() and len(offer.key) <= 170


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | JSON.map(lambda v: json.dumps(v).encode()))
@settings(max_examples=100, deadline=None)
def test_arbitrary_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        value = reading.loads(body)
    except reading.AnswerUnreadable:
        return
    msgspec.json.encode(value)


@pytest.mark.parametrize(
    ("body", "value"),
    [(b"1" * 5000, "1" * 400), (b"NaN", "NaN"), (b"-Infinity", "-Infinity"), (b"1e999", "1e999"), (b'"\\ud800"', "?"),
     (b'{"a":1,"a":2}', {"a": 2}), ("﻿{}".encode(), {}), (b"9223372036854775808", "9223372036854775808")],
)  # fmt: skip
def test_odd_values_are_read_as_texts(body: bytes, value: Any) -> None:
    assert reading.loads(body) == value


@pytest.mark.parametrize("body", [b"", b"[" * 100_000, b"\xff", b"{'a':1}"])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(reading.AnswerUnreadable):
        reading.loads(body)


def test_numbers_stay_numbers() -> None:
    assert Expression("a * 2").of({"a": 1.5}) == 3 and isinstance(Expression("a * 2").of({"a": 1.5}), int)
    with pytest.raises(Unmapped):
        Expression("a").of({"a": math.inf})


def test_rules_name_what_they_ignore() -> None:
    assert RULES.ignores("errand.progress") and not RULES.ignores("errand.request")
