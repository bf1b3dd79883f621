"""A draft: filled in, checked, handed to a head, signed and sent; its files put in and taken out."""

import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from aiohttp import BodyPartReader, web

from adapters.client import Undecided
from adapters.desk import asking
from adapters.desk.drafts import OPEN, Draft, DraftChanged, TooManyToday
from adapters.desk.enclosures import HEAD, EnclosureInvalid, unlike
from adapters.desk.forms import Remark, Words
from adapters.desk.pages.doors import pieces
from adapters.desk.pages.frame import LARGEST_FORM, Pages, Visit, elsewhere, framed, limited, reading
from adapters.desk.saying import said, together
from keys.errors import Fault

REVISION: Final = "Draft-Revision"
"""The header that tells a page that keeps itself which revision it shows now."""
CHANGED = Words(
    "这份草稿刚刚被别处改动或发出，您填的没有保存。下面是现在的内容，请再看一遍。",
    "It was changed or sent a moment ago, and what you filled in is not kept. This is how it is now.",
)
MISSING = Words("有几处需要改正，见各栏。", "A few things are to be put right; see the fields.")


async def show(visit: Visit) -> web.StreamResponse:
    """`GET /drafts/{id}`."""
    return _page(visit, _draft(visit))


async def change(visit: Visit) -> web.StreamResponse:
    """`POST /drafts/{id}`: what was filled in, with files, and what is to be done with it."""
    draft = _draft(visit)
    if not _may(visit, draft):
        raise web.HTTPForbidden
    if draft.state == "waiting" and not visit.officer.signs:
        return await _take_back(visit, draft)
    if draft.state not in OPEN:
        return _page(visit, draft)
    sent: dict[str, list[str]] = {}
    try:
        problem = await _taken(visit, draft, sent)
        _keep(visit, draft, sent)
    except DraftChanged:
        return _stale(visit, sent)
    if problem is not None:
        return _page(visit, draft, problem)
    focus = next((f"{name}." for name in sent.get("add", ())), "file" if sent.get("remove") else "")
    match next(iter(sent.get("do", ())), ""):
        case "discard":
            return _discard(visit, draft)
        case "sign" | "submit" | "preflight" as what:
            if asking.problems(visit.bureau, draft):
                return _page(visit, draft, MISSING, checked=True)
            return await _go_on(visit, draft, what)
        case "return":
            return _return(visit, draft, next(iter(sent.get("why", ())), ""))
        case "attach":
            return _page(visit, draft, focus="file")
        case "keep":
            return _page(visit, draft, notice=Words("已保存。", "Kept."))
        case _:
            return _page(visit, draft, focus=focus)


def _may(visit: Visit, draft: Draft) -> bool:
    """A head may change every draft; a clerk those of their own, and of the cases that they have."""
    holder = visit.desk.officers.holder(draft.case, visit.today)
    return (
        visit.officer.signs
        or draft.by == visit.officer.name
        or (holder is not None and holder.name == visit.officer.name)
    )


def _keep(visit: Visit, draft: Draft, sent: Mapping[str, Sequence[str]]) -> None:
    """Keep what was filled in. Raises DraftChanged."""
    asking.fill(visit.bureau, draft, sent)
    if draft.state == "refused":
        draft.state, draft.problem, draft.places = "draft", None, ()
    for name in sent.get("add", ()):
        asking.extend(draft, name)
    visit.bureau.drafts.keep(draft)
    for attachment in sent.get("remove", ()):
        visit.bureau.drafts.remove(draft, attachment)


def _require_seen(draft: Draft, sent: Mapping[str, Sequence[str]]) -> None:
    """Raises DraftChanged unless the page showed the draft as it is: nobody undoes what they never saw."""
    if [str(draft.revision)] != list(sent.get("revision", ())):
        raise DraftChanged


def _stale(visit: Visit, sent: Mapping[str, Sequence[str]]) -> web.Response:
    """The draft as it is now, and what was filled in on an older page of it and is not kept."""
    draft = _draft(visit)
    mine = copy.deepcopy(draft)
    asking.fill(visit.bureau, mine, sent)
    now = set(_lines(visit, draft))
    return _page(visit, draft, CHANGED, status=409, lost=[line for line in _lines(visit, mine) if line not in now])


def _lines(visit: Visit, draft: Draft) -> list[tuple[Words, Words]]:
    return [line for part in asking.shown(visit.bureau, draft, False) if part is not None for line in asking.read(part)]


async def _take_back(visit: Visit, draft: Draft) -> web.Response:
    """What waits for a head is changed by nobody else, unless it is taken back first."""
    if (await visit.form()).get("do") == "back":
        draft.state = "draft"
        visit.bureau.drafts.keep(draft)
        visit.did("撤回修改", "took back", draft)
    return _page(visit, draft)


def _return(visit: Visit, draft: Draft, why: str) -> web.Response:
    """A head gives it back to who drafted it."""
    visit.require_head()
    said = why.strip()[:200]
    draft.state, draft.problem = "draft", Words(f"负责人退回：{said or '请修改'}", f"given back by the head: {said}")
    visit.bureau.drafts.keep(draft)
    visit.did(f"退回{said and f'（{said}）'}", f"gave back ({said})", draft)
    return elsewhere("/")


async def _taken(visit: Visit, draft: Draft, sent: dict[str, list[str]]) -> Words | None:
    """Read what was filled in into `sent`, by name; files are sealed as they come in, and in the draft then.

    What could not be attached, or can't be what its name says. Raises DraftChanged.
    """
    problem = None
    if visit.request.content_type != "multipart/form-data":
        async with reading():
            given = await visit.request.post()
        visit.still()
        sent |= {name: [str(value) for value in given.getall(name)] for name in given}
        _require_seen(draft, sent)
        return None
    size, attached = 0, False
    try:
        async with reading():
            async for part in await visit.request.multipart():
                if not isinstance(part, BodyPartReader) or part.name is None:
                    continue
                if part.filename is None:
                    text = await limited(part, LARGEST_FORM)
                    size += len(text)
                    if size > LARGEST_FORM:
                        raise web.HTTPRequestEntityTooLarge(LARGEST_FORM, size)
                    sent.setdefault(part.name, []).append(text.decode("utf-8", "replace"))
                elif part.filename and asking.encloses(visit.bureau, draft):
                    if not attached:
                        _require_seen(draft, sent)
                    attached = True
                    asking.fill(visit.bureau, draft, sent)  # what was typed is safe before a long file comes in
                    head = bytearray()
                    file = await visit.bureau.drafts.enclose(draft, part.filename, _touching(visit, part, head))
                    visit.note(f"附上 {file.name}", f"attached {file.name}", draft.case)
                    problem = _doubtful(file.name) if unlike(file.name, bytes(head)) else problem
    except EnclosureInvalid as fault:
        problem = framed("没有附上", "It was not attached", fault)
    visit.still()
    if not attached:
        _require_seen(draft, sent)
    return problem


def _doubtful(name: str) -> Words:
    kind = name.rpartition(".")[2].upper()
    return Words(
        f"附上了，但“{name}”的内容不像 {kind} 文件，对方可能打不开：请打开看一遍，不对就移除。",
        f"It is attached, but “{name}” does not look like a {kind} file: open it once, and take it out if it is wrong.",
    )


async def _touching(visit: Visit, part: BodyPartReader, head: bytearray) -> AsyncIterator[bytes]:
    """The file as it comes in; its beginning is put into `head`."""
    async for piece in pieces(part):
        visit.touch()
        head += piece[: HEAD - len(head)]
        yield piece


async def _go_on(visit: Visit, draft: Draft, what: str) -> web.Response:
    if what == "preflight":
        return await _preflight(visit, draft)
    if contact := (draft.content or {}).get("contact"):
        visit.desk.vault.put("contact", visit.officer.name, contact)
    if what == "submit":
        draft.state, draft.problem, draft.places = "waiting", None, ()
        visit.bureau.drafts.keep(draft)
        visit.did("送签", "handed over", draft)
        return _page(visit, draft, notice=Words("已送负责人签发。", "The head has it."))
    visit.require_head()
    if draft.package is not None and _whole(visit, draft.package):
        return elsewhere(f"/packages/{draft.package}")
    draft.package = None  # the others went out before
    try:
        visit.bureau.sign(visit.officer.name, draft)
    except TooManyToday as fault:
        return _page(visit, draft, said(fault))
    visit.did("签发", "signed", draft)
    return elsewhere(f"/drafts/{draft.id}")


def _whole(visit: Visit, package: str) -> bool:
    """Whether nothing of a package went out yet."""
    return not any(one.package == package for one in visit.bureau.drafts.all("queued", "sent"))


def _discard(visit: Visit, draft: Draft) -> web.Response:
    visit.bureau.drafts.discard(draft)
    visit.did("删除草稿", "discarded the draft", draft)
    return elsewhere("/" if draft.opening else f"/cases/{draft.case}")


async def _preflight(visit: Visit, draft: Draft) -> web.Response:
    try:
        objections = await visit.bureau.preflight(draft)
    except Undecided:
        away = "枢纽此刻连不上，检查不了；签发后会在恢复时发出。"
        return _page(visit, draft, Words(away, "The hub can't be asked now; what is signed goes out later."))
    except Fault as fault:
        return _page(visit, draft, framed("检查不了", "It can't be checked", fault))
    if not objections:
        return _page(visit, draft, notice=Words("检查通过，可以签发。", "It would be taken."))
    found = together(objections)
    problem = Words(f"枢纽不会受理：{found.words.zh}", f"The hub would not take it: {found.words.en}")
    return _page(visit, draft, problem, focus="?", places=found.places)


def _draft(visit: Visit) -> Draft:
    draft = visit.bureau.drafts.one(visit.request.match_info["id"])
    if draft is None or asking.kind_of(visit.bureau, draft.protocol, draft.version, draft.message) is None:
        raise web.HTTPNotFound
    return draft


def _page(
    visit: Visit, draft: Draft, problem: Words | None = None, notice: Words | None = None, *, checked: bool = False,
    focus: str = "", status: int = 200, lost: Sequence[tuple[Words, Words]] = (), places: Sequence[Remark] = (),
) -> web.Response:  # fmt: skip
    opened, sealed = asking.shown(visit.bureau, draft, checked, places or draft.places)
    case = visit.bureau.case(draft.case)
    to = draft.to or (case and case["responder" if case["opener"] == visit.bureau.organisation else "opener"]) or ""
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
    page = visit.page(
        "draft.html",
        visit.title_of(draft.protocol, draft.version, draft.message),
        422 if checked else status,
        draft=draft,
        open=opened,
        sealed=sealed,
        problem=problem or draft.problem,
        focus=focus or ("?" if checked or draft.places else ""),
        lines=list(asking.read(opened)),
        inside=list(asking.read(sealed)) if sealed is not None else [],
        lost=lost,
        may=_may(visit, draft),
        to=to,
        author=visit.called(draft.by),
        signatory=visit.called(draft.signed_by or ""),
        notice=notice,
        files=files,
        encloses=asking.encloses(visit.bureau, draft),
        receipt=msgspec.json.format(msgspec.json.encode(draft.receipt)).decode() if draft.receipt else "",
    )
    page.headers[REVISION] = str(draft.revision)
    return page


PAGES: Pages = (
    ("GET", "/drafts/{id}", show),
    ("POST", "/drafts/{id}", change),
)
