"""The bureau at its desk: its cases and what was said in them, its drafts, and the news of both.

All of it is in the desk's store, so that one reads and drafts on while the hub is away. A draft is data until a head
signs; what is signed goes out by the courier.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pypinyin import Style, lazy_pinyin

from adapters.client import Client, messages
from adapters.desk.drafts import Draft, Drafts, sheet
from adapters.desk.enclosures import Enclosures
from adapters.desk.vault import Vault
from keys.errors import Fault
from protocols.attachments import attached
from protocols.loading import Catalogue


@dataclass(frozen=True, slots=True)
class Contact:
    """Whether the hub can be reached, and if not, why."""

    reached: bool
    why: str = ""


class Bureau:
    """One organisation's desk, while its store is open. `connect` makes a client with its keys."""

    def __init__(
        self, vault: Vault, organisation: str, catalogue: Catalogue, connect: Callable[[], Client], folder: Path
    ) -> None:
        self.organisation, self.catalogue = organisation, catalogue
        self.drafts = Drafts(vault, Enclosures(folder))
        self.connect = connect
        self.vault = vault
        self.signed = asyncio.Event()
        self._cases: dict[str, dict[str, Any]] = dict(vault.all("case"))
        self._organisations: list[dict[str, Any]] = vault.get("directory", "all") or []
        self._named = {str(one["id"]): one for one in self._organisations}
        self._seen: dict[str, int] = dict(vault.all("seen"))
        self._listeners: set[asyncio.Queue[str]] = set()
        self.progress: dict[str, tuple[int, int]] = {}
        """How many bytes of a file are at the hub, of how many, by its digest, while it is on its way."""
        self.contact = Contact(False, "")

    # Reading ----------------------------------------------------------------------------------------------

    def cases(self) -> list[dict[str, Any]]:
        """Every case as the hub last told of it, the one last touched first."""
        return sorted(self._cases.values(), key=lambda case: str(case["updated"]), reverse=True)

    def case(self, id: str) -> dict[str, Any] | None:
        """A case, with its timeline."""
        return self._cases.get(id)

    def said(self, case: str) -> list[dict[str, Any]]:
        """The messages of a case that this desk has, in the order of the hub's log."""
        found = [message for _, message in self.vault.all("message", f"{case}/")]
        return sorted(found, key=lambda message: int(message["entry"]))

    def arrived(self) -> list[dict[str, Any]]:
        """The cases in which something came in that nobody looked at yet."""
        return [case for case in self.cases() if self._newest(case) > self._seen.get(case["id"], -1)]

    def look(self, case: str) -> None:
        """Note that somebody looked at what came in."""
        newest = self._newest(self._cases[case])
        if newest > self._seen.get(case, -1):
            self._seen[case] = newest
            self.vault.put("seen", case, newest)

    def _newest(self, case: Mapping[str, Any]) -> int:
        others = (int(step["log_index"]) for step in case["timeline"] if step["source"] != self.organisation)
        return max(others, default=-1)

    def search(self, wanted: str) -> list[tuple[dict[str, Any], str]]:
        """The cases that this desk opened and whose messages hold these words, each with where they stand."""
        words = wanted.casefold().split()
        found: dict[str, str] = {}
        for id, message in self.vault.all("message") if words else ():
            text = "\n".join(_texts([message["data"], message["content"]]))
            if all(word in text.casefold() for word in words):
                found[id.partition("/")[0]] = _around(text, words[0])
        for case in self._cases if words else ():
            if all(case.startswith(word) for word in words):
                found.setdefault(case, "")
        return [(case, found[case["id"]]) for case in self.cases() if case["id"] in found]

    def troubles(self) -> list[dict[str, Any]]:
        """What lay in the mailbox and did not stand up to being checked."""
        return [trouble for _, trouble in self.vault.all("trouble")]

    def organisations(self) -> list[dict[str, Any]]:
        """The directory as it was last read."""
        return self._organisations

    def organisation_of(self, id: str) -> Mapping[str, Any] | None:
        """An organisation by its id, as far as the directory was read."""
        return self._named.get(id)

    def directory(self, organisations: list[dict[str, Any]]) -> None:
        """Keep the directory as it was read now."""
        self.vault.put("directory", "all", organisations)
        self._organisations, self._named = organisations, {str(one["id"]): one for one in organisations}

    def learn(self, case: dict[str, Any]) -> None:
        """Keep a case as the hub tells of it now."""
        self.vault.put("case", case["id"], case)
        self._cases[case["id"]] = case

    def usual(self, organisation: str) -> float | None:
        """Days it usually took to answer us, over a year; None where it never had to."""
        return (self.vault.get("state", "usual") or {}).get(organisation)

    # Writing ----------------------------------------------------------------------------------------------

    def begin(self, protocol: str, message: str, case: str | None, to: str | None, by: str) -> Draft:
        """A new draft: of a message in a case, or of one that opens a case with the organisation `to`. Not kept yet."""
        known = self.case(case) if case is not None else None
        version = str(known["version"]) if known is not None else self._latest(protocol)
        opening = message in self.catalogue.protocols[protocol, version].flow.opening
        return sheet(protocol, version, message, by, case=case, to=to, opening=opening)

    def sign(self, by: str, *drafts: Draft) -> None:
        """Send them: now, or as soon as the hub is back."""
        for draft in drafts:
            draft.state, draft.signed_by, draft.problem, draft.compact = "queued", by, None, None
        self.drafts.keep(*drafts)
        self.signed.set()

    async def find(self, wanted: str) -> list[Mapping[str, Any]]:
        """The organisations that a search means; where none is known, the hub is asked who there is by now."""
        matches = found(self.organisations(), wanted)
        if not matches and wanted.strip():
            with contextlib.suppress(Fault):
                async with self.connect() as client:
                    self.directory(await client.organisations())
            matches = found(self.organisations(), wanted)
        return matches

    async def preflight(self, draft: Draft) -> list[str]:
        """What the hub would have against it now; nothing where it would be taken. Raises Undecided, Fault."""
        async with self.connect() as client:
            return await against(client, await self.prepared(client, draft))

    # News -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def listening(self) -> Iterator[asyncio.Queue[str]]:
        """A queue of what happens while it is listened to: `arrived`, `sent`, `refused`, `contact`."""
        queue: asyncio.Queue[str] = asyncio.Queue(100)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    def tell(self, news: str) -> None:
        for queue in self._listeners:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(news)

    def reach(self, contact: Contact) -> None:
        changed = contact.reached != self.contact.reached
        self.contact = contact
        if changed:
            self.tell("contact")

    # Writing it out --------------------------------------------------------------------------------------

    async def prepared(self, client: Client, draft: Draft) -> messages.Draft:
        """The draft sealed and signed. Raises Refused, Undecided, DataInvalid, BadSeal."""
        data, content = attached(draft.data, draft.content or {}, draft.files)
        sealed = content or draft.content
        if draft.opening:
            kind, to = f"{draft.protocol}.{draft.message}", [str(draft.to)]
            return await client.prepare(kind, draft.case, to, data, sealed, check=True, id=draft.id)
        return await client.prepare_reply(draft.case, draft.message, data, sealed, check=True, id=draft.id)

    def _latest(self, protocol: str) -> str:
        known = self.catalogue.latest(protocol)
        assert known is not None
        return known.version


async def against(client: Client, message: messages.Draft) -> list[str]:
    """What the hub has against a message; nothing where it would take it. Raises Undecided."""
    verdict = await client.preflight(message)
    return [str(problem.get("detail", problem.get("type"))) for problem in verdict.problems]


def awaiting(cases: Iterable[Mapping[str, Any]], organisation: str) -> list[Mapping[str, Any]]:
    """The cases in which it is this organisation's turn, what is due first at the top."""
    turn = [case for case in cases if organisation in case["awaits"]]
    return sorted(turn, key=lambda case: (case["due"] or {}).get("date") or "9999")


def found(organisations: Sequence[Mapping[str, Any]], wanted: str) -> list[Mapping[str, Any]]:
    """The organisations that a search means: by name, by id, by the first letters of its pinyin."""
    text = wanted.strip().lower()
    return [one for one in organisations if text and text in _searched(str(one["id"]), str(one["name"]["zh"]),
                                                                       str(one["name"]["en"]))]  # fmt: skip


def _searched(id: str, zh: str, en: str) -> str:
    whole, initials = "".join(lazy_pinyin(zh)), "".join(lazy_pinyin(zh, style=Style.FIRST_LETTER))
    return " ".join((id, zh, en, whole, initials)).lower()


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one)


def _around(text: str, word: str) -> str:
    at = max(0, text.casefold().find(word) - 20)
    return text[at : at + 60].replace("\n", " ")
