"""Who held a case when, and what fell due meanwhile: worked out from its messages, each step with its log entry proven.

The flow is played again from the accepted messages, so nothing is taken from what the hub otherwise keeps of the case;
the sealed parts play no role in it.
"""

from collections.abc import Sequence
from datetime import date
from typing import Literal

import msgspec

from hub import log
from hub.intake import own
from hub.log import Placed
from hub.store import Connection
from hub.store.queries import SQL
from protocols import deadlines, flow
from protocols.flow import Case, Transition
from protocols.loading import Catalogue
from protocols.receipt import LogProof

Purpose = Literal["trace", "supervision", "audit", "complaint", "own-case"]


class Holding(msgspec.Struct, frozen=True):
    """A stretch in which the same organisations were to act, in one state, by one day.

    `through` is its last day, absent for the one that lasts; `overdue` says from which day on it was late.
    `entry` is the log index of the message that began it.
    """

    holders: Sequence[str]
    state: str
    title: dict[str, str]
    first: date
    through: date | None
    due: date | None
    overdue: date | None
    message: str
    type: str
    source: str
    entry: int
    log: LogProof


class Holders(msgspec.Struct, frozen=True):
    """Every stretch of a case in order, or those of one day; the log entry that says who looked, and why."""

    case: str
    protocol: str
    version: str
    purpose: str
    viewed: int
    holdings: Sequence[Holding]


async def holdings(connection: Connection, catalogue: Catalogue, origin: str, id: str, today: date) -> list[Holding]:
    """Every stretch of the case, in order."""
    placed: list[Placed] = []
    stretches: list[tuple[Case, str, str, str, date]] = []
    played: Case | None = None
    keys = {str(row["id"]): row for row in await connection.fetch(SQL["case_keys"], id)}
    for event in await own.said(connection, id):
        protocol, _ = catalogue.message(event.type, event.dataschema)
        row = keys[event.id]
        about = None
        if (other := flow.subject_case(protocol.flow, event)) is not None:
            record = await connection.fetchrow(SQL["case_record"], other)
            about = msgspec.json.decode(record["record"], type=Case) if record else None
        outcome = flow.advance(protocol.flow, played, event, row["accepted"], about)
        if not isinstance(outcome, Transition):
            continue  # it moved nothing: the hub's word that a message was not delivered
        changed = played is None or _station(played, protocol.flow) != _station(outcome.case, protocol.flow)
        played = outcome.case
        if changed:
            placed.append(Placed(row["log_index"], row["tree_size"]))
            day = deadlines.local_date(row["accepted"])
            stretches.append((played, event.id, event.type, event.source, day))
    proven = await log.prove(connection, origin, placed)
    found = []
    for n, ((case, message, type, source, first), proof) in enumerate(zip(stretches, proven, strict=True)):
        following = stretches[n + 1][4] if n + 1 < len(stretches) else None
        rules = catalogue.protocols[case.protocol, case.version].flow
        state, due = rules.states[case.state], flow.current_due(rules, case)
        end = following or today
        late = due is not None and end > due.date
        found.append(
            Holding(
                flow.awaited(rules, case),
                case.state,
                {"zh": state.zh, "en": state.en},
                first,
                following,
                due.date if due else None,
                deadlines.next_day(due.date) if late and due else None,
                message,
                type,
                source,
                placed[n].index,
                proof.proof,
            )
        )
    return found


def on(holdings: Sequence[Holding], day: date) -> list[Holding]:
    """The stretches that covered `day`; a day on which the case changed hands has several."""
    return [one for one in holdings if one.first <= day and (one.through is None or day <= one.through)]


def _station(case: Case, rules: flow.Flow) -> tuple[object, ...]:
    return case.state, tuple(flow.awaited(rules, case)), flow.current_due(rules, case)
