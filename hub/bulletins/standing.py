"""Who reported for a month, who did in time, and who is silent."""

from collections.abc import Sequence
from datetime import date

import msgspec
from asyncpg import Record

from hub.bulletins import INFORMATION
from hub.organisations import Directory
from hub.store import Connection
from hub.store.queries import SQL
from protocols import deadlines, departments
from protocols.flow import Case
from protocols.loading import Catalogue

MISSING = "missing"


class Report(msgspec.Struct, frozen=True):
    """A department's bulletin of a month: its state, `missing` where there is none, and whether it came in time."""

    reporter: str
    state: str
    case: str | None = None
    reported: date | None = None
    timely: bool | None = None
    returned: int = 0


class Standing(msgspec.Struct, frozen=True):
    """A month's bulletins to one lead department: due by `due`; one line for every department of the division."""

    lead: str
    period: str
    due: date
    provisional: bool
    reports: Sequence[Report]


async def standing(
    connection: Connection, catalogue: Catalogue, directory: Directory, lead: str, period: str, today: date
) -> Standing:
    """The standing of a month, by what came in until now."""
    protocol = catalogue.latest(INFORMATION)
    assert protocol is not None
    (deadline,) = [one for one in protocol.flow.deadlines.values() if one.after is not None]
    due = deadlines.due_date(deadlines.end_of_month(period), deadline.days, deadline.unit, directory.calendar)
    rows: dict[str, Record] = {}
    for row in await connection.fetch(SQL["bulletins"], lead, [period]):
        if row["state"] != "withdrawn":
            rows.setdefault(row["reporter"], row)
    cases = [row["case_id"] for row in rows.values()]
    returned = {str(row["case_id"]): row["times"] for row in await connection.fetch(SQL["returned"], cases)}
    division = departments.parse_organisation_id(lead).division
    expected = [
        known.id
        for known in directory.organisations.values()
        if known.id.startswith(f"{division}-") and known.id != lead and "bureau" in known.roles
    ]
    reports = []
    for name in sorted({*expected, *rows}):
        found = rows.get(name)
        if found is None:
            reports.append(Report(name, MISSING, timely=False if today > due.date else None))
            continue
        case = msgspec.json.decode(found["record"], type=Case)
        day = deadlines.local_date(found["opened"])
        reports.append(Report(name, case.state, case.id, day, day <= due.date, returned.get(case.id, 0)))
    return Standing(lead, period, due.date, due.provisional, reports)
