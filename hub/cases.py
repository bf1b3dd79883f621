"""Cases as their parties, and the supervisors above them, see them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
from asyncpg import Record

from hub.errors import Forbidden, NotFound
from hub.intake.ledger import Job, Ledger, Taken
from hub.organisations import Directory
from hub.signatories import signed_as
from hub.store import Connection
from hub.store.queries import SQL
from keys import jws
from keys.errors import Fault
from protocols import deadlines, envelope, flow
from protocols.entries import Viewed
from protocols.flow import Case
from protocols.loading import Catalogue, Protocol

_decoder = msgspec.json.Decoder(Case)
_SEALED = ("sealed", "sealed_digest")


class Due(msgspec.Struct, frozen=True):
    """A due date, until 24:00 of it in Asia/Shanghai; `provisional` while a calendar it counts on is unpublished."""

    date: date
    provisional: bool


class Action(msgspec.Struct, frozen=True):
    """A message that may be sent now: its schema is at the path `schema`, that of its sealed part below it."""

    type: str
    message: str
    title: dict[str, str]
    dataschema: str
    schema: str
    sealed: str


class Summary(msgspec.Struct, frozen=True):
    """Where a case stands; `owner` is the role that acts next, absent where several do; `awaits` is who exactly.

    `about` is the case that it was opened about, if any.
    """

    id: str
    protocol: str
    version: str
    state: str
    title: dict[str, str]
    opener: str
    responder: str
    participants: Sequence[str]
    legal_basis: str | None
    opened: str
    updated: str
    due: Due | None
    owner: str | None
    awaits: Sequence[str]
    about: str | None
    allowed_actions: list[Action]
    home: str | None = None
    """The hub that alone advances it, where that is another one."""


class Step(msgspec.Struct, frozen=True):
    """One message of a case: what it moved, what was due after it, and its open part without the sealed one."""

    log_index: int
    source: str
    id: str
    type: str
    from_: str | None = msgspec.field(name="from")
    to: str
    due: Due | None
    accepted: str
    data: dict[str, Any]
    suspect: bool = False
    """Signed with a key that somebody else may have had by then: to be confirmed by the organisation itself."""
    gateway: str | None = None
    """Who signed it for its source, where that did not sign itself."""
    erased: bool = False
    """What it said is gone; `data` is empty."""


class Link(msgspec.Struct, frozen=True):
    """A case that was opened about another."""

    id: str
    protocol: str
    state: str


class Awaited(msgspec.Struct, frozen=True):
    """A message on its way to the case's home, not judged by it yet; or returned by it, with the problem's code."""

    source: str
    id: str
    log_index: int
    problem: str | None


class View(Summary, frozen=True, kw_only=True):
    """A case with all its steps in order, and the cases that were opened about it.

    `on_the_way` are messages for its home, another hub, which that has not taken.
    """

    timeline: list[Step]
    linked: list[Link]
    on_the_way: list[Awaited]


class Listing(msgspec.Struct, frozen=True):
    """A page of cases, the newest first; `next` continues it as `after`."""

    items: list[Summary]
    next: str | None


@dataclass(frozen=True, slots=True)
class Look(Job):
    """An organisation looks at a case's history; entered before anything is shown."""

    organisation: str
    case: str
    purpose: str

    @property
    def recipients(self) -> Sequence[str]:
        """Nobody's mailbox is read."""
        return ()

    def take(self, ledger: Ledger) -> Taken | Fault:
        """Enter `viewed`."""
        return Taken(ledger.append(Viewed(self.organisation, self.case, self.purpose, ledger.at)), None, True)


async def require_sight(connection: Connection, sight: Sequence[str], id: str) -> None:
    """Raises NotFound; Forbidden where none of `sight` is or was a party."""
    if await connection.fetchrow(SQL["case_record"], id) is None:
        raise NotFound()
    if not await connection.fetch(SQL["case_party"], id, sight):
        raise Forbidden()


async def listing(
    connection: Connection,
    catalogue: Catalogue,
    caller: str,
    sight: Sequence[str],
    state: str | None,
    after: str | None,
    limit: int,
) -> Listing:
    """The cases with a party among `sight`, as `caller` sees them."""
    ids = [row["case_id"] for row in await connection.fetch(SQL["cases_of"], sight, after, limit)]
    rows = await connection.fetch(SQL["case_records"], ids, state)
    following = str(ids[-1]) if len(ids) == limit else None
    return Listing([Summary(**_summary(catalogue, row, caller)) for row in rows], following)


async def view(
    connection: Connection, catalogue: Catalogue, directory: Directory, caller: str, sight: Sequence[str], id: str
) -> View:
    """One case with its timeline. Raises NotFound; Forbidden where none of `sight` is or was a party."""
    await require_sight(connection, sight, id)
    row = await connection.fetchrow(SQL["case_record"], id)
    assert row is not None
    steps = await connection.fetch(SQL["case_steps"], id)
    columns = [id] * len(steps), [step["log_index"] for step in steps], [step["accepted"] for step in steps]
    bodies = {body["log_index"]: body["jws"] for body in await connection.fetch(SQL["messages"], *columns)}
    timeline = [_step(step, bodies.get(step["log_index"]), directory) for step in steps]
    links = [Link(str(r["case_id"]), r["protocol"], r["state"]) for r in await connection.fetch(SQL["case_links"], id)]
    return View(**_summary(catalogue, row, caller), timeline=timeline, linked=links,
                on_the_way=_on_the_way(await connection.fetch(SQL["relays"], [id])))  # fmt: skip


def _on_the_way(carried: Sequence[Record]) -> list[Awaited]:
    """What went up, unless the home took it; the home's last word on each."""
    last = {(row["source"], str(row["id"])): row for row in carried if row["way"] in ("up", "down", "returned")}
    return [
        Awaited(source, id, row["log_index"], row["problem"])
        for (source, id), row in last.items()
        if row["way"] != "down"
    ]


def _summary(catalogue: Catalogue, row: Record, caller: str) -> dict[str, Any]:
    case = _decoder.decode(row["record"])
    protocol = catalogue.protocols[case.protocol, case.version]
    due, state = flow.current_due(protocol.flow, case), protocol.flow.states[case.state]
    return {
        "id": case.id,
        "protocol": case.protocol,
        "version": case.version,
        "state": case.state,
        "title": {"zh": state.zh, "en": state.en},
        "opener": case.opener,
        "responder": case.position.responder,
        "participants": case.position.participants,
        "legal_basis": case.basis,
        "opened": envelope.rfc3339(case.opened),
        "updated": envelope.rfc3339(row["updated"]),
        "due": _due(case, row["due"], due),
        "home": case.home,
        "owner": state.owners[0] if len(state.owners) == 1 else None,
        "awaits": flow.awaited(protocol.flow, case),
        "about": case.about,
        "allowed_actions": actions(protocol, flow.allowed_actions(protocol.flow, case, caller)),
    }


def _due(case: Case, told: date | None, due: deadlines.Due | None) -> Due | None:
    """The due date by the flow; where the case has another home, as that says."""
    if case.home is not None:
        return Due(told, False) if told else None
    return Due(due.date, due.provisional) if due else None


def actions(protocol: Protocol, names: Iterable[str]) -> list[Action]:
    """The messages of `protocol` by name, each with where its schema is."""
    return [
        Action(
            type=f"{protocol.name}.{message.name}",
            message=message.name,
            title={"zh": message.declared.zh, "en": message.declared.en},
            dataschema=message.schema.id,
            schema=f"/v1/protocols/{protocol.name}/{protocol.version}/{message.name}",
            sealed=message.declared.sealed,
        )
        for message in (protocol.messages[name] for name in names)
    ]


def _step(row: Record, body: bytes | None, directory: Directory) -> Step:
    compact = jws.decode(body, typ=envelope.TYP) if body is not None else None
    said = {} if compact is None else envelope.read(compact.payload)["data"]
    sender = directory.get(row["source"])
    who = signed_as(directory, sender, compact.header.kid) if sender and compact else None
    since = who.compromised.get(compact.header.kid or "") if who and compact else None
    return Step(
        log_index=row["log_index"],
        source=row["source"],
        id=str(row["id"]),
        type=row["type"],
        from_=row["state_before"],
        to=row["state_after"],
        due=Due(row["due"], row["provisional"]) if row["due"] else None,
        accepted=envelope.rfc3339(row["accepted"]),
        data={name: value for name, value in said.items() if name not in _SEALED},
        suspect=since is not None and row["accepted"] >= since,
        gateway=who.id if who is not None and who is not sender else None,
        erased=body is None,
    )
