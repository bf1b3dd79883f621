"""What partners hold after a campaign: what they sent, were handed and read; nothing of the hub's own."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

Key = tuple[str, str]
"""A message by its source and id."""
NO_ANSWER = 0
"""The status of a call whose connection broke, or that was waited for in vain."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as its sender signed it."""

    source: str
    id: str
    case: str
    message: str
    recipient: str
    token: bytes

    @property
    def key(self) -> Key:
        """Source and id."""
        return self.source, self.id


@dataclass(slots=True)
class Attempted:
    """A message's way from its first sending to the last word on it, in seconds of one clock.

    `outcome`: `taken`, the code of the refusal, or None where there was no last word.
    """

    sent: Sent
    invoked: float
    answered: float | None = None
    outcome: str | None = None


@dataclass(slots=True)
class Evidence:
    """The whole of it."""

    jwks: dict[str, Any]
    sent: dict[Key, Attempted] = field(default_factory=dict)
    receipts: list[tuple[Key, dict[str, Any]]] = field(default_factory=list)
    """Every receipt that was handed out, in that order; a message that was sent again has several."""
    notes: list[str] = field(default_factory=list)
    """Every checkpoint that was handed out other than in a receipt of one's own."""
    read: list[tuple[str, int, str]] = field(default_factory=list)
    """Every item that anybody read: whose mailbox, which position, the message's digest."""
    proofs: list[dict[str, Any]] = field(default_factory=list)
    """The inclusion proofs of acknowledgements."""
    answers: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    """How often each call was answered with which status and problem code."""
    entries: list[bytes] = field(default_factory=list)
    """The log as an auditor reads it."""
    hashes: list[bytes] = field(default_factory=list)
    """The leaves' hashes as anybody reads them."""
    mailboxes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """The mailboxes as they are now, from the first position on."""
    cases: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The cases as they are now."""
    touched: set[str] = field(default_factory=set)
    """The cases that may have changed since they were read."""

    def reread(self) -> "Evidence":
        """The same, but for what is read of the hub: all of that is to be read afresh."""
        return replace(
            self, entries=[], hashes=[], mailboxes={}, cases={}, touched={c.sent.case for c in self.sent.values()}
        )

    def answered(self, call: str, status: int, code: str = "") -> None:
        """Note an answer."""
        self.answers[call, status, code] += 1


def digest(token: str) -> str:
    """SHA-256 of a message, as receipts write it."""
    return "sha-256:" + hashlib.sha256(token.encode()).hexdigest()
