"""Today: what is overdue, what soon will be, whose mailbox waits, who has been silent."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from asyncpg import Record

from hub.console.pages import Page, Section, Visit
from hub.console.tables import Cell, Link, Table
from hub.console.words import STAGES, T
from hub.store import Connection
from hub.store.queries import SQL
from hub.supervision import predicting
from protocols import deadlines
from protocols.calendar import Calendar

SOON = 7
"""Days ahead that count as soon."""
SHOWN = 50
SILENT_AFTER = 2
"""Working days in which a message should be acknowledged (domain, Time)."""
_LONG_AGO = date(1990, 1, 1)


async def view(visit: Visit) -> Page:
    """`/console/`."""
    now = datetime.now(UTC)
    day = deadlines.local_date(now)
    soon = day + timedelta(days=SOON)
    since = _working_days_ago(day, visit.directory.calendar)

    async def read(connection: Connection) -> tuple[list[list[Record]], predicting.Record]:
        rows = [
            await connection.fetch(SQL["due_cases"], visit.sight, _LONG_AGO, day, SHOWN),
            await connection.fetch(SQL["due_cases"], visit.sight, day, soon + timedelta(days=1), SHOWN),
            await connection.fetch(SQL["predictions"], visit.sight, day, SHOWN),
            await connection.fetch(SQL["unfetched"], visit.sight, SHOWN),
            await connection.fetch(SQL["silent"], visit.sight, since, SHOWN),
        ]
        return rows, await predicting.record(connection, (day - timedelta(days=335)).replace(day=1))

    (late, next_ones, foretold, waiting, silent), kept = await visit.hub.reader.read(read)
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
                T(f"可能超期 {_many(foretold)} 件", f"Probably late: {_many(foretold)}"),
                text=[FORETOLD, _hits(kept)],
                table=Table(
                    "predictions",
                    T("尚未到期、但按以往经验可能超期的案件", "Cases not yet due that will probably be late"),
                    PREDICTED,
                    [_predicted(visit, row) for row in foretold],
                ),
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


FORETOLD = T(
    "期限过半时，看同一发起方、协办方和协议近一年内到这一天数仍未答复的案件："
    f"至少 {predicting.LEAST} 件，其中半数以上超期，即预测超期。",
    "Half-way to the due date: of the last year's cases of the same opener, responder and protocol that were "
    f"unanswered for as long as this one is by now, at least {predicting.LEAST}, half or more were late.",
)
PREDICTED = (
    T("案件", "Case"),
    T("协议", "Protocol"),
    T("发起方", "Opener"),
    T("协办方", "Responder"),
    T("期限", "Due"),
    T("以往超期", "Were late"),
    T("以往案件", "Earlier cases"),
)


def _hits(record: predicting.Record) -> T:
    """How predictions came out, in words that hold for none as well."""
    if not record.settled:
        return T("尚无已见分晓的预测。", "No prediction has come out yet.")
    late, in_time = record.came_late, record.came_in_time
    return T(
        f"本枢纽近一年：预测超期 {record.foretold_late} 件，其中 {late} 件确实超期；"
        f"预测按期 {record.foretold_in_time} 件，其中 {in_time} 件确实按期；"
        f"全部 {record.settled} 件中 {record.late} 件超期。",
        f"On this hub, in the last year, {late} of {record.foretold_late} foretold late were, "
        f"{in_time} of {record.foretold_in_time} foretold in time were; "
        f"of all {record.settled}, {record.late} were late.",
    )


def _predicted(visit: Visit, row: Record) -> list[Cell]:
    return [
        Link(str(row["case_id"])[:13] + "…", f"/console/cases/{row['case_id']}"),
        protocol_name(visit, row["protocol"]),
        visit.name(row["opener"]),
        visit.name(row["responder"]),
        row["due"],
        row["late"],
        row["earlier"],
    ]


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
