"""The doors of the desk: the first account of a new one or a back-up put into it, logging in, and the way out."""

from collections.abc import AsyncIterator, Mapping
from secrets import compare_digest
from typing import Any

from aiohttp import BodyPartReader, web

from adapters.desk.desk import BackupInvalid, Desk
from adapters.desk.forms import Words
from adapters.desk.officers import MOST_FAILURES, LoginRefused, OfficerInvalid
from adapters.desk.pages.frame import LANGUAGE, Visit, elsewhere, framed, render, texts_of

PIECE = 1 << 18
ACCOUNT = (
    ("name", Words("账户（小写字母、数字）", "Account (lower case letters, digits)"), "text"),
    ("full_name", Words("姓名", "Full name"), "text"),
    ("password", Words("口令，至少 10 个字", "Password, at least 10 characters"), "password"),
)
ENTER = (("name", Words("账户", "Account"), "text"), ("password", Words("口令", "Password"), "password"))
_TITLE = Words("登录", "Log in")


async def enter(desk: Desk, request: web.Request) -> web.StreamResponse:
    """`/enter`: who logs in unlocks the desk."""
    problem, sent = None, dict[str, str]()
    if desk.new:
        text = Words(
            "本办案台尚未启用。请打开启动时显示的网址。",
            "This desk is new. Open the address that was shown when it started.",
        )
        return render(desk, request, "door.html", Words("尚未启用", "Not set up yet"), 200, None, text=text, **_door())
    if request.method == "POST":
        sent = await texts_of(request)
        try:
            return inside(
                desk, await desk.enter(sent.get("name", ""), sent.get("password", ""), request.remote or ""), request
            )
        except LoginRefused:
            problem = Words(
                f"账户或口令不对。连错 {MOST_FAILURES} 次须等一刻钟；忘了口令，请负责人在“人员”里更改。",
                f"Account or password does not fit. After {MOST_FAILURES} failures wait 15 minutes; "
                "a password that was forgotten is changed by a head, under People.",
            )
    text = Words(
        "已锁定：登录后才能使用密钥、打开密封内容。", "Locked: keys and sealed content are used after logging in."
    )
    more = _door(fields=ENTER, button=_TITLE, sent=sent, text=text if desk.vault.locked else None)
    return render(desk, request, "door.html", _TITLE, 403 if problem else 200, None, problem=problem, **more)


async def first(desk: Desk, request: web.Request) -> web.StreamResponse:
    """`/first/{token}`: the first account, of a head."""
    _require_first(desk, request)
    problem, sent = None, dict[str, str]()
    if request.method == "POST":
        sent = await texts_of(request)
        name, password = sent.get("name", ""), sent.get("password", "")
        if password != sent.get("again"):
            problem = Words("两次输入的口令不同。", "The two passwords differ.")
        else:
            try:
                response = inside(desk, await desk.begin(name, sent.get("full_name", ""), password), request)
                response.headers["Location"] = "/setup"
                return response
            except (OfficerInvalid, BackupInvalid) as invalid:
                problem = framed("没有建立", "Not made", invalid)
    return _first(desk, request, problem, sent)


async def restore(desk: Desk, request: web.Request) -> web.StreamResponse:
    """`/first/{token}/restore`: a back-up, and somebody whose password opens it."""
    _require_first(desk, request)
    texts: dict[str, str] = {}
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise BackupInvalid("the form was not the one of this page", zh="请从本页提交")
            if part.name == "backup":
                return inside(desk, await desk.restore(pieces(part), texts.get("name", ""), texts.get("password", "")))
            texts[part.name or ""] = (await part.read(decode=True)).decode("utf-8", "replace")[:1000]
        raise BackupInvalid("no file was chosen", zh="没有选择文件")
    except LoginRefused:
        problem = Words(
            "账户或口令不对：用备份里的账户登录。", "Account or password does not fit those in the back-up."
        )
    except BackupInvalid as fault:
        problem = framed("不能恢复", "It can't be restored", fault)
    except ValueError:
        raise web.HTTPBadRequest from None
    return _first(desk, request, problem, texts)


async def leave(visit: Visit) -> web.StreamResponse:
    """`POST /leave`."""
    visit.desk.officers.leave(visit.request.cookies.get(visit.desk.cookie))
    return elsewhere("/enter")


async def language(_: Desk, request: web.Request) -> web.StreamResponse:
    """`GET /language`: kept; back to where one was."""
    back = request.query.get("back", "/")
    response = elsewhere(back if back.isascii() and back.isprintable() and _local(back) else "/")
    response.set_cookie(LANGUAGE, "en" if request.query.get("to") == "en" else "zh", samesite="Strict", max_age=10**8)
    return response


def inside(desk: Desk, token: str, request: web.Request | None = None) -> web.Response:
    """On to the desk, with a session."""
    response = elsewhere("/")
    secure = request is not None and request.secure
    response.set_cookie(desk.cookie, token, httponly=True, samesite="Strict", secure=secure)
    return response


async def pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    """A file as the browser sends it."""
    while piece := await part.read_chunk(PIECE):
        yield piece


def _first(desk: Desk, request: web.Request, problem: Words | None, sent: Mapping[str, str]) -> web.Response:
    return render(desk, request, "first.html", Words("第一次使用", "First use"), 422 if problem else 200, None,
                  fields=(*ACCOUNT, ("again", Words("再输一次口令", "The password again"), "password")),
                  problem=problem, token=desk.first, sent=sent,
                  restoring=request.path.endswith("/restore"))  # fmt: skip


def _require_first(desk: Desk, request: web.Request) -> None:
    given = request.match_info["token"].encode("utf-8", "replace")
    if not desk.new or not compare_digest(given, desk.first.encode()):
        raise web.HTTPNotFound


def _local(path: str) -> bool:
    return path.startswith("/") and not path.startswith(("//", "/\\"))


def _door(**given: Any) -> dict[str, Any]:
    return {"fields": (), "button": None, "sent": {}, **given}
