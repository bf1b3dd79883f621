"""What a partner put in: which files are whole, whether they were taken before, what each is."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from adapters.exchange import asked, names, signing, words
from adapters.exchange.books import Books
from adapters.exchange.folder import IN, Entry, FileGone, Folder
from adapters.exchange.ledger import Kind, Ledger, Line, Thing
from adapters.exchange.settings import Settings
from adapters.exchange.troubles import Troubles
from adapters.exchange.words import Unfit
from adapters.running.partner import Offer, PartnerUnreachable
from adapters.running.store import Store
from keys.errors import Fault
from keys.jwk import VerifyingKey

LIMITS: Final = {"json": 1 << 20, "jose": 1 << 20, "xlsx": 2 << 20}
"""Bytes of a file by the ending of its name."""
BATCH: Final = 50
"""Files that are looked at before they are offered."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that was read, and its offers; none where it is to wait."""

    thing: Thing
    offers: Sequence[Offer]
    lines: Sequence[Line] = ()
    original: bytes | None = None
    marked: bytes | None = None


class Incoming:
    """The folder `in/`, looked at again and again."""

    def __init__(
        self, settings: Settings, organisations: Sequence[str], folder: Folder, ledger: Ledger, troubles: Troubles,
        keys: Sequence[VerifyingKey],
    ) -> None:  # fmt: skip
        self._settings, self._organisations, self._keys = settings, organisations, keys
        self._folder, self._ledger, self._troubles = folder, ledger, troubles
        self._seen: dict[str, tuple[int, float, float]] = {}
        self._under_way: dict[str, tuple[int, float, str]] = {}
        self._entered = [thing.key for thing in ledger.things("open")]

    async def look(self, books: Books) -> tuple[list[Offer], bool]:
        """What is new, and whether there is more at once. Raises PartnerUnreachable."""
        whole = await self._whole()
        if not whole and self._seen and self._settings.complete == "settled":
            # What was first seen now is looked at again as soon as it may be whole.
            await asyncio.sleep(self._settings.settle)
            whole = await self._whole()
        offers: list[Offer] = []
        for entry in whole[:BATCH]:
            offers += await self._offered(entry, books)
        return offers, len(whole) > BATCH

    def confirm(self, store: Store) -> None:
        """Forget what was noted and then not kept as an offer, whatever came in between: it is looked at anew."""
        for key in self._entered:
            lines = self._ledger.lines(key)
            for thing in self._ledger.things("key", key):
                first = row_key(thing, lines[0].number) if lines else key
                if thing.taken is None and store.offer(first) is None:
                    self._ledger.forget(key)
        self._entered = []

    async def _whole(self) -> list[Entry]:
        """The files that are whole and not under way, the oldest first."""
        entries = await self._folder.list(IN)
        present, open_ = {entry.name for entry in entries}, {thing.key for thing in self._ledger.things("open")}
        self._troubles.only(IN, present)
        now, found, seen = time.monotonic(), [], {}
        for entry in sorted(entries, key=lambda one: (one.changed, one.name)):
            if names.passed_over(entry.name) or names.beside(entry.name):
                continue
            size, changed, key = self._under_way.get(entry.name, (-1, 0.0, ""))
            if (size, changed) == (entry.size, entry.changed) and key in open_:
                continue
            size, changed, since = self._seen.get(entry.name, (-1, 0.0, 0.0))
            if (size, changed) != (entry.size, entry.changed):
                since = now
            seen[entry.name] = (entry.size, entry.changed, since)
            if self._settings.complete == "ready":
                whole = entry.name + names.READY in present
            else:
                whole = now - since >= self._settings.settle
            if whole:
                found.append(entry)
        self._seen = seen
        self._under_way = {name: known for name, known in self._under_way.items() if name in present}
        return found

    async def _offered(self, entry: Entry, books: Books) -> Sequence[Offer]:
        try:
            found = await self._judged(entry, books)
        except FileGone:
            return ()
        except PartnerUnreachable:
            raise
        except Fault as trouble:
            # The hub is wanted and away, or the file can't be read: it lies there, and is tried again.
            self._troubles.note(IN, entry.name, trouble.detail)
            return ()
        self._troubles.over(IN, entry.name)
        if found is None:
            return ()
        self._under_way[entry.name] = (entry.size, entry.changed, found.thing.key)
        if not found.offers:
            return ()
        self._entered.append(found.thing.key)
        self._ledger.enter(found.thing, found.lines, found.original, found.marked)
        return found.offers

    async def _judged(self, entry: Entry, books: Books) -> Found | None:
        """The file with its offers; without them where it is under way already, None where it has to wait."""
        limit, open_ = limit_of(entry.name), {thing.key for thing in self._ledger.things("open")}
        content = await self._folder.read(IN, entry.name, limit)
        if len(content) <= limit and len(content) != entry.size:
            return None  # it grows still
        digest, shown = digest_of(content), names.shown(entry.name)
        known = self._ledger.things("digest", digest)
        own = [thing for thing in known if thing.real == entry.name]
        for thing in own:
            if not thing.moved or thing.key in open_:  # or it was moved while it was read
                return Found(thing, ())
        if any(thing.taken is None for thing in known):
            return None
        thing = Thing(f"{digest}.{len(own)}.{shown}", shown, entry.name, digest, "message")
        try:
            if not names.plain(entry.name):
                raise Unfit(words.NAME)
            if len(content) > limit:
                raise Unfit(words.too_large(limit))
            for other in known:
                if other.taken and self._settings.doubles == "refuse":
                    raise Unfit(words.double(other.name))
            await self._signed(entry.name, content)
            return await self._read(thing, content, books)
        except Unfit as unfit:
            return _single(thing, Offer(key=thing.key, problem=words.both(unfit.words)), "unfit")

    async def _signed(self, name: str, content: bytes) -> None:
        """Raises Unfit where a signature is wanted and not there, or one is there and wrong."""
        if not self._keys:
            return
        try:
            token = await self._folder.read(IN, name + names.SIGNATURE, signing.LARGEST)
        except FileGone:
            if self._settings.require_signed:
                raise Unfit(words.UNSIGNED) from None
            return
        signing.check(token, name, content, self._keys)

    async def _read(self, thing: Thing, content: bytes, books: Books) -> Found:
        ending = ending_of(thing.name)
        if ending not in LIMITS:
            raise Unfit(words.KIND)
        if not content.strip():
            raise Unfit(words.EMPTY)
        if ending == "json":
            wanted, reference = asked.wanted(content, self._organisations)
            return _single(replace(thing, reference=reference), Offer(key=thing.key, wanted=wanted))
        if ending == "jose":
            return _single(thing, Offer(key=thing.key, compact=asked.signed(content)))
        judged = await books.judged(content)
        if judged.marked is not None:
            text = words.rows_wrong(judged.bad, len(judged.rows), names.numbered(thing.name, "marked"))
            offer = Offer(key=thing.key, problem=words.both(text))
            return replace(_single(thing, offer, "unfit"), marked=judged.marked)
        offers = [
            Offer(key=row_key(thing, row.number), wanted=books.wanted(judged.sheet, row), raw=_raw(thing, row.number))
            for row in judged.rows
        ]
        return Found(replace(thing, kind="workbook"), offers, books.lines(thing.key, judged), content)


def ending_of(name: str) -> str:
    """What a file is, by its name."""
    return name.rpartition(".")[2].lower()


def limit_of(name: str) -> int:
    """How many bytes a file of this name may have."""
    return LIMITS.get(ending_of(name), min(LIMITS.values()))


def digest_of(content: bytes) -> str:
    """By which bytes are known again; of a file that is too large, those that were read."""
    return hashlib.sha256(content).hexdigest()


def row_key(thing: Thing, number: int) -> str:
    """The key of a row's offer."""
    digest, turn, name = thing.key.split(".", 2)
    return f"{digest}.{turn}.{number}.{name}"


def _single(thing: Thing, offer: Offer, kind: Kind = "message") -> Found:
    raw = _raw(thing)
    made = Offer(key=offer.key, wanted=offer.wanted, compact=offer.compact, problem=offer.problem, raw=raw)
    return Found(replace(thing, kind=kind), [made])


def _raw(thing: Thing, row: int | None = None) -> dict[str, Any]:
    """What is said of an offer to people, and by which it is found again when it is settled."""
    said: dict[str, Any] = {"file": thing.name, "sha256": thing.digest, "thing": thing.key}
    return said if row is None else said | {"row": row}
