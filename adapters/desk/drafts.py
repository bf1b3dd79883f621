"""Drafts: messages being written at the desk, until the hub has them.

A draft has its message's id from the beginning, so that also a desk restored from an old copy sends nothing twice.
"""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Literal

import msgspec

from adapters.desk.enclosures import Enclosures
from adapters.desk.forms import Remark, Words
from adapters.desk.saying import Objection
from adapters.desk.vault import Vault
from keys.errors import Fault
from protocols.attachments import Manifest
from protocols.envelope import new_id, rfc3339

DAILY: Final = 50
"""Most requests from workbooks to one authority a day (domain, rule 2)."""
KIND: Final = "draft"
SENT: Final = "sent"
State = Literal["draft", "waiting", "queued", "sent", "refused"]
"""Being written, waiting for a head, signed for and on its way, taken by the hub, refused by it."""
UNSENT: tuple[State, ...] = ("draft", "waiting", "queued", "refused")
OPEN: tuple[State, ...] = ("draft", "waiting", "refused")
"""In which a draft can still be changed."""


class Draft(msgspec.Struct, kw_only=True):
    """A message being written. `content` is what will be sealed; `compact` the signed bytes once there are any."""

    id: str
    protocol: str
    version: str
    message: str
    case: str
    opening: bool
    to: str | None
    data: dict[str, Any]
    content: dict[str, Any] | None
    by: str
    made: str
    state: State = "draft"
    signed_by: str | None = None
    compact: bytes | None = None
    problem: Words | None = None
    places: tuple[Remark, ...] = ()
    """What the hub has against its fields, with `problem`."""
    receipt: dict[str, Any] | None = None
    files: list[Manifest] = []
    uploaded: list[str] = []
    """The digests of those files that are at the hub."""
    revision: int = 0
    """How often it was kept: whoever keeps an older one is told."""
    signed_as: str | None = None
    """What was signed under its id (`digest`): another content goes out under another id."""
    package: str | None = None
    """The package that it is sent with: all of its messages, or none."""
    many: bool = False
    """Whether it came from a workbook: only so many of those go to one authority a day."""
    signed_on: str | None = None
    """The day in China on which it was signed for."""

    @property
    def missing(self) -> list[Manifest]:
        """Its files that are not at the hub yet."""
        return [file for file in self.files if file.attachment not in self.uploaded]


class DraftChanged(Fault):
    """Somebody else, or the courier, changed the draft meanwhile: look at it again."""

    code: ClassVar[str] = "desk-draft-changed"

    def __init__(self) -> None:
        super().__init__("changed or sent meanwhile", zh="这份草稿刚刚被别处改动或发出，请再看一遍")


class TooManyToday(Fault):
    """As many requests from workbooks as one authority is sent in a day were signed for today: go on tomorrow."""

    code: ClassVar[str] = "desk-daily-cap"


class Drafts:
    """The drafts in an open store, and their files beside it. What was sent is kept apart: it is looked at seldom."""

    def __init__(self, vault: Vault, enclosures: Enclosures) -> None:
        self._vault, self.enclosures = vault, enclosures

    def all(self, *states: State) -> list[Draft]:
        """Those in one of these states, the oldest first."""
        kinds = (KIND, SENT) if "sent" in states else (KIND,)
        found = [msgspec.convert(value, Draft) for kind in kinds for _, value in self._vault.all(kind)]
        return sorted((draft for draft in found if draft.state in states), key=lambda draft: (draft.made, draft.id))

    def one(self, id: str) -> Draft | None:
        """A draft, or None."""
        value = self._vault.get(KIND, id) or self._vault.get(SENT, id)
        return None if value is None else msgspec.convert(value, Draft)

    def from_workbooks(self, day: str) -> Counter[str]:
        """How many that came from workbooks were signed for on a day, by whom they go to."""
        signed = self.all("queued", "sent")
        return Counter(str(draft.to) for draft in signed if draft.many and draft.signed_on == day)

    def keep(self, *drafts: Draft) -> None:
        """Keep drafts as they are now: all of them, or none. Raises DraftChanged where one was kept in between."""
        for draft in drafts:
            self._require_newest(draft)
        for draft in drafts:
            draft.revision += 1
        rows = [(SENT if draft.state == "sent" else KIND, draft.id, msgspec.to_builtins(draft)) for draft in drafts]
        self._vault.put_many(rows)
        for draft in drafts:
            if draft.state == "sent":
                self._vault.drop(KIND, draft.id)

    def discard(self, draft: Draft) -> None:
        """Forget a draft that was not signed for yet, with its files. Raises DraftChanged."""
        self._require_newest(draft)
        if draft.state in OPEN:
            self._vault.drop(KIND, draft.id)
            for file in draft.files:
                self.enclosures.drop(file)

    def renumber(self, draft: Draft) -> None:
        """Give a draft another id, because something else may have gone out under the one that it has."""
        self._require_newest(draft)
        self._vault.drop(KIND, draft.id)
        draft.id, draft.revision, draft.signed_as = new_id(), 0, None

    def _require_newest(self, draft: Draft) -> None:
        kept = self.one(draft.id)
        if (kept.revision if kept is not None else 0) != draft.revision:
            raise DraftChanged

    async def enclose(self, draft: Draft, name: str, content: AsyncIterator[bytes]) -> Manifest:
        """Attach a file to a draft, sealed as it comes in. Raises EnclosureInvalid."""
        manifest = await self.enclosures.take(name, content)
        draft.files.append(manifest)
        try:
            self.keep(draft)
        except DraftChanged:
            self.enclosures.drop(manifest)
            raise
        return manifest

    def remove(self, draft: Draft, attachment: str) -> None:
        """Take a file out of a draft."""
        for file in [file for file in draft.files if file.attachment == attachment]:
            draft.files.remove(file)
            self.enclosures.drop(file)
        self.keep(draft)

    def sweep(self) -> None:
        """Remove files that no draft has: a crash, or a lock, came in between."""
        wanted = {self.enclosures.sealed(file).blob.name for draft in self.all(*UNSENT) for file in draft.files}
        self.enclosures.sweep(wanted)

    def refuse(self, why: Objection, *drafts: Draft) -> None:
        """Note that the hub does not take them, and why: they can be changed again."""
        for draft in drafts:
            draft.state, draft.compact, draft.uploaded = "refused", None, []
            draft.problem, draft.places = why.words, why.places
        self.keep(*drafts)


def digest(draft: Draft) -> str:
    """What a draft comes to: what it says, with which files, to whom."""
    files = [file.digest for file in draft.files]
    return hashlib.sha256(msgspec.json.encode([draft.data, draft.content, files, draft.to])).hexdigest()


def sheet(
    protocol: str, version: str, message: str, by: str, *, case: str | None, to: str | None, opening: bool
) -> Draft:
    """An empty draft, not kept yet; a case is new where none is named."""
    return Draft(
        id=new_id(),
        protocol=protocol,
        version=version,
        message=message,
        case=case or new_id(),
        opening=opening,
        to=to,
        data={},
        content=None,
        by=by,
        made=rfc3339(datetime.now(UTC)),
    )


def packages(drafts: Sequence[Draft]) -> list[list[Draft]]:
    """The drafts that go out together, in the order they were made."""
    found: dict[str, list[Draft]] = {}
    for draft in drafts:
        found.setdefault(draft.package or draft.id, []).append(draft)
    return list(found.values())
