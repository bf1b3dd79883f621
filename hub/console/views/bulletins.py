"""A month's information bulletins: who reported, in time or not, and who is missing on the 3rd."""

import re
from datetime import UTC, datetime

from hub.bulletins.standing import MISSING, Standing, standing
from hub.console.pages import Field, Page, Section, Visit
from hub.console.tables import Cell, Link, Table
from hub.console.words import T
from hub.store import Connection
from hub.store.queries import SQL
from protocols import deadlines

_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
MOST_LEADS = 20


async def view(visit: Visit) -> Page:
    """`/console/bulletins`."""
    today = deadlines.local_date(datetime.now(UTC))
    last = (today.replace(day=1).toordinal() - 1, today)[0]
    before = f"{datetime.fromordinal(last):%Y-%m}"
    period = visit.query("period") if _MONTH.fullmatch(visit.query("period")) else before
    wanted = visit.query("lead")
    sections: list[Section] = []

    async def read(connection: Connection) -> list[Standing]:
        leads = await connection.fetch(SQL["leads_of_month"], period, visit.sight, wanted, MOST_LEADS + 1)
        catalogue, directory = visit.hub.catalogue, visit.directory
        return [await standing(connection, catalogue, directory, row["lead"], period, today) for row in leads]

    standings = await visit.hub.reader.read(read)
    for found in standings[:MOST_LEADS]:
        missing = [report.reporter for report in found.reports if report.state == MISSING]
        rows: list[list[Cell]] = [
            [
                visit.name(report.reporter),
                T("未报", "Missing") if report.state == MISSING else report.state,
                report.reported,
                None if report.timely is None else T("及时", "In time") if report.timely else T("逾期", "Late"),
                report.returned,
                Link(T("案件", "Case"), f"/console/cases/{report.case}") if report.case else None,
            ]
            for report in found.reports
        ]
        columns = (
            T("部门", "Department"),
            T("状态", "State"),
            T("报送日", "Reported"),
            T("及时", "In time"),
            T("退回次数", "Returned"),
            T("案件", "Case"),
        )
        text = T(
            f"期限 {found.due}；未报 {len(missing)}：{'、'.join(map(visit.name, missing)) or '无'}",
            f"Due {found.due}; missing {len(missing)}: {', '.join(map(visit.name, missing)) or 'none'}",
        )
        title = T(f"报送 {visit.name(found.lead)}", f"To {visit.name(found.lead)}")
        sections.append(Section(title, [text], table=Table(f"to-{found.lead}", title, columns, rows)))
    if len(standings) > MOST_LEADS:
        more = T(
            f"只列出前 {MOST_LEADS} 个牵头部门，请筛选。", f"The first {MOST_LEADS} lead departments; choose some."
        )
        sections.append(Section(text=[more]))
    if not sections:
        sections = [Section(text=[T(f"{period}：没有信息通报。", f"{period}: no information bulletins.")])]
    fields = [
        Field("period", T("月份", "Month"), period, "month"),
        Field("lead", T("牵头部门（编号的开头）", "Lead department (how its id begins)"), wanted),
    ]
    return Page(sections, fields, live=True)
