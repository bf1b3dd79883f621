"""What comes in: fetched, checked, opened and signed for, each message by itself, whatever is wrong with another.

An item that does not stand up to its check is a trouble: noted, shown, passed over, and looked at again later. What the
hub could not be asked for is no trouble, but waited for.
"""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from adapters.client import AnswerInvalid, Client, Item, Refused, Undecided
from adapters.client.handover import MESSAGES
from adapters.desk.bureau import Bureau, files_of
from adapters.desk.forms import Words
from adapters.desk.saying import said
from keys.errors import BadSeal, Fault
from protocols.envelope import Event, rfc3339
from protocols.turnaround import KINDS

logger = structlog.get_logger()
WAIT: Final = 20
EXPIRED: Final = Words("消息在取件前已失效", "the message expired before it was fetched")
_SEALED = ("sealed", "sealed_digest")


class Receiving:
    """What comes in at one bureau's desk."""

    def __init__(self, bureau: Bureau, hub: str) -> None:
        self._bureau, self._vault = bureau, bureau.vault
        self._cursor = f"cursor/{hub}/{bureau.organisation}"

    async def run(self, client: Client) -> None:
        """Receive for ever. Raises Undecided, Refused, AnswerInvalid."""
        while True:
            cursor = int(self._vault.get("state", self._cursor) or 0)
            page, fault = await client.poll_past(cursor, wait=WAIT)
            if fault is not None:
                self._trouble(page.next, said(fault))
            for position in page.expired:
                self._trouble(position, EXPIRED)
            for item in page.items:
                self._take(client, item)
            if page.items:
                await client.acknowledge(page.items[-1])
                for case in dict.fromkeys(item.event.subject for item in page.items):
                    await self.refresh(client, case)
                for item in page.items:
                    await self._take_over(client, item)
                self._bureau.tell("arrived")
            if page.next > cursor:
                self._vault.put("state", self._cursor, page.next)

    async def look_again(self, client: Client) -> None:
        """At what did not stand up to its check: perhaps the hub, or the network, was to blame."""
        for trouble in self._bureau.troubles():
            if tuple(trouble["why"]) == EXPIRED:
                continue
            page, fault = await client.poll_past(int(trouble["position"]) - 1, limit=1)
            if fault is None and page.items:
                self._take(client, page.items[0])
                await self.refresh(client, page.items[0].event.subject)
                await self._take_over(client, page.items[0])
                self._vault.drop("trouble", f"{trouble['position']:012}")
                self._bureau.tell("arrived")

    async def refresh(self, client: Client, case: str) -> None:
        """A case as the hub tells of it now, with where its time went."""
        with contextlib.suppress(Refused):
            view = await client.case(case)
            try:
                clock = await client.clock(case)
                view["clock"] = {kind: clock["calendar"][kind] for kind in KINDS}
            except (Fault, KeyError):
                view["clock"] = None  # the catalogue at hand may lack the version that the case follows
            try:
                self._bureau.learn(view)
            except msgspec.ValidationError as error:
                raise AnswerInvalid(f"the view of the case {case} is none: {error}") from None

    def keep(
        self,
        event: Event,
        receipt: Mapping[str, Any] | None,
        content: Any,
        more: Mapping[str, Any],
        *,
        new: bool = False,
    ) -> None:
        """Keep a message, by its case, source and id; with `new`, only where it is not kept yet."""
        id = f"{event.subject}/{event.source}/{event.id}"
        if new and self._vault.get("message", id) is not None:
            return
        data = {name: value for name, value in event.data.items() if name not in _SEALED}
        logged = {"accepted": receipt["accepted"], "entry": receipt["log"]["index"]} if receipt is not None else {}
        message = {"id": event.id, "case": event.subject, "source": event.source, "type": event.type, "data": data,
                   "dataschema": event.dataschema, "content": content, "receipt": receipt}  # fmt: skip
        self._vault.put("message", id, message | logged | dict(more))
        for file in files_of(message) if new else ():  # what was sent from here lies here
            self._bureau.came.put_nowait(file)

    def _trouble(self, position: int, why: Words) -> None:
        self._vault.put(
            "trouble", f"{position:012}", {"position": position, "why": why, "at": rfc3339(datetime.now(UTC))}
        )

    def _take(self, client: Client, item: Item) -> None:
        try:
            content, sealed = client.unseal(item), None
        except BadSeal as fault:
            content, sealed = None, None if fault.data.get("check") == "absent" else said(fault)
        except Exception as error:
            logger.exception("desk-unsealing-failed", position=item.position)
            content, sealed = None, said(error)
        self.keep(item.event, msgspec.to_builtins(item.receipt), content, {"unopened": sealed}, new=True)

    async def _take_over(self, client: Client, item: Item) -> None:
        """Where a case was handed to us: what was said before, each word held against its author's signature."""
        id = f"{item.event.subject}/{item.event.source}/{item.event.id}"
        kept = self._vault.get("message", id)
        if kept is None or not isinstance(kept["content"], dict) or MESSAGES not in kept["content"]:
            return
        content = {name: value for name, value in kept["content"].items() if name != MESSAGES}
        why = None
        try:
            for one in await client.handed_over(item) if client.hands_over(item) else ():
                self._handed(one.event, one.content)
        except (Undecided, AnswerInvalid, Refused):
            raise
        except Fault as fault:
            why = said(fault)
        except Exception as error:
            logger.exception("desk-handover-failed", position=item.position)
            why = said(error)
        self._vault.put("message", id, {**kept, "content": content, "unopened": why or kept.get("unopened")})

    def _handed(self, event: Event, content: Any) -> None:
        steps = (self._bureau.case(event.subject) or {}).get("timeline", ())
        step = next((one for one in steps if (one["source"], one["id"]) == (event.source, event.id)), None)
        if step is not None:
            logged = {"accepted": step["accepted"], "entry": step["log_index"]}
            self.keep(event, None, content, logged, new=True)
