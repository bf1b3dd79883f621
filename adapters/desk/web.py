"""The desk's pages: rendered here, without script; every form is made from a schema.

It listens on this machine alone unless told otherwise. A form is taken from the desk's own pages only; a session's
cookie is sent by no other site.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from adapters.client import Undecided
from adapters.desk import forms
from adapters.desk.bureau import Bureau, Draft, awaiting
from adapters.desk.forms import Shown, Words
from adapters.desk.officers import ROLES, LoginRefused, Officer, OfficerInvalid, Officers
from keys.errors import Fault
from protocols import deadlines, legal_basis
from protocols.loading import MessageType
from protocols.schemas import Problem, Schema
from protocols.table import OPENER, PARTICIPANT, RESPONDER

logger = structlog.get_logger()
SESSION, LANGUAGE = "xieban-desk", "xieban-desk-language"
WITHOUT = ("sealed", "sealed_digest", "attachments", "messages")
"""What the desk fills in itself."""
POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
NAVIGATION = (
    ("/", Words("待办", "To do")),
    ("/cases", Words("案件", "Cases")),
    ("/new", Words("发起案件", "Open a case")),
    ("/officers", Words("人员", "Officers")),
)
STATES: Mapping[str, Words] = {
    "draft": Words("草稿", "draft"),
    "waiting": Words("待签发", "waits for the head"),
    "queued": Words("已签发，待发出", "signed, on its way"),
    "sent": Words("已发出", "sent"),
    "refused": Words("被退回", "refused"),
}
STAGES: Mapping[str, Words] = {
    "transit": Words("在途", "in transit"),
    "unread": Words("未读", "unread"),
    "responder": Words("协办方", "with the responder"),
    "opener": Words("等发起方", "waiting on the opener"),
}
Handler = Callable[["Desk", web.Request, Officer], Awaitable[web.StreamResponse]]


class Desk:
    """The web application of one bureau."""

    def __init__(self, bureau: Bureau, officers: Officers) -> None:
        self.bureau, self.officers = bureau, officers
        self.setup = None if officers.everybody() else secrets.token_urlsafe(24)
        """What is in the address where the first account is made; None once there is one."""
        self._pages = Environment(
            loader=PackageLoader("adapters.desk"), autoescape=select_autoescape(), undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip

    def application(self) -> web.Application:
        """The application; it receives and sends for as long as it runs."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_static("/static", Path(__file__).parent / "static")
        app.router.add_route("*", "/enter", self._enter)
        app.router.add_route("*", "/setup/{token}", self._set_up)
        app.router.add_get("/language", self._switch)
        for method, path, handler in _PAGES:
            app.router.add_route(method, path, partial(self._inside, handler))
        app.cleanup_ctx.append(self._running)
        return app

    async def _running(self, _: web.Application) -> Any:
        task = asyncio.create_task(self.bureau.run())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        own = request.headers.get("Origin", f"http://{request.host}").partition("//")[2] == request.host
        try:
            if request.method == "POST" and not own:
                raise web.HTTPForbidden
            response = await handler(request)
        except web.HTTPRedirection as elsewhere:
            response = web.Response(status=elsewhere.status, headers={"Location": elsewhere.headers["Location"]})
        except web.HTTPException as refusal:
            known = {404: Words("没有这一页", "No such page"), 403: Words("不允许", "Not allowed")}
            title = known.get(refusal.status, Words("不能处理", "This can't be done"))
            response = self.page(request, "door.html", title, status=refusal.status, **_door())
        except Exception:
            logger.exception("desk-page-failed", path=request.path)
            title = Words("这一页未能生成", "This page could not be made")
            text = Words("问题已记录在本机日志。", "What went wrong is in this machine's log.")
            response = self.page(request, "door.html", title, status=500, **_door(text=text))
        for name, value in (("Content-Security-Policy", POLICY), ("X-Content-Type-Options", "nosniff"),
                            ("Referrer-Policy", "same-origin"), ("Cache-Control", "no-store")):  # fmt: skip
            response.headers.setdefault(name, value)
        return response

    async def _inside(self, handler: Handler, request: web.Request) -> web.StreamResponse:
        officer = self.officers.of(request.cookies.get(SESSION))
        if officer is None:
            raise web.HTTPSeeOther("/enter")
        return await handler(self, request, officer)

    def page(self, request: web.Request, template: str, title: Words, status: int = 200, **more: Any) -> web.Response:
        """A page in the visitor's language."""
        language = request.cookies.get(LANGUAGE, "zh")

        def say(text: Words | str | None) -> str:
            return (text.en if language == "en" else text.zh) if isinstance(text, Words) else text or ""

        def name_of(id: str) -> str:
            known = self.bureau.organisation_of(id)
            return str(known["name"]["en" if language == "en" else "zh"]) if known is not None else id

        officer = self.officers.of(request.cookies.get(SESSION))
        self._pages.filters["name_of"] = name_of
        body = self._pages.get_template(template).render(
            title=title, language="en" if language == "en" else "zh", say=say, W=Words, name_of=name_of,
            officer=officer,
            organisation=self.bureau.organisation, navigation=NAVIGATION, here=request.path, states=STATES,
            contact=self.bureau.contact, title_of=self.title_of, **more,
        )  # fmt: skip
        return web.Response(text=body, content_type="text/html", status=status)

    def title_of(self, protocol: str, version: str, message: str) -> Words:
        """A message's title."""
        known = self.bureau.catalogue.protocols.get((protocol, version))
        declared = known.messages[message].declared if known is not None and message in known.messages else None
        return Words(declared.zh, declared.en) if declared is not None else Words(message, message)

    # At the door ------------------------------------------------------------------------------------------

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        fields = (("name", Words("账户", "Account"), "text"), ("password", Words("口令", "Password"), "password"))
        title, problem = Words("登录", "Log in"), ""
        if request.method == "POST":
            sent = await request.post()
            try:
                token = await asyncio.to_thread(self.officers.enter, str(sent.get("name")), str(sent.get("password")))
            except LoginRefused as refusal:
                problem = f"账户或口令不对，或失败次数过多 · {refusal.detail}"
            else:
                return _logged_in(token)
        return self.page(request, "door.html", title, 403 if problem else 200,
                         **_door(fields=fields, problem=problem, button=title))  # fmt: skip

    async def _set_up(self, request: web.Request) -> web.StreamResponse:
        if self.setup is None or not secrets.compare_digest(request.match_info["token"], self.setup):
            raise web.HTTPNotFound
        problem = ""
        if request.method == "POST":
            sent = {name: str(value) for name, value in (await request.post()).items()}
            name, password = sent.get("name", ""), sent.get("password", "")
            try:
                await asyncio.to_thread(self.officers.add, name, sent.get("full_name", ""), "head", password)
                self.setup = None
                return _logged_in(await asyncio.to_thread(self.officers.enter, name, password))
            except OfficerInvalid as invalid:
                problem = invalid.detail
        text = Words("为本机构的负责人建立第一个账户。", "Make the first account, of the head of this bureau.")
        more = _door(fields=ACCOUNT, problem=problem, text=text, button=Words("建立", "Make it"), setting=True)
        return self.page(request, "door.html", Words("初次使用", "First use"), 422 if problem else 200, **more)

    async def _switch(self, request: web.Request) -> web.StreamResponse:
        response = web.Response(status=303, headers={"Location": "/"})
        wanted = "en" if request.query.get("to") == "en" else "zh"
        response.set_cookie(LANGUAGE, wanted, samesite="Strict", max_age=10**8)
        return response


ACCOUNT = (
    ("name", Words("账户（小写字母、数字）", "Account (lower case letters, digits)"), "text"),
    ("full_name", Words("姓名", "Full name"), "text"),
    ("password", Words("口令，至少 10 个字", "Password, at least 10 characters"), "password"),
)


def _door(**given: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"problem": "", "text": None, "fields": (), "roles": (), "button": None, "setting": False,
                             "people": ()}  # fmt: skip
    return usual | given


def _logged_in(token: str) -> web.Response:
    response = web.Response(status=303, headers={"Location": "/"})
    response.set_cookie(SESSION, token, httponly=True, samesite="Strict")
    return response


# Inside -----------------------------------------------------------------------------------------------------


async def _to_do(desk: Desk, request: web.Request, officer: Officer) -> web.StreamResponse:
    bureau, today = desk.bureau, deadlines.local_date(datetime.now(UTC)).isoformat()
    turn = awaiting(bureau.cases(), bureau.organisation)
    late = [case for case in turn if case["due"] and case["due"]["date"] < today]
    rest = [case for case in turn if case not in late]
    columns = (Words("案件", "Case"), Words("状态", "State"), Words("对方", "Other side"), Words("期限", "Due"))

    def rows(cases: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
        return [_row(desk, request, case) for case in cases]

    drafts = bureau.drafts("draft", "waiting", "queued", "refused")
    written = [
        [
            {"href": f"/drafts/{one.id}", "text": _say(request, desk.title_of(one.protocol, one.version, one.message))},
            STATES[one.state], one.by, one.problem or "",
        ]
        for one in drafts
    ]  # fmt: skip
    tables = [
        (Words(f"已超期 {len(late)} 件", f"Overdue: {len(late)}"), Words("超期", "Late"), columns, rows(late)),
        (Words(f"待办 {len(rest)} 件", f"To do: {len(rest)}"), Words("等本机构办理", "Ours"), columns, rows(rest)),
        (
            Words(f"草稿与待发 {len(drafts)} 件", f"Drafts and what is on its way: {len(drafts)}"),
            Words("本机构起草的消息", "Messages written here"),
            (Words("消息", "Message"), Words("状态", "State"), Words("起草", "By"), Words("说明", "Note")),
            written,
        ),
    ]  # fmt: skip
    return desk.page(request, "lists.html", Words("待办", "To do"), tables=tables)


async def _cases(desk: Desk, request: web.Request, officer: Officer) -> web.StreamResponse:
    columns = (Words("案件", "Case"), Words("状态", "State"), Words("对方", "Other side"), Words("期限", "Due"))
    rows = [_row(desk, request, case) for case in desk.bureau.cases()]
    tables = [(Words("全部案件", "All cases"), Words("新的在前", "The newest first"), columns, rows)]
    return desk.page(request, "lists.html", Words("案件", "Cases"), tables=tables)


def _row(desk: Desk, request: web.Request, case: Mapping[str, Any]) -> list[Any]:
    other = case["responder"] if case["opener"] == desk.bureau.organisation else case["opener"]
    named = desk.bureau.organisation_of(other)
    name = named["name"]["en" if _english(request) else "zh"] if named is not None else other
    known = desk.bureau.catalogue.protocols.get((case["protocol"], case["version"]))
    title = known.flow.title if known is not None else None
    text = (title.en if _english(request) else title.zh) if title is not None else case["protocol"]
    due = (case["due"] or {}).get("date", "—")
    link = {"href": f"/cases/{case['id']}", "text": f"{text} {case['id'][:13]}"}
    return [link, Words(**case["title"]), name, due]


async def _case(desk: Desk, request: web.Request, officer: Officer) -> web.StreamResponse:
    bureau, id = desk.bureau, request.match_info["id"]
    case = bureau.case(id)
    if case is None:
        raise web.HTTPNotFound
    said = []
    for message in bureau.said(id):
        protocol, _, name = message["type"].partition(".")
        opened, sealed = _forms(desk, protocol, case["version"], name) or (None, None)
        said.append(
            message
            | {
                "title": desk.title_of(protocol, case["version"], name),
                "open": list(_lines(opened, message["data"])) if opened else [],
                "inside": list(_lines(sealed, message["content"])) if sealed else [],
                "accepted": _local(message["accepted"]),
                "signed_by": message.get("signed_by"),
                "unopened": message.get("unopened"),
            }
        )
    timeline = [step | {"title": desk.title_of(*_named(step["type"], case["version"]))} for step in case["timeline"]]
    drafts = [one for one in bureau.drafts("draft", "waiting", "queued", "refused") if one.case == id]
    known = bureau.catalogue.protocols.get((case["protocol"], case["version"]))
    protocol_title = (
        Words(known.flow.title.zh, known.flow.title.en) if known else Words(case["protocol"], case["protocol"])
    )
    return desk.page(
        request, "case.html", Words("案件", "Case"), case=case, protocol=protocol_title, state=Words(**case["title"]),
        messages=said, timeline=timeline, drafts=drafts,
        deeds=[dict(deed, at=_local(deed["at"])) for deed in desk.officers.deeds(id)],
        clock=[(STAGES[kind], round(seconds / 3600, 1)) for kind, seconds in (case["clock"] or {}).items()],
    )  # fmt: skip


def _local(moment: str) -> str:
    """A moment as clocks in China show it."""
    return datetime.fromisoformat(moment).astimezone(deadlines.SHANGHAI).strftime("%Y-%m-%d %H:%M")


def _named(type: str, version: str) -> tuple[str, str, str]:
    protocol, _, message = type.partition(".")
    return protocol, version, message


def _kind(desk: Desk, protocol: str, version: str, message: str) -> MessageType | None:
    known = desk.bureau.catalogue.protocols.get((protocol, version))
    return known.messages.get(message) if known is not None else None


def _lines(form: forms.Field, data: Any) -> Iterator[tuple[Words, Words]]:
    """What a message says, line by line, in the words of its schema."""
    return _said(forms.shown(form, data), ())


def _said(one: Shown, around: tuple[Words, ...]) -> Iterator[tuple[Words, Words]]:
    options = dict(one.field.options)
    title = Words(*(" · ".join(words) for words in zip(*around, one.field.title, strict=True)))
    for value in one.values:
        if value:
            yield title, options.get(value, Words(value, value))
    inside = (*around, one.field.title) if one.field.kind == "group" and one.field.key else around
    for part in one.parts:
        yield from _said(part, inside)


async def _begin(desk: Desk, request: web.Request, officer: Officer) -> web.StreamResponse:
    case, message = desk.bureau.case(request.match_info["id"]), str((await request.post()).get("message"))
    if case is None or message not in {action["message"] for action in case["allowed_actions"]}:
        raise web.HTTPNotFound
    draft = desk.bureau.begin(case["protocol"], message, case["id"], None, officer.name)
    desk.officers.note(officer, f"起草 drafted {message}", case["id"])
    raise web.HTTPSeeOther(f"/drafts/{draft.id}")


async def _new(desk: Desk, request: web.Request, officer: Officer) -> web.StreamResponse:
    bureau, wanted = desk.bureau, request.query.get("q", "")[:60]
    openings = {f"{protocol.name}.{name}": (protocol, name) for protocol, name in _openings(desk)}
    if request.method == "POST":
        sent = await request.post()
        known, to = openings.get(str(sent.get("opening"))), str(sent.get("to"))
        if known is None or bureau.organisation_of(to) is None or to == bureau.organisation:
            raise web.HTTPNotFound
        draft = bureau.begin(known[0].name, known[1], None, to, officer.name)
        desk.officers.note(officer, f"起草 drafted {known[1]}", draft.case)
        raise web.HTTPSeeOther(f"/drafts/{draft.id}")
    others = [one for one in await bureau.find(wanted) if one["id"] != bureau.organisation][:30]
    choices = [
        (value, Words(protocol.flow.title.zh, protocol.flow.title.en), _help(protocol.messages[name].schema))
        for value, (protocol, name) in openings.items()
    ]
    return desk.page(request, "new.html", Words("发起案件", "Open a case"), q=wanted, found=others, openings=choices)


def _openings(desk: Desk) -> Iterator[tuple[Any, str]]:
    """What this organisation may open a case by: what its roles allow, and needs no earlier case."""
    own = desk.bureau.organisation_of(desk.bureau.organisation)
    roles = set(own["roles"]) if own is not None else set()
    for name in dict.fromkeys(name for name, _ in desk.bureau.catalogue.protocols):
        protocol = desk.bureau.catalogue.latest(name)
        assert protocol is not None
        for message, move in protocol.flow.opening.items():
            if move.links is None and (not move.of or not roles.isdisjoint(move.of)):
                yield protocol, message


def _help(schema: Schema) -> Words | None:
    text = schema.document.get("description")
    return None if text is None else Words(str(text), str(schema.document.get("x-description-en", text)))


async def _draft(desk: Desk, request: web.Request, officer: Officer) -> web.StreamResponse:
    draft = desk.bureau.draft(request.match_info["id"])
    if draft is None:
        raise web.HTTPNotFound
    problem: Words | None = Words(draft.problem, draft.problem) if draft.problem else None
    notice: Words | None = None
    checked = False
    if request.method == "POST" and draft.state in ("draft", "waiting", "refused"):
        sent = await request.post()
        _fill(desk, draft, {name: [str(value) for value in sent.getall(name)] for name in sent})
        what = str(sent.get("do", ""))
        if sent.get("add"):
            _add(draft, str(sent["add"]))
        elif what == "discard":
            desk.bureau.discard(draft)
            desk.officers.note(officer, f"删除草稿 discarded {draft.message}", draft.case)
            raise web.HTTPSeeOther("/" if draft.opening else f"/cases/{draft.case}")
        desk.bureau.keep(draft)
        checked = what in ("sign", "submit", "preflight")
        if checked and _problems(desk, draft):
            problem = Words("有几处需要改正，见各栏。", "A few things are to be put right; see the fields.")
        elif what == "sign" and officer.signs:
            desk.bureau.sign(draft, officer.name)
            desk.officers.note(officer, f"签发 signed {draft.message}", draft.case)
            raise web.HTTPSeeOther(f"/drafts/{draft.id}")
        elif what == "submit":
            draft.state = "waiting"
            desk.bureau.keep(draft)
            desk.officers.note(officer, f"送签 handed over {draft.message}", draft.case)
            notice = Words("已送负责人签发。", "The head has it.")
        elif what == "preflight":
            problem, notice = await _preflight(desk, draft)
        elif what == "keep":
            notice = Words("已保存。", "Kept.")
    opened, sealed = _shown(desk, draft, checked)
    receipt = msgspec.json.format(msgspec.json.encode(draft.receipt)).decode() if draft.receipt else ""
    title = desk.title_of(draft.protocol, draft.version, draft.message)
    return desk.page(request, "draft.html", title, draft=draft, open=opened, sealed=sealed, problem=problem,
                     notice=notice, receipt=receipt)  # fmt: skip


async def _preflight(desk: Desk, draft: Draft) -> tuple[Words | None, Words | None]:
    try:
        against = await desk.bureau.preflight(draft)
    except Undecided:
        away = Words(
            "枢纽此刻连不上，检查不了；签发后会在恢复时发出。",
            "The hub can't be asked now; what is signed goes out later.",
        )
        return away, None
    except Fault as fault:
        return Words(fault.detail, fault.detail), None
    if against:
        text = "；".join(against)
        return Words(f"枢纽不会受理：{text}", f"The hub would not take it: {text}"), None
    return None, Words("检查通过，可以签发。", "It would be taken.")


def _forms(desk: Desk, protocol: str, version: str, message: str) -> tuple[forms.Field, forms.Field | None] | None:
    """The forms of a message's open and sealed part; None where the catalogue at hand does not know it."""
    kind = _kind(desk, protocol, version, message)
    if kind is None:
        return None
    opened = forms.choosing(forms.form(kind.schema, WITHOUT), "legal_basis.instrument", _bases())
    others = [(one["id"], Words(f"{one['name']['zh']} {one['id']}", str(one["name"]["en"])))
              for one in desk.bureau.organisations() if one["id"] != desk.bureau.organisation]  # fmt: skip
    opened = forms.choosing(opened, "to", others)
    return opened, forms.form(kind.sealed_schema, WITHOUT) if kind.sealed_schema is not None else None


def _forms_of(desk: Desk, draft: Draft) -> tuple[forms.Field, forms.Field | None]:
    made = _forms(desk, draft.protocol, draft.version, draft.message)
    assert made is not None
    return forms.requiring(made[0], _required(desk, draft)), made[1]


def _required(desk: Desk, draft: Draft) -> tuple[str, ...]:
    """What the flow demands of this message besides its schema, where the case stands now."""
    case = desk.bureau.case(draft.case)
    if case is None:
        return ()
    sides = {case["opener"]: OPENER, case["responder"]: RESPONDER}
    role = sides.get(desk.bureau.organisation, PARTICIPANT)
    flow = desk.bureau.catalogue.protocols[draft.protocol, draft.version].flow
    move = flow.table.get((case["state"], role), {}).get(draft.message)
    return move.requires if move is not None else ()


def _bases() -> list[tuple[str, Words]]:
    """The legal bases that are in force today."""
    today = deadlines.local_date(datetime.now(UTC))
    known = [one for one in legal_basis.register().values() if one.in_force_on(today)]
    return [(one.id, Words(f"《{one.title['zh']}》", one.title["en"])) for one in known]


def _fill(desk: Desk, draft: Draft, sent: Mapping[str, Sequence[str]]) -> None:
    opened, sealed = _forms_of(desk, draft)
    draft.data = forms.read(opened, _below(sent, "open"))
    draft.content = (forms.read(sealed, _below(sent, "sealed")) or None) if sealed is not None else None
    if draft.state == "refused":
        draft.state, draft.problem = "draft", None


def _below(sent: Mapping[str, Sequence[str]], part: str) -> dict[str, Sequence[str]]:
    return {name.removeprefix(f"{part}."): values for name, values in sent.items() if name.startswith(f"{part}.")}


def _add(draft: Draft, name: str) -> None:
    """One more entry in the list of this name."""
    part, *steps = name.split(".")
    held: Any = draft.data if part == "open" else draft.content
    for step in steps[:-1]:
        held = held.get(step) if isinstance(held, dict) else None
    if isinstance(held, dict) and steps:
        held[steps[-1]] = [*held.get(steps[-1], []), None]


def _problems(desk: Desk, draft: Draft) -> list[Problem]:
    kind = _kind(desk, draft.protocol, draft.version, draft.message)
    assert kind is not None
    needed = kind.declared.sealed
    found = [
        Problem(f"/open{one.pointer}", one.keyword, one.limit)
        for one in kind.schema.problems(_whole(draft.data))
        if one.pointer not in ("/sealed", "/sealed_digest")
    ]
    found += [Problem(f"/open/{name}", "required") for name in _required(desk, draft) if name not in draft.data]
    if kind.sealed_schema is not None and (draft.content is not None or needed == "required"):
        inside = kind.sealed_schema.problems(_whole(draft.content or {}))
        found += [Problem(f"/sealed{one.pointer}", one.keyword, one.limit) for one in inside
                  if one.pointer not in ("/messages",)]  # fmt: skip
    return found


def _whole(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data without the empty places that were made for more."""
    return {
        name: [one for one in value if one is not None] if isinstance(value, list) else value
        for name, value in data.items()
    }


def _shown(desk: Desk, draft: Draft, checked: bool) -> tuple[Shown, Shown | None]:
    problems = _problems(desk, draft) if checked else []
    opened, sealed = _forms_of(desk, draft)
    return (
        forms.shown(opened, draft.data, problems, "open"),
        forms.shown(sealed, draft.content, problems, "sealed") if sealed is not None else None,
    )


async def _people(desk: Desk, request: web.Request, officer: Officer) -> web.StreamResponse:
    problem = ""
    if request.method == "POST":
        if not officer.signs:
            raise web.HTTPForbidden
        sent = {name: str(value) for name, value in (await request.post()).items()}
        names = (sent.get(name, "") for name in ("name", "full_name", "role", "password"))
        try:
            await asyncio.to_thread(desk.officers.add, *names)
            raise web.HTTPSeeOther("/officers")
        except OfficerInvalid as invalid:
            problem = invalid.detail
    more = _door(people=desk.officers.everybody(), problem=problem)
    if officer.signs:
        more |= {"fields": ACCOUNT, "roles": ROLES, "button": Words("添加", "Add"), "setting": True}
    return desk.page(request, "door.html", Words("人员", "Officers"), 422 if problem else 200, **more)


async def _leave(desk: Desk, request: web.Request, officer: Officer) -> web.StreamResponse:
    desk.officers.leave(request.cookies.get(SESSION))
    raise web.HTTPSeeOther("/enter")


def _english(request: web.Request) -> bool:
    return request.cookies.get(LANGUAGE) == "en"


def _say(request: web.Request, words: Words) -> str:
    return words.en if _english(request) else words.zh


_PAGES: Sequence[tuple[str, str, Handler]] = (
    ("GET", "/", _to_do),
    ("GET", "/cases", _cases),
    ("GET", "/cases/{id}", _case),
    ("POST", "/cases/{id}/begin", _begin),
    ("*", "/new", _new),
    ("*", "/drafts/{id}", _draft),
    ("*", "/officers", _people),
    ("POST", "/leave", _leave),
)
