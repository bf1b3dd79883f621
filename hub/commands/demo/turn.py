"""Whose turn it is, and with what: a bureau's next message in a case, from what the hub shows of the case alone."""

from collections.abc import Mapping
from typing import Any

from hub.commands.demo.stories import Story

TAKEN_OVER = ("accept", "answer")
"""What whoever a case was forwarded to does."""


def next_message(view: Mapping[str, Any], me: str, story: Story) -> str | None:
    """The message that `me` should send now, one of the case's `allowed_actions`; None when others are to act.

    Nothing but the case decides: a bureau that was stopped in the middle goes on where it was.
    """
    allowed = {action["message"] for action in view["allowed_actions"]}
    steps = [(step["source"], step["type"].partition(".")[2]) for step in view["timeline"]]
    wanted = _as_opener(view, steps) if me == view["opener"] else _as_responder(view, steps, me, story)
    return wanted if wanted in allowed else None


def _as_opener(view: Mapping[str, Any], steps: list[tuple[str, str]]) -> str | None:
    if _date_is_open(steps):
        return "agree-date"
    return {"clarifying": "answer", "answered": "close"}.get(view["state"])


def _as_responder(view: Mapping[str, Any], steps: list[tuple[str, str]], me: str, story: Story) -> str | None:
    if me != view["responder"] or _date_is_open(steps):
        return None
    forwarded = any(name == "forward" for _, name in steps)
    done = {name for source, name in steps if source == me}
    return next((name for name in (TAKEN_OVER if forwarded else story.course) if name not in done), None)


def _date_is_open(steps: list[tuple[str, str]]) -> bool:
    names = [name for _, name in steps if name in ("propose-date", "agree-date")]
    return names[-1:] == ["propose-date"]
