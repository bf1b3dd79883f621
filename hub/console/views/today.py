"""Today: what is overdue, what soon will be, whose mailbox waits, who has been silent."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from asyncpg import Record

from hub.console.pages import Page, Section, Visit
from hub.console.tables import Cell, Link, Table
from hub.console.words import STAGES, T
from hub.store.queries import SQL
from protocols import deadlines
from protocols.calendar import Calendar

SOON = 7
"""Days ahead that count as soon."""
SHOWN = 200
SILENT_AFTER = 2
"""Working days in which a message should be acknowledged (domain, Time)."""
_LONG_AGO = date(1990, 1, 1)


async def view(visit: Visit) -> Page:
    """`/console/`."""
    now = datetime.now(UTC)
    day = deadlines.local_date(now)
    soon = day + timedelta(days=SOON)
    async with visit.hub.pool.acquire() as connection:
        late = await connection.fetch(SQL["due_cases"], visit.sight, _LONG_AGO, day, SHOWN)
        next_ones = await connection.fetch(SQL["due_cases"], visit.sight, day, soon + timedelta(days=1), SHOWN)
        waiting = await connection.fetch(SQL["unfetched"], visit.sight, SHOWN)
        since = _working_days_ago(day, visit.directory.calendar)
        silent = await connection.fetch(SQL["silent"], visit.sight, since, SHOWN)
    quiet: list[list[Cell]] = [
        ["、".join(map(visit.name, row["stage_of"].split())), row["stage_of"], row["cases"], _moment(row["since"])]
        for row in silent
    ]

    def mailboxes(rows: Sequence[Record]) -> list[list[Cell]]:
        return [[visit.name(row["recipient"]), row["recipient"], row["waiting"], _moment(row["since"])] for row in rows]

    def cases(rows: Sequence[Record]) -> list[list[Cell]]:
        return [case_row(visit, row, day) for row in rows]

    columns = (T("机构", "Organisation"), T("编号", "Id"), T("未取件数", "Not fetched"), T("最早的一件", "Oldest"))
    return Page(
        [
            Section(
                T(f"超期 {_many(late)} 件", f"Overdue: {_many(late)}"),
                table=Table("overdue", T("已超期的案件", "Cases past their due date"), CASE_COLUMNS, cases(late)),
            ),
            Section(
                T(f"{SOON} 日内到期 {_many(next_ones)} 件", f"Due within {SOON} days: {_many(next_ones)}"),
                table=Table("soon", T("即将到期的案件", "Cases that are due soon"), CASE_COLUMNS, cases(next_ones)),
            ),
            Section(
                T("未取的收件箱", "Mailboxes not fetched"),
                table=Table(
                    "unfetched",
                    T("有消息未取的机构", "Organisations with messages not fetched"),
                    columns,
                    mailboxes(waiting),
                ),
            ),
            Section(
                T("沉默的机构", "Silent partners"),
                table=Table(
                    "silent",
                    T(
                        f"案件送达后超过 {SILENT_AFTER} 个工作日未取或未签收的机构，含对方地区",
                        f"Who has not fetched or signed for a case's message for more than {SILENT_AFTER} working days",
                    ),
                    (*columns[:2], T("案件", "Cases"), columns[3]),
                    quiet,
                ),
            ),
        ],
        live=True,
    )


CASE_COLUMNS = (
    T("案件", "Case"),
    T("协议", "Protocol"),
    T("状态", "State"),
    T("发起方", "Opener"),
    T("协办方", "Responder"),
    T("期限", "Due"),
    T("超期天数", "Days late"),
    T("卡在", "Now"),
)


def case_row(visit: Visit, row: Record, day: date) -> list[Cell]:
    """A case as a line of a table; `row` is of `case_course`."""
    found = dict(row)
    due, stage = found["due"], found["stage"]
    late = (day - due).days if due is not None and due < day and not found.get("final", False) else None
    return [
        Link(str(found["case_id"])[:13] + "…", f"/console/cases/{found['case_id']}"),
        protocol_name(visit, found["protocol"]),
        state_name(visit, found["protocol"], found["state"]),
        visit.name(found["opener"]),
        visit.name(found["responder"]),
        due,
        late,
        None
        if stage is None
        else T(*(f"{text}：{'、'.join(map(visit.name, found['stage_of'].split()))}" for text in STAGES[stage])),
    ]


def protocol_name(visit: Visit, protocol: str) -> T | str:
    """A protocol's title."""
    known = visit.hub.catalogue.latest(protocol)
    return T(known.flow.title.zh, known.flow.title.en) if known is not None else protocol


def state_name(visit: Visit, protocol: str, state: str) -> T | str:
    """A state's title."""
    known = visit.hub.catalogue.latest(protocol)
    found = known.flow.states.get(state) if known is not None else None
    return T(found.zh, found.en) if found is not None else state


def _many(rows: Sequence[Record]) -> int:
    return int(rows[0]["many"]) if rows else 0


def _working_days_ago(day: date, calendar: Calendar) -> datetime:
    """The end of the day after which more than `SILENT_AFTER` working days have passed."""
    passed = 0
    while passed <= SILENT_AFTER:
        passed += calendar.is_working_day(day)
        day -= timedelta(days=1)
    return deadlines.end_of(day)


def _moment(at: datetime) -> str:
    return at.astimezone(deadlines.SHANGHAI).strftime("%Y-%m-%d %H:%M")
