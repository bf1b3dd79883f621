"""What the hub tells of a case, as far as the desk shows it: read into a form of its own, and nothing else kept."""

from typing import Any

import msgspec


class Titled(msgspec.Struct, frozen=True):
    """A text in both languages."""

    zh: str
    en: str


class Due(msgspec.Struct, frozen=True):
    """When the next step is due."""

    date: str
    provisional: bool = False


class Action(msgspec.Struct, frozen=True):
    """A message that may be sent now."""

    message: str
    title: Titled


class Step(msgspec.Struct, frozen=True):
    """A message of the case, and what was due after it."""

    log_index: int
    source: str
    id: str
    type: str
    accepted: str
    due: Due | None = None
    suspect: bool = False


class CaseView(msgspec.Struct, frozen=True):
    """A case."""

    id: str
    protocol: str
    version: str
    state: str
    title: Titled
    opener: str
    responder: str
    updated: str
    awaits: list[str]
    allowed_actions: list[Action]
    timeline: list[Step]
    due: Due | None = None
    participants: list[str] = []
    clock: dict[str, float] | None = None


class CaseSummary(msgspec.Struct, frozen=True):
    """A case in a list, as far as it says whether the whole is to be read again."""

    id: str
    updated: str


def case_of(view: Any) -> dict[str, Any]:
    """A case's view, of what a hub said. Raises msgspec.ValidationError."""
    found: dict[str, Any] = msgspec.to_builtins(msgspec.convert(view, CaseView))
    return found
