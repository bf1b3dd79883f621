"""The two bulletins that the hub computes: issued to both sides, and computed again where one disputes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from hub.bulletins import ASSESSMENT, PROGRESS, figures, history
from hub.bulletins.figures import Period
from hub.errors import BulletinTooLarge, IdReused
from hub.identity import Identity
from hub.intake import own
from hub.intake.batch import Sequencer
from hub.intake.own import Own
from hub.store import Connection, Pool
from hub.store.queries import SQL
from keys.errors import Fault
from protocols import deadlines, legal_basis
from protocols.loading import Catalogue, Protocol

FIGURES = {PROGRESS: figures.progress, ASSESSMENT: figures.assessment}
MAX_BYTES = 700_000
"""A message is at most 1 MiB, signed and in base64."""


async def compute(
    connection: Connection, catalogue: Catalogue, kind: str, sides: Sequence[str], period: Period
) -> dict[str, Any]:
    """The bulletin of a `kind` between two sides: what its message says, by the log as it is now."""
    size = int(await connection.fetchval(SQL["size"]))
    histories = await history.between(connection, catalogue, sides, size)
    return {
        "between": list(sides),
        "period": {"from": period.first.isoformat(), "to": period.last.isoformat()},
        "log": {"size": size},
        "items": FIGURES[kind](histories, sides, period),
    }


async def bulletin(
    connection: Connection,
    identity: Identity,
    catalogue: Catalogue,
    kind: str,
    sides: Sequence[str],
    period: Period,
    basis: Mapping[str, Any],
    now: datetime,
) -> Own:
    """The message that issues the bulletin: the same case however often it is asked for. Raises BulletinTooLarge."""
    protocol = catalogue.latest(kind)
    assert protocol is not None
    ordered = sorted(sides)
    said = await compute(connection, catalogue, kind, ordered, period)
    case = _case(identity, kind, ordered, period)
    job = own.compose(identity, protocol, "issue", case, ordered, {"legal_basis": dict(basis)} | said, case, now)
    return _fitting(job, protocol)


@dataclass(slots=True)
class Issued:
    """What came of issuing bulletins: sides and case of each, how many were there before, who got none and why."""

    issued: list[tuple[Sequence[str], str]] = field(default_factory=list)
    known: int = 0
    refused: list[tuple[Sequence[str], Fault]] = field(default_factory=list)


async def issue(
    pool: Pool,
    sequencer: Sequencer,
    identity: Identity,
    catalogue: Catalogue,
    kind: str,
    period: Period,
    basis: str,
    sides: Sequence[str] | None = None,
) -> Issued:
    """Issue the bulletins of a `kind` for a period, to every two organisations with cases between them or two `sides`.

    Raises a Fault of the legal basis where it is not in force.
    """
    legal_basis.in_force(basis, deadlines.local_date(datetime.now(UTC)))
    found = Issued()
    async with pool.acquire() as connection:
        wanted = [sides] if sides else await pairs(connection, period)
    for pair in wanted:
        try:
            async with pool.acquire() as connection:
                case = _case(identity, kind, sorted(pair), period)
                if await connection.fetchrow(SQL["case_record"], case) is not None:
                    found.known += 1
                    continue
                said = {"instrument": basis}
                job = await bulletin(connection, identity, catalogue, kind, pair, period, said, datetime.now(UTC))
            await sequencer.submit(job)
            found.issued.append((pair, job.event.subject))
        except IdReused:
            found.known += 1
        except Fault as refusal:
            found.refused.append((pair, refusal))
    return found


async def pairs(connection: Connection, period: Period) -> list[tuple[str, str]]:
    """Every two organisations that had a case with each other in the period or still have one."""
    start, end = deadlines.start_of(period.first), deadlines.end_of(period.last)
    rows = await connection.fetch(SQL["case_pairs"], sorted(history.BETWEEN_PARTIES), start, end)
    return sorted({(row["one"], row["other"]) for row in rows})


async def settlement(
    connection: Connection, identity: Identity, catalogue: Catalogue, protocol: Protocol, case: str, now: datetime
) -> Own | None:
    """The hub's answer to a dispute: a revised bulletin where the figures differ now, else they are upheld."""
    messages = await own.said(connection, case)
    issued = next((e for e in reversed(messages) if e.message in ("issue", "revise")), None)
    dispute = next((e for e in reversed(messages) if e.message == "dispute"), None)
    if issued is None or dispute is None:
        return None
    numbers = sorted({entry["item"] for entry in dispute.data["items"]})
    dates = issued.data["period"]
    period = Period(date.fromisoformat(dates["from"]), date.fromisoformat(dates["to"]))
    again = await compute(connection, catalogue, protocol.name, issued.data["between"], period)
    id = own.derived_id(dispute.time, identity.hub, "settle", dispute.source, dispute.id)
    sides = issued.data["between"]
    if again["items"] == issued.data["items"]:
        data: dict[str, Any] = {"disputed": numbers, "log": again["log"]}
        return own.compose(identity, protocol, "uphold", case, sides, data, id, now, dispute.id)
    data = again | {"disputed": numbers}
    return _fitting(own.compose(identity, protocol, "revise", case, sides, data, id, now, dispute.id), protocol)


async def lapse(
    connection: Connection, identity: Identity, protocol: Protocol, case: str, silent: Sequence[str], now: datetime
) -> Own | None:
    """The hub's word that a bulletin is final, for whoever said nothing in time has confirmed it."""
    messages = await own.said(connection, case)
    issued = next((e for e in reversed(messages) if e.message in ("issue", "revise")), None)
    if issued is None:
        return None
    id = own.derived_id(issued.time, identity.hub, "lapse", issued.source, issued.id)
    sides = [*messages[0].recipients]
    return own.compose(identity, protocol, "finalise", case, sides, {"silent": list(silent)}, id, now, issued.id)


def _case(identity: Identity, kind: str, sides: Sequence[str], period: Period) -> str:
    """Nobody can tell the case's id beforehand, and open another case under it: it follows from a signature."""
    secret = identity.key.sign(" ".join([kind, *sides, str(period.first), str(period.last)]).encode()).hex()
    return own.derived_id(deadlines.end_of(period.last), secret)


def _fitting(job: Own, protocol: Protocol) -> Own:
    findings = protocol.messages[job.event.message].schema.findings(job.event.data)
    if len(job.token) > MAX_BYTES or findings:
        raise BulletinTooLarge(f"{job.event.type} of {' and '.join(job.event.recipients)}: choose a shorter period")
    return job
