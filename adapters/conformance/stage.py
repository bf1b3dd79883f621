"""What a scenario plays on: a hub, the proxy, the counterparts; and how it is judged what the system under test did."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from adapters.client import Draft, Item, Sent, messages
from adapters.conformance import counterpart, faults
from adapters.conformance.across import Neighbours
from adapters.conformance.counterpart import REQUEST, Counterpart, Opened
from adapters.conformance.proxy import Call, Proxy
from adapters.conformance.running import Hub, Subject
from keys import jws
from keys.errors import Fault
from keys.jwk import EncryptionKey
from protocols import envelope
from protocols.envelope import Event
from protocols.loading import catalogue

STEP = 0.05
ANSWERS = ("case-assistance.accept", "case-assistance.answer")


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation, and whether it was met."""

    zh: str
    en: str
    held: bool


class Unmet(Exception):
    """The system under test did not do what is expected; the last check says what."""


class CantPlay(Exception):
    """The scenario can't be judged with what there is, and why: Chinese, then English."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A message that the system under test sent: `refused` is the hub's definite no, which arrived."""

    call: Call
    event: Event
    signing_input: bytes
    taken: bool
    refused: bool
    answer: Mapping[str, Any]


@dataclass
class Stage:
    """Everything that a scenario needs; `patience` are the seconds that the system under test has for each step."""

    hub: Hub | Neighbours
    proxy: Proxy
    subject: Subject
    partner: str
    keys: Sequence[EncryptionKey]
    here: Counterpart
    there: Counterpart
    crowd: Sequence[Counterpart]
    patience: float
    quick: bool
    checks: list[Check] = field(default_factory=list)
    _read: dict[int, dict[int, tuple[Event, bytes]]] = field(default_factory=dict, repr=False)
    _positions: dict[str, int] = field(default_factory=dict, repr=False)
    _paged: set[int] = field(default_factory=set, repr=False)

    # Judging ------------------------------------------------------------------------------------------

    def expect(self, held: bool, zh: str, en: str) -> None:
        """Enter whether this holds. Raises Unmet where it does not."""
        check = Check(zh, en, bool(held))
        if check not in self.checks:
            self.checks.append(check)
        if not held:
            raise Unmet

    async def until(self, holds: Callable[[], bool], zh: str, en: str, within: float | None = None) -> None:
        """Expect it to hold within so many seconds, else within the patience that there is. Raises Unmet."""
        await self.wait(holds, within)
        self.expect(holds(), zh, en)

    async def wait(self, holds: Callable[[], bool], within: float | None = None) -> None:
        """Wait until it holds, so many seconds at most."""
        clock = asyncio.get_running_loop().time
        end = clock() + (self.patience if within is None else within)
        while not holds() and clock() < end:
            await asyncio.sleep(STEP)

    # Acting -------------------------------------------------------------------------------------------

    def request(
        self,
        by: Counterpart | None = None,
        others: Sequence[Counterpart] = (),
        version: str = "1.0",
        kib: int = 1,
        spoil: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> tuple[str, Draft]:
        """A request to the system under test and `others`, not yet sent, and the reference that it seals."""
        by = by or self.here
        id, case = envelope.new_id(), envelope.new_id()
        reference, content = counterpart.request()
        keys = [*self.keys, by.sealing.public, *(one.sealing.public for one in others)]
        part = counterpart.sealed(by.id, id, case, content, keys, kib)
        part = spoil(part) if spoil is not None else part
        recipients = [self.partner, *(one.id for one in others)]
        return reference, by.drafted("request", case, recipients, REQUEST, part, id=id, version=version)

    async def open(self, *drafts: tuple[str, Draft], by: Counterpart | None = None) -> list[Opened]:
        """Send such requests, in order."""
        by = by or self.here
        sent = [await by.client.resend(draft) for _, draft in drafts]
        return [self._opened(reference, one, by) for (reference, _), one in zip(drafts, sent, strict=True)]

    async def case(self) -> Opened:
        """An ordinary case, opened by the first counterpart."""
        (opened,) = await self.open(self.request())
        return opened

    def _opened(self, reference: str, sent: Sent, by: Counterpart) -> Opened:
        return Opened(sent.case, sent.id, reference, by.id)

    def drafted_update(self, case: Opened) -> Draft:
        """A further message in a case, which needs no answer."""
        id = envelope.new_id()
        content = {"narrative": "符合性测试：补充。 Conformance: an addition."}
        keys = [*self.keys, self.here.sealing.public]
        part = counterpart.sealed(self.here.id, id, case.case, content, keys)
        return self.here.drafted("update", case.case, [self.partner], counterpart.UPDATE, part, id=id)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """While it lasts the system under test receives nothing."""
        with self.proxy.under(faults.held(faults.polls)):
            yield

    # What was done ------------------------------------------------------------------------------------

    def came(self, case: Opened, message: str, at: Counterpart | None = None) -> Item | None:
        """The partner's message of this kind in a case, once it has arrived."""
        items = (at or self.here).came.get(case.case, [])
        kind = f"case-assistance.{message}"
        return next((one for one in items if one.event.source == self.partner and one.event.type == kind), None)

    async def answered(self, *cases: Opened, within: float | None = None) -> None:
        """Expect each case to be accepted and answered, well, and signed for. Raises Unmet."""
        number = len(cases)

        def done() -> bool:
            return all(self.came(one, "accept") and self.came(one, "answer") for one in cases)

        # What was said twice is found at once, and is the reason why the rest does not come.
        await self.wait(lambda: done() or any(map(self.doubled, cases)), within)
        self.once(*cases)
        zh, en = f"{number} 件请求均已受理并答复", f"all {number} requests are accepted and answered"
        self.expect(done(), zh, en)
        for one in cases:
            self.answers_well(one)
        await self.acknowledged(*cases, within=within)

    def answers_well(self, case: Opened, at: Counterpart | None = None) -> None:
        """Expect the answer that came to be one to this very request. Raises Unmet."""
        item = self.came(case, "answer", at)
        assert item is not None
        self.expect(item.event.causationid == case.id, "答复写明所答的消息", "the answer names the message it answers")
        content = self.unsealed(item, at or self.here)
        self.expect(content is not None, "答复的密封部分能打开", "the answer's sealed part opens")
        text = str((content or {}).get("narrative", ""))
        self.expect(
            case.reference in text,
            "答复引用了密封请求中的案号，没有答错案件",
            "the answer quotes the file number sealed in its request, and no other",
        )
        self.expect(self.fits(item, content), "密封答复符合模式", "the sealed answer fits its schema")

    def unsealed(self, item: Item, at: Counterpart) -> Mapping[str, Any] | None:
        """What is sealed in an item, None where it does not open."""
        try:
            return messages.unseal(item.event, [at.sealing])
        except Fault:
            return None

    def fits(self, item: Item, content: object) -> bool:
        """Whether sealed content follows the sealed schema of its message."""
        try:
            messages.check_content(catalogue(), item.event.type, item.event.dataschema, content)
        except Fault:
            return False
        return True

    async def acknowledged(self, *cases: Opened, within: float | None = None) -> None:
        """Expect the requests of these cases to be signed for. Raises Unmet."""
        ids = [one.id for one in cases]
        await self.until(lambda: self.signed_for(*ids), "请求均已签收", "the requests are signed for", within)

    def signed_for(self, *ids: str) -> bool:
        """Whether these messages were signed for by the system under test."""
        places = [self.position(one) for one in ids]
        return None not in places and self.signed_through() >= max(place or 0 for place in places)

    def position(self, message: str) -> int | None:
        """Where a message lies in the mailbox of the system under test; None before a page with it was asked for."""
        for call in self.proxy.calls:
            if call.polls and call.answer and id(call) not in self._paged:
                self._paged.add(id(call))
                self._positions |= _positions(call.answer)
        return self._positions.get(message)

    def signed_through(self, calls: Iterable[Call] | None = None, *, tried: bool = False) -> int:
        """The last position that was signed for; with `tried` also where the hub did not take it."""
        known = self.proxy.calls if calls is None else calls
        signed = (one for one in known if one.acknowledges and (tried or one.taken == 200))
        return max((_through(one.body) for one in signed), default=0)

    def sendings(self, case: str | None = None) -> list[Sending]:
        """What the system under test sent, in order; of one case where given."""
        found = [one for call in self.proxy.calls if call.sends for one in self._sendings(call)]
        return [one for one in found if case is None or one.event.subject == case]

    def _sendings(self, call: Call) -> Iterator[Sending]:
        if id(call) not in self._read and call.body:
            self._read[id(call)] = messages_in(call)
        read = self._read.get(id(call), {})
        answers = call.answer.split(b"\n") if call.path.endswith("/batch") else [call.answer]
        for number, (event, signing_input) in read.items():
            said = _object(answers[number] if number < len(answers) else b"")
            taken = call.taken in (200, 201) and "digest" in said
            refused = not taken and call.given is not None and said.get("retryable") is False
            yield Sending(call, event, signing_input, taken, refused, said)

    def once(self, *cases: Opened) -> None:
        """Expect that nothing was said twice: what may have been taken goes again as it is. Raises Unmet."""
        self.expect(
            not any(map(self.doubled, cases)),
            "同一答复只签一次：结果未知时重发原来的字节",
            "nothing is signed twice: where the outcome is unknown the same bytes go again",
        )

    def doubled(self, case: Opened) -> bool:
        """Whether an answer in this case was signed anew though an earlier one was, or may have been, taken."""
        sent = self.sendings(case.case)
        return any(signed_anew([one for one in sent if one.event.type == kind]) for kind in ANSWERS)

    def calls_since(self, begun: float) -> list[Call]:
        """The requests that began after a moment of the loop's clock."""
        return [call for call in self.proxy.calls if call.begun >= begun]


def _positions(page: bytes) -> dict[str, int]:
    """By message, the positions on a page of the mailbox."""
    items = _object(page).get("items")
    found = {}
    for item in items if isinstance(items, list) else []:
        if message := item.get("message"):
            with contextlib.suppress(Fault):
                found[messages.read(message.encode())[1].id] = item["position"]
    return found


def _through(token: bytes) -> int:
    try:
        said = json.loads(jws.decode(token.strip(), typ=envelope.ACK_TYP).payload)
        return int(said["through"])
    except (Fault, ValueError, KeyError, TypeError):
        return 0


def messages_in(call: Call) -> dict[int, tuple[Event, bytes]]:
    """The messages in a call, by their line: what they say, and their signing input."""
    lines = call.body.split(b"\n") if call.path.endswith("/batch") else [call.body]
    found = {}
    for number, line in enumerate(lines):
        with contextlib.suppress(Fault):
            decoded, event = messages.read(line.strip())
            found[number] = event, decoded.signing_input
    return found


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def signed_anew(sendings: Sequence[Sending]) -> bool:
    """Whether what is said once was signed anew though an earlier signing was, or may have been, taken."""
    standing: set[bytes] = set()
    for one in sendings:
        if standing - {one.signing_input}:
            return True
        (standing.discard if one.refused else standing.add)(one.signing_input)
    return False


def token_claims(call: Call) -> dict[str, Any] | None:
    """What the bearer token of a call says, None without one that names its times."""
    scheme, _, token = call.headers.get("Authorization", "").partition(" ")
    try:
        said = json.loads(jws.decode(token.strip().encode(), typ=None, extra_headers=True).payload)
    except (Fault, ValueError):
        return None
    timed = isinstance(said, dict) and all(isinstance(said.get(name), int | float) for name in ("iat", "exp"))
    return said if timed and scheme.lower() == "bearer" else None
