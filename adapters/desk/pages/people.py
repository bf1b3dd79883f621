"""The people of the bureau: accounts, who is away and who stands in, cases handed over, and who did what."""

import asyncio
from collections.abc import Mapping
from datetime import date

from aiohttp import web

from adapters.desk.forms import Words
from adapters.desk.officers import ROLES, Absence, OfficerInvalid
from adapters.desk.pages.doors import ACCOUNT, inside
from adapters.desk.pages.frame import Pages, Visit, framed

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
        return _page(visit, framed("没有添加", "Not added", invalid), sent=sent)
    visit.note(f"添加账户 {names[0]}（{names[1]}）", f"added {names[0]} ({names[2]})")
    return _page(visit, notice=Words(f"已添加 {names[1]}。", f"{names[1]} has an account."))


async def dismiss(visit: Visit) -> web.StreamResponse:
    """`POST /officers/{name}/dismiss`: somebody left; the cases go to who takes them."""
    visit.require_head()
    name, taker = visit.request.match_info["name"], (await visit.form()).get("taker", "")
    try:
        cases = visit.desk.officers.dismiss(name, taker)
    except OfficerInvalid as invalid:
        return _page(visit, framed("没有注销", "Nothing was changed", invalid))
    for case in cases:
        visit.note(f"{name} 离岗，交由 {taker}", f"{name} left, given to {taker}", case)
    visit.note(f"注销账户 {name}，{len(cases)} 件交由 {taker}", f"dismissed {name}, {len(cases)} cases to {taker}")
    return _page(
        visit, notice=Words(f"已注销，{len(cases)} 件案件移交完毕。", f"Done: {len(cases)} cases were handed over.")
    )


async def hand_over(visit: Visit) -> web.StreamResponse:
    """`POST /officers/{name}/hand-over`: every case of somebody, to somebody else."""
    name, taker = _own_or_head(visit), (await visit.form()).get("taker", "")
    try:
        cases = visit.desk.officers.hand_over(name, taker)
    except OfficerInvalid:
        raise web.HTTPNotFound from None
    for case in cases:
        visit.note(f"{name} 移交给 {taker}", f"{name} handed over to {taker}", case)
    visit.note(f"移交案件：{name} 的 {len(cases)} 件交给 {taker}", f"{name} handed {len(cases)} cases over to {taker}")
    return _page(visit, notice=Words(f"已移交 {len(cases)} 件。", f"{len(cases)} cases were handed over."))


async def away(visit: Visit) -> web.StreamResponse:
    """`POST /officers/{name}/away`: from when to when, and who stands in; without days: back."""
    name, sent = _own_or_head(visit), await visit.form()
    try:
        given = sent.get("first", ""), sent.get("last", "")
        first, last = (date.fromisoformat(day) if any(given) else None for day in given)
        absence = Absence(first, last, sent.get("stand_in", "")) if first is not None and last is not None else None
        visit.desk.officers.absent(name, absence)
    except OfficerInvalid as invalid:
        return _page(visit, framed("没有登记", "Not noted", invalid), sent=sent)
    except ValueError:
        return _page(visit, Words("请填起止日期。", "Two days are wanted."), sent=sent)
    stand_in = sent.get("stand_in", "")
    if absence is None:
        visit.note(f"{name} 返岗", f"{name} is back")
        return _page(visit, notice=Words("已返岗。", "Back."))
    visit.note(
        f"{name} 请假 {given[0]} 至 {given[1]}，{stand_in} 代班", f"{name} away {given[0]} to {given[1]}: {stand_in}"
    )
    return _page(visit, notice=Words("已登记请假。", "The absence was noted."))


async def password(visit: Visit) -> web.StreamResponse:
    """`POST /officers/{name}/password`: one's own with the old one; a head's word for somebody who forgot theirs."""
    name, sent = _own_or_head(visit), await visit.form()
    if name == visit.officer.name and not await asyncio.to_thread(visit.desk.officers.fits, name, sent.get("old", "")):
        return _page(visit, Words("原口令不对。", "The old password does not fit."))
    try:
        await asyncio.to_thread(visit.desk.officers.set_password, name, sent.get("new", ""))
    except OfficerInvalid as invalid:
        return _page(visit, framed("没有更改", "Not changed", invalid))
    visit.note(f"更改 {name} 的口令", f"changed the password of {name}")
    if name == visit.officer.name:
        return inside(visit.desk, visit.desk.officers.session(name))
    return _page(visit, notice=Words("口令已更改。", "The password was changed."))


async def journal(visit: Visit) -> web.StreamResponse:
    """`GET /officers/journal`: what was done at this desk beside its cases."""
    visit.require_head()
    return visit.page("journal.html", Words("办案台日志", "The desk’s journal"), deeds=visit.deeds()[::-1][:RECENT])


def _own_or_head(visit: Visit) -> str:
    name = visit.request.match_info["name"]
    if name != visit.officer.name:
        visit.require_head()
    if visit.desk.officers.one(name) is None:
        raise web.HTTPNotFound
    return name


def _page(
    visit: Visit, problem: Words | None = None, notice: Words | None = None, sent: Mapping[str, str] | None = None
) -> web.Response:
    holders = list(visit.desk.officers.holders(visit.today).values())
    people = [(one, sum(held.name == one.name for held in holders)) for one in visit.desk.officers.present()]
    return visit.page(
        "officers.html", TITLE, 422 if problem else 200, people=people, fields=ACCOUNT, roles=ROLES, problem=problem,
        notice=notice,
        sent=sent or {},
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
