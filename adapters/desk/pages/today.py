"""Lists of cases: what is to be done today, what came in, all of them, somebody's own; found and exported."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from aiohttp import web

from adapters.desk.bureau import awaiting
from adapters.desk.drafts import UNSENT
from adapters.desk.forms import Words
from adapters.desk.pages.frame import STATES, Pages, Visit, language_of, local
from adapters.desk.workbook import table

COLUMNS: Final = (
    Words("案件", "Case"), Words("状态", "State"), Words("对方", "Other side"), Words("期限", "Due"),
    Words("经办", "With"),
)  # fmt: skip
MOST: Final = 200
"""Cases on a page; the export has all."""


async def to_do(visit: Visit) -> web.StreamResponse:
    """`GET /`."""
    bureau, today = visit.bureau, visit.today.isoformat()
    turn = awaiting(bureau.cases(), bureau.organisation)
    late = [case for case in turn if case["due"] and case["due"]["date"] < today]
    now = [case for case in turn if case["due"] and case["due"]["date"] == today]
    rest = [case for case in turn if case not in late and case not in now]
    arrived, drafts = bureau.arrived(), bureau.drafts.all(*UNSENT)
    written = [
        [
            {"href": f"/drafts/{one.id}", "text": visit.say(visit.title_of(one.protocol, one.version, one.message))},
            STATES[one.state], visit.name_of(one.to or _other(visit, bureau.case(one.case))), one.by,
            one.problem or "",
        ]
        for one in drafts
    ]  # fmt: skip
    tables = [
        (Words(f"已超期 {len(late)} 件", f"Overdue: {len(late)}"), COLUMNS, _rows(visit, late), "late"),
        (Words(f"今日到期 {len(now)} 件", f"Due today: {len(now)}"), COLUMNS, _rows(visit, now), "now"),
        (Words(f"新到 {len(arrived)} 件", f"Came in: {len(arrived)}"), COLUMNS, _rows(visit, arrived), "arrived"),
        (Words(f"等本机构办理 {len(rest)} 件", f"Ours to do: {len(rest)}"), COLUMNS, _rows(visit, rest), "rest"),
        (
            Words(f"草稿与待发 {len(drafts)} 件", f"Drafts and what is on its way: {len(drafts)}"),
            (Words("消息", "Message"), COLUMNS[1], COLUMNS[2], Words("起草", "By"), Words("说明", "Note")),
            written,
            "drafts",
        ),
    ]
    troubles = [dict(one, at=local(one["at"])) for one in bureau.troubles()]
    return visit.page("lists.html", Words("待办", "To do"), tables=tables, troubles=troubles)


async def cases(visit: Visit) -> web.StreamResponse:
    """`GET /cases`: all, or those that are found."""
    found, told = _asked(visit)
    rows = [[*row, told.get(case["id"], "")] for row, case in zip(_rows(visit, found[:MOST]), found, strict=False)]
    columns = (*COLUMNS, Words("找到", "Found")) if told else COLUMNS
    more = len(found) - MOST
    notice = Words(f"另有 {more} 件，见导出。", f"{more} more are in the export.") if more > 0 else None
    return visit.page(
        "cases.html", Words("案件", "Cases"), columns=columns, rows=rows if told else [row[:-1] for row in rows],
        q=visit.request.query.get("q", ""), mine=visit.request.query.get("mine", ""), count=len(found), notice=notice,
        query=visit.request.query_string,
    )  # fmt: skip


async def export(visit: Visit) -> web.StreamResponse:
    """`GET /cases.xlsx`: the same, as a workbook."""
    found, _ = _asked(visit)
    columns = (*COLUMNS[:1], Words("案号", "Number"), Words("发起方", "Opened by"), Words("协办方", "Asked"),
               *COLUMNS[1:2], *COLUMNS[3:], Words("最近变动", "Last changed"))  # fmt: skip
    holders = visit.desk.officers.holders(visit.today)
    rows = [
        [
            visit.say(visit.protocol_of(case["protocol"], case["version"])), case["id"], visit.name_of(case["opener"]),
            visit.name_of(case["responder"]), visit.say(Words(**case["title"])), (case["due"] or {}).get("date"),
            holders[case["id"]].full_name if case["id"] in holders else "", local(case["updated"]),
        ]
        for case in found
    ]  # fmt: skip
    body = table(Words("案件", "Cases"), columns, rows, language_of(visit.request))
    headers = {"Content-Disposition": f'attachment; filename="cases-{visit.today.isoformat()}.xlsx"'}
    media = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return web.Response(body=body, content_type=media, headers=headers)


def _asked(visit: Visit) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The cases that the query means, and where the words that were looked for stand."""
    wanted, mine = visit.request.query.get("q", "")[:100], visit.request.query.get("mine") == "1"
    if wanted.strip():
        matches = visit.bureau.search(wanted)
        found, told = [case for case, _ in matches], {case["id"]: where for case, where in matches}
    else:
        found, told = visit.bureau.cases(), {}
    if mine:
        holders = visit.desk.officers.holders(visit.today)
        found = [one for one in found if one["id"] in holders and holders[one["id"]].name == visit.officer.name]
    return found, told


def _rows(visit: Visit, cases: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    holders = visit.desk.officers.holders(visit.today)
    return [_row(visit, case, holders[case["id"]].full_name if case["id"] in holders else "—") for case in cases]


def _row(visit: Visit, case: Mapping[str, Any], holder: str) -> list[Any]:
    text = visit.say(visit.protocol_of(case["protocol"], case["version"]))
    link = {"href": f"/cases/{case['id']}", "text": f"{text} {case['id'][:13]}"}
    due = (case["due"] or {}).get("date", "—")
    left = ""
    if case["due"] and visit.bureau.organisation in case["awaits"]:
        days = (date.fromisoformat(case["due"]["date"]) - visit.today).days
        left = visit.say(
            Words(f"（超期 {-days} 天）", f" ({-days} days late)")
            if days < 0
            else Words(f"（余 {days} 天）", f" ({days} left)")
        )
    return [link, Words(**case["title"]), visit.name_of(_other(visit, case)), f"{due}{left}", holder]


def _other(visit: Visit, case: Mapping[str, Any] | None) -> str:
    if case is None:
        return ""
    return str(case["responder"] if case["opener"] == visit.bureau.organisation else case["opener"])


PAGES: Pages = (("GET", "/", to_do), ("GET", "/cases", cases), ("GET", "/cases.xlsx", export))
