"""Forms made from schemas: what stands in them comes back as it was, and what is wrong is said at its field."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.desk import forms
from adapters.desk.forms import Field, Shown, Words
from adapters.desk.saying import objection
from protocols import flow
from protocols.loading import catalogue
from protocols.schemas import Problem, Schema

FILLED_BY_THE_DESK = ("sealed", "sealed_digest", "attachments", "messages")
BY_THE_HUB = ("progress-bulletin", "mutual-assessment")
SCHEMAS = {
    f"{protocol.name}.{message.name} {part}": schema
    for protocol in catalogue().protocols.values()
    for message in protocol.messages.values()
    if protocol.name not in BY_THE_HUB or message.name in ("confirm", "dispute")
    for part, schema in (("open", message.schema), ("sealed", message.sealed_schema))
    if schema is not None
}


def submitted(form: Shown) -> dict[str, list[str]]:
    """What a browser sends: an empty field too, a box that is not ticked not."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, value in form.submitted():
        found[name].append(value)
    return found


def fields(field: Field) -> Iterable[Field]:
    yield field
    for part in field.parts:
        yield from fields(part)


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_stands_in_a_form_comes_back_as_it_was(name: str) -> None:
    schema = SCHEMAS[name]
    form = forms.form(schema, FILLED_BY_THE_DESK)
    for example in schema.document["examples"]:
        data = {key: value for key, value in example.items() if key not in FILLED_BY_THE_DESK}
        assert forms.read(form, submitted(forms.shown(form, data))) == data
    assert forms.read(form, submitted(forms.shown(form))) == {}
    assert forms.read(form, {}) == {}


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_has_a_title_in_both_languages(name: str) -> None:
    for field in fields(forms.form(SCHEMAS[name], FILLED_BY_THE_DESK)):
        assert field.title.zh and field.title.en
        assert all(value and words.zh and words.en for value, words in field.options)


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_problem_stands_at_a_field_and_none_is_lost(name: str) -> None:
    schema = SCHEMAS[name]
    form = forms.form(schema)
    for wrong in schema.document["x-counter-examples"]:
        problems = schema.problems(wrong)
        told = forms.shown(form, wrong, [forms.remark(problem) for problem in problems])
        assert problems and len(list(said(told))) == len(problems)


def said(form: Shown) -> Iterable[tuple[str, Words]]:
    for words in form.problems:
        yield form.name, words
    for part in form.parts:
        yield from said(part)


def test_problems_are_words_at_the_field_they_are_about() -> None:
    schema = SCHEMAS["case-assistance.request open"]
    data = {"urgency": "ordinary", "matter": "其他", "facts": [], "documents": "three", "occurred": {"from": "x"}}
    found = [forms.remark(problem) for problem in schema.problems(data)]
    told = dict(said(forms.shown(forms.form(schema, FILLED_BY_THE_DESK), data, found)))
    assert told["legal_basis"] == Words("必须填写", "must be filled in")
    assert told["matter"] == Words("请从列表中选择", "choose one of the list")
    assert told["facts"] == Words("至少 1 项", "at least 1 entries")
    assert told["documents"] == Words("应填数字", "a number is wanted")
    assert told["occurred.to"].zh == "必须填写" and "格式不对" in told["occurred.from"].zh


def test_what_the_hub_finds_is_said_in_words_where_there_are_any_and_in_its_own_elsewhere() -> None:
    errors = [
        {"pointer": "/data/date", "keyword": "afterToday", "message": "must be a day after today"},
        {"pointer": "/data/note", "keyword": "maxLength", "message": "too long"},
        {"pointer": "/data/note", "keyword": "newRule", "message": "is not so"},
        {"pointer": "/data/old", "message": "from a hub that names no rule"},
        {"pointer": "/recipients", "message": "must include 411002-health"},
        "nonsense",
    ]
    told = objection({"type": "/problems/data-invalid", "title": "消息内容不合规", "detail": "x", "errors": errors})
    assert [place.name for place in told.places] == ["open.date", "open.note", "open.note", "open.old"]
    assert [place.words.zh for place in told.places] == [
        "须在今天之后", "枢纽不受理：too long", "枢纽不受理：is not so", "枢纽不受理：from a hub that names no rule"
    ]  # fmt: skip
    repealed = objection({"type": "/problems/basis-repealed", "title": "法律依据已废止", "detail": "since 2021"})
    assert repealed.places == (forms.Remark("open.legal_basis.instrument", Words("法律依据已废止", "since 2021")),)


def test_every_rule_of_a_flow_has_its_words() -> None:
    source = (Path(flow.__file__)).read_text("utf-8")
    rules = re.findall(r'_finding\([^,]+, "(\w+)"|finding = "(\w+)"', source)
    assert len(rules) > 8
    for rule in (one or other for one, other in rules):
        assert forms.said(Problem("/x", rule)) != forms.NOT_RIGHT, rule


def test_a_list_grows_and_leaves_out_what_is_empty() -> None:
    form = forms.form(SCHEMAS["case-assistance.request sealed"])
    data = forms.read(
        form,
        {
            "narrative": ["第一行\r\n第二行"],
            "subjects.7.name": ["乙"],
            "subjects.0.name": ["甲"],
            "subjects.0.role": ["party"],
            "subjects.3.name": ["  "],
            "subjects.9999.name": ["没有这么多"],
            "subjects.x.name": ["不是一项"],
            "contact.name": [" 周明 "],
        },
    )
    assert data == {
        "narrative": "第一行\n第二行",
        "subjects": [{"name": "甲", "role": "party"}, {"name": "乙"}],
        "contact": {"name": "周明"},
    }
    persons = next(part for part in forms.shown(form, data).parts if part.name == "subjects")
    assert [part.name for part in persons.parts] == ["subjects.0", "subjects.1"]


def test_a_field_becomes_a_choice_where_the_desk_knows_what_there_is() -> None:
    form = forms.form(SCHEMAS["case-assistance.request open"])
    options = [("npc-70-2021", Words("行政处罚法", "Administrative Penalty Law"))]
    chosen = forms.choosing(form, "legal_basis.instrument", options)
    basis = next(part for part in chosen.parts if part.key == "legal_basis")
    assert (basis.parts[0].kind, basis.parts[0].options) == ("choice", tuple(options))
    assert forms.choosing(form, "nowhere.at.all", options) == form


NAMES = sorted(
    {shown.name for name in SCHEMAS for shown in [forms.shown(forms.form(SCHEMAS[name]))] for shown in shown.parts}
)


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(SCHEMAS)),
    sent=st.dictionaries(
        st.one_of(st.sampled_from(NAMES), st.text(max_size=12), st.from_regex(r"[a-z_]{1,12}(\.[0-9a-z_]{1,6}){0,3}")),
        st.lists(st.text(max_size=20), max_size=3),
        max_size=8,
    ),
)
def test_whatever_is_sent_is_read_and_can_be_shown_again(name: str, sent: dict[str, list[str]]) -> None:
    schema = SCHEMAS[name]
    form = forms.form(schema)
    data = forms.read(form, sent)
    found = [forms.remark(problem) for problem in schema.problems(data)]
    again: Any = forms.read(form, submitted(forms.shown(form, data, found)))
    assert again == data


def test_a_form_is_made_of_an_object() -> None:
    with pytest.raises(ValueError, match="object"):
        forms.form(Schema({"type": "string"}))
