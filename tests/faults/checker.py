"""The independent checker: by what partners hold and the public API alone, is anything lost, doubled or changed?

It shares no code with the hub: hashes and signatures by `tests/acceptance/verifier.py`, the flow of a case as a table.
"""

import base64
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from tests.acceptance.verifier import Head, leaf_hash, path_root, read_note, verify_receipt
from tests.faults.evidence import NO_ANSWER, Evidence, Key, digest

STEPS: Final = {
    ("requested", "responder", "accept"): "in-progress",
    ("requested", "responder", "decline"): "declined",
    ("requested", "opener", "withdraw"): "withdrawn",
    ("in-progress", "responder", "answer"): "answered",
    ("in-progress", "opener", "withdraw"): "withdrawn",
    ("answered", "opener", "close"): "closed",
    ("answered", "opener", "withdraw"): "withdrawn",
}
"""What the campaign's messages do to a case (docs/protocols/case-assistance): state, sender, message, state after."""
REFUSALS: Final = frozenset({"not-allowed-now"})
"""What a flow answers to who comes too late."""
WRONG_CLOCK: Final = frozenset({"token-invalid", "time-out-of-range", "acknowledgement-invalid"})
"""What a hub with a wrong clock may answer besides."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What does not hold, and of what."""

    invariant: str
    about: str


class Tree:
    """The root of every size that a log had, by RFC 6962 §2.1: complete subtrees of the right edge, merged in pairs."""

    def __init__(self) -> None:
        self.size = 0
        self.roots = {0: hashlib.sha256().digest()}
        self._edge: list[tuple[int, bytes]] = []

    def append(self, leaf: bytes) -> None:
        """One more leaf hash."""
        width = 1
        while self._edge and self._edge[-1][0] == width:
            leaf = hashlib.sha256(b"\x01" + self._edge.pop()[1] + leaf).digest()
            width *= 2
        self._edge.append((width, leaf))
        self.size += 1
        root = leaf
        for _, left in reversed(self._edge[:-1]):
            root = hashlib.sha256(b"\x01" + left + root).digest()
        self.roots[self.size] = root


@dataclass
class Checker:
    """Checks evidence as it grows: what was looked at once is not looked at again, but for what can change.

    `clock_wrong`: whether the hub's clock was wrong for a while.
    """

    clock_wrong: bool = False
    findings: list[Finding] = field(default_factory=list)
    checks: Counter[str] = field(default_factory=Counter)
    _tree: Tree = field(default_factory=Tree)
    _entries: list[dict[str, Any]] = field(default_factory=list)
    _accepted: dict[Key, int] = field(default_factory=dict)
    _receipts: dict[Key, dict[str, Any]] = field(default_factory=dict)
    _heads: set[str] = field(default_factory=set)
    _last: dict[str, int] = field(default_factory=dict)
    _latest: str = ""
    _seen: Counter[str] = field(default_factory=Counter)

    def require(self, holds: bool, invariant: str, about: object) -> bool:
        """Count a check, and note what does not hold."""
        self.checks[invariant] += 1
        if not holds:
            self.findings.append(Finding(invariant, str(about)))
        return holds

    def check(self, evidence: Evidence) -> list[Finding]:
        """All invariants; the findings so far."""
        self._log(evidence)
        self._handed_out(evidence)
        self._mailboxes(evidence)
        self._refused(evidence)
        self._cases(evidence)
        self._answers(evidence)
        return self.findings

    def _new(self, what: str, items: list[Any]) -> list[Any]:
        """What was not looked at before."""
        fresh = items[self._seen[what] :]
        self._seen[what] = len(items)
        return fresh

    # The log ------------------------------------------------------------------------------------------

    def _log(self, evidence: Evidence) -> None:
        """Entries and hashes are one tree; each entry follows from those before: positions, moments, ids."""
        self.require(len(evidence.hashes) >= len(evidence.entries), "the log is whole", "fewer hashes than entries")
        for leaf in self._new("entries", evidence.entries):
            index, entry = self._tree.size, json.loads(leaf)
            public = evidence.hashes[index] if index < len(evidence.hashes) else b""
            self.require(leaf_hash(leaf) == public, "entries are what is published", index)
            self._tree.append(leaf_hash(leaf))
            self._entries.append(entry)
            if entry["kind"] == "accepted":
                self._accept(index, entry)
            if "at" in entry:
                self.require(entry["at"] >= self._latest, "time never goes back in the log", index)
                self._latest = entry["at"]

    def _accept(self, index: int, entry: dict[str, Any]) -> None:
        key = entry["source"], entry["id"]
        self.require(key not in self._accepted, "nothing is taken twice", key)
        self._accepted[key] = index
        for recipient, position in entry["recipients"].items():
            after = self._last.get(recipient, 0) + 1
            self.require(position == after, "positions in the log have no gap", (recipient, position))
            self._last[recipient] = position

    # What was handed out ------------------------------------------------------------------------------

    def _handed_out(self, evidence: Evidence) -> None:
        for key, receipt in self._new("receipts", evidence.receipts):
            self._receipt(evidence, key, receipt)
        for note in self._new("notes", evidence.notes):
            self._note(evidence, note)
        for log in self._new("proofs", evidence.proofs):
            leaf, head = base64.b64decode(log["entry"]), self._note(evidence, log["checkpoint"])
            self.require(head is not None and _proven(log, leaf, head), "acknowledgements are proven", log["index"])
            self._in_log(leaf, log["index"], "acknowledgements are kept")

    def _receipt(self, evidence: Evidence, key: Key, receipt: dict[str, Any]) -> None:
        first = self._receipts.setdefault(key, receipt)
        if not self.require(first == receipt, "the same bytes get the first receipt", key) or first is not receipt:
            return
        try:
            verify_receipt(receipt, evidence.jwks, evidence.sent[key].sent.token)
        except Exception as error:
            self.require(False, "receipts verify offline", f"{key}: {error!r}")
            return
        self.require(True, "receipts verify offline", key)
        log = receipt["log"]
        self._note(evidence, log["checkpoint"])
        self._in_log(base64.b64decode(log["entry"]), log["index"], "nothing acknowledged is lost")
        self.require(self._accepted.get(key) == log["index"], "nothing acknowledged is lost", key)

    def _in_log(self, leaf: bytes, index: int, invariant: str) -> None:
        self.require(index < len(self._entries) and json.loads(leaf) == self._entries[index], invariant, index)

    def _note(self, evidence: Evidence, note: str) -> Head | None:
        """Any checkpoint ever seen is a head of the one log there is."""
        invariant = "every checkpoint is of this log"
        if note in self._heads:
            return read_note(note, evidence.jwks)
        try:
            head = read_note(note, evidence.jwks)
        except Exception as error:
            self.require(False, invariant, f"{note!r}: {error!r}")
            return None
        self._heads.add(note)
        self.require(self._tree.roots.get(head.size) == head.root, invariant, head.size)
        return head

    # Mailboxes ----------------------------------------------------------------------------------------

    def _mailboxes(self, evidence: Evidence) -> None:
        for recipient, items in evidence.mailboxes.items():
            start = self._seen[f"mailbox {recipient}"]
            for place, item in enumerate(self._new(f"mailbox {recipient}", items), start + 1):
                self._item(evidence, recipient, place, item)
            self.require(
                len(items) == self._last.get(recipient, 0), "all that the log delivers is in the mailbox", recipient
            )
        for recipient, position, read in self._new("read", evidence.read):
            mailbox = evidence.mailboxes.get(recipient, [])
            kept = position <= len(mailbox) and mailbox[position - 1]["receipt"]["digest"] == read
            self.require(kept, "what was read at a position stays there", (recipient, position))

    def _item(self, evidence: Evidence, recipient: str, place: int, item: dict[str, Any]) -> None:
        self.require(item["position"] == place, "mailboxes have no gap", (recipient, place, item["position"]))
        entry = json.loads(base64.b64decode(item["receipt"]["log"]["entry"]))
        key = entry["source"], entry["id"]
        sent = evidence.sent.get(key)
        ours = sent is not None and sent.sent.token.decode() == item["message"]
        self.require(ours, "nothing is delivered that nobody sent", (recipient, place))
        at = entry["recipients"].get(recipient)
        self.require(
            item["receipt"]["digest"] == digest(item["message"]), "receipts are of their messages", (recipient, place)
        )
        self.require(at == place, "a message stands where its entry says", (recipient, place, at))
        self._in_log(base64.b64decode(item["receipt"]["log"]["entry"]), item["receipt"]["log"]["index"],
                     "what is delivered is in the log")  # fmt: skip
        held = self._receipts.get(key)
        if held is not None:
            self.require(held == item["receipt"], "sender and recipient hold one receipt", key)

    def _refused(self, evidence: Evidence) -> None:
        for key, attempted in evidence.sent.items():
            if attempted.outcome not in (None, "taken"):
                self.require(key not in self._accepted, "what was refused was not taken", key)

    # Cases --------------------------------------------------------------------------------------------

    def _cases(self, evidence: Evidence) -> None:
        """Each case is where its messages, in the order of the log, bring it."""
        steps: dict[str, list[dict[str, Any]]] = {}
        for index in self._accepted.values():
            steps.setdefault(self._entries[index]["subject"], []).append(self._entries[index])
        for id in steps:
            self.require(id in evidence.cases, "every opened case is there", id)
        for id, case in evidence.cases.items():
            told = [(step["source"], step["id"]) for step in case["timeline"]]
            logged = [(entry["source"], entry["id"]) for entry in steps.get(id, ())]
            self.require(told == logged, "a case tells the messages that the log has", id)
            state = explained(steps.get(id, []))
            self.require(case["state"] == state, "a case is where its messages bring it", (id, case["state"], state))

    def _answers(self, evidence: Evidence) -> None:
        """Nobody gets another 5xx than 503 with Retry-After, nor a refusal without a reason."""
        for (call, status, code), count in evidence.answers.items():
            known = self._seen[f"{call} {status} {code}"]
            self._seen[f"{call} {status} {code}"] = count
            if count == known or status == NO_ANSWER:
                continue
            fine = status in (200, 201) or (status == 503 and code != "without Retry-After")
            fine = fine or code in (REFUSALS | WRONG_CLOCK if self.clock_wrong else REFUSALS)
            self.checks["every answer is a good one"] += count - known - 1
            self.require(fine, "every answer is a good one", (call, status, code, count))


def _proven(log: dict[str, Any], leaf: bytes, head: Head) -> bool:
    """Whether the proof leads from the entry to the head's root."""
    try:
        path = [base64.b64decode(step) for step in log["proof"]]
        return path_root(leaf_hash(leaf), log["index"], head.size, path) == head.root
    except AssertionError:
        return False


def explained(entries: list[dict[str, Any]]) -> str | None:
    """The state to which the accepted messages of a case bring it; None where they can't have been accepted."""
    if not entries or entries[0]["type"] != "case-assistance.request":
        return None
    opener, state = entries[0]["source"], "requested"
    (responder,) = entries[0]["recipients"]
    for entry in entries[1:]:
        role = {opener: "opener", responder: "responder"}.get(entry["source"], "stranger")
        after = STEPS.get((state, role, entry["type"].partition(".")[2]))
        if after is None:
            return None
        state = after
    return state
