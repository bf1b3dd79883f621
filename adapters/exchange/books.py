"""Workbooks of requests: templates made from the schemas and the directory, and filled-in ones judged row by row."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from adapters import workbook
from adapters.client import AnswerInvalid, Client, Undecided
from adapters.desk.forms import Words
from adapters.exchange import words
from adapters.exchange.folder import TEMPLATES
from adapters.exchange.ledger import Ledger, Line
from adapters.exchange.pen import Pen
from adapters.exchange.words import Unfit
from adapters.running.partner import Wanted
from adapters.workbook import Row, Sheet, WorkbookInvalid, many
from keys.errors import Fault
from protocols import deadlines
from protocols.envelope import new_id
from protocols.loading import Catalogue

FRESH: Final = 300.0
"""Seconds for which the directory of organisations is not asked for again."""
ONCE_WITHIN: Final = timedelta(days=30)
"""A row that says the same as one of these last days is a double."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A workbook whose rows were judged; `marked` is the copy with the faults, where there are any."""

    sheet: Sheet
    rows: Sequence[Row]
    marked: bytes | None

    @property
    def bad(self) -> int:
        """How many rows have faults."""
        return sum(1 for row in self.rows if row.findings)


class Books:
    """The workbooks of one organisation, whose `connect` reaches the hub."""

    def __init__(
        self, organisation: str, connect: Callable[[], Client], catalogue: Catalogue, ledger: Ledger, once: bool
    ) -> None:
        self.organisation, self._connect, self._catalogue, self._ledger = organisation, connect, catalogue, ledger
        self._once = once
        self._read = -FRESH

    async def write_templates(self, pen: Pen) -> None:
        """Write the templates that are not as they should be. Raises Fault where the hub or the folder is away."""
        for sheet in await self._sheets():
            name = f"{sheet.protocol}.{sheet.message}.xlsx"
            mark = hashlib.sha256(repr(sheet).encode()).hexdigest()
            if self._ledger.noted(f"template/{name}") != mark:
                await pen.put(TEMPLATES, name, await asyncio.to_thread(workbook.template, sheet))
                self._ledger.note(f"template/{name}", mark)

    async def judged(self, content: bytes) -> Judged:
        """A filled-in workbook. Raises Unfit where it is none; Fault where the hub is wanted and away."""
        sheet, rows = await asyncio.to_thread(_read, await self._sheets(), content)
        if not rows:
            raise Unfit(words.NO_ROWS)
        kind = self._catalogue.protocols[sheet.protocol, sheet.version].messages[sheet.message]
        rows = await asyncio.to_thread(many.all_judged, kind, sheet, rows, self._ledger.sent(today().isoformat()))
        rows = [self._not_before(row) for row in rows]
        if not any(row.findings for row in rows):
            rows = await self._tried(sheet, rows)
        bad = any(row.findings for row in rows)
        copy = await asyncio.to_thread(workbook.marked, sheet, content, rows) if bad else None
        return Judged(sheet, rows, copy)

    async def sheet_of(self, content: bytes) -> Sheet:
        """The sheet that a workbook was filled in for. Raises Unfit, Fault."""
        return (await asyncio.to_thread(_read, await self._sheets(), content))[0]

    def wanted(self, sheet: Sheet, row: Row) -> Wanted:
        """The message that a row is."""
        return Wanted(source=self.organisation, type=f"{sheet.protocol}.{sheet.message}", data=dict(row.data),
                      content=many.content_of(row) or None, to=(str(row.to),))  # fmt: skip

    def lines(self, key: str, judged: Judged) -> list[Line]:
        """The rows as they are noted."""
        day = today().isoformat()
        return [Line(key, row.number, day, str(row.to), _same(row)) for row in judged.rows]

    async def _sheets(self) -> list[Sheet]:
        """The sheets by the directory as it is, or as it last was where the hub is away. Raises Fault."""
        organisations = await self._organisations()
        return list(many.sheets(self._catalogue, self.organisation, organisations))

    async def _organisations(self) -> Sequence[Mapping[str, Any]]:
        known: Sequence[Mapping[str, Any]] | None = self._ledger.noted("organisations")
        if known is None or time.monotonic() - self._read > FRESH:
            try:
                async with self._connect() as client:
                    found = await client.organisations()
            except Fault:
                if known is None:
                    raise
                return known
            self._read = time.monotonic()
            if found != known:
                self._ledger.note("organisations", found)
            return found
        return known

    async def _tried(self, sheet: Sheet, rows: Sequence[Row]) -> list[Row]:
        """The rows, with a finding at each that the hub would not take now. Raises Fault where it can't be asked."""
        found = []
        async with self._connect() as client:
            for row in rows:
                why = await _refused(client, self.wanted(sheet, row))
                found.append(row if why is None else many.found_wrong(row, words.not_taken(why)))
        return found

    def _not_before(self, row: Row) -> Row:
        since = (today() - ONCE_WITHIN).isoformat()
        day = self._ledger.earlier(_same(row), since) if self._once else None
        if day is None:
            return row
        return many.found_wrong(
            row, Words(f"{day} 已经发出过同样的请求", f"the same request was sent before, on {day}")
        )


def today() -> date:
    """The day in China."""
    return deadlines.local_date(datetime.now(UTC))


def _same(row: Row) -> bytes:
    return hashlib.sha256(many.sameness(row)).digest()


def _read(sheets: Sequence[Sheet], content: bytes) -> tuple[Sheet, list[Row]]:
    """The sheet that a workbook was made for, and its rows. Raises Unfit."""
    why = words.NO_TEMPLATE
    for sheet in sheets:
        try:
            return sheet, workbook.read(sheet, content)
        except WorkbookInvalid as invalid:
            if not invalid.anothers:
                why = invalid.words
    raise Unfit(why)


async def _refused(client: Client, wanted: Wanted) -> str | None:
    """Why the hub would not take a message now, or it can't be made. Raises Fault where the hub can't be asked."""
    try:
        draft = await client.prepare(wanted.type, new_id(), wanted.to, wanted.data, wanted.content, check=True)
        verdict = await client.preflight(draft)
    except (Undecided, AnswerInvalid):
        raise
    except Fault as fault:
        return fault.detail
    said = [str(problem.get("detail") or problem.get("title")) for problem in verdict.problems]
    return None if verdict.acceptable else "; ".join(said)
