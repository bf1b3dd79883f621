"""The bureau at its desk: its cases and what was said in them, its drafts, and the news of both.

All of it is in the desk's store, so that one reads and drafts on while the hub is away. A draft is data until a head
signs; what is signed goes out by the courier.
"""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import islice, product
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from adapters.client import Client, messages
from adapters.desk.drafts import DAILY, Draft, Drafts, TooManyToday, digest, sheet
from adapters.desk.enclosures import Enclosures
from adapters.desk.forms import Words
from adapters.desk.saying import Objection, objection
from adapters.desk.vault import Vault
from adapters.desk.views import case_of
from keys.errors import BadSeal, Fault
from protocols import deadlines
from protocols.attachments import Manifest, attached, manifests
from protocols.divisions import ancestors, division
from protocols.loading import Catalogue

NOTHING: Final = Words("", "")


@dataclass(frozen=True, slots=True)
class Contact:
    """How it stands with the hub: still being reached, there, away, or there without listing our keys; and why."""

    state: Literal["connecting", "reached", "away", "unadmitted"]
    why: Words = NOTHING


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
        self.came: asyncio.Queue[Manifest] = asyncio.Queue()
        """The files of what came in."""
        self._cases: dict[str, dict[str, Any]] = {}
        for id, view in vault.all("case"):
            with contextlib.suppress(msgspec.ValidationError):  # of an earlier version: it is asked for again
                self._cases[id] = case_of(view)
        self._organisations: list[dict[str, Any]] = vault.get("directory", "all") or []
        self._named = {str(one["id"]): one for one in self._organisations}
        self._matters: dict[str, str] = {}
        self._seen: dict[str, int] = dict(vault.all("seen"))
        self._listeners: set[asyncio.Queue[str]] = set()
        self.progress: dict[str, tuple[int, int]] = {}
        """How many bytes of a file are at the hub, of how many, by its digest, while it is on its way."""
        self.contact = Contact("connecting")

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

    def filed(self) -> list[Manifest]:
        """The files of every message that this desk has."""
        return [file for _, message in self.vault.all("message") for file in files_of(message)]

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

    def search(
        self, wanted: str, read: Callable[[Mapping[str, Any]], Iterable[str]]
    ) -> list[tuple[dict[str, Any], str]]:
        """The cases that this desk opened and whose messages hold these words, each with where they stand.

        `read` says what stands in a message, line by line.
        """
        words = wanted.casefold().split()
        found: dict[str, str] = {}
        for id, message in self.vault.all("message") if words else ():
            lines = list(read(message))
            text = "\n".join(lines).casefold()
            if all(word in text for word in words):
                line = next((one for one in lines if words[0] in one.casefold()), "")
                found[id.partition("/")[0]] = line.replace("\n", " ")[:60]
        for case in self._cases if words else ():
            if all(case.startswith(word) for word in words):
                found.setdefault(case, "")
        return [(case, found[case["id"]]) for case in self.cases() if case["id"] in found]

    def matter(self, case: str) -> str:
        """What a case is about, in a few words out of what was sealed when it was opened: for this desk's own lists."""
        if case not in self._matters:
            first = next(iter(self.said(case)), None)
            if first is None:
                return ""
            self._matters[case] = words_of(first["content"])
        return self._matters[case]

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

    def learn(self, view: Any) -> None:
        """Keep a case as the hub tells of it now. Raises msgspec.ValidationError where it tells of none."""
        case = case_of(view)
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
        """Send them: now, or as soon as the hub is back. Raises DraftChanged, TooManyToday."""
        today = deadlines.local_date(datetime.now(UTC)).isoformat()
        if any(draft.many for draft in drafts):
            sent = self.drafts.from_workbooks(today)
            wanted = sent + Counter(str(draft.to) for draft in drafts if draft.many)
            for to, count in wanted.items():
                if count > DAILY:
                    name = (self.organisation_of(to) or {}).get("name", {}).get("zh", to)
                    raise TooManyToday(
                        f"{sent[to]} from workbooks go to {to} today, of {DAILY} at most: sign the rest tomorrow",
                        zh=f"今天已向{name}批量签发 {sent[to]} 件，每天至多 {DAILY} 件，其余请明天签发",
                    )
        for draft in drafts:
            if draft.signed_as not in (None, digest(draft)):
                self.drafts.renumber(draft)
            draft.state, draft.signed_by, draft.compact = "queued", by, None
            draft.problem, draft.places = None, ()
            draft.signed_as, draft.signed_on = digest(draft), today
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

    async def preflight(self, draft: Draft) -> list[Objection]:
        """What the hub would have against it now; nothing where it would be taken. Raises Undecided, Fault.

        Its files are uploaded for that, as nobody can judge a message that names files which are not there.
        """
        async with self.connect() as client:
            await self.upload(client, draft)
            return await self.objections(client, draft)

    async def objections(self, client: Client, draft: Draft) -> list[Objection]:
        """What the hub has against a draft that nobody signed. Raises Undecided, Refused, DataInvalid, BadSeal."""
        data, content = attached(draft.data, draft.content or {}, draft.files)
        sealed = content or draft.content
        if draft.opening:
            kind, to = f"{draft.protocol}.{draft.message}", [str(draft.to)]
            verdict = await client.rehearse(kind, draft.case, to, data, sealed)
        else:
            verdict = await client.rehearse_reply(draft.case, draft.message, data, sealed)
        return [objection(problem) for problem in verdict.problems]

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
        changed = contact.state != self.contact.state and self.contact.state != "connecting"
        self.contact = contact
        if changed:
            self.tell("contact")

    # Writing it out --------------------------------------------------------------------------------------

    async def upload(self, client: Client, draft: Draft) -> None:
        """Upload the files of a draft that are not at the hub, from where each stands. Raises Undecided, Refused."""
        for file in draft.missing:
            await client.attach(self.drafts.enclosures.sealed(file), self._counting(file))
            draft.uploaded.append(file.attachment)
            self.drafts.keep(draft)

    def _counting(self, file: Manifest) -> Callable[[int, int], None]:
        def count(done: int, size: int) -> None:
            self.progress[file.attachment] = done, size

        return count

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


def files_of(message: Mapping[str, Any]) -> list[Manifest]:
    """The files of a message; none where what it says of them does not hold."""
    try:
        return manifests(message["content"])
    except BadSeal:
        return []


class Turns(NamedTuple):
    """Cases in which it is one's turn: past their due date, due on a day, and the others."""

    late: list[Mapping[str, Any]]
    now: list[Mapping[str, Any]]
    rest: list[Mapping[str, Any]]


def turns(cases: Iterable[Mapping[str, Any]], organisation: str, today: date) -> Turns:
    """The cases in which it is this organisation's turn, as they stand on a day; what is due first at the top."""
    made, day = Turns([], [], []), today.isoformat()
    for case in sorted((case for case in cases if organisation in case["awaits"]), key=_due):
        (made.late if _due(case) < day else made.now if _due(case) == day else made.rest).append(case)
    return made


def _due(case: Mapping[str, Any]) -> str:
    return (case["due"] or {}).get("date") or "9999"


def found(organisations: Sequence[Mapping[str, Any]], wanted: str) -> list[Mapping[str, Any]]:
    """The organisations that a search means: by name, division, id, pinyin or its first letters; all words must fit.

    Of a Chinese name the characters that one remembers will do, in their order: 卫健 means 卫生健康.
    """
    words = wanted.strip().lower().split()
    return [one for one in organisations if words and all(_fits(one, word) for word in words)]


def _fits(one: Mapping[str, Any], word: str) -> bool:
    id, zh = str(one["id"]), str(one["name"]["zh"])
    place = _place(id)
    if word.isascii():
        return any(word in text for text in (id, str(one["name"]["en"]).lower(), *_spelt(zh)))
    rest = iter(place + zh)
    return word in zh or word in place or all(char in rest for char in word)


@lru_cache(maxsize=10_000)
def _place(id: str) -> str:
    """The divisions that an organisation stands in, by name."""
    try:
        code = id[:6]
        return "".join(one.name for one in (*reversed(ancestors(code)), division(code)))
    except Fault:
        return ""


@lru_cache(maxsize=10_000)
def _spelt(zh: str) -> tuple[str, ...]:
    """A name in pinyin, and by first letters, in the readings that its characters have."""
    from pypinyin import Style, lazy_pinyin, pinyin  # a dictionary: a third of what a desk takes to start

    readings = [
        sorted({one for one in options if one})[:3] for options in pinyin(zh, style=Style.NORMAL, heteronym=True)
    ]
    whole = {"".join(one) for one in islice(product(*readings), 64)} | {"".join(lazy_pinyin(zh))}
    return (*whole, "".join(lazy_pinyin(zh, style=Style.FIRST_LETTER)))


def words_of(content: Any) -> str:
    """What a sealed content is about, in a few of its own words."""
    return " · ".join(list(_texts(content))[:2])[:40].replace("\n", " ")


def _texts(value: Any) -> Iterator[str]:
    """The words in a content that are somebody's own: no codes, numbers, dates, nor who is to be rung up."""
    if isinstance(value, str) and re.search(r"[\u4e00-\u9fff]", value):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            if key not in ("contact", "attachments", "messages"):
                yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
