"""Information bulletins as they come in: their counts held against the month before and the counterparts' figures."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from asyncpg import Record

from hub.bulletins import INFORMATION
from hub.identity import Identity
from hub.intake import own
from hub.intake.own import Own
from hub.store import Connection
from hub.store.queries import SQL
from protocols import conformity, departments
from protocols.conformity import Finding
from protocols.flow import Case
from protocols.loading import Protocol

_REPORTS = {"report", "zero-report", "correct", "amend"}
WITHDRAWN = "withdrawn"


async def judged(
    connection: Connection, identity: Identity, protocol: Protocol, case: Case, now: datetime
) -> Own | None:
    """The hub's return of a bulletin that does not conform; None where it does. The bulletin is entered in the list."""
    messages = [event for event in await own.said(connection, case.id) if event.message in _REPORTS]
    if not messages:
        return None
    last, period = messages[-1], str(messages[0].data["period"])
    lead, reporter = case.position.responder, case.opener
    await connection.execute(SQL["add_bulletin"], lead, period, reporter, case.id)
    before = _month_before(period)
    rows = await connection.fetch(SQL["bulletins"], lead, [period, before])
    found = _duplicates(rows, case, period)
    earlier = await _latest(connection, rows, before, reporter)
    others: dict[str, Mapping[str, Any]] = {}
    for name in sorted({row["reporter"] for row in rows if row["period"] == period} - {reporter}):
        theirs = await _latest(connection, rows, period, name)
        if theirs is not None:
            others[departments.parse_organisation_id(name).department] = theirs
    own_department = departments.parse_organisation_id(reporter).department
    found += conformity.findings(protocol.flow.checks, last.data, own_department, earlier, others)
    if not found:
        return None
    data = {"findings": [_said(finding) for finding in found[:50]]}
    id = own.derived_id(last.time, identity.hub, INFORMATION, last.source, last.id)
    return own.compose(identity, protocol, "nonconforming", case.id, [reporter, lead], data, id, now, last.id)


def _duplicates(rows: list[Record], case: Case, period: str) -> list[Finding]:
    """A month is reported once: the first bulletin of it counts, until it is withdrawn."""
    same = [row for row in rows if (row["period"], row["reporter"]) == (period, case.opener)]
    standing = [str(row["case_id"]) for row in same if row["state"] != WITHDRAWN]
    if standing and standing[0] != case.id:
        return [Finding("duplicate", "period", standing.index(case.id) + 1 if case.id in standing else 1, 1)]
    return []


async def _latest(connection: Connection, rows: list[Record], period: str, reporter: str) -> Mapping[str, Any] | None:
    """The newest version of a department's bulletin of a month, as reported."""
    cases = [
        row for row in rows if (row["period"], row["reporter"]) == (period, reporter) and row["state"] != WITHDRAWN
    ]
    if not cases:
        return None
    messages = [e for e in await own.said(connection, str(cases[0]["case_id"])) if e.message in _REPORTS]
    return messages[-1].data if messages else None


def _month_before(period: str) -> str:
    return (date.fromisoformat(f"{period}-01") - timedelta(days=1)).isoformat()[:7]


def _said(finding: Finding) -> dict[str, Any]:
    said: dict[str, Any] = {
        "check": finding.check,
        "field": finding.field.replace("_", "-"),
        "reported": finding.reported,
        "expected": finding.expected,
    }
    return said | ({"department": finding.department} if finding.department else {})
