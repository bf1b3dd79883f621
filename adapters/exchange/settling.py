"""What became of what was put in: receipts and reasons written back, originals moved out of the way."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from adapters import workbook
from adapters.desk.forms import Words
from adapters.exchange import names, words
from adapters.exchange.books import Books
from adapters.exchange.folder import DONE, IN, RECEIPTS, REJECTED, FileGone, FileTrouble, Folder
from adapters.exchange.incoming import digest_of, limit_of
from adapters.exchange.ledger import Ledger, Line, Thing
from adapters.exchange.pen import Pen
from adapters.exchange.troubles import Troubles
from adapters.exchange.words import Unfit
from adapters.running.partner import Offer, Outcome, PartnerUnreachable
from adapters.running.store import Store

COLUMNS: Final = (Words("回执", "Receipt"), Words("案号", "Case"), Words("状态", "State"))

UNREADABLE: Final = 10
"""So many names under which there is something that can't be read are gone round for one file."""


class Settling:
    """Writes the outcome of each offer; every step can be done again."""

    def __init__(self, folder: Folder, pen: Pen, ledger: Ledger, store: Store, troubles: Troubles) -> None:
        self._folder, self._pen, self._ledger, self._store, self._troubles = folder, pen, ledger, store, troubles
        self._moving = asyncio.Lock()

    async def settle(self, offer: Offer, outcome: Outcome, books: Books) -> None:
        """Tell the partner. Raises PartnerUnreachable."""
        raw = offer.raw if isinstance(offer.raw, dict) else {}
        found = self._ledger.things("key", str(raw.get("thing", "")))
        if not found:
            return
        (thing,) = found
        said = self._said(thing, offer, outcome)
        if thing.kind != "workbook":
            await (self._taken(thing, said) if outcome.taken else self._refused(thing, said["problem"]))
            return
        self._ledger.answered(thing.key, int(raw["row"]), said, outcome.case)
        lines = self._ledger.lines(thing.key)
        if all(line.outcome is not None for line in lines):
            await self._workbook(thing, lines, books)

    async def tidy(self) -> None:
        """Move the originals that could not be moved when their word came."""
        for thing in self._ledger.things("open"):
            if thing.taken is not None:
                await self._move(thing.key)

    def _said(self, thing: Thing, offer: Offer, outcome: Outcome) -> dict[str, Any]:
        """The outcome as it is written, with the signed message that its receipt is for."""
        said: dict[str, Any] = {"file": thing.name, "sha256": thing.digest}
        if thing.reference is not None:
            said["reference"] = thing.reference
        if outcome.receipt is None:
            return said | {"taken": False, "problem": outcome.problem or "refused"}
        kept = self._store.offer(offer.key)
        compact = kept.compact.decode() if kept is not None and kept.compact is not None else None
        return said | {"taken": True, "id": outcome.message, "case": outcome.case, "message": compact,
                       "receipt": msgspec.to_builtins(outcome.receipt)}  # fmt: skip

    async def _taken(self, thing: Thing, said: dict[str, Any]) -> None:
        placed = await self._placed(thing)
        await self._pen.put(RECEIPTS, f"{placed}.receipt.json", _json(said))
        await self._over(thing, placed, True)

    async def _refused(self, thing: Thing, problem: str) -> None:
        placed, (_, marked) = await self._placed(thing), self._ledger.kept(thing.key)
        if marked is not None:
            await self._pen.put(REJECTED, names.numbered(placed, "marked"), marked)
        for where in (REJECTED, RECEIPTS):
            await self._pen.put(where, placed + names.PROBLEM, words.rejected(thing.name, problem).encode())
        await self._over(thing, placed, False)

    async def _workbook(self, thing: Thing, lines: Sequence[Line], books: Books) -> None:
        """All rows have their word: a copy of the workbook with it, and the receipts beside."""
        placed, (original, _) = await self._placed(thing), self._ledger.kept(thing.key)
        said = [{"row": line.number, **(line.outcome or {})} for line in lines]
        taken = [one for one in said if one["taken"]]
        if original is not None:
            with contextlib.suppress(Unfit, workbook.WorkbookInvalid):  # the receipts are beside it either way
                sheet = await books.sheet_of(original)
                cells = {line.number: _cells(line) for line in lines}
                copy = await asyncio.to_thread(workbook.returned, sheet, original, COLUMNS, cells)
                await self._pen.put(RECEIPTS, placed, copy)
        await self._pen.put(RECEIPTS, f"{placed}.receipts.json", _json({"file": thing.name, "rows": said}))
        if not taken:
            text = words.rejected(thing.name, "\n".join(f"{one['row']}: {one['problem']}" for one in said))
            await self._pen.put(REJECTED, placed + names.PROBLEM, text.encode())
        await self._over(thing, placed, bool(taken))

    async def _over(self, thing: Thing, placed: str, taken: bool) -> None:
        """Note the word and have the original where it stays. One that is tried again was refused and moved before."""
        self._ledger.decided(thing.key, taken)
        if thing.moved and taken and not thing.taken:
            with contextlib.suppress(FileGone):
                await self._folder.move(REJECTED, placed, DONE, placed)
                await self._folder.move(REJECTED, placed + names.SIGNATURE, DONE, placed + names.SIGNATURE)
            for where in (REJECTED, RECEIPTS):
                await self._pen.take_back(where, placed + names.PROBLEM)
            self._ledger.moved(thing.key)
        elif not thing.moved:
            await self._move(thing.key)

    async def _move(self, key: str) -> None:
        """Move an original out of `in/`, once, by whoever comes first: its word, or the next look around."""
        async with self._moving:
            (thing,) = self._ledger.things("key", key)
            if not thing.moved:
                await self._moved(thing, DONE if thing.taken else REJECTED, await self._placed(thing))

    async def _moved(self, thing: Thing, into: str, placed: str) -> None:
        """Where it is still there and still the same; a locked one is left for later."""
        try:
            with contextlib.suppress(FileGone):
                if await self._is(thing, IN, thing.real):
                    await self._folder.move(IN, thing.real, into, placed)
                    if await self._is(thing, into, placed):
                        await self._beside(thing, into, placed)
                    else:
                        # Another one took its place in that moment: it is looked at by itself.
                        await self._folder.move(into, placed, IN, thing.real)
        except FileTrouble as trouble:
            self._troubles.note(IN, thing.real, trouble.detail)
            return
        self._troubles.over(IN, thing.real)
        self._ledger.moved(thing.key)

    async def _beside(self, thing: Thing, into: str, placed: str) -> None:
        with contextlib.suppress(FileTrouble):
            await self._folder.remove(IN, thing.real + names.READY)
        with contextlib.suppress(FileTrouble):
            await self._folder.move(IN, thing.real + names.SIGNATURE, into, placed + names.SIGNATURE)

    async def _there(self, name: str) -> bool:
        """Whether an original lies there that this ledger may know nothing of. Raises FileTrouble."""
        for where in (DONE, REJECTED):
            with contextlib.suppress(FileGone):
                await self._folder.read(where, name, 0)
                return True
        return False

    async def _is(self, thing: Thing, where: str, name: str) -> bool:
        return digest_of(await self._folder.read(where, name, limit_of(thing.real))) == thing.digest

    async def _placed(self, thing: Thing) -> str:
        """The name by which it is kept: its own, else with a number, for another one of that name was put in before."""
        if thing.placed is not None:
            return thing.placed
        number, name, unreadable = 1, thing.name, 0
        while True:
            try:
                there = await self._there(name)
            except FileTrouble as trouble:
                # Something lies there, though nobody can say what; where that is said of any name, nothing is known.
                there, unreadable = True, unreadable + 1
                if unreadable == UNREADABLE:
                    raise PartnerUnreachable(trouble.detail) from None
            if not there and self._ledger.place(thing.key, name, names.same(name)):
                return name
            number += 1
            name = names.numbered(thing.name, str(number))


def _cells(line: Line) -> tuple[str, str, str]:
    said = line.outcome or {}
    if not said.get("taken"):
        return "", "", f"未受理 not taken: {said.get('problem', '')}"
    accepted, index = said["receipt"]["accepted"], said["receipt"]["log"]["index"]
    return f"{said['id']} @ {index}", str(said["case"]), f"已受理 taken {accepted}"


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
