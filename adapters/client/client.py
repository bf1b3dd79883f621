"""One organisation's end of the wire: open a case, reply, poll, acknowledge, verify, seal and open."""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from adapters.client import answers, messages
from adapters.client.answers import Acknowledged, Notices, Verdict
from adapters.client.attachments import Attachments, Progress, Sealed
from adapters.client.cases import Cases
from adapters.client.composing import Composer
from adapters.client.connection import JOSE, Call, Connection
from adapters.client.cursor import Cursor
from adapters.client.directory import Directory
from adapters.client.faults import DeliveryInvalid, Refused
from adapters.client.handover import MESSAGES, Handed, Handover, attachments_in
from adapters.client.inbox import Inbox
from adapters.client.messages import Draft, Item, Page, Sent
from adapters.client.notary import Notary
from adapters.client.outbox import Outbox
from adapters.client.patience import Patience
from adapters.client.pinned import Pinned
from adapters.client.signatories import Signatories
from adapters.client.statements import Revoked, Statements
from adapters.client.words import Words
from keys import jwt
from keys.errors import Fault
from keys.jwk import DecryptionKey, SigningKey, VerifyingKey
from protocols import delegation, envelope, loading, revocation, turnaround
from protocols.attachments import ATTACHMENTS, Manifest
from protocols.between_hubs import Relayed
from protocols.entries import Accepted, CalendarPublished, DueChanged, Outage, Succeeded
from protocols.lineage import Earlier
from protocols.loading import BASE, Catalogue
from protocols.receipt import Proven, Receipt
from protocols.scorecard import Asked, By, Contribution, Contributions, Figures


class Client:
    """An organisation at a hub. Use as an async context manager.

    Nothing that comes from the hub is believed: signatures, receipts, log entries, recipients and positions are
    checked, and what does not hold is a Fault. Every call raises Refused (the hub said no, and why), Undecided
    (it could not be asked for as long as `patience` has it), AnswerInvalid (what answered is no hub), ClientClosed.

    `hub_keys` are the hub's public keys by another way than the hub itself; without them it is believed about
    its own keys. `catalogue` is what messages are composed by. With a `pinned` directory the keys of organisations are
    those of its signed snapshot, and nothing that the hub says beside it. `tls` holds the certificate that a hub asks
    for at its door, if it does; without it the one that XIEBAN_CERTIFICATE names is shown. Raises AddressInvalid,
    CertificateUnusable.
    """

    def __init__(
        self,
        url: str,
        organisation: str,
        signing: SigningKey,
        sealed_with: Sequence[DecryptionKey] = (),
        *,
        hub_keys: Sequence[VerifyingKey] | None = None,
        patience: Patience | None = None,
        catalogue: Catalogue | None = None,
        pinned: Pinned | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.organisation = organisation
        self._signing, self._sealed_with = signing, list(sealed_with)
        self._connection = Connection(url, patience, self._token, tls)
        self._notary = Notary(self._connection, hub_keys)
        self._directory = Directory(self._connection, pinned)
        self._outbox = Outbox(self._connection, self._notary)
        self._attachments = Attachments(self._connection)
        self._statements = Statements(self._connection, self._notary)
        self._words = Words(self._connection, self._notary)
        self._signatories = Signatories(self._words, self._directory)
        self._inbox = Inbox(organisation, signing, self._connection, self._notary, self._signatories)
        self._catalogue = catalogue or loading.catalogue()
        self._cases = Cases(self._connection)
        self._handover = Handover(self._inbox, self._signatories, self._catalogue, self._sealed_with)
        self._composer = Composer(organisation, self._catalogue, self._notary, self._directory, self._cases)

    @property
    def url(self) -> str:
        """The hub's address."""
        return self._connection.url

    @property
    def hub(self) -> str:
        """The hub's id."""
        return self._notary.hub

    @property
    def log_origin(self) -> str:
        """The origin of the hub's log."""
        return self._notary.origin

    @property
    def log_earlier(self) -> Sequence[Earlier]:
        """The origins that it had before, each with the proof of where it ended."""
        return self._notary.earlier

    async def lost(self, given: Receipt) -> bool:
        """Whether what was accepted then is in the hub's log no more, for the hub was set back; `resend` its bytes.

        Raises ReceiptInvalid where the receipt was never this hub's, LineageInvalid, Refused, Undecided.
        """
        await self._notary.introduce()
        return self._notary.lost(given.log)

    @property
    def hub_keys(self) -> list[VerifyingKey]:
        """The keys that the hub's receipts are verified with."""
        return self._notary.keys

    async def __aenter__(self) -> "Client":
        await self._connection.__aenter__()
        try:
            await self._notary.introduce()
        except BaseException:
            await self._connection.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    def _token(self) -> str | None:
        return jwt.bearer(self.organisation, self.hub, self._signing, datetime.now(UTC)) if self.hub else None

    async def call(self, call: Call) -> bytes:
        """The answer to any other call of the hub's API, for who knows it. Raises Refused, Undecided, AnswerInvalid."""
        return await self._connection.call(call)

    # Sending ------------------------------------------------------------------------------------------

    async def open_case(
        self,
        responder: str,
        data: dict[str, Any],
        content: Any,
        *,
        protocol: str = "case-assistance",
        message: str = "request",
        participants: Sequence[str] = (),
        check: bool = False,
    ) -> Sent:
        """Open a case with `responder`: `data` is the open part, `content` is sealed to all who receive it."""
        recipients = [responder, *participants]
        return await self.send(f"{protocol}.{message}", envelope.new_id(), recipients, data, content, check=check)

    async def reply(
        self,
        item: Item,
        message: str,
        data: dict[str, Any],
        content: Any = None,
        *,
        recipients: Sequence[str] | None = None,
        check: bool = False,
    ) -> Sent:
        """Answer a received message in its case.

        It goes to every other party that the case has now, and to whoever the message brings in, unless
        `recipients` says otherwise; the flow demands opener and responder at least.
        """
        case = item.event.subject
        return await self.reply_in(
            case, message, data, content, recipients=recipients, causationid=item.event.id, check=check
        )

    async def reply_in(
        self,
        case: str,
        message: str,
        data: dict[str, Any],
        content: Any = None,
        *,
        recipients: Sequence[str] | None = None,
        causationid: str | None = None,
        check: bool = False,
    ) -> Sent:
        """Send a message in a case that there is already, without an item at hand; as `reply`.

        A message that brings somebody in hands the case over: every message with its plaintext is re-sealed to the
        newcomer, unless `content` holds `messages` of its own.
        """

        async def draft() -> Draft:
            return await self.prepare_reply(
                case, message, data, content, recipients=recipients, causationid=causationid, check=check
            )

        return await self._drafted(draft)

    async def prepare_reply(
        self,
        case: str,
        message: str,
        data: dict[str, Any],
        content: Any = None,
        *,
        recipients: Sequence[str] | None = None,
        causationid: str | None = None,
        check: bool = False,
        id: str | None = None,
    ) -> Draft:
        """The signed message that `reply_in` would send; see `prepare`."""
        kind, named, data, content = await self._reply(case, message, data, content, recipients)
        return await self.prepare(kind, case, named, data, content, causationid, check=check, id=id)

    async def _reply(
        self, case: str, message: str, data: dict[str, Any], content: Any, recipients: Sequence[str] | None
    ) -> tuple[str, Sequence[str], dict[str, Any], Any]:
        """The type, recipients, data and content of a reply; where it hands the case over, with all that was said."""
        head = await self._cases.head(case)
        named = recipients if recipients is not None else self._composer.everybody(head, message, data)
        kind = f"{head.protocol}.{message}"
        if self._handover.hands_over(kind, f"{BASE}/{head.protocol}/{head.version}/{message}"):
            content = dict(content or {})
            if MESSAGES not in content:
                content[MESSAGES] = originals = await self._handover.originals(await self._cases.view(case))
                if handed := attachments_in(originals):
                    data = data | {ATTACHMENTS: handed}
        return kind, named, data, content

    async def send(
        self,
        type: str,
        case: str,
        recipients: Sequence[str],
        data: dict[str, Any],
        content: Any = None,
        causationid: str | None = None,
        *,
        expirytime: datetime | None = None,
        check: bool = False,
    ) -> Sent:
        """Compose, seal (where there is `content`), sign and send; the same bytes again until there is an answer.

        With `check` the content is held against its schema first, which the hub can't do. What stays Undecided
        may have been taken: `resend` the bytes in its data.
        """

        async def draft() -> Draft:
            return await self.prepare(
                type, case, recipients, data, content, causationid, expirytime=expirytime, check=check
            )

        return await self._drafted(draft)

    async def _drafted(self, draft: Callable[[], Awaitable[Draft]]) -> Sent:
        """Send a draft; one that was sealed to keys of yesterday is made once more, with those of now."""
        try:
            return await self._outbox.send(await draft())
        except Refused as refusal:
            if not refusal.resealable:
                raise
        self.forget_keys()
        return await self._outbox.send(await draft())

    def forget_keys(self) -> None:
        """Ask the hub again for every key that is sealed to: a recipient may have changed its own a moment ago."""
        self._directory.forget()

    async def prepare(
        self,
        type: str,
        case: str,
        recipients: Sequence[str],
        data: dict[str, Any],
        content: Any = None,
        causationid: str | None = None,
        *,
        expirytime: datetime | None = None,
        check: bool = False,
        id: str | None = None,
    ) -> Draft:
        """The signed message, not sent yet: to be kept, judged by `preflight`, sent by `resend` or `send_many`.

        Its `id` is a new one, unless it was chosen before (UUIDv7): what is signed again under the same id can't be
        taken twice. One that is refused with `Refused.resealable` was not stored: `forget_keys`, and prepare it again.
        After `expirytime` (aware), where its flow allows one, it is handed out no more. Raises
        EnvelopeInvalid, TypeUnknown, BadSeal, and with `check` DataInvalid for the sealed content.
        """
        composed = self._composer.attributes(type, case, recipients, data, content, causationid, expirytime, check, id)
        return messages.sign(await composed, self._signing)

    async def rehearse(
        self, type: str, case: str, recipients: Sequence[str], data: dict[str, Any], content: Any = None
    ) -> Verdict:
        """Would the hub take such a message now? Nothing is signed for it, so that nobody can send it meanwhile.

        Raises what `prepare` raises with `check`.
        """
        attributes = await self._composer.attributes(type, case, recipients, data, content, None, None, True)
        call = Call("POST", "/v1/preflight", body=envelope.encode(attributes), media=envelope.CTY)
        return answers.read(await self._connection.call(call), Verdict)

    async def rehearse_reply(self, case: str, message: str, data: dict[str, Any], content: Any = None) -> Verdict:
        """The same of what `reply_in` would send."""
        kind, named, data, content = await self._reply(case, message, data, content, None)
        return await self.rehearse(kind, case, named, data, content)

    async def attach(self, sealed: Sealed, progress: Progress = lambda done, size: None) -> Manifest:
        """Upload a file that `attachments.seal` sealed, going on where an earlier try stood; its manifest.

        `protocols.attachments.attached` puts manifests into both parts of the message that names them. A message must
        name it within the hub's days, else it is collected. Raises Refused, Undecided, AnswerInvalid.
        """
        await self._attachments.upload(sealed, progress)
        return sealed.manifest

    async def fetch_attachment(
        self, manifest: Manifest, into: Path, progress: Progress = lambda done, size: None
    ) -> Path:
        """Fetch a file by its manifest, from the sealed part of a message, into a folder; it is verified and opened.

        Raises BadSeal where it is not what its sender sealed, Refused, Undecided.
        """
        return await self._attachments.fetch(manifest, into, progress)

    async def download_attachment(
        self, manifest: Manifest, into: Path, progress: Progress = lambda done, size: None
    ) -> Path:
        """Fetch the sealed bytes of a file alone, for `attachments.parts`: nothing readable touches the disk."""
        return await self._attachments.download(manifest, into, progress)

    async def resend(self, message: Draft | bytes) -> Sent:
        """Send bytes that were signed before: taken once however often, always with the first receipt."""
        return await self._outbox.send(message if isinstance(message, Draft) else self._draft(message))

    async def send_many(self, drafts: Sequence[Draft | bytes]) -> list[Sent | Fault]:
        """Send many at once: for each, in order, a Sent, or the fault that `resend` would raise."""
        return await self._outbox.send_many([d if isinstance(d, Draft) else self._draft(d) for d in drafts])

    async def preflight(self, draft: Draft) -> Verdict:
        """Would the hub take this message now? Every problem at once; nothing is stored."""
        call = Call("POST", "/v1/preflight", body=draft.compact, media=JOSE[0])
        return answers.read(await self._connection.call(call), Verdict)

    def _draft(self, compact: bytes) -> Draft:
        return Draft(messages.read(compact)[1], compact)

    # Receiving ----------------------------------------------------------------------------------------

    async def poll(
        self, after: int, *, limit: int = 100, wait: int = 0, of: str | None = None, prove_end: bool = False
    ) -> Page:
        """One page after the cursor; `wait` seconds (at most 30) for something to come.

        `of` is whose mailbox, where it is not one's own: that of who this organisation succeeded, or of who lets it
        sign. With `prove_end` the page has the hub's signed word where the mailbox ends, verified.

        Raises what is wrong with an item, its `position` in the fault's data: DeliveryInvalid, ReceiptInvalid,
        BadSignature, KeyUnknown; MailboxEndInvalid.
        """
        return await self._inbox.page(after, limit, wait, of, prove_end)

    async def poll_past(
        self, after: int, *, limit: int = 100, wait: int = 0, of: str | None = None
    ) -> tuple[Page, Fault | None]:
        """As `poll`, for who goes on whatever comes: the items before the first that does not stand up to its check.

        Where that one is the next, the page is empty and passes over it, and its fault comes beside, with its
        `position` in the data. Raises what is not about an item.
        """
        try:
            return await self.poll(after, limit=limit, wait=wait, of=of), None
        except Fault as fault:
            position = fault.data.get("position")
            if not isinstance(position, int):
                raise
            if before := fault.data.get("before"):
                return await self.poll(after, limit=int(str(before)), of=of), None
            return Page([], position, 0), fault

    def follow(self, after: int | Cursor, *, limit: int = 100, wait: int = 30) -> AsyncGenerator[Item, None]:
        """Every message after the cursor, for ever; a hub that is away is waited for.

        With a Cursor the position is kept on disk as soon as the caller asks for the next item, which says that
        it is done with the last: who is stopped in the middle gets that one again. With a number, keep
        `item.position` yourself. Raises what `poll` raises, but for Undecided; CursorInvalid.
        """
        return self._inbox.follow(after, limit, wait)

    async def acknowledge(self, item: Item) -> Acknowledged:
        """Sign for everything up to and including `item`; the entry in the log is verified."""
        return await self._inbox.acknowledge(item)

    def unseal(self, item: Item, *, check: bool = False) -> Any:
        """The sealed content of a received message. Raises BadSeal; with `check` DataInvalid where it does not fit."""
        content = messages.unseal(item.event, self._sealed_with)
        if check:
            messages.check_content(self._catalogue, item.event.type, item.event.dataschema, content)
        return content

    def hands_over(self, item: Item) -> bool:
        """Whether the message is of a type that hands a case over; see `handed_over`."""
        return self._handover.hands_over(item.event.type, item.event.dataschema)

    async def handed_over(self, item: Item) -> list[Handed]:
        """The messages that a forward, or what added this organisation, handed over: each held against its author.

        Raises BadSeal, BadSignature, KeyUnknown, DeliveryInvalid where one is not what it seems; then the case was
        not handed over as it was, and the one who did so signed for it.
        """
        content = messages.unseal(item.event, self._sealed_with)
        return await self._handover.check(item, content, await self._cases.view(item.event.subject))

    async def message(self, source: str, id: str) -> Item:
        """A message of the past with its receipt, both verified; `position` is 0 for one's own."""
        return await self._inbox.message(source, id)

    async def events(self, source: str, id: str) -> list[Proven]:
        """Every log entry of a message (accepted, fetched, acknowledged, expired), each proven to be in the log."""
        path = f"/v1/messages/{quote(source, safe='')}/{quote(id, safe='')}/events"
        found = answers.read(await self._connection.call(Call("GET", path)), answers.Events)
        return [await self._notary.event(event) for event in found.events]

    async def key_events(self, organisation: str) -> list[Proven]:
        """Every log entry on an organisation's keys, on who may sign for it and on who came into its place, proven."""
        return await self._words.ask(organisation)

    async def delegate(self, gateway: str, scope: Sequence[str], begins: datetime, ends: datetime) -> str:
        """Let `gateway` sign for this organisation what `scope` names, between the two (aware) moments; its id.

        `scope` holds message types (`case-assistance.answer`), whole protocols (`case-assistance.*`), and `mailbox`
        for reading and acknowledging. Raises DelegationInvalid, Refused.
        """
        now = datetime.now(UTC)
        token = delegation.delegate(self.organisation, gateway, self.hub, scope, self._signing, begins, ends, now)
        return (await self._statements.delegation(token)).id

    async def end_delegation(self, id: str) -> None:
        """Take a delegation back, from the next message on. Raises Refused."""
        token = delegation.end(self.organisation, id, self.hub, self._signing, datetime.now(UTC))
        await self._statements.delegation(token)

    async def revoke_key(self, organisation: str, kid: str, compromised_since: datetime | None = None) -> Revoked:
        """Take a key out of use at once: one's own, or that of an organisation somewhere below this one.

        What it signed before stays verifiable; what was taken from `compromised_since` (aware) on is marked. Asking
        again is safe. Raises RevocationInvalid, Refused.
        """
        token = revocation.revoke(
            self.organisation, organisation, kid, self.hub, self._signing, datetime.now(UTC), compromised_since
        )
        return await self._statements.revocation(token)

    # Organisations ------------------------------------------------------------------------------------

    async def organisations(self) -> list[dict[str, Any]]:
        """Every organisation of the hub: `id`, `name`, `superior`, `roles`, `algorithms`."""
        return await self._directory.listing()

    async def look_up(self, id: str) -> dict[str, Any]:
        """One organisation, with its present public keys as `jwks`. Raises Refused."""
        return await self._directory.one(id)

    # Cases --------------------------------------------------------------------------------------------

    async def case(self, id: str, *, purpose: str | None = None) -> dict[str, Any]:
        """A case's state, due date, timeline and allowed actions.

        Where every look is logged (a reverse trace), who is no party says what for: see `holders`.
        """
        return await self._cases.view(id, purpose)

    async def holders(self, case: str, purpose: str, on: date | None = None) -> dict[str, Any]:
        """Who held a case when and what fell due: each stretch's log entry is verified to be in the log.

        `purpose` is `trace`, `supervision`, `audit`, `complaint` or `own-case`: the hub enters this look with it. `on`
        asks for one day. Raises Refused, DeliveryInvalid where an entry is not about what the stretch says.
        """
        query = {"purpose": purpose} | ({"on": on.isoformat()} if on is not None else {})
        path = f"/v1/cases/{quote(case, safe='')}/holders"
        found = answers.read(await self._connection.call(Call("GET", path, query)), dict[str, Any])
        for one in answers.convert(found, answers.Holders).holdings:
            entry = (await self._notary.entry(one.log)).entry
            of_case = isinstance(entry, Accepted) and (entry.id, entry.subject) == (one.message, case)
            if not (of_case or isinstance(entry, Succeeded)):
                raise DeliveryInvalid("the log entry of a stretch is about something else", index=one.log.index)
        return found

    async def clock(self, case: str) -> dict[str, Any]:
        """Where the time of a case went: `stages`, and seconds by kind of time, `calendar` and `working`.

        Every log entry it follows from is proven, and the clock worked out from them again. Raises Refused,
        DeliveryInvalid where it comes out differently, or the catalogue at hand lacks the case's protocol.
        """
        found, said, proven = await self._clock(case)
        protocol = self._catalogue.protocols.get((said.protocol, said.version))
        if protocol is None:
            raise DeliveryInvalid(f"the catalogue at hand has no {said.protocol[:80]} {said.version[:80]}")
        if any(isinstance(one.entry, Accepted | Relayed | DueChanged) and one.entry.subject != case for one in proven):
            raise DeliveryInvalid("an entry of another case is among those of the clock")
        events = [turnaround.Event(one.index, one.entry) for one in sorted(proven, key=lambda one: one.index)]
        own = turnaround.clock(protocol.flow, events, said.at)
        if (own.stages, own.calendar, own.working) != (said.stages, said.calendar, said.working):
            raise DeliveryInvalid("the log's entries make another clock than the hub says")
        return found

    async def arrangements(self, case: str) -> list[Proven]:
        """What the due dates of a case were counted by, and what moved them, beside its messages. Raises Refused."""
        _, _, proven = await self._clock(case)
        return [one for one in proven if isinstance(one.entry, CalendarPublished | Outage | DueChanged)]

    async def _clock(self, case: str) -> tuple[dict[str, Any], answers.CaseClock, list[Proven]]:
        """A case's clock as the hub says it, the same read, and the log entries it follows from, each proven."""
        path = f"/v1/cases/{quote(case, safe='')}/clock"
        found = answers.read(await self._connection.call(Call("GET", path)), dict[str, Any])
        said = answers.convert(found, answers.CaseClock)
        proven = [await self._notary.event(event) for event in said.events]
        for one, event in zip(proven, said.events, strict=True):
            await self._inbox.passage.check_there(one.entry, event.there)
        return found, said, proven

    async def notices(self, after: int = 0, limit: int = 100) -> Notices:
        """What the hub tells this organisation of deadlines, after a cursor; the log proves it. Raises Refused."""
        call = Call("GET", "/v1/notices", {"after": str(after), "limit": str(limit)})
        return answers.read(await self._connection.call(call), Notices)

    async def figures(self, asked: Asked, by: By = "all") -> Figures:
        """What the cases come to that count for this organisation, as the hub publishes it. Raises Refused."""
        call = Call("GET", "/v1/statistics/turnaround", {**_query(asked), "by": by})
        return answers.read(await self._connection.call(call), Figures)

    async def contributions(self, asked: Asked) -> AsyncIterator[Contribution]:
        """Every case behind such a figure, with what it contributes. Raises Refused."""
        query = {**_query(asked), "limit": "1000"}
        while True:
            call = Call("GET", "/v1/statistics/turnaround/cases", query)
            page = answers.read(await self._connection.call(call), Contributions)
            for one in page.items:
                yield one
            if page.next is None:
                return
            query["after"] = page.next

    def cases(self, *, state: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """All cases this organisation may see, the newest first; only those in `state` where given."""
        return self._cases.all(state)


def _query(asked: Asked) -> dict[str, str]:
    named = {"protocol": asked.protocol, "opener": asked.opener, "responder": asked.responder}
    period = {"from": asked.first.isoformat(), "to": asked.last.isoformat()}
    return period | {name: value for name, value in named.items() if value is not None}
