"""What goes out: files first, then the message, the same bytes until there is a receipt, once.

A draft that can't go out does not keep the others back. Nothing is signed here that a head did not sign for.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import structlog

from adapters.client import Client, Item, Refused, Sent, Undecided, messages
from adapters.client.handover import MESSAGES
from adapters.desk.bureau import Bureau
from adapters.desk.drafts import Draft, DraftChanged, packages
from adapters.desk.forms import Words
from adapters.desk.receiving import Receiving
from adapters.desk.saying import Objection, against, said, together
from keys.errors import BadSeal, Fault
from protocols.attachments import ATTACHMENTS, attached
from protocols.refusals import DataInvalid

logger = structlog.get_logger()
AGAIN: Final = 3.0
"""Seconds until what did not go out is tried again."""
ANOTHER: Final = Words(
    "此编号下已发出过另一份内容，请核对案件后再签发", "another text went out under this number: look at the case"
)


class Sending:
    """What goes out from one bureau's desk."""

    def __init__(self, bureau: Bureau, receiving: Receiving) -> None:
        self._bureau, self._drafts, self._receiving = bureau, bureau.drafts, receiving

    async def run(self, client: Client) -> None:
        """Upload and send for ever. Raises Undecided."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._upload(client))
            tasks.create_task(self._send(client))

    async def _upload(self, client: Client) -> None:
        while True:
            for draft in [one for one in self._drafts.all("queued") if one.missing]:
                await self._guarded(self._bureau.upload(client, draft), draft)
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
                        await self._guarded(self._deliver(client, draft), draft)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._bureau.signed.wait(), AGAIN)

    async def _guarded(self, work: Any, draft: Draft) -> None:
        """One draft's part; what goes wrong with it is noted on it, and tried again."""
        try:
            await work
        except (Undecided, asyncio.CancelledError):
            raise
        except DraftChanged:
            return
        except Exception as error:
            if not isinstance(error, Fault):
                logger.exception("desk-draft-failed", draft=draft.id)
            kept = self._drafts.one(draft.id)
            if kept is not None and kept.state == "queued" and kept.problem != said(error):
                kept.problem = said(error)
                self._drafts.keep(kept)

    async def _agreed(self, client: Client, package: Sequence[Draft]) -> bool:
        """Whether the hub would take all of a package; where it would not, nothing of it is sent."""
        if len(package) == 1 or any(draft.compact is not None for draft in package):
            return True
        objections: dict[str, Objection] = {}
        for draft in package:
            try:
                problems = await self._bureau.objections(client, draft)
            except Undecided:
                raise
            except Fault as fault:
                problems = [against(fault)]
            if problems:
                objections[draft.id] = together(problems)
        for draft in package if objections else ():
            found = objections.get(draft.id)
            draft.state = "refused"
            draft.problem, draft.places = (found.words, found.places) if found is not None else (None, ())
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
        except Refused as refusal:
            if refusal.reason != "id-reused":
                self._refused(draft, against(refusal))
                return
            earlier = await self._earlier(client, draft)
            if earlier is None:
                self._drafts.renumber(draft)
                self._refused(draft, Objection(ANOTHER))
                return
            sent = Sent(draft.id, draft.case, earlier.compact, earlier.receipt)
        except (DataInvalid, BadSeal) as fault:
            self._refused(draft, against(fault))
            return
        await self._sent(client, draft, sent)

    async def _earlier(self, client: Client, draft: Draft) -> Item | None:
        """What went out under the draft's id, from a store of which this is an older copy; None: it said otherwise."""
        earlier = await client.message(self._bureau.organisation, draft.id)
        data, content = attached(draft.data, draft.content or {}, draft.files)
        event = earlier.event
        filled_in = ("sealed", "sealed_digest", ATTACHMENTS)  # the files are compared where they are described
        mine, data = ({name: part[name] for name in part if name not in filled_in} for part in (event.data, data))
        same = (event.type, event.subject) == (f"{draft.protocol}.{draft.message}", draft.case)
        try:
            opened = client.unseal(earlier)
        except BadSeal as fault:
            # What was sealed to its recipients alone can't be held against the draft by anybody here.
            opened = None if fault.data.get("check") == "absent" else content
        opened = {name: value for name, value in (opened or {}).items() if name != MESSAGES}
        return earlier if same and mine == data and opened == content else None

    def _refused(self, draft: Draft, why: Objection) -> None:
        self._drafts.refuse(why, draft)
        self._bureau.tell("refused")

    async def _sent(self, client: Client, draft: Draft, sent: Sent) -> None:
        receipt = msgspec.to_builtins(sent.receipt)
        draft.state, draft.receipt, draft.problem = "sent", receipt, None
        _, content = attached({}, draft.content or {}, draft.files)
        more = {"by": draft.by, "signed_by": draft.signed_by}
        self._receiving.keep(messages.read(sent.compact)[1], receipt, content or None, more)
        await self._receiving.refresh(client, draft.case)  # who is told that it went out finds its case
        self._drafts.keep(draft)
        for file in draft.files:
            self._drafts.enclosures.keep(file)
        self._bureau.tell("sent")
