"""Drafts: messages being written at the desk, until the hub has them.

A draft has its message's id from the beginning, so that also a desk restored from an old copy sends nothing twice.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from adapters.desk.enclosures import Enclosures
from adapters.desk.forms import Words
from adapters.desk.vault import Vault
from protocols.attachments import Manifest
from protocols.envelope import new_id, rfc3339

KIND: Final = "draft"
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
    receipt: dict[str, Any] | None = None
    files: list[Manifest] = []
    uploaded: list[str] = []
    """The digests of those files that are at the hub."""
    package: str | None = None
    """The package that it is sent with: all of its messages, or none."""

    @property
    def missing(self) -> list[Manifest]:
        """Its files that are not at the hub yet."""
        return [file for file in self.files if file.attachment not in self.uploaded]


class Drafts:
    """The drafts in an open store, and their files beside it."""

    def __init__(self, vault: Vault, enclosures: Enclosures) -> None:
        self._vault, self.enclosures = vault, enclosures

    def all(self, *states: State) -> list[Draft]:
        """Those in one of these states, the oldest first."""
        found = (msgspec.convert(value, Draft) for _, value in self._vault.all(KIND))
        return [draft for draft in found if draft.state in states]

    def one(self, id: str) -> Draft | None:
        """A draft, or None."""
        value = self._vault.get(KIND, id)
        return None if value is None else msgspec.convert(value, Draft)

    def keep(self, *drafts: Draft) -> None:
        """Keep drafts as they are now: all of them, or none."""
        self._vault.put_many([(KIND, draft.id, msgspec.to_builtins(draft)) for draft in drafts])

    def discard(self, draft: Draft) -> None:
        """Forget a draft that was not signed for yet, with its files."""
        if draft.state in OPEN:
            self._vault.drop(KIND, draft.id)
            for file in draft.files:
                self.enclosures.drop(file)

    async def enclose(self, draft: Draft, name: str, content: AsyncIterator[bytes]) -> Manifest:
        """Attach a file to a draft, sealed as it comes in. Raises EnclosureInvalid."""
        manifest = await self.enclosures.take(name, content)
        draft.files.append(manifest)
        self.keep(draft)
        return manifest

    def remove(self, draft: Draft, attachment: str) -> None:
        """Take a file out of a draft."""
        for file in [file for file in draft.files if file.attachment == attachment]:
            draft.files.remove(file)
            self.enclosures.drop(file)
        self.keep(draft)

    def refuse(self, why: Words, *drafts: Draft) -> None:
        """Note that the hub does not take them, and why: they can be changed again."""
        for draft in drafts:
            draft.state, draft.problem, draft.compact, draft.uploaded = "refused", why, None, []
        self.keep(*drafts)


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
