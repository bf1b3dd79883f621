"""Settings: when the desk locks itself, the digest, a back-up of everything, keys, the bureaus below."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from aiohttp import web

from adapters.desk import habits
from adapters.desk.forms import Words
from adapters.desk.habits import Habits, HabitsInvalid
from adapters.desk.pages.frame import Pages, Visit, elsewhere, framed
from keys.errors import Fault
from protocols import deadlines, vouching
from protocols.vouching import Constraints

TITLE = Words("设置", "Settings")
BELOW = Words("下级机构", "Bureaus below")
BLOCK = 1 << 20
UNFIT = Words("没有保存：请检查数字和选项", "Not saved: look at the numbers and choices")


async def show(visit: Visit) -> web.StreamResponse:
    """`GET /settings`."""
    return _page(visit)


async def save(visit: Visit) -> web.StreamResponse:
    """`POST /settings`."""
    visit.require_head()
    sent, kept = await visit.form(), visit.desk.habits
    mail = {name: sent.get(name, "").strip() for name in ("host", "security", "account", "sender", "to")}
    wanted = {
        "lock_after": sent.get("lock_after", ""), "stays_open": sent.get("stays_open") == "1",
        "digest": sent.get("digest", ""), "digest_at": sent.get("digest_at", ""),
        "folder": sent.get("folder", "").strip(),
        "mail": {**mail, "port": sent.get("port", ""), "password": sent.get("password") or kept.mail.password},
    }  # fmt: skip
    try:
        habits.save(visit.desk.vault, msgspec.convert(wanted, Habits, strict=False))
    except (HabitsInvalid, msgspec.ValidationError) as fault:
        why = framed("没有保存", "Not saved", fault) if isinstance(fault, HabitsInvalid) else UNFIT
        return _page(visit, why, sent=sent)
    visit.desk.officers.idle = 60.0 * visit.desk.habits.lock_after
    visit.note("更改设置", "changed the settings")
    return _page(visit, notice=Words("已保存。", "Saved."))


async def digest(visit: Visit) -> web.StreamResponse:
    """`POST /settings/digest`: now, to try it."""
    visit.require_head()
    if visit.desk.bureau is None:
        raise web.HTTPSeeOther("/setup")
    if visit.desk.habits.digest == "nobody":
        return _page(
            visit, Words("请先选择摘要送到哪里，并保存设置。", "First choose where the digest goes, and save.")
        )
    problem = await visit.desk.deliver_digest()
    if problem is not None:
        return _page(visit, Words(f"摘要没有送出：{problem}", f"The digest was not delivered: {problem}"))
    return _page(visit, notice=Words("摘要已送出。", "The digest was delivered."))


async def back_up(visit: Visit) -> web.StreamResponse:
    """`POST /settings/backup`: everything in one file, as encrypted as the desk itself."""
    visit.require_head()
    visit.note("备份全部", "made a back-up")
    file = await asyncio.to_thread(visit.desk.back_up)
    try:
        own = visit.desk.membership.bureau
        name = f"xieban-desk-{own.id if own is not None else 'new'}-{visit.today.isoformat()}.zip"
        response = web.StreamResponse(headers={
            "Content-Disposition": f'attachment; filename="{name}"', "Content-Type": "application/zip",
            "Content-Length": str(file.stat().st_size),
        })  # fmt: skip
        await response.prepare(visit.request)
        with file.open("rb") as body:
            while block := await asyncio.to_thread(body.read, BLOCK):
                await response.write(block)
        return response
    finally:
        file.unlink(missing_ok=True)


async def lock(visit: Visit) -> web.StreamResponse:
    """`POST /settings/lock`: log everybody out, forget the keys."""
    await visit.desk.lock()
    return elsewhere("/enter")


async def below(visit: Visit) -> web.StreamResponse:
    """`GET /below`: those that this bureau stands above, with their keys."""
    return await _below(visit)


async def vouch(visit: Visit) -> web.StreamResponse:
    """`POST /below/vouch`: this bureau's word on an application; what is handed to the hub's operator."""
    visit.require_head()
    own = visit.desk.membership.bureau
    sent, _, content = await visit.upload(1 << 16)
    sent |= {"application": content.decode("ascii", "replace")} if content else {}
    asked = next(iter(sent.get("application", "").split()), "")
    chain = sent.get("chain", "").split()[1:]
    signing = visit.desk.keyring.signing(visit.desk.vault.get("state", "listed") or ())
    if own is None or signing is None:
        raise web.HTTPSeeOther("/setup")
    try:
        now = datetime.now(UTC)
        described = vouching.read_application(asked, now)
        if sent.get("do") != "vouch":
            return await _below(visit, application=asked, chain=sent.get("chain", ""), described=described)
        statement = vouching.vouch(own.id, asked, signing, Constraints(), now)
    except Fault as fault:
        return await _below(visit, framed("申请不成立", "It is no application", fault), application=asked)
    visit.note(f"为 {described.sub} 担保", f"vouched for {described.sub}")
    headers = {"Content-Disposition": f'attachment; filename="{described.sub}.chain"'}
    return web.Response(text="\n".join((asked, statement, *chain)) + "\n", content_type="text/plain", headers=headers)


async def revoke(visit: Visit) -> web.StreamResponse:
    """`POST /below/revoke`: a key of a bureau below out of use, because its machine is lost."""
    visit.require_head()
    sent = await visit.form()
    organisation, kid, since = sent.get("organisation", ""), sent.get("kid", ""), sent.get("since", "")
    try:
        # Who has the machine has the key: from then on it is leaked, and no old file brings it back.
        moment = datetime.fromisoformat(since).replace(tzinfo=deadlines.SHANGHAI) if since else datetime.now(UTC)
        async with visit.bureau.connect() as client:
            await client.revoke_key(organisation, kid, moment)
    except Fault as fault:
        return await _below(visit, framed("没有停用", "It was not revoked", fault))
    except ValueError:
        return await _below(visit, Words("请填日期和时间。", "A day and a time are wanted."))
    visit.note(f"停用密钥 {organisation} {kid}", f"revoked {organisation} {kid}")
    return await _below(visit, notice=Words("已停用，各处立即拒收。", "Revoked: refused everywhere at once."))


async def _below(
    visit: Visit, problem: Words | None = None, notice: Words | None = None, application: str = "", chain: str = "",
    described: vouching.Claims | None = None,
) -> web.Response:  # fmt: skip
    listed = []
    try:
        async with visit.bureau.connect() as client:
            visit.bureau.directory(await client.organisations())
            for one in visit.bureau.organisations():
                if one["superior"] != visit.bureau.organisation:
                    continue
                known = await client.look_up(str(one["id"]))
                listed.append((one, known["jwks"]["keys"]))
    except Fault as fault:
        problem = problem or framed("枢纽此刻连不上", "The hub can't be asked now", fault)
    return visit.page("below.html", BELOW, 422 if problem else 200, listed=listed, problem=problem, notice=notice,
                      application=application, chain=chain, described=described)  # fmt: skip


def _page(
    visit: Visit, problem: Words | None = None, notice: Words | None = None, sent: Mapping[str, str] | None = None
) -> web.Response:
    desk = visit.desk
    kept = desk.habits
    shown = {
        "lock_after": str(kept.lock_after), "stays_open": "1" if kept.stays_open else "", "digest": kept.digest,
        "digest_at": kept.digest_at, "folder": kept.folder or str(Path(desk.folder, "digests")), "host": kept.mail.host,
        "port": str(kept.mail.port), "security": kept.mail.security, "account": kept.mail.account,
        "sender": kept.mail.sender, "to": kept.mail.to,
    } | ({"stays_open": "", **sent} if sent else {})  # fmt: skip
    return visit.page(
        "settings.html", TITLE, 422 if problem else 200, shown=shown,
        problem=problem, notice=notice,
        hub=desk.membership.hub, own=desk.membership.bureau, keys=desk.keyring.public(),
        digest=desk.vault.get("state", "digest"),
    )  # fmt: skip


PAGES: Pages = (
    ("GET", "/settings", show),
    ("POST", "/settings", save),
    ("POST", "/settings/digest", digest),
    ("POST", "/settings/backup", back_up),
    ("POST", "/settings/lock", lock),
    ("GET", "/below", below),
    ("POST", "/below/vouch", vouch),
    ("POST", "/below/revoke", revoke),
)
