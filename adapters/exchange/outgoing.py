"""Messages for the partner: a file each, by which they can be verified offline, and a workbook a day for people."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from adapters import workbook
from adapters.desk import asking
from adapters.desk.forms import Words
from adapters.exchange.books import today
from adapters.exchange.folder import OUT
from adapters.exchange.ledger import Ledger
from adapters.exchange.pen import Pen
from adapters.exchange.troubles import Troubles
from adapters.running.partner import Delivery, PartnerUnreachable
from keys import jws
from keys.errors import Fault
from protocols import envelope
from protocols.loading import Catalogue, MessageType

LONGEST: Final = 30_000
"""Characters of a cell; Excel takes 32,767."""
COLUMNS: Final = (
    Words("受理时间", "Accepted"), Words("来自", "From"), Words("收件机构", "For"), Words("消息", "Message"),
    Words("案号", "Case"), Words("内容", "What it says"), Words("原工作簿", "Workbook"), Words("行", "Row"),
    Words("文件", "File"),
)  # fmt: skip


class Outgoing:
    """The folder `out/`."""

    def __init__(
        self, pen: Pen, ledger: Ledger, troubles: Troubles, catalogue: Catalogue, daily: bool, several: bool
    ) -> None:
        self._pen, self._ledger, self._troubles, self._catalogue = pen, ledger, troubles, catalogue
        self._daily, self._several = daily, several

    async def hand(self, delivery: Delivery) -> None:
        """Hand a message over, once. Raises PartnerUnreachable."""
        event = delivery.item.event
        if self._ledger.has_handed(delivery.organisation, event.source, event.id):
            return
        accepted = "".join(char for char in delivery.item.receipt.accepted[:19] if char.isdigit())
        name = f"{accepted}-{event.type}-{event.id}.json"
        if self._several:
            name = f"{delivery.organisation}-{name}"
        content = msgspec.json.format(msgspec.json.encode(_document(delivery)), indent=1) + b"\n"
        name = await self._pen.put(OUT, name, content, delivery.organisation)
        cells = self._cells(delivery, name) if self._daily else None
        self._ledger.hand(delivery.organisation, event.source, event.id, today().isoformat(), cells)

    async def write_days(self) -> None:
        """Write the workbook of each day to which messages were added; one that is open in Excel is written later."""
        for day, count in self._ledger.arrivals().items():
            name = f"{day}.xlsx"
            try:
                if self._ledger.noted(f"day/{day}") != count:
                    book = await asyncio.to_thread(workbook.table, Words(day, day), COLUMNS, self._ledger.arrived(day))
                    await self._pen.put(OUT, name, book)
                    self._ledger.note(f"day/{day}", count)
                self._troubles.over(OUT, name)
            except PartnerUnreachable as trouble:
                self._troubles.note(OUT, name, trouble.detail)
                continue
            if day < today().isoformat():
                self._ledger.clear(day)

    def _cells(self, delivery: Delivery, name: str) -> list[str]:
        item = delivery.item
        event = item.event
        kind = None
        with contextlib.suppress(Fault):  # a version that this catalogue does not have
            _, kind = self._catalogue.message(event.type, event.dataschema)
        title = f"{kind.declared.zh} {event.type}" if kind is not None else event.type
        book, row = self._ledger.asked_by(event.subject) or ("", "")
        text = "\n".join(_lines(kind, delivery)) if kind is not None else ""
        return [item.receipt.accepted, event.source, delivery.organisation, title, event.subject, text[:LONGEST], book,
                str(row), name]  # fmt: skip


def _document(delivery: Delivery) -> dict[str, Any]:
    """A message as a partner's program reads it: opened, and beside that as it was signed, with the hub's receipt."""
    item = delivery.item
    event = envelope.read(jws.decode(item.compact, typ=envelope.TYP).payload)
    data = {name: value for name, value in event.pop("data").items() if name not in ("sealed", "sealed_digest")}
    return {
        "organisation": delivery.organisation,
        "position": item.position,
        "event": event,
        "data": data,
        "content": delivery.content,
        "unopened": delivery.unopened,
        "message": item.compact.decode(),
        "receipt": msgspec.to_builtins(item.receipt),
    }


def _lines(kind: MessageType, delivery: Delivery) -> Iterator[str]:
    opened, sealed = asking.forms_of(kind, ())
    for form, said in ((opened, delivery.item.event.data), (sealed, delivery.content)):
        if form is not None:
            yield from (f"{title.zh}：{value.zh}" for title, value in asking.lines(form, said))
    if delivery.unopened is not None:
        yield f"未能打开密封内容 · not opened: {delivery.unopened}"
