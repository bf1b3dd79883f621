"""The guided set-up: the hub and its fingerprint, who one is, keys, being admitted, and a copy of the keys."""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from adapters.desk import joining
from adapters.desk.desk import Desk
from adapters.desk.forms import Words
from adapters.desk.joining import HubKnown, State
from adapters.desk.keyring import KeysInvalid, code
from adapters.desk.pages.frame import Pages, Visit, elsewhere, framed
from keys.errors import Fault
from protocols.departments import departments

TITLE = Words("设置向导", "Setting up")
ROLES = (
    ("bureau", Words("办案机构", "a bureau")),
    ("supervisor", Words("督导机构（上级）", "a supervisor")),
    ("partner", Words("接入方", "a partner")),
)
STANDINGS: dict[State, Words] = {
    "away": Words("枢纽此刻连不上，稍后再看。", "The hub can't be asked now; look again later."),
    "unknown": Words("枢纽的目录里还没有本机构。", "The hub does not list this bureau yet."),
    "other": Words("枢纽登记的不是本机的密钥。", "The hub lists other keys than those of this desk."),
    "revoked": Words(
        "本机的密钥已被停用：请另做一对，再登记。",
        "The keys of this desk were revoked: make another pair, and have it admitted.",
    ),
    "rotating": Words(
        "新密钥还没有登记，目前仍用旧密钥。", "The new keys are not admitted yet; earlier ones are used."
    ),
    "known": Words("已登记，可以办案了。", "Admitted: work can begin."),
}


async def setup(visit: Visit) -> web.StreamResponse:
    """`GET /setup`."""
    return await _page(visit)


async def choose_hub(visit: Visit) -> web.StreamResponse:
    """`POST /setup/hub`: ask a hub who it is."""
    visit.require_head()
    url = (await visit.form()).get("url", "").strip()
    try:
        candidate = await joining.introduce(url)
    except Fault as fault:
        return await _page(visit, framed("连不上这个地址", "No hub there", fault), url=url)
    visit.desk.vault.put("joined", "candidate", msgspec.to_builtins(candidate))
    return await _page(visit)


async def recognise(visit: Visit) -> web.StreamResponse:
    """`POST /setup/recognise`: the fingerprints that the operator gave."""
    visit.require_head()
    candidate = _candidate(visit.desk)
    if candidate is None:
        raise web.HTTPSeeOther("/setup")
    given = (await visit.form()).get("fingerprints", "")
    if not candidate.recognised(given):
        text = Words(
            "指纹不符：区分大小写，每个至少 16 位。与书面交付的逐字核对，仍不符就不要继续，请联系运行方。",
            "The fingerprints differ. Compare them with what the operator handed over; else do not go on.",
        )
        return await _page(visit, text, fingerprints=given)
    visit.desk.membership.keep(candidate)
    visit.desk.vault.drop("joined", "candidate")
    visit.note(f"认定枢纽 {candidate.id}", f"recognised {candidate.id}")
    await visit.desk.reopen()
    return elsewhere("/setup")


async def name(visit: Visit) -> web.StreamResponse:
    """`POST /setup/bureau`: who one is."""
    visit.require_head()
    sent = await visit.form()
    try:
        bureau = joining.described(
            sent.get("place", ""), sent.get("department", ""), sent.get("zh", ""), sent.get("en", ""),
            sent.get("superior", ""), sent.get("role", "bureau"),
        )  # fmt: skip
    except Fault as fault:
        return await _page(visit, framed("请更正", "Put it right", fault), sent=sent)
    visit.desk.membership.keep(bureau)
    visit.note(f"设定机构 {bureau.id}", f"named the bureau {bureau.id}")
    await visit.desk.reopen()
    return elsewhere("/setup")


async def make_keys(visit: Visit) -> web.StreamResponse:
    """`POST /setup/keys`: fresh keys."""
    visit.require_head()
    made = visit.desk.keyring.make()
    visit.desk.vault.drop("state", "copied")
    kids = " ".join(key.kid for key in made)
    visit.note(f"新建密钥 {kids}", f"made keys {kids}")
    await visit.desk.reopen()
    return elsewhere("/setup")


async def import_keys(visit: Visit) -> web.StreamResponse:
    """`POST /setup/import`: keys from a back-up, pasted or in a file, or from a key store on this machine."""
    visit.require_head()
    sent, _, content = await visit.upload(1 << 20)
    lines = sent.get("lines", "") + "\n" + (content or b"").decode("ascii", "replace")
    folder, passphrase = sent.get("folder", "").strip(), sent.get("passphrase", "")
    try:
        ring = visit.desk.keyring
        count = ring.take_from(Path(folder).expanduser(), passphrase) if folder else ring.take(lines, passphrase)
    except KeysInvalid as invalid:
        return await _page(
            visit, framed("没有导入", "Nothing was imported", invalid), lines=lines.strip(), folder=folder
        )
    visit.note(f"导入 {count} 把密钥", f"imported {count} keys")
    await visit.desk.reopen()
    return elsewhere("/setup")


async def application(visit: Visit) -> web.StreamResponse:
    """`GET /setup/application`: for the superior to vouch for."""
    own = visit.desk.membership.bureau
    text = (
        joining.application(own, visit.desk.keyring, _retired(visit.desk), datetime.now(UTC))
        if own is not None
        else None
    )
    if own is None or text is None:
        raise web.HTTPNotFound
    return _file(text + "\n", f"{own.id}.jwt", "application/jwt")


async def record(visit: Visit) -> web.StreamResponse:
    """`GET /setup/record`: for the operator to import."""
    own = visit.desk.membership.bureau
    if own is None or not visit.desk.keyring.private():
        raise web.HTTPNotFound
    body = msgspec.json.format(
        msgspec.json.encode(joining.record(own, visit.desk.keyring, _retired(visit.desk)))
    ).decode()
    return _file(body + "\n", f"{own.id}.json", "application/json")


async def copy_keys(visit: Visit) -> web.StreamResponse:
    """`POST /setup/copy`: the keys under a passphrase of their own, as a file or on paper."""
    visit.require_head()
    sent, own = await visit.form(), visit.desk.membership.bureau
    if sent.get("passphrase") != sent.get("again"):
        return await _page(visit, Words("两次输入的备份口令不同。", "The two passphrases differ."))
    try:
        lines = visit.desk.keyring.backup(sent.get("passphrase", ""))
    except KeysInvalid:
        return await _page(visit, Words("备份口令至少 8 个字。", "A passphrase has at least 8 characters."))
    visit.desk.vault.put("state", "copied", True)
    named = own.id if own is not None else "desk"
    paper = sent.get("as") == "paper"
    visit.note(
        "备份密钥到纸上" if paper else "备份密钥到文件", "copied the keys on paper" if paper else "copied the keys"
    )
    if not paper:
        return _file("\n".join(line for _, line in lines) + "\n", f"xieban-keys-{named}.txt", "text/plain")
    keys = [(key, line, code(line)) for key, line in lines]
    return visit.page("paper.html", Words("密钥备份", "Copy of the keys"), keys=keys, bureau=named)


def _file(text: str, name: str, media: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(text=text, content_type=media, headers=headers)


def _candidate(desk: Desk) -> HubKnown | None:
    value = desk.vault.get("joined", "candidate")
    return None if value is None else msgspec.convert(value, HubKnown)


def _retired(desk: Desk) -> list[str]:
    return list(desk.vault.get("state", "retired") or ())


async def _page(
    visit: Visit, problem: Words | None = None, sent: Mapping[str, str] | None = None, **typed: str
) -> web.Response:
    desk = visit.desk
    hub, own, candidate = desk.membership.hub, desk.membership.bureau, _candidate(desk)
    keys, standing = desk.keyring.public(), None
    if hub is not None and own is not None and keys:
        standing = await joining.standing(hub, own, desk.keyring)
        if standing.state != "away":
            desk.vault.put("state", "retired", standing.retired)
    done = {
        "hub": hub is not None,
        "bureau": own is not None,
        "keys": bool(keys),
        "admitted": standing is not None and standing.state == "known",
        "copied": bool(desk.vault.get("state", "copied")),
    }
    known = {}
    if own is not None:
        place, _, branch = own.id.partition("-")
        known = {"place": place, "department": branch, "zh": own.name.zh, "en": own.name.en, "role": own.role,
                 "superior": own.superior or ""}  # fmt: skip
    return visit.page(
        "setup.html", TITLE, 422 if problem else 200, problem=problem, hub=hub, own=own, candidate=candidate, keys=keys,
        standing=STANDINGS[standing.state] if standing else None, done=done, sent=sent or known,
        superiors=await _superiors(hub) if hub is not None else [], roles=ROLES,
        typed={"url": "", "fingerprints": "", "lines": "", "folder": "", **typed},
        departments=[(one.code, Words(one.name["zh"], one.name["en"])) for one in departments().values()
                     if one.code != "hub"],
    )  # fmt: skip


async def _superiors(hub: HubKnown) -> list[dict[str, Any]]:
    with contextlib.suppress(Fault):
        return await joining.above(hub)
    return []


PAGES: Pages = (
    ("GET", "/setup", setup),
    ("POST", "/setup/hub", choose_hub),
    ("POST", "/setup/recognise", recognise),
    ("POST", "/setup/bureau", name),
    ("POST", "/setup/keys", make_keys),
    ("POST", "/setup/import", import_keys),
    ("GET", "/setup/application", application),
    ("GET", "/setup/record", record),
    ("POST", "/setup/copy", copy_keys),
)
