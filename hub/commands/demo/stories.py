"""The texts of the demo: what its cases are about, as data in `stories.toml`, and a message's two parts made of it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib import resources
from typing import Any

from protocols.divisions import division

PEOPLE = ("王示例", "李样本", "张某甲", "陈虚构", "刘测试", "赵范例", "孙某乙", "周假名")
"""Nobody is called so."""
BASIS: Mapping[str, Any] = {"instrument": "npc-70-2021", "article": 26}


@dataclass(frozen=True, slots=True)
class Story:
    """One kind of case, told anew for each pair of regions; `course` is what its responder does, in order."""

    told: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """What it is found again by: the matter and the first fact, in the open part of the request."""
        return self.told["matter"], self.told["facts"][0]

    @property
    def course(self) -> list[str]:
        """What the responder does, in order."""
        return list(self.told["course"])


@cache
def stories() -> tuple[Story, ...]:
    """All of them, in the order of the file."""
    text = resources.files("hub.commands.demo").joinpath("stories.toml").read_text("utf-8")
    return tuple(map(Story, tomllib.loads(text)["story"]))


def of_case(view: Mapping[str, Any]) -> Story | None:
    """The story that a case tells, by the open part of its first message; None for a case of somebody else's."""
    data = view["timeline"][0]["data"]
    key = data.get("matter"), next(iter(data.get("facts", ())), None)
    return next((story for story in stories() if story.key == key), None)


def request(story: Story, opener: str, responder: str, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The open and the sealed part of the request of case `number`."""
    told, words = story.told, _Words(opener, responder, story, number)
    data = {
        "legal_basis": dict(told.get("basis", BASIS)),
        "urgency": told.get("urgency", "ordinary"),
        "matter": told["matter"],
        "facts": list(told["facts"]),
    }
    content = {
        "bodies": [{"name": words.unit, "address": f"{words.there}示例路{1 + number % 90}号（虚构）"}],
        "narrative": words.fill(told["request"]),
        "wanted": words.fill(told["wanted"]),
        "reference": f"{words.here}卫协〔2026〕示例{number}号",
        "contact": _contact(opener),
    }
    if "person" in told:
        content["subjects"] = [{"name": words.party, "role": told["person"]}]
    return data, content


def words_for(
    message: str, story: Story, me: str, opener: str, today: date, newcomer: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The open and the sealed part of any later message; what a forward hands over is added by who forwards."""
    told: Any = story.told.get(message)
    match message:
        case "accept":
            expected = (today + timedelta(days=20)).isoformat()
            return {"expected": expected}, {"contact": _contact(me), "note": told or "转来的案件已受理，接续办理。"}
        case "decline":
            return {"reason": told["reason"]}, {"explanation": told["explanation"], "contact": _contact(me)}
        case "ask":
            return {"topics": told["topics"]}, {"questions": told["questions"], "contact": _contact(me)}
        case "progress":
            return {"stage": told["stage"]}, {"note": told["note"]}
        case "propose-date":
            day = (today + timedelta(days=told["days"])).isoformat()
            return {"date": day, "reason": told["reason"]}, {"explanation": told["explanation"]}
        case "agree-date":
            return {"agreed": True}, {"explanation": told}
        case "forward":
            return {"to": newcomer, "reason": told["reason"]}, {"note": told["note"]}
        case "close":
            return {"result": told["result"]}, {"note": told["note"], "contact": _contact(me)}
        case "answer" if me == opener:
            return {"documents": 0}, {"narrative": story.told["clarify"], "contact": _contact(me)}
        case _:
            return _answer(story, me, opener)


def _answer(story: Story, me: str, opener: str) -> tuple[dict[str, Any], dict[str, Any]]:
    told, here = story.told["answer"], _name(opener)
    found = told["outcome"] in ("established", "partly-established")
    data: dict[str, Any] = {"outcome": told["outcome"]}
    if found:
        data["established"] = list(story.told["facts"])
    findings = [
        {"fact": fact, "finding": finding.format(here=here)}
        for fact, finding in zip(story.told["facts"], told["findings"], strict=True)
    ]
    return data, {"narrative": told["narrative"], "findings": findings, "contact": _contact(me)}


class _Words:
    """What the placeholders of a story stand for in one case."""

    def __init__(self, opener: str, responder: str, story: Story, number: int) -> None:
        self.here, self.there = _name(opener), _name(responder)
        self.unit = f"{self.there}{story.told['trade']}（虚构）"
        self.party = PEOPLE[number % len(PEOPLE)]

    def fill(self, text: str) -> str:
        return text.format(here=self.here, there=self.there, unit=self.unit, party=self.party)


def _name(organisation: str) -> str:
    return division(organisation[:6]).name


def _contact(organisation: str) -> dict[str, str]:
    return {"name": "承办人（示例）", "office": "监督执法科", "phone": f"000-{organisation[:6]}"}
