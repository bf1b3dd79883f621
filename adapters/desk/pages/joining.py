"""The guided set-up: the hub and its fingerprint, who one is, keys, being admitted, and a copy of the keys."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from adapters.desk import joining
from adapters.desk.desk import Desk
from adapters.desk.forms import Words
from adapters.desk.joining import HubKnown, Standing
from adapters.desk.keyring import KeysInvalid, code
from adapters.desk.pages.frame import Pages, Visit, elsewhere
from keys.errors import Fault
from protocols.departments import departments

TITLE = Words("初次设置", "Setting up")
STANDINGS: dict[Standing, Words] = {
    "away": Words("枢纽此刻连不上，稍后再看。", "The hub can't be asked now; look again later."),
    "unknown": Words("枢纽的目录里还没有本机构。", "The hub does not list this bureau yet."),
    "other": Words("枢纽登记的是别的密钥：请把本页的登记文件交给运行方。",
                   "The hub lists other keys: hand it the record on this page."),
    "known": Words("已登记，可以办案了。", "Admitted: work can begin."),
}  # fmt: skip


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
        return await _page(visit, Words(f"连不上这个地址：{fault.detail}", f"No hub there: {fault.detail}"), url=url)
    visit.desk.vault.put("joined", "candidate", msgspec.to_builtins(candidate))
    return await _page(visit)


async def recognise(visit: Visit) -> web.StreamResponse:
    """`POST /setup/recognise`: the fingerprints that the operator gave."""
    visit.require_head()
    candidate = _candidate(visit.desk)
    if candidate is None:
        raise web.HTTPSeeOther("/setup")
    if not candidate.recognised((await visit.form()).get("fingerprints", "")):
        text = Words(
            "指纹不符。请与运行方书面交付的逐字核对；不符就不要继续。",
            "The fingerprints differ. Compare them with what the operator handed over; else do not go on.",
        )
        return await _page(visit, text)
    visit.desk.membership.keep(candidate)
    visit.desk.vault.drop("joined", "candidate")
    visit.desk.officers.note(visit.officer, f"认定枢纽 recognised {candidate.id}")
    await visit.desk.reopen()
    return elsewhere("/setup")


async def name(visit: Visit) -> web.StreamResponse:
    """`POST /setup/bureau`: who one is."""
    visit.require_head()
    sent = await visit.form()
    try:
        bureau = joining.described(
            sent.get("place", ""), sent.get("department", ""), sent.get("zh", ""), sent.get("en", ""),
            sent.get("superior", ""),
        )  # fmt: skip
    except Fault as fault:
        return await _page(visit, Words(f"请更正：{fault.detail}", fault.detail), sent=sent)
    visit.desk.membership.keep(bureau)
    visit.desk.officers.note(visit.officer, f"设定机构 named the bureau {bureau.id}")
    await visit.desk.reopen()
    return elsewhere("/setup")


async def make_keys(visit: Visit) -> web.StreamResponse:
    """`POST /setup/keys`: fresh keys."""
    visit.require_head()
    made = visit.desk.keyring.make()
    visit.desk.vault.drop("state", "copied")
    visit.desk.officers.note(visit.officer, f"新建密钥 made keys {' '.join(key.kid for key in made)}")
    await visit.desk.reopen()
    return elsewhere("/setup")


async def import_keys(visit: Visit) -> web.StreamResponse:
    """`POST /setup/import`: keys from a back-up, pasted or in a file, or from a key store on this machine."""
    visit.require_head()
    sent = await visit.request.post()
    upload = sent.get("file")
    lines = str(sent.get("lines", ""))
    if isinstance(upload, web.FileField):
        lines += "\n" + upload.file.read(1 << 20).decode("ascii", "replace")
    folder, passphrase = str(sent.get("folder", "")).strip(), str(sent.get("passphrase", ""))
    try:
        ring = visit.desk.keyring
        count = ring.take_from(Path(folder).expanduser(), passphrase) if folder else ring.take(lines, passphrase)
    except KeysInvalid as invalid:
        return await _page(visit, Words(f"没有导入：{invalid.detail}", f"Nothing was imported: {invalid.detail}"))
    visit.desk.officers.note(visit.officer, f"导入密钥 imported {count} keys")
    await visit.desk.reopen()
    return elsewhere("/setup")


async def application(visit: Visit) -> web.StreamResponse:
    """`GET /setup/application`: for the superior to vouch for."""
    own = visit.desk.membership.bureau
    text = joining.application(own, visit.desk.keyring, datetime.now(UTC)) if own is not None else None
    if own is None or text is None:
        raise web.HTTPNotFound
    return _file(text + "\n", f"{own.id}.jwt", "application/jwt")


async def record(visit: Visit) -> web.StreamResponse:
    """`GET /setup/record`: for the operator to import."""
    own = visit.desk.membership.bureau
    if own is None or not visit.desk.keyring.private():
        raise web.HTTPNotFound
    body = msgspec.json.format(msgspec.json.encode(joining.record(own, visit.desk.keyring))).decode()
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
    visit.desk.officers.note(
        visit.officer, "备份密钥到纸 copied keys on paper" if paper else "备份密钥到文件 copied keys"
    )
    if not paper:
        return _file("\n".join(lines) + "\n", f"xieban-keys-{named}.txt", "text/plain")
    keys = [(line, code(line)) for line in lines]
    return visit.page("paper.html", Words("密钥备份", "Copy of the keys"), keys=keys, bureau=named)


def _file(text: str, name: str, media: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(text=text, content_type=media, headers=headers)


def _candidate(desk: Desk) -> HubKnown | None:
    value = desk.vault.get("joined", "candidate")
    return None if value is None else msgspec.convert(value, HubKnown)


async def _page(visit: Visit, problem: Words | None = None, url: str = "", **sent: Any) -> web.Response:
    desk = visit.desk
    hub, own, candidate = desk.membership.hub, desk.membership.bureau, _candidate(desk)
    keys = desk.keyring.public()
    standing: Standing | None = None
    superiors: list[dict[str, Any]] = []
    given = sent.get("sent", {})
    if hub is not None and own is None:
        superiors = await _superiors(hub)
    if hub is not None and own is not None and keys:
        standing = await joining.standing(hub, own, desk.keyring)
    done = {
        "hub": hub is not None,
        "bureau": own is not None,
        "keys": bool(keys),
        "admitted": standing == "known",
        "copied": bool(desk.vault.get("state", "copied")),
    }
    return visit.page(
        "setup.html", TITLE, 422 if problem else 200, problem=problem, hub=hub, own=own, candidate=candidate, keys=keys,
        standing=STANDINGS[standing] if standing else None, done=done, superiors=superiors, sent=given, url=url,
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
