"""Many requests at once, from a workbook: a template, every row judged, a preview, and all of them sent or none.

For protocols alone in which a list of names could not become a watch list (domain, rule 2): each row has its basis and
its reason, and only so many go to one authority a day.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from adapters.desk import asking, workbook
from adapters.desk.drafts import OPEN, Draft
from adapters.desk.forms import Words
from adapters.desk.pages.frame import STATES, Pages, Visit, elsewhere
from adapters.desk.workbook import Finding, Row, Sheet, WorkbookInvalid
from protocols.envelope import new_id

MANY: Final = ("errand.request", "service-handover.request")
"""What may be asked many times at once. Case assistance and verification may not: that would be a list of people."""
DAILY: Final = 50
"""Most requests from workbooks to one authority a day."""
NARRATIVE: Final = "narrative"
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
    sent = await visit.request.post()
    sheet, upload = _sheet(visit, str(sent.get("of", ""))), sent.get("file")
    if not isinstance(upload, web.FileField):
        return _choosing(visit, Words("请选择填好的工作簿。", "Choose the workbook that was filled in."))
    content = upload.file.read((2 << 20) + 1)
    try:
        rows = await asyncio.to_thread(workbook.read, sheet, content)
        judged = _within_the_day(visit, sheet, _once([_judged(visit, sheet, row) for row in rows]))
        if not judged:
            return _choosing(visit, Words("工作簿里没有填写任何一行。", "No row of the workbook is filled in."))
        if sent.get("do") == "marked":
            return _excel(await asyncio.to_thread(workbook.marked, sheet, content, judged), f"问题-{upload.filename}")
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
    drafts, what = _drafts(visit), (await visit.form()).get("do")
    if any(draft.state not in OPEN for draft in drafts):
        return _showing(visit, drafts)
    if what == "discard":
        for draft in drafts:
            visit.bureau.drafts.discard(draft)
        visit.desk.officers.note(visit.officer, f"删除批量 discarded a package of {len(drafts)}")
        return elsewhere("/packages")
    wrong = [draft for draft in drafts if asking.problems(visit.bureau, draft)]
    if wrong:
        text = Words(f"有 {len(wrong)} 件还要改正。", f"{len(wrong)} of them are to be put right.")
        return _showing(visit, drafts, text)
    if what == "sign":
        visit.require_head()
        visit.bureau.sign(visit.officer.name, *drafts)
        visit.desk.officers.note(visit.officer, f"签发批量 signed a package of {len(drafts)}")
        for draft in drafts:
            visit.desk.officers.note(visit.officer, f"签发 signed {draft.message}", draft.case)
    elif what == "submit":
        for draft in drafts:
            draft.state = "waiting"
        visit.bureau.drafts.keep(*drafts)
        visit.desk.officers.note(visit.officer, f"批量送签 handed over a package of {len(drafts)}")
    return elsewhere(f"/packages/{visit.request.match_info['id']}")


def _sheet(visit: Visit, of: str) -> Sheet:
    """The sheet of a message that may be asked many times. Raises HTTPNotFound for any other."""
    known = {f"{protocol.name}.{name}": (protocol, name) for protocol, name in asking.openings(visit.bureau)}
    if of not in MANY or of not in known:
        raise web.HTTPNotFound
    protocol, message = known[of]
    forms = asking.form_of(visit.bureau, protocol.name, protocol.version, message)
    assert forms is not None
    others = [(str(one["id"]), Words(str(one["name"]["zh"]), str(one["name"]["en"])))
              for one in visit.bureau.organisations() if _receives(visit, one)]  # fmt: skip
    title = visit.title_of(protocol.name, protocol.version, message)
    return Sheet(protocol.name, protocol.version, message, title, *forms, others, DAILY)


def _receives(visit: Visit, one: dict[str, Any]) -> bool:
    return one["id"] != visit.bureau.organisation and not str(one["id"]).endswith("-hub")


def _judged(visit: Visit, sheet: Sheet, row: Row) -> Row:
    """The row held against the schemas of its message."""
    return workbook.judged(sheet, row, asking.problems(visit.bureau, _draft(visit, sheet, row)))


def _draft(visit: Visit, sheet: Sheet, row: Row) -> Draft:
    """The draft that a row is: its reason goes before what is asked, for the other side to read."""
    draft = visit.bureau.begin(sheet.protocol, sheet.message, None, row.to, visit.officer.name)
    draft.data, draft.content = dict(row.data), dict(row.content or {})
    if row.reason and draft.content.get(NARRATIVE):
        draft.content[NARRATIVE] = f"理由：{row.reason}\n{draft.content[NARRATIVE]}"
    return draft


def _once(rows: Sequence[Row]) -> list[Row]:
    """The rows, with a finding at each that says the same as an earlier one."""
    first: dict[bytes, int] = {}
    found = []
    for row in rows:
        earlier = first.setdefault(msgspec.json.encode([row.to, row.data, row.content]), row.number)
        if earlier != row.number:
            words = Words(f"与第 {earlier} 行相同", f"the same as row {earlier}")
            row = replace(row, findings=(*row.findings, Finding(Words("本行", "The row"), words, "")))
        found.append(row)
    return found


def _within_the_day(visit: Visit, sheet: Sheet, rows: Sequence[Row]) -> list[Row]:
    """The rows, with a finding at each that would go beyond what one authority is sent in a day."""
    sent, found = Counter(_sent_today(visit)), []
    for row in rows:
        if row.to is not None:
            sent[row.to] += 1
        if row.to is not None and sent[row.to] > DAILY:
            column = workbook.columns(sheet)[0]
            words = Words(f"每天至多向同一机构批量发起 {DAILY} 件", f"at most {DAILY} a day to one authority")
            row = replace(row, findings=(*row.findings, Finding(column.title, words, column.key)))
        found.append(row)
    return found


def _sent_today(visit: Visit) -> dict[str, int]:
    return visit.desk.vault.get("many", visit.today.isoformat()) or {}


def _package(visit: Visit, sheet: Sheet, rows: Sequence[Row]) -> str:
    """The rows as drafts that go out together; what it is called."""
    package, drafts = new_id(), [_draft(visit, sheet, row) for row in rows]
    for draft in drafts:
        draft.package = package
    visit.bureau.drafts.keep(*drafts)
    sent = Counter(_sent_today(visit))
    sent.update(str(draft.to) for draft in drafts)
    visit.desk.vault.put("many", visit.today.isoformat(), dict(sent))
    for draft, row in zip(drafts, rows, strict=True):
        visit.desk.officers.note(visit.officer, f"批量起草 drafted {draft.message}", draft.case, reason=row.reason)
        visit.desk.officers.give(draft.case, visit.officer.name)
    return package


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
    counts = [(STATES[state], count) for state, count in Counter(draft.state for draft in drafts).items()]
    changeable = all(draft.state in OPEN for draft in drafts)
    return visit.page("package.html", TITLE, 422 if problem else 200, rows=rows, problem=problem, counts=counts,
                      open=changeable)  # fmt: skip


def _choosing(visit: Visit, problem: Words | None = None, bad: Sequence[Row] = ()) -> web.Response:
    kinds = [
        (f"{protocol.name}.{name}", Words(protocol.flow.title.zh, protocol.flow.title.en))
        for protocol, name in asking.openings(visit.bureau)
        if f"{protocol.name}.{name}" in MANY
    ]
    packages = Counter(draft.package for draft in visit.bureau.drafts.all(*STATES) if draft.package)
    return visit.page("packages.html", TITLE, 422 if problem else 200, kinds=kinds, packages=packages.items(),
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
