"""The bureau at its desk: what came in, what is drafted, what is sent. It works on while the hub is away.

Messages are read, verified, opened and signed for as they come, and kept in the vault. A draft is data until a head
signs; then it is sealed and signed as soon as the hub answers, kept byte for byte, and sent until there is a receipt,
once.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from pypinyin import Style, lazy_pinyin

from adapters.client import Client, Item, Refused, Sent, Undecided, messages
from adapters.desk.vault import Vault
from keys.errors import BadSeal, Fault
from protocols.envelope import new_id, rfc3339
from protocols.loading import Catalogue
from protocols.refusals import DataInvalid
from protocols.turnaround import KINDS

State = Literal["draft", "waiting", "queued", "sent", "refused"]
"""Being written, waiting for a head, signed for and on its way, taken by the hub, refused by it."""
AGAIN = 3.0
"""Seconds until a hub that was away is tried again."""
WAIT = 20
_SEALED = ("sealed", "sealed_digest")


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
    problem: str | None = None
    receipt: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """Whether the hub can be reached, and if not, why."""

    reached: bool
    why: str = ""


class Bureau:
    """One organisation's desk. `connect` makes a client with its keys."""

    def __init__(self, vault: Vault, organisation: str, catalogue: Catalogue, connect: Callable[[], Client]) -> None:
        self.organisation, self.catalogue = organisation, catalogue
        self._vault, self._connect = vault, connect
        self._signed = asyncio.Event()
        self._cases: dict[str, dict[str, Any]] = dict(vault.all("case"))
        self._organisations: list[dict[str, Any]] = vault.get("directory", "all") or []
        self._named = {str(one["id"]): one for one in self._organisations}
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
        found = [message for _, message in self._vault.all("message", f"{case}/")]
        return sorted(found, key=lambda message: int(message["entry"]))

    def organisations(self) -> list[dict[str, Any]]:
        """The directory as it was last read."""
        return self._organisations

    def organisation_of(self, id: str) -> Mapping[str, Any] | None:
        """An organisation by its id, as far as the directory was read."""
        return self._named.get(id)

    def drafts(self, *states: State) -> list[Draft]:
        """Drafts in one of these states, the oldest first."""
        found = (msgspec.convert(value, Draft) for _, value in self._vault.all("draft"))
        return [draft for draft in found if draft.state in states]

    def draft(self, id: str) -> Draft | None:
        """A draft, or None."""
        value = self._vault.get("draft", id)
        return None if value is None else msgspec.convert(value, Draft)

    # Writing ----------------------------------------------------------------------------------------------

    def begin(self, protocol: str, message: str, case: str | None, to: str | None, by: str) -> Draft:
        """A new draft: of a message in a case, or of one that opens a case with the organisation `to`."""
        known = self.case(case) if case is not None else None
        version = str(known["version"]) if known is not None else self._latest(protocol)
        opening = message in self.catalogue.protocols[protocol, version].flow.opening
        draft = Draft(
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
        self.keep(draft)
        return draft

    def keep(self, draft: Draft) -> None:
        """Keep a draft as it is now."""
        self._vault.put("draft", draft.id, msgspec.to_builtins(draft))

    def discard(self, draft: Draft) -> None:
        """Forget a draft that was not signed for yet."""
        if draft.state in ("draft", "waiting", "refused"):
            self._vault.drop("draft", draft.id)

    def sign(self, draft: Draft, by: str) -> None:
        """Send it: now, or as soon as the hub is back."""
        draft.state, draft.signed_by, draft.problem, draft.compact = "queued", by, None, None
        self.keep(draft)
        self._signed.set()

    async def find(self, wanted: str) -> list[Mapping[str, Any]]:
        """The organisations that a search means; where none is known, the hub is asked who there is by now."""
        matches = found(self.organisations(), wanted)
        if not matches and wanted.strip():
            with contextlib.suppress(Fault):
                async with self._connect() as client:
                    self._listed(await client.organisations())
            matches = found(self.organisations(), wanted)
        return matches

    async def preflight(self, draft: Draft) -> list[str]:
        """What the hub would have against it now; nothing where it would be taken. Raises Undecided, Fault."""
        async with self._connect() as client:
            verdict = await client.preflight(await self._prepared(client, draft))
        return [str(problem.get("detail", problem.get("type"))) for problem in verdict.problems]

    # With the hub -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Receive and send for ever; a hub that is away is tried again and again."""
        while True:
            try:
                async with self._connect() as client:
                    await self._look_round(client)
                    self.contact = Contact(True)
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._receive(client))
                        tasks.create_task(self._send(client))
            except* (Fault, OSError, TimeoutError) as group:
                self.contact = Contact(False, _words(group))
            await asyncio.sleep(AGAIN)

    async def _look_round(self, client: Client) -> None:
        """Who there is, and cases that changed while nobody looked."""
        self._listed(await client.organisations())
        async for summary in client.cases():
            known = self.case(summary["id"])
            if known is None or known["updated"] != summary["updated"]:
                await self._refresh(client, summary["id"])

    def _listed(self, organisations: list[dict[str, Any]]) -> None:
        self._vault.put("directory", "all", organisations)
        self._organisations, self._named = organisations, {str(one["id"]): one for one in organisations}

    async def _receive(self, client: Client) -> None:
        while True:
            cursor = int(self._vault.get("state", "cursor") or 0)
            page = await client.poll(cursor, wait=WAIT)
            for item in page.items:
                self._take(client, item)
            if page.items:
                await client.acknowledge(page.items[-1])
                for case in dict.fromkeys(item.event.subject for item in page.items):
                    await self._refresh(client, case)
            self._vault.put("state", "cursor", page.next)

    def _take(self, client: Client, item: Item) -> None:
        try:
            content, sealed = client.unseal(item), None
        except BadSeal as fault:
            content, sealed = None, None if fault.data.get("check") == "absent" else fault.detail
        self._keep(item.event.id, item.event, msgspec.to_builtins(item.receipt), content, {"unopened": sealed})

    def _keep(self, id: str, event: Any, receipt: Mapping[str, Any], content: Any, more: Mapping[str, Any]) -> None:
        data = {name: value for name, value in event.data.items() if name not in _SEALED}
        message = {"id": id, "case": event.subject, "source": event.source, "type": event.type, "data": data,
                   "dataschema": event.dataschema, "content": content, "receipt": receipt,
                   "accepted": receipt["accepted"], "entry": receipt["log"]["index"]}  # fmt: skip
        self._vault.put("message", f"{event.subject}/{id}", message | dict(more))

    async def _refresh(self, client: Client, case: str) -> None:
        with contextlib.suppress(Refused):
            view = await client.case(case)
            try:
                clock = await client.clock(case)
                view["clock"] = {kind: clock["calendar"][kind] for kind in KINDS}
            except Fault:
                view["clock"] = None  # the catalogue at hand may lack the version that the case follows
            self._vault.put("case", case, view)
            self._cases[case] = view

    async def _send(self, client: Client) -> None:
        while True:
            for draft in self.drafts("queued"):
                await self._deliver(client, draft)
            self._signed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._signed.wait(), AGAIN)

    async def _deliver(self, client: Client, draft: Draft) -> None:
        try:
            if draft.compact is None:
                draft.compact = (await self._prepared(client, draft)).compact
                self.keep(draft)  # whatever happens now, the same bytes are sent again
            sent = await client.resend(draft.compact)
        except Undecided:
            raise
        except (Refused, DataInvalid, BadSeal) as fault:
            draft.state, draft.problem, draft.compact = "refused", fault.detail, None
            self.keep(draft)
            return
        self._sent(draft, sent)
        await self._refresh(client, draft.case)

    def _sent(self, draft: Draft, sent: Sent) -> None:
        receipt = msgspec.to_builtins(sent.receipt)
        draft.state, draft.receipt = "sent", receipt
        more = {"by": draft.by, "signed_by": draft.signed_by}
        self._keep(sent.id, messages.read(sent.compact)[1], receipt, draft.content, more)
        self.keep(draft)

    async def _prepared(self, client: Client, draft: Draft) -> Any:
        if draft.opening:
            kind, to = f"{draft.protocol}.{draft.message}", [str(draft.to)]
            return await client.prepare(kind, draft.case, to, draft.data, draft.content, check=True)
        return await client.prepare_reply(draft.case, draft.message, draft.data, draft.content, check=True)

    def _latest(self, protocol: str) -> str:
        known = self.catalogue.latest(protocol)
        assert known is not None
        return known.version


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


def _words(group: BaseExceptionGroup[Exception]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error.detail if isinstance(error, Fault) else f"{type(error).__name__}: {error}"
