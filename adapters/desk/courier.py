"""Between the desk and the hub: what came in is fetched, checked and signed for; what was signed is sent, once.

It runs as long as the desk's store is open; a hub that is away is tried again and again.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from adapters.client import Client, Item, Refused, Sent, Undecided, messages
from adapters.client.handover import MESSAGES
from adapters.desk.bureau import Bureau, Contact, against
from adapters.desk.drafts import Draft, packages
from adapters.desk.forms import Words
from adapters.desk.saying import said, unadmitted
from keys.errors import BadSeal, Fault
from protocols import deadlines
from protocols.attachments import attached
from protocols.envelope import Event, rfc3339
from protocols.refusals import DataInvalid
from protocols.scorecard import DAYS, Asked
from protocols.turnaround import KINDS

AGAIN: Final = 3.0
"""Seconds until a hub that was away is tried again."""
WAIT: Final = 20
YEAR: Final = timedelta(days=365)
_SEALED = ("sealed", "sealed_digest")


class Courier:
    """What goes between one bureau's desk and its hub."""

    def __init__(self, bureau: Bureau) -> None:
        self._bureau, self._drafts, self._vault = bureau, bureau.drafts, bureau.vault

    async def run(self) -> None:
        """Receive and send for ever; a hub that is away is tried again and again."""
        while True:
            try:
                async with self._bureau.connect() as client:
                    await self._look_round(client)
                    self._bureau.reach(Contact("reached"))
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._receive(client))
                        tasks.create_task(self._upload(client))
                        tasks.create_task(self._send(client))
            except* (Fault, OSError, TimeoutError) as group:
                self._bureau.reach(_contact(group))
            await asyncio.sleep(AGAIN)

    async def _look_round(self, client: Client) -> None:
        """Who there is, how long they take, and cases that changed while nobody looked."""
        self._bureau.directory(await client.organisations())
        with contextlib.suppress(Refused):
            listed = await client.look_up(self._bureau.organisation)
            self._vault.put("state", "listed", [key["kid"] for key in listed["jwks"]["keys"]])
        async for summary in client.cases():
            known = self._bureau.case(summary["id"])
            if known is None or known["updated"] != summary["updated"]:
                await self._refresh(client, summary["id"])
        today = deadlines.local_date(datetime.now(UTC))
        figures = await client.figures(Asked(today - YEAR, today, opener=self._bureau.organisation), "responder")
        days = {row.responder: row.figure.indicators[DAYS].value for row in figures.rows}
        self._vault.put("state", "usual", {name: value for name, value in days.items() if name and value is not None})

    async def _receive(self, client: Client) -> None:
        while True:
            cursor = int(self._vault.get("state", "cursor") or 0)
            page, fault = await client.poll_past(cursor, wait=WAIT)
            if fault is not None:
                trouble = {"position": page.next, "why": said(fault), "at": rfc3339(datetime.now(UTC))}
                self._vault.put("trouble", f"{page.next:012}", trouble)
            for item in page.items:
                self._take(client, item)
            if page.items:
                await client.acknowledge(page.items[-1])
                for case in dict.fromkeys(item.event.subject for item in page.items):
                    await self._refresh(client, case)
                for item in page.items:
                    await self._take_over(client, item)
                self._bureau.tell("arrived")
            if page.next != cursor:
                self._vault.put("state", "cursor", page.next)

    def _take(self, client: Client, item: Item) -> None:
        try:
            content, sealed = client.unseal(item), None
        except BadSeal as fault:
            content, sealed = None, None if fault.data.get("check") == "absent" else said(fault)
        self._keep(item.event, msgspec.to_builtins(item.receipt), content, {"unopened": sealed})

    async def _take_over(self, client: Client, item: Item) -> None:
        """Where a case was handed to us: what was said before, each word held against its author's signature."""
        kept = self._vault.get("message", f"{item.event.subject}/{item.event.id}")
        if not isinstance(kept["content"], dict) or MESSAGES not in kept["content"]:
            return
        kept["content"].pop(MESSAGES)
        try:
            handed = await client.handed_over(item)
        except Refused:
            raise
        except Fault as fault:
            handed, kept["unopened"] = [], said(fault)
        steps = {
            (step["source"], step["id"]): step for step in (self._bureau.case(item.event.subject) or {})["timeline"]
        }
        for one in handed:
            step = steps[one.event.source, one.event.id]
            self._keep(one.event, None, one.content, {"accepted": step["accepted"], "entry": step["log_index"]})
        self._vault.put("message", f"{item.event.subject}/{item.event.id}", kept)

    def _keep(self, event: Event, receipt: Mapping[str, Any] | None, content: Any, more: Mapping[str, Any]) -> None:
        data = {name: value for name, value in event.data.items() if name not in _SEALED}
        logged = {"accepted": receipt["accepted"], "entry": receipt["log"]["index"]} if receipt is not None else {}
        message = {"id": event.id, "case": event.subject, "source": event.source, "type": event.type, "data": data,
                   "dataschema": event.dataschema, "content": content, "receipt": receipt}  # fmt: skip
        self._vault.put("message", f"{event.subject}/{event.id}", message | logged | dict(more))

    async def _refresh(self, client: Client, case: str) -> None:
        with contextlib.suppress(Refused):
            view = await client.case(case)
            try:
                clock = await client.clock(case)
                view["clock"] = {kind: clock["calendar"][kind] for kind in KINDS}
            except Fault:
                view["clock"] = None  # the catalogue at hand may lack the version that the case follows
            self._bureau.learn(view)

    # Sending ----------------------------------------------------------------------------------------------

    async def _upload(self, client: Client) -> None:
        """Files first: a message is sent once all that it names is at the hub."""
        while True:
            for draft in [one for one in self._drafts.all("queued") if one.missing]:
                try:
                    await self._bureau.upload(client, draft)
                except Undecided:
                    raise
                except (Fault, OSError) as fault:
                    self._refused(draft, said(fault))
                self._bureau.signed.set()
            await asyncio.sleep(0.5)

    async def _send(self, client: Client) -> None:
        while True:
            self._bureau.signed.clear()
            waiting: set[str] = set()
            for package in packages(self._drafts.all("queued")):
                if any(draft.missing or draft.case in waiting for draft in package):
                    waiting |= {draft.case for draft in package}  # what is said in a case goes out in its order
                elif await self._agreed(client, package):
                    for draft in package:
                        await self._deliver(client, draft)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._bureau.signed.wait(), AGAIN)

    async def _agreed(self, client: Client, package: Sequence[Draft]) -> bool:
        """Whether the hub would take all of a package; where it would not, nothing of it is sent."""
        if len(package) == 1 or any(draft.compact is not None for draft in package):
            return True
        objections: dict[str, Words] = {}
        for draft in package:
            try:
                problems = await against(client, await self._bureau.prepared(client, draft))
            except Undecided:
                raise
            except Fault as fault:
                problems = [said(fault)]
            if problems:
                objections[draft.id] = Words(
                    "；".join(one.zh for one in problems), "; ".join(one.en for one in problems)
                )
        for draft in package if objections else ():
            draft.state, draft.problem = "refused", objections.get(draft.id)
        if objections:
            self._drafts.keep(*package)
            self._bureau.tell("refused")
        return not objections

    async def _deliver(self, client: Client, draft: Draft) -> None:
        try:
            if draft.compact is None:
                draft.compact = (await self._bureau.prepared(client, draft)).compact
                self._drafts.keep(draft)  # whatever happens now, the same bytes are sent again
            sent = await client.resend(draft.compact)
        except Undecided:
            raise
        except Refused as refusal:
            if refusal.reason != "id-reused":
                self._refused(draft, said(refusal))
                return
            # It went out before, from a store of which this one is an older copy.
            earlier = await client.message(self._bureau.organisation, draft.id)
            sent = Sent(draft.id, draft.case, earlier.compact, earlier.receipt)
        except (DataInvalid, BadSeal) as fault:
            self._refused(draft, said(fault))
            return
        self._sent(draft, sent)
        await self._refresh(client, draft.case)
        self._bureau.tell("sent")

    def _refused(self, draft: Draft, why: Words) -> None:
        self._drafts.refuse(why, draft)
        self._bureau.tell("refused")

    def _sent(self, draft: Draft, sent: Sent) -> None:
        receipt = msgspec.to_builtins(sent.receipt)
        draft.state, draft.receipt = "sent", receipt
        _, content = attached({}, draft.content or {}, draft.files)
        more = {"by": draft.by, "signed_by": draft.signed_by}
        self._keep(messages.read(sent.compact)[1], receipt, content or None, more)
        self._drafts.keep(draft)
        for file in draft.files:
            self._drafts.enclosures.drop(file)


def _contact(group: BaseExceptionGroup[Exception]) -> Contact:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return Contact("unadmitted" if unadmitted(error) else "away", said(error))
