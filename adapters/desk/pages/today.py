"""Lists of cases: what is to be done today, what came in, all of them, somebody's own; found and exported."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

from aiohttp import web

from adapters.desk import asking
from adapters.desk.bureau import turns, words_of
from adapters.desk.drafts import UNSENT, Draft, packages
from adapters.desk.forms import Words
from adapters.desk.officers import Officer
from adapters.desk.pages.frame import STATES, Pages, Visit, language_of, local
from adapters.workbook import table

COLUMNS: Final = (
    Words("案件", "Case"), Words("事由", "About"), Words("状态", "State"), Words("对方", "Other side"),
    Words("期限", "Due"), Words("经办", "With"),
)  # fmt: skip
WRITTEN: Final = (
    Words("消息", "Message"), COLUMNS[1], COLUMNS[2], COLUMNS[3], Words("起草", "By"), Words("说明", "Note"),
)  # fmt: skip
MOST: Final = 200
"""Cases on a page; the export has all."""


async def to_do(visit: Visit) -> web.StreamResponse:
    """`GET /`."""
    bureau = visit.bureau
    late, now, rest = turns(bureau.cases(), bureau.organisation, visit.today)
    arrived, holders = bureau.arrived(), visit.desk.officers.holders(visit.today)
    unsent = bureau.drafts.all(*UNSENT)
    waiting = [one for one in unsent if one.state == "waiting"]
    drafts = [one for one in unsent if one.state != "waiting"]
    tables = [
        (Words(f"已超期 {len(late)} 件", f"Overdue: {len(late)}"), COLUMNS, _rows(visit, holders, late), "late"),
        (Words(f"今日到期 {len(now)} 件", f"Due today: {len(now)}"), COLUMNS, _rows(visit, holders, now), "now"),
        (Words(f"待签发 {len(waiting)} 件", f"Wait for the head: {len(waiting)}"), WRITTEN, _written(visit, waiting),
         "waiting"),
        (Words(f"新到 {len(arrived)} 件", f"Came in: {len(arrived)}"), COLUMNS, _rows(visit, holders, arrived),
         "arrived"),
        (Words(f"等本机构办理 {len(rest)} 件", f"Ours to do: {len(rest)}"), COLUMNS, _rows(visit, holders, rest),
         "rest"),
        (Words(f"草稿与待发 {len(drafts)} 件", f"Drafts and what is on its way: {len(drafts)}"), WRITTEN,
         _written(visit, drafts), "drafts"),
    ]  # fmt: skip
    troubles = [dict(one, at=local(one["at"]), why=Words(*one["why"])) for one in bureau.troubles()]
    return visit.page("lists.html", Words("待办", "To do"), tables=tables, troubles=troubles)


async def cases(visit: Visit) -> web.StreamResponse:
    """`GET /cases`: all, or those that are found."""
    holders = visit.desk.officers.holders(visit.today)
    found, told = _asked(visit, holders)
    rows = [
        [*row, told.get(case["id"], "")] for row, case in zip(_rows(visit, holders, found[:MOST]), found, strict=False)
    ]
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
    holders = visit.desk.officers.holders(visit.today)
    found, _ = _asked(visit, holders)
    columns = (*COLUMNS[:2], Words("案号", "Number"), Words("发起方", "Opened by"), Words("协办方", "Asked"),
               *COLUMNS[2:3], *COLUMNS[4:], Words("最近变动", "Last changed"))  # fmt: skip
    rows = [
        [
            visit.say(visit.protocol_of(case["protocol"], case["version"])), visit.bureau.matter(case["id"]),
            case["id"], visit.name_of(case["opener"]),
            visit.name_of(case["responder"]), visit.say(Words(**case["title"])), (case["due"] or {}).get("date"),
            holders[case["id"]].full_name if case["id"] in holders else "", local(case["updated"]),
        ]
        for case in found
    ]  # fmt: skip
    body = table(Words("案件", "Cases"), columns, rows, language_of(visit.request))
    headers = {"Content-Disposition": f'attachment; filename="cases-{visit.today.isoformat()}.xlsx"'}
    media = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return web.Response(body=body, content_type=media, headers=headers)


def _asked(visit: Visit, holders: Mapping[str, Officer]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The cases that the query means, and where the words that were looked for stand."""
    wanted, mine = visit.request.query.get("q", "")[:100], visit.request.query.get("mine") == "1"
    if wanted.strip():
        matches = visit.bureau.search(wanted, lambda message: _spoken(visit, message))
        found, told = [case for case, _ in matches], {case["id"]: where for case, where in matches}
    else:
        found, told = visit.bureau.cases(), {}
    if mine:
        found = [one for one in found if one["id"] in holders and holders[one["id"]].name == visit.officer.name]
    return found, told


def _written(visit: Visit, drafts: Sequence[Draft]) -> list[list[Any]]:
    """Drafts, those of a package in one row."""
    rows = []
    for package in packages(drafts):
        first = package[0]
        title, author = visit.say(visit.titled(first)), visit.desk.officers.one(first.by)
        link = {"href": f"/drafts/{first.id}", "text": f"{title} {local(first.made)}"}
        if first.package is not None:
            link = {"href": f"/packages/{first.package}", "text": f"{title} ×{len(package)} {local(first.made)}"}
        about = visit.bureau.matter(first.case) or words_of(first.content)
        to = first.to or _other(visit, visit.bureau.case(first.case))
        rows.append([link, about, STATES[first.state], visit.name_of(to), author.full_name if author else first.by,
                     first.problem or ""])  # fmt: skip
    return rows


def _spoken(visit: Visit, message: Mapping[str, Any]) -> Iterator[str]:
    """What stands in a message, line by line, in the words of its schema."""
    protocol, _, name = message["type"].partition(".")
    version = str(message["dataschema"]).split("/")[-2]
    for form, part in zip(
        asking.form_of(visit.bureau, protocol, version, name) or (), ("data", "content"), strict=False
    ):
        for title, value in asking.lines(form, message[part]) if form is not None else ():
            yield f"{title.zh}：{value.zh}"
            if value.en != value.zh:
                yield f"{title.en}: {value.en}"


def _rows(visit: Visit, holders: Mapping[str, Officer], cases: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
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
    return [
        link,
        visit.bureau.matter(case["id"]),
        Words(**case["title"]),
        visit.name_of(_other(visit, case)),
        f"{due}{left}",
        holder,
    ]


def _other(visit: Visit, case: Mapping[str, Any] | None) -> str:
    if case is None:
        return ""
    return str(case["responder"] if case["opener"] == visit.bureau.organisation else case["opener"])


PAGES: Pages = (("GET", "/", to_do), ("GET", "/cases", cases), ("GET", "/cases.xlsx", export))
