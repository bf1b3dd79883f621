"""A draft: filled in, checked, handed to a head, signed and sent; its files put in and taken out."""

from typing import Any

import msgspec
from aiohttp import BodyPartReader, web

from adapters.client import Undecided
from adapters.desk import asking
from adapters.desk.drafts import OPEN, Draft
from adapters.desk.enclosures import EnclosureInvalid
from adapters.desk.forms import Words
from adapters.desk.pages.doors import pieces
from adapters.desk.pages.frame import LARGEST_FORM, Pages, Visit, elsewhere
from keys.errors import Fault

MISSING = Words("有几处需要改正，见各栏。", "A few things are to be put right; see the fields.")


async def show(visit: Visit) -> web.StreamResponse:
    """`GET /drafts/{id}`."""
    return _page(visit, _draft(visit))


async def change(visit: Visit) -> web.StreamResponse:
    """`POST /drafts/{id}`: what was filled in, with files, and what is to be done with it."""
    draft = _draft(visit)
    if draft.state not in OPEN:
        return _page(visit, draft)
    sent, problem = await _taken(visit, draft)
    asking.fill(visit.bureau, draft, sent)
    if draft.state == "refused":
        draft.state, draft.problem = "draft", None
    for name in sent.get("add", ()):
        asking.extend(draft, name)
    visit.bureau.drafts.keep(draft)
    for attachment in sent.get("remove", ()):
        visit.bureau.drafts.remove(draft, attachment)
    if problem is not None:
        return _page(visit, draft, problem)
    match next(iter(sent.get("do", ())), ""):
        case "discard":
            return _discard(visit, draft)
        case "sign" | "submit" | "preflight" as what:
            if asking.problems(visit.bureau, draft):
                return _page(visit, draft, MISSING, checked=True)
            return await _go_on(visit, draft, what)
        case "keep":
            return _page(visit, draft, notice=Words("已保存。", "Kept."))
        case _:
            return _page(visit, draft)


async def _taken(visit: Visit, draft: Draft) -> tuple[dict[str, list[str]], Words | None]:
    """What was filled in, by name; files are sealed as they come in, and in the draft then."""
    sent: dict[str, list[str]] = {}
    problem = None
    encloses = asking.encloses(visit.bureau, draft)
    if visit.request.content_type != "multipart/form-data":
        given = await visit.request.post()
        return {name: [str(value) for value in given.getall(name)] for name in given}, None
    size = 0
    try:
        async for part in await visit.request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None:
                continue
            if part.filename is None:
                text = bytes(await part.read(decode=True))
                size += len(text)
                if size > LARGEST_FORM:
                    raise web.HTTPRequestEntityTooLarge(LARGEST_FORM, size)
                sent.setdefault(part.name, []).append(text.decode("utf-8", "replace"))
            elif part.filename and encloses:
                file = await visit.bureau.drafts.enclose(draft, part.filename, pieces(part))
                visit.desk.officers.note(visit.officer, f"附上 attached {file.name}", draft.case)
    except EnclosureInvalid as fault:
        problem = Words(f"没有附上：{fault.detail}", f"It was not attached: {fault.detail}")
    except (ValueError, AssertionError) as error:
        raise web.HTTPBadRequest from error
    return sent, problem


async def _go_on(visit: Visit, draft: Draft, what: str) -> web.Response:
    if what == "preflight":
        problem, notice = await _preflight(visit, draft)
        return _page(visit, draft, problem, notice)
    if what == "submit":
        draft.state = "waiting"
        visit.bureau.drafts.keep(draft)
        visit.desk.officers.note(visit.officer, f"送签 handed over {draft.message}", draft.case)
        return _page(visit, draft, notice=Words("已送负责人签发。", "The head has it."))
    visit.require_head()
    if draft.package is not None:
        return elsewhere(f"/packages/{draft.package}")
    visit.bureau.sign(visit.officer.name, draft)
    visit.desk.officers.note(visit.officer, f"签发 signed {draft.message}", draft.case)
    return elsewhere(f"/drafts/{draft.id}")


def _discard(visit: Visit, draft: Draft) -> web.Response:
    visit.bureau.drafts.discard(draft)
    visit.desk.officers.note(visit.officer, f"删除草稿 discarded {draft.message}", draft.case)
    return elsewhere("/" if draft.opening else f"/cases/{draft.case}")


async def _preflight(visit: Visit, draft: Draft) -> tuple[Words | None, Words | None]:
    try:
        against = await visit.bureau.preflight(draft)
    except Undecided:
        away = "枢纽此刻连不上，检查不了；签发后会在恢复时发出。"
        return Words(away, "The hub can't be asked now; what is signed goes out later."), None
    except Fault as fault:
        return Words(fault.detail, fault.detail), None
    if against:
        text = "；".join(against)
        return Words(f"枢纽不会受理：{text}", f"The hub would not take it: {text}"), None
    return None, Words("检查通过，可以签发。", "It would be taken.")


def _draft(visit: Visit) -> Draft:
    draft = visit.bureau.drafts.one(visit.request.match_info["id"])
    if draft is None or asking.kind_of(visit.bureau, draft.protocol, draft.version, draft.message) is None:
        raise web.HTTPNotFound
    return draft


def _page(
    visit: Visit, draft: Draft, problem: Words | None = None, notice: Words | None = None, *, checked: bool = False
) -> web.Response:
    opened, sealed = asking.shown(visit.bureau, draft, checked)
    said = Words(draft.problem, draft.problem) if draft.problem else None
    files: list[dict[str, Any]] = [
        {
            "name": file.name,
            "size": file.size,
            "attachment": file.attachment,
            "at_hub": file.attachment in draft.uploaded,
            "progress": visit.bureau.progress.get(file.attachment),
        }
        for file in draft.files
    ]
    return visit.page(
        "draft.html",
        visit.title_of(draft.protocol, draft.version, draft.message),
        422 if checked else 200,
        draft=draft,
        open=opened,
        sealed=sealed,
        problem=problem or said,
        notice=notice,
        files=files,
        encloses=asking.encloses(visit.bureau, draft),
        receipt=msgspec.json.format(msgspec.json.encode(draft.receipt)).decode() if draft.receipt else "",
    )


PAGES: Pages = (
    ("GET", "/drafts/{id}", show),
    ("POST", "/drafts/{id}", change),
)
