"""Many requests at once, from a workbook: a template, every row judged, a preview, and all of them sent or none.

Which messages may be asked so, and how a row is judged, is in `adapters.workbook.many`.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from adapters import workbook
from adapters.desk import asking
from adapters.desk.drafts import DAILY, OPEN, Draft, TooManyToday, packages
from adapters.desk.forms import Words
from adapters.desk.pages.frame import STATES, Pages, Visit, elsewhere
from adapters.desk.saying import said
from adapters.workbook import Row, Sheet, WorkbookInvalid
from adapters.workbook.many import MANY, all_judged, content_of, sheets
from protocols.envelope import new_id

EXCEL: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TITLE = Words("批量发起", "Many at once")


async def choose(visit: Visit) -> web.StreamResponse:
    """`GET /packages`: what may be asked many times, and what is on its way."""
    return _choosing(visit)


async def template(visit: Visit) -> web.StreamResponse:
    """`GET /packages/template`: the workbook to fill in."""
    sheet = _sheet(visit, visit.request.query.get("of", ""))
    return _excel(await asyncio.to_thread(workbook.template, sheet), f"{sheet.protocol}-{sheet.version}.xlsx")


async def take(visit: Visit) -> web.StreamResponse:
    """`POST /packages`: a filled-in workbook; with faults in it the marked copy is offered, else a preview."""
    sent, name, content = await visit.upload(2 << 20)
    sheet = _sheet(visit, sent.get("of", ""))
    if content is None:
        return _choosing(visit, Words("请选择填好的工作簿。", "Choose the workbook that was filled in."))
    try:
        rows = await asyncio.to_thread(workbook.read, sheet, content)
        kind = asking.kind_of(visit.bureau, sheet.protocol, sheet.version, sheet.message)
        assert kind is not None
        judged = all_judged(kind, sheet, rows, visit.bureau.drafts.from_workbooks(visit.today.isoformat()))
        if not judged:
            return _choosing(visit, Words("工作簿里没有填写任何一行。", "No row of the workbook is filled in."))
        if sent.get("do") == "marked":
            return _excel(await asyncio.to_thread(workbook.marked, sheet, content, judged), f"问题-{name}")
    except WorkbookInvalid as invalid:
        return _choosing(visit, invalid.words)
    if any(row.findings for row in judged):
        bad = [row for row in judged if row.findings]
        text = Words(f"{len(judged)} 行中有 {len(bad)} 行要改正；什么都没有发出，也没有保存。",
                     f"{len(bad)} of {len(judged)} rows are to be put right; nothing was sent or kept.")  # fmt: skip
        return _choosing(visit, text, bad)
    return elsewhere(f"/packages/{_package(visit, sheet, judged)}")


async def show(visit: Visit) -> web.StreamResponse:
    """`GET /packages/{id}`: what it comes to, row by row."""
    return _showing(visit, _drafts(visit))


async def decide(visit: Visit) -> web.StreamResponse:
    """`POST /packages/{id}`: handed to the head, signed, or thrown away: all of it."""
    sent = await visit.form()
    drafts = _drafts(visit)
    what = sent.get("do")
    if any(draft.state not in OPEN for draft in drafts):
        return _showing(visit, drafts)
    if what == "discard":
        for draft in drafts:
            visit.bureau.drafts.discard(draft)
        visit.note(f"删除批量 {len(drafts)} 件", f"discarded a package of {len(drafts)}")
        return elsewhere("/packages")
    wrong = [draft for draft in drafts if asking.problems(visit.bureau, draft)]
    if wrong:
        text = Words(f"有 {len(wrong)} 件还要改正。", f"{len(wrong)} of them are to be put right.")
        return _showing(visit, drafts, text)
    if what == "sign":
        visit.require_head()
        if sent.get("seen") != _seen(drafts):
            changed = Words("内容刚刚被改过，请再看一遍。", "Something was changed a moment ago: look again.")
            return _showing(visit, drafts, changed)
        try:
            visit.bureau.sign(visit.officer.name, *drafts)
        except TooManyToday as fault:
            return _showing(visit, drafts, said(fault))
        visit.note(f"签发批量 {len(drafts)} 件", f"signed a package of {len(drafts)}")
        for draft in drafts:
            visit.did("签发", "signed", draft)
    elif what == "submit":
        for draft in drafts:
            draft.state = "waiting"
        visit.bureau.drafts.keep(*drafts)
        visit.note(f"批量送签 {len(drafts)} 件", f"handed over a package of {len(drafts)}")
    return elsewhere(f"/packages/{visit.request.match_info['id']}")


def _sheet(visit: Visit, of: str) -> Sheet:
    """The sheet of a message that may be asked many times. Raises HTTPNotFound for any other."""
    bureau = visit.bureau
    for sheet in sheets(bureau.catalogue, bureau.organisation, bureau.organisations()):
        if f"{sheet.protocol}.{sheet.message}" == of:
            return sheet
    raise web.HTTPNotFound


def _draft(visit: Visit, sheet: Sheet, row: Row) -> Draft:
    draft = visit.bureau.begin(sheet.protocol, sheet.message, None, row.to, visit.officer.name)
    draft.data, draft.content = dict(row.data), content_of(row)
    return draft


def _package(visit: Visit, sheet: Sheet, rows: Sequence[Row]) -> str:
    """The rows as drafts that go out together; what it is called."""
    package, drafts = new_id(), [_draft(visit, sheet, row) for row in rows]
    for draft in drafts:
        draft.package, draft.many = package, True
    visit.bureau.drafts.keep(*drafts)
    for draft, row in zip(drafts, rows, strict=True):
        visit.did("批量起草", "drafted", draft, reason=row.reason)
        visit.desk.officers.give(draft.case, visit.officer.name)
    return package


def _seen(drafts: Sequence[Draft]) -> str:
    """What a head sees of a package: it is signed as it was seen, or not at all."""
    return hashlib.sha256(
        msgspec.json.encode([(draft.id, draft.to, draft.data, draft.content) for draft in drafts])
    ).hexdigest()


def _drafts(visit: Visit) -> list[Draft]:
    id = visit.request.match_info["id"]
    found = [draft for draft in visit.bureau.drafts.all(*STATES) if draft.package == id]
    if not found:
        raise web.HTTPNotFound
    return found


def _showing(visit: Visit, drafts: Sequence[Draft], problem: Words | None = None) -> web.Response:
    rows = []
    for draft in drafts:
        forms = asking.form_of(visit.bureau, draft.protocol, draft.version, draft.message)
        assert forms is not None
        lines = list(asking.lines(forms[0], draft.data))
        lines += list(asking.lines(forms[1], draft.content)) if forms[1] else []
        rows.append((draft, visit.name_of(str(draft.to)), lines))
    counts = _counts(drafts)
    changeable = all(draft.state in OPEN for draft in drafts)
    return visit.page("package.html", TITLE, 422 if problem else 200, rows=rows, problem=problem, counts=counts,
                      open=changeable, seen=_seen(drafts))  # fmt: skip


def _counts(drafts: Sequence[Draft]) -> list[tuple[Words, int]]:
    return [(STATES[state], count) for state, count in Counter(draft.state for draft in drafts).items()]


def _choosing(visit: Visit, problem: Words | None = None, bad: Sequence[Row] = ()) -> web.Response:
    kinds = [
        (f"{protocol.name}.{name}", Words(protocol.flow.title.zh, protocol.flow.title.en))
        for protocol, name in asking.openings(visit.bureau)
        if f"{protocol.name}.{name}" in MANY
    ]
    held = [one for one in packages(visit.bureau.drafts.all(*STATES)) if one[0].package]
    listed = [(one[0].package, len(one), one[0].made, _counts(one)) for one in reversed(held)]
    return visit.page("packages.html", TITLE, 422 if problem else 200, kinds=kinds, packages=listed,
                      problem=problem, bad=bad, daily=DAILY)  # fmt: skip


def _excel(body: bytes, name: str) -> web.Response:
    plain = "".join(char for char in name if char.isprintable() and char not in '"\\/;')[-100:] or "workbook.xlsx"
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(plain)}"}
    return web.Response(body=body, content_type=EXCEL, headers=headers)


PAGES: Pages = (
    ("GET", "/packages", choose),
    ("POST", "/packages", take),
    ("GET", "/packages/template", template),
    ("GET", "/packages/{id}", show),
    ("POST", "/packages/{id}", decide),
)
