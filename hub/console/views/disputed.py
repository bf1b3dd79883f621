"""A bulletin of the hub on its case's page: the figures as they stand, who disputes which, and what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hub.bulletins import ASSESSMENT, PROGRESS
from hub.cases import Step, View
from hub.console.pages import Section, Visit
from hub.console.tables import Cell, Table
from hub.console.words import T

CASES = {"cases": T("案件数", "Cases"), "missed": T("未达标案件数", "Cases that missed it")}
WAITS = T("等枢纽核定", "for the hub to answer")
UPHELD = T("维持", "upheld")
REVISED = T("已修订", "revised")
SAME = T("重算后未变", "the same, counted again")


def sections(visit: Visit, case: View) -> Iterator[Section]:
    """The figures of a bulletin with the disputes about them; nothing for a case that is none."""
    issued = [step for step in case.timeline if _message(step) in ("issue", "revise") and not step.erased]
    if case.protocol not in (PROGRESS, ASSESSMENT) or not issued:
        return
    messages = visit.hub.catalogue.protocols[case.protocol, case.version].messages
    shape = messages["issue"].schema.document["$defs"]["item"]["properties"]
    reasons = messages["dispute"].schema.document["properties"]["items"]["items"]["properties"]["reason"]
    disputes, answers = _disputes(visit, case.timeline, reasons), _answers(case.timeline)
    columns = [CASES.get(name) or T(one["title"], one["x-title-en"]) for name, one in shape.items()]
    rows: list[list[Cell]] = [
        [
            *(_cell(visit, one, item.get(name)) for name, one in shape.items()),
            disputes.get(item["item"]),
            answers.get(item["item"], WAITS) if item["item"] in disputes else None,
        ]
        for item in issued[-1].data["items"]
    ]
    period = issued[-1].data["period"]
    caption = T(
        f"{period['from']} 至 {period['to']}；有异议的，写明谁提出、怎样核定",
        f"{period['from']} to {period['to']}; who disputes which, and what the hub answered",
    )
    table = Table("items", caption, (*columns, T("异议", "Disputed"), T("核定", "Answered")), rows)
    yield Section(T("通报的数字与异议", "The figures, and disputes about them"), table=table)


def _message(step: Step) -> str:
    return step.type.partition(".")[2]


def _disputes(visit: Visit, steps: Sequence[Step], reasons: Mapping[str, Any]) -> dict[int, T]:
    """Who disputes an item and why, by its number."""
    found: dict[int, T] = {}
    for step in steps:
        for entry in step.data.get("items", ()) if _message(step) == "dispute" else ():
            why = _cell(visit, reasons, entry["reason"])
            zh, en = why if isinstance(why, T) else (str(why), str(why))
            before = found.get(entry["item"], T("", ""))
            name = visit.name(step.source)
            found[entry["item"]] = T(
                f"{before.zh and before.zh + '；'}{name}：{zh}", f"{before.en and before.en + '; '}{name}: {en}"
            )
    return found


def _answers(steps: Sequence[Step]) -> dict[int, T]:
    """What came of each disputed item, by its number: upheld, or counted again with the same or another outcome."""
    found: dict[int, T] = {}
    items: dict[int, Any] = {}
    for step in steps:
        said = {item["item"]: item for item in step.data.get("items", ())} if _message(step) != "dispute" else {}
        for number in step.data.get("disputed", ()):
            same = said.get(number) == items.get(number)
            found[number] = UPHELD if _message(step) == "uphold" else SAME if same else REVISED
        items = said or items
    return found


def _cell(visit: Visit, shape: Mapping[str, Any], value: Any) -> Cell:
    """A value of an item: a code by its title, an organisation by its name, a list of cases by how many there are."""
    titles = {one["const"]: T(one["title"], one["x-title-en"]) for one in shape.get("oneOf", ())}
    if isinstance(value, list):
        return len(value)
    return titles.get(value) or (visit.name(value) if isinstance(value, str) else value)
