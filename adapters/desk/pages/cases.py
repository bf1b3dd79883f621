"""A case as a conversation: what was said, what may be said next, whose it is, its clock, its files, its document."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from adapters.client import Refused, Undecided
from adapters.client.attachments import plain_name
from adapters.desk import asking, letter
from adapters.desk.bureau import files_of
from adapters.desk.drafts import UNSENT, Draft
from adapters.desk.forms import Field, Words
from adapters.desk.letter import Hub, Letter, Receipt, Section
from adapters.desk.officers import OfficerInvalid
from adapters.desk.pages.frame import Pages, Visit, elsewhere, framed, local
from keys.errors import BadSeal
from protocols.table import OPENER, PARTICIPANT, RESPONDER

STAGES: Final = {
    "transit": Words("在途", "in transit"),
    "unread": Words("未读", "unread"),
    "responder": Words("协办方", "with the responder"),
    "opener": Words("等发起方", "waiting on the opener"),
}
BACK: Final = {"decline", "exception", "withdraw", "invalidate", "forward", "reopen"}
"""Horizontal steps, and a refusal, that one takes seldom."""
DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


async def one(visit: Visit) -> web.StreamResponse:
    """`GET /cases/{id}`."""
    bureau, case = visit.bureau, _case(visit)
    bureau.look(case["id"])
    version = case["version"]
    timeline = [
        step | {"title": visit.title_of(*_named(step["type"], version)), "accepted": local(step["accepted"])}
        for step in case["timeline"]
    ]
    drafts = [draft for draft in bureau.drafts.all(*UNSENT) if draft.case == case["id"]]
    return visit.page(
        "case.html",
        visit.protocol_of(case["protocol"], version),
        case=case,
        state=Words(**case["title"]),
        messages=_said(visit, case),
        timeline=timeline,
        drafts=drafts,
        holder=visit.desk.officers.holder(case["id"], visit.today),
        people=visit.desk.officers.present(),
        deeds=visit.deeds(case["id"]),
        main=_leading(visit, case),
        spoken=(case["protocol"], version) in visit.desk.catalogue.protocols,
        matter=bureau.matter(case["id"]),
        clock=[(STAGES[kind], round(seconds / 3600, 1)) for kind, seconds in (case["clock"] or {}).items()],
    )


async def begin(visit: Visit) -> web.StreamResponse:
    """`POST /cases/{id}/begin`: one of the allowed steps."""
    case, message = _case(visit), (await visit.form()).get("message", "")
    if message not in {action["message"] for action in case["allowed_actions"]}:
        raise web.HTTPNotFound
    if asking.kind_of(visit.bureau, case["protocol"], case["version"], message) is None:
        raise web.HTTPNotFound
    begun = _begun(visit, case["id"], message)
    if begun is not None:
        return elsewhere(f"/drafts/{begun.id}")
    draft = visit.bureau.begin(case["protocol"], message, case["id"], None, visit.officer.name)
    visit.drafted(draft)
    if visit.desk.officers.holder(case["id"], visit.today) is None:
        visit.desk.officers.give(case["id"], visit.officer.name)
    return elsewhere(f"/drafts/{draft.id}")


def _begun(visit: Visit, case: str, message: str) -> Draft | None:
    """The draft of this message that this officer began before."""
    mine = (one for one in visit.bureau.drafts.all("draft") if one.by == visit.officer.name)
    return next((one for one in mine if (one.case, one.message) == (case, message)), None)


def _leading(visit: Visit, case: dict[str, Any]) -> set[str]:
    """The allowed steps that lead the case on: those that are usually wanted."""
    known = visit.desk.catalogue.protocols.get((case["protocol"], case["version"]))
    sides = {case["opener"]: OPENER, case["responder"]: RESPONDER}
    role = sides.get(visit.bureau.organisation, PARTICIPANT)
    moves = known.flow.table.get((case["state"], role), {}) if known is not None else {}
    return {message for message, move in moves.items() if move.to is not None} - BACK


async def give(visit: Visit) -> web.StreamResponse:
    """`POST /cases/{id}/give`: whose case it is from now on; a clerk takes one or hands over their own."""
    case, taker = _case(visit), (await visit.form()).get("to", "")
    holder = visit.desk.officers.holder(case["id"], visit.today)
    own = holder is None or holder.name == visit.officer.name
    if not (visit.officer.signs or own):
        raise web.HTTPForbidden
    try:
        visit.desk.officers.give(case["id"], taker)
    except OfficerInvalid:
        raise web.HTTPNotFound from None
    named = visit.desk.officers.one(taker)
    visit.note(f"交由{named.full_name if named else taker}", f"gave it to {taker}", case["id"])
    return elsewhere(f"/cases/{case['id']}")


async def attachment(visit: Visit) -> web.StreamResponse:
    """`GET /cases/{id}/attachments/{digest}`: a file, opened here; nothing readable touches the disk."""
    case, wanted = _case(visit), f"sha-256:{visit.request.match_info['digest']}"
    files = [file for message in visit.bureau.said(case["id"]) for file in files_of(message)]
    manifest = next((file for file in files if file.attachment == wanted), None)
    if manifest is None:
        raise web.HTTPNotFound
    try:
        content = await visit.bureau.drafts.enclosures.open(visit.bureau.connect, manifest)
    except (BadSeal, Refused, Undecided) as fault:
        text = framed("取不到这份附件", "The file can't be had", fault)
        return visit.page("message.html", Words("附件", "Attachment"), 502, problem=text, back=f"/cases/{case['id']}")
    response = web.StreamResponse(headers={
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(plain_name(manifest.name))}",
        "Content-Type": "application/octet-stream", "Content-Length": str(manifest.size),
    })  # fmt: skip
    await response.prepare(visit.request)
    async for part in content:
        await response.write(part)
    visit.note(f"取出附件 {manifest.name}", f"took out {manifest.name}", case["id"])
    return response


async def receipt(visit: Visit) -> web.StreamResponse:
    """`GET /cases/{id}/receipts/{message}`: the receipt of a message, as the hub gave it."""
    case, wanted = _case(visit), (visit.request.match_info["source"], visit.request.match_info["message"])
    found = next((one for one in visit.bureau.said(case["id"]) if (one["source"], one["id"]) == wanted), None)
    if found is None or found["receipt"] is None:
        raise web.HTTPNotFound
    body = msgspec.json.format(msgspec.json.encode(found["receipt"]))
    headers = {"Content-Disposition": f'attachment; filename="receipt-{wanted[1]}.json"'}
    return web.Response(body=body, content_type="application/json", headers=headers)


async def paper(visit: Visit) -> web.StreamResponse:
    """`GET /cases/{id}/letter`: the case as a document, to be printed."""
    made = _letter(visit, _case(visit))
    return visit.page("letter.html", Words("公文", "Document"), sheet=letter.sheet(made))


async def docx(visit: Visit) -> web.StreamResponse:
    """`GET /cases/{id}/letter.docx`: the same, for a word processor."""
    from adapters.desk import word

    case = _case(visit)
    visit.note("导出公文", "exported the document", case["id"])
    headers = {"Content-Disposition": f'attachment; filename="{case["id"]}.docx"'}
    return web.Response(body=word.docx(_letter(visit, case)), content_type=DOCX, headers=headers)


def _case(visit: Visit) -> dict[str, Any]:
    case = visit.bureau.case(visit.request.match_info["id"])
    if case is None:
        raise web.HTTPNotFound
    return case


def _said(visit: Visit, case: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a case, in words."""
    said = []
    for message in visit.bureau.said(case["id"]):
        protocol, version, name = _named(message["type"], case["version"])
        opened, sealed = asking.form_of(visit.bureau, protocol, version, name) or (None, None)
        said.append(
            message
            | {
                "title": visit.title_of(protocol, version, name),
                "open": list(_lines(opened, message["data"])),
                "inside": list(_lines(sealed, message["content"])),
                "accepted": local(message["accepted"]),
                "signed_by": visit.called(message.get("signed_by") or ""),
                "unopened": Words(*message["unopened"]) if message.get("unopened") else None,
                "files": [(plain_name(file.name), file) for file in files_of(message)],
            }
        )
    return said


def _lines(form: Field | None, data: Any) -> Iterator[tuple[Words, Words]]:
    """What a part of a message says, in the words of its schema; as it stands where no schema is at hand."""
    return asking.lines(form, data) if form is not None else asking.plain(data)


def _letter(visit: Visit, case: dict[str, Any]) -> Letter:
    """The case as a letter to the other side; official letters are in Chinese."""
    hub, bureau = visit.desk.membership.hub, visit.bureau
    assert hub is not None
    other = case["responder"] if case["opener"] == bureau.organisation else case["opener"]
    title = visit.protocol_of(case["protocol"], case["version"]).zh
    return Letter(
        authority=_chinese(visit, bureau.organisation),
        addressee=_chinese(visit, other),
        title=f"关于{title}往来情况的函",
        case_number=case["id"],
        protocol=title,
        state=case["title"]["zh"],
        due=(case["due"] or {}).get("date"),
        sections=tuple(_section(visit, message) for message in _said(visit, case)),
        date=visit.today,
        hub=Hub(hub.id, hub.name.zh, hub.url),
    )


def _section(visit: Visit, message: dict[str, Any]) -> Section:
    def words(lines: list[tuple[Words, Words]]) -> tuple[tuple[str, str], ...]:
        return tuple((title.zh, value.zh) for title, value in lines)

    receipt = message["receipt"]
    return Section(
        heading=message["title"].zh,
        author=_chinese(visit, message["source"]),
        moment=message["accepted"],
        open_lines=words(message["open"]),
        sealed_lines=words(message["inside"]),
        attachments=tuple(name for name, _ in message["files"]),
        receipt=receipt
        and Receipt(
            receipt["log"]["index"], receipt["log"]["entry"], receipt["digest"], receipt["message"], message["accepted"]
        ),
    )


def _chinese(visit: Visit, organisation: str) -> str:
    known = visit.bureau.organisation_of(organisation)
    return str(known["name"]["zh"]) if known is not None else organisation


def _named(type: str, version: str) -> tuple[str, str, str]:
    protocol, _, message = type.partition(".")
    return protocol, version, message


PAGES: Pages = (
    ("GET", "/cases/{id}", one),
    ("POST", "/cases/{id}/begin", begin),
    ("POST", "/cases/{id}/give", give),
    ("GET", "/cases/{id}/attachments/{digest}", attachment),
    ("GET", "/cases/{id}/receipts/{source}/{message}", receipt),
    ("GET", "/cases/{id}/letter", paper),
    ("GET", "/cases/{id}/letter.docx", docx),
)
