"""The people of the bureau: accounts, who is away and who stands in, cases handed over, and who did what."""

import asyncio
from datetime import date

from aiohttp import web

from adapters.desk.forms import Words
from adapters.desk.officers import ROLES, Absence, OfficerInvalid
from adapters.desk.pages.doors import ACCOUNT, account_problem
from adapters.desk.pages.frame import Pages, Visit, elsewhere, local

TITLE = Words("人员", "Officers")
RECENT = 200


async def show(visit: Visit) -> web.StreamResponse:
    """`GET /officers`."""
    return _page(visit)


async def add(visit: Visit) -> web.StreamResponse:
    """`POST /officers`: another account."""
    visit.require_head()
    sent = await visit.form()
    names = [sent.get(name, "") for name in ("name", "full_name", "role", "password")]
    try:
        await asyncio.to_thread(visit.desk.officers.add, *names)
    except OfficerInvalid as invalid:
        return _page(visit, account_problem(invalid))
    visit.desk.officers.note(visit.officer, f"添加账户 added {names[0]} ({names[2]})")
    return elsewhere("/officers")


async def dismiss(visit: Visit) -> web.StreamResponse:
    """`POST /officers/{name}/dismiss`: somebody left; the cases go to who takes them."""
    visit.require_head()
    name, taker = visit.request.match_info["name"], (await visit.form()).get("taker", "")
    try:
        if taker == name:
            raise OfficerInvalid("somebody else takes the cases")
        visit.desk.officers.dismiss(name)
        cases = visit.desk.officers.hand_over(name, taker)
    except OfficerInvalid as invalid:
        return _page(visit, Words("最后一位负责人不能离开；案件要交给本单位另一人。", invalid.detail))
    for case in cases:
        visit.desk.officers.note(visit.officer, f"{name} 离岗，交由 left, given to {taker}", case)
    visit.desk.officers.note(visit.officer, f"注销账户 dismissed {name}, {len(cases)} cases to {taker}")
    return elsewhere("/officers")


async def hand_over(visit: Visit) -> web.StreamResponse:
    """`POST /officers/{name}/hand-over`: every case of somebody, to somebody else."""
    name, taker = _own_or_head(visit), (await visit.form()).get("taker", "")
    try:
        cases = visit.desk.officers.hand_over(name, taker)
    except OfficerInvalid:
        raise web.HTTPNotFound from None
    for case in cases:
        visit.desk.officers.note(visit.officer, f"{name} 移交 handed over to {taker}", case)
    visit.desk.officers.note(visit.officer, f"移交案件 {name} handed {len(cases)} cases over to {taker}")
    return elsewhere("/officers")


async def away(visit: Visit) -> web.StreamResponse:
    """`POST /officers/{name}/away`: from when to when, and who stands in; without days: back."""
    name, sent = _own_or_head(visit), await visit.form()
    try:
        given = sent.get("first", ""), sent.get("last", "")
        first, last = (date.fromisoformat(day) if any(given) else None for day in given)
        absence = Absence(first, last, sent.get("stand_in", "")) if first is not None and last is not None else None
        visit.desk.officers.absent(name, absence)
    except (OfficerInvalid, ValueError):
        return _page(visit, Words("请填起止日期和另一位代班人。", "Two days, and somebody else who stands in."))
    said = f"{given[0]}—{given[1]} {sent.get('stand_in')}" if absence else "返岗 back"
    visit.desk.officers.note(visit.officer, f"请假 absence of {name}: {said}")
    return elsewhere("/officers")


async def password(visit: Visit) -> web.StreamResponse:
    """`POST /officers/{name}/password`: one's own with the old one; a head's word for somebody who forgot theirs."""
    name, sent = _own_or_head(visit), await visit.form()
    if name == visit.officer.name and not await asyncio.to_thread(visit.desk.officers.fits, name, sent.get("old", "")):
        return _page(visit, Words("原口令不对。", "The old password does not fit."))
    try:
        await asyncio.to_thread(visit.desk.officers.set_password, name, sent.get("new", ""))
    except OfficerInvalid as invalid:
        return _page(visit, account_problem(invalid))
    visit.desk.officers.note(visit.officer, f"更改口令 changed the password of {name}")
    return _page(visit, notice=Words("口令已更改。", "The password was changed."))


async def journal(visit: Visit) -> web.StreamResponse:
    """`GET /officers/journal`: what was done at this desk beside its cases."""
    visit.require_head()
    deeds = [dict(deed, at=local(deed["at"])) for deed in reversed(visit.desk.officers.deeds())]
    return visit.page("journal.html", Words("办案台日志", "The desk’s journal"), deeds=deeds[:RECENT])


def _own_or_head(visit: Visit) -> str:
    name = visit.request.match_info["name"]
    if name != visit.officer.name:
        visit.require_head()
    if visit.desk.officers.one(name) is None:
        raise web.HTTPNotFound
    return name


def _page(visit: Visit, problem: Words | None = None, notice: Words | None = None) -> web.Response:
    holders = list(visit.desk.officers.holders(visit.today).values())
    people = [(one, sum(held.name == one.name for held in holders)) for one in visit.desk.officers.present()]
    return visit.page(
        "officers.html", TITLE, 422 if problem else 200, people=people, fields=ACCOUNT, roles=ROLES, problem=problem,
        notice=notice,
    )  # fmt: skip


PAGES: Pages = (
    ("GET", "/officers", show),
    ("POST", "/officers", add),
    ("GET", "/officers/journal", journal),
    ("POST", "/officers/{name}/dismiss", dismiss),
    ("POST", "/officers/{name}/hand-over", hand_over),
    ("POST", "/officers/{name}/away", away),
    ("POST", "/officers/{name}/password", password),
)
