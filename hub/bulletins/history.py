"""The cases between two organisations as the log has them, up to one of its sizes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import msgspec

from hub.arrangements.reading import loaded
from hub.store import Connection
from hub.store.queries import SQL
from protocols import deadlines, entries
from protocols.arrangements import changed_due
from protocols.between_hubs import Marked
from protocols.course import ACKNOWLEDGE_WITHIN, Step
from protocols.entries import Accepted, Acknowledged, DueChanged, happened
from protocols.flow import Case, Flow
from protocols.loading import Catalogue

BETWEEN_PARTIES = frozenset(
    {"case-assistance", "errand", "document-verification", "service-handover", "tip-off-referral"}
)
"""The protocols in which two sides work for each other: what bulletins between them are about."""


@dataclass(frozen=True, slots=True)
class History:
    """One case: who opened it to whom, its steps in order; when its first message was acknowledged, and by when due."""

    id: str
    flow: Flow
    opener: str
    responder: str
    steps: Sequence[Step]
    acknowledged: date | None
    acknowledge_by: date

    @property
    def protocol(self) -> str:
        """The protocol's name."""
        return self.flow.protocol

    @property
    def opened(self) -> date:
        """The day it was opened."""
        return self.steps[0].day

    def at(self, day: date) -> Step | None:
        """The last step until the end of `day`; None where it was not opened yet."""
        return next((step for step in reversed(self.steps) if step.day <= day), None)

    def reached(self, state: str) -> list[int]:
        """The places of the steps that led into one of the states that the flow calls `state`."""
        names = self.flow.names.get(state, ())
        return [n for n, step in enumerate(self.steps) if step.after in names and step.before not in names]


async def between(connection: Connection, catalogue: Catalogue, sides: Sequence[str], size: int) -> list[History]:
    """Every case of which the two `sides` are opener and responder, by the first `size` entries of the log."""
    ids = [row["case_id"] for row in await connection.fetch(SQL["cases_between"], *sides)]
    steps: dict[str, list[Step]] = {}
    openings: dict[int, str] = {}
    moved = await _moved(connection, ids, size)
    calendar = (await loaded(connection, size)).calendar
    for row in await connection.fetch(SQL["case_histories"], ids, size):
        case = str(row["case_id"])
        if case not in steps:
            openings[row["log_index"]] = case
        for index in [index for index in moved.get(case, ()) if index < row["log_index"]]:
            steps[case][-1] = replace(steps[case][-1], due=moved[case].pop(index))
        steps.setdefault(case, []).append(
            Step(
                row["type"].partition(".")[2],
                row["source"],
                row["state_before"],
                row["state_after"],
                row["due"],
                deadlines.local_date(row["accepted"]),
            )
        )
    for case, changes in moved.items():
        for due in changes.values():
            steps[case][-1] = replace(steps[case][-1], due=due)
    acknowledged = await _acknowledged(connection, openings, size)
    found = []
    for row in await connection.fetch(SQL["cases"], ids):
        file = msgspec.json.decode(row["record"], type=Case)
        if file.protocol in BETWEEN_PARTIES and file.id in steps and set(sides) == set(file.parties()[:2]):
            flow = catalogue.protocols[file.protocol, file.version].flow
            responder = file.position.responder
            day = acknowledged.get((file.id, responder))
            limit = deadlines.due_date(steps[file.id][0].day, ACKNOWLEDGE_WITHIN, "working", calendar).date
            found.append(History(file.id, flow, file.opener, responder, steps[file.id], day, limit))
    return sorted(found, key=lambda history: history.id)


async def _moved(connection: Connection, ids: Sequence[str], size: int) -> dict[str, dict[int, date | None]]:
    """The due dates that entries without a message left, by case and by the entry's index."""
    rows = await connection.fetch(SQL["due_changes"], ids, size)
    leaves = await connection.fetch(SQL["entries"], [row["log_index"] for row in rows])
    read = {row["index"]: entries.decode(row["leaf"]) for row in leaves}
    found: dict[str, dict[int, date | None]] = {}
    for row in rows:
        entry = read[row["log_index"]]
        assert isinstance(entry, DueChanged)
        found.setdefault(entry.subject, {})[row["log_index"]] = changed_due(entry)
    return found


async def _acknowledged(connection: Connection, openings: dict[int, str], size: int) -> dict[tuple[str, str], date]:
    """When each recipient of each opening message acknowledged it."""
    wanted: list[tuple[str, int, str]] = []
    for row in await connection.fetch(SQL["entries"], list(openings)):
        entry = entries.decode(row["leaf"])
        assert isinstance(entry, Accepted)
        wanted += [(name, position, openings[row["index"]]) for name, position in entry.recipients.items()]
    columns = [name for name, _, _ in wanted], [position for _, position, _ in wanted]
    marks = {
        (row["recipient"], row["position"]): row["log_index"]
        for row in await connection.fetch(SQL["acknowledged_by"], *columns, size)
    }
    leaves = {row["index"]: row["leaf"] for row in await connection.fetch(SQL["entries"], list(set(marks.values())))}
    found = {}
    for name, position, case in wanted:
        index = marks.get((name, position))
        if index is not None:
            entry = entries.decode(leaves[index])
            assert isinstance(entry, Acknowledged | Marked)
            found[case, name] = deadlines.local_date(datetime.fromisoformat(happened(entry)))
    return found
