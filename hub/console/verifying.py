"""`/verify`: whoever holds a printed document checks here that its receipt is in this hub's log. Open to all.

The answer is one bit: the asker brings the whole entry, and hears nothing of what else the log holds. The log's leaf
hashes are public (`/log/tile/0/…`), so that the bit is no news to anybody either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import pybase64
from aiohttp import web

from hub import log
from hub.api.calls import HUB, json
from hub.console import doors
from hub.console.pages import common, environment
from hub.console.words import T
from hub.errors import NotFound, RequestMalformed
from hub.organisations import Directory
from hub.service import Hub
from hub.store.queries import SQL
from keys import merkle
from protocols import deadlines, entries, receipt
from protocols.entries import MAX_ENTRY, Accepted, Entry
from protocols.loading import Catalogue

PATH = "/verify"
ASKED = ("index", "entry", "format")
MOST_DIGITS = 18
"""An index so long is still a number of the database's."""
Fact = tuple[T, T | str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What stands on paper: the exact bytes of an entry, and at which index of the log they are said to be."""

    index: int
    leaf: bytes
    entry: Entry


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An address that asks nothing that could be looked up, and why."""

    problem: T
    status: int = 400


@dataclass(frozen=True, slots=True)
class Logged:
    """A message that was taken, the log's origin, and how many entries it has by now."""

    accepted: Accepted
    origin: str
    size: int


async def page(request: web.Request) -> web.StreamResponse:
    """`GET /verify?index=&entry=`: the page; with `format=json` the receipt, which verifies without this hub."""
    asked = read(request)
    if request.query.get("format") == "json":
        return await _as_file(request, asked)
    if asked is None:
        return _answer(request, ASK, texts=PURPOSE)
    if isinstance(asked, Unreadable):
        return _answer(request, UNREADABLE, problem=asked.problem, texts=(COMPARE,), status=asked.status)
    hub = request.config_dict[HUB]
    logged = await _look_up(hub, asked)
    if logged is None:
        texts = COMPARE, ASK_BUREAU
        return _answer(request, ABSENT, problem=NOT_THERE, texts=texts, status=404, here=address(asked))
    facts = _facts(logged.accepted, await hub.directory(fresh=True), hub.catalogue)
    place = _place(hub, asked, logged)
    return _answer(
        request, CONFIRMED, facts=facts, place=place, receipt=address(asked, format="json"), here=address(asked)
    )


async def _as_file(request: web.Request, asked: Asked | Unreadable | None) -> web.StreamResponse:
    """The receipt under the checkpoint of now. Raises RequestMalformed, NotFound."""
    if not isinstance(asked, Asked):
        raise RequestMalformed(asked.problem.en if asked is not None else "")
    hub = request.config_dict[HUB]
    logged = await _look_up(hub, asked)
    if logged is None:
        raise NotFound()
    async with hub.pool.acquire() as connection:
        (proven,) = await log.prove(connection, [log.Placed(asked.index, logged.size)])
    response = json(receipt.build(logged.accepted, proven.proof))
    response.headers["Content-Disposition"] = f'attachment; filename="receipt-{asked.index}.json"'
    return response


def read(request: web.Request) -> Asked | Unreadable | None:
    """What the address asks about; None where it asks nothing, as for who comes to read what the page is for."""
    given = {name: request.query.getall(name, []) for name in ASKED}
    if not any(given.values()):
        return None
    if any(len(values) > 1 for values in given.values()):
        return Unreadable(TWICE)
    if given["format"] not in ([], ["json"]):
        return Unreadable(FORMAT)
    if not given["index"] or not given["entry"]:
        return Unreadable(MISSING)
    return _asked(given["index"][0], given["entry"][0])


def address(asked: Asked, **more: str) -> str:
    """The address that is printed for an entry."""
    entry = pybase64.urlsafe_b64encode(asked.leaf).decode("ascii").rstrip("=")
    return f"{PATH}?{urlencode({'index': asked.index, 'entry': entry, **more})}"


def _asked(index: str, entry: str) -> Asked | Unreadable:
    if not (index.isascii() and index.isdigit() and len(index) <= MOST_DIGITS and str(int(index)) == index):
        return Unreadable(INDEX)
    try:
        leaf = _decoded(entry)
    except ValueError:
        return Unreadable(ENTRY)
    try:
        return Asked(int(index), leaf, entries.decode(leaf))
    except ValueError:
        return Unreadable(NO_ENTRY, 422)


def _decoded(text: str) -> bytes:
    """Base64url (RFC 4648 §5) without padding, in its one canonical form. Raises ValueError."""
    data = pybase64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if pybase64.urlsafe_b64encode(data).decode("ascii").rstrip("=") != text or len(data) > MAX_ENTRY:
        raise ValueError("not base64url in its canonical form, or longer than an entry may be")
    return data


async def _look_up(hub: Hub, asked: Asked) -> Logged | None:
    """The acceptance, if the log has this very entry at this index: the same leaf hash (RFC 6962 §2.1)."""
    if not isinstance(asked.entry, Accepted):
        return None
    async with hub.pool.acquire() as connection:
        rows = await connection.fetch(SQL["entries"], [asked.index])
        if not rows or merkle.leaf_hash(rows[0]["leaf"]) != merkle.leaf_hash(asked.leaf):
            return None
        head = await connection.fetchrow(SQL["head"])
        assert head is not None
        return Logged(asked.entry, head["origin"], head["size"])


def _facts(accepted: Accepted, directory: Directory, catalogue: Catalogue) -> list[Fact]:
    """What the entry says, to be held beside the paper."""
    accepted_at = deadlines.written(datetime.fromisoformat(accepted.at)) or ""
    signed = [(T("代签网关", "Signed for it by"), _named(accepted.gateway, directory))] if accepted.gateway else []
    return [
        (T("消息编号", "Message"), accepted.id),
        (T("消息摘要", "Digest of the message"), accepted.digest),
        (T("消息类型", "Type"), _typed(accepted, catalogue)),
        (T("案件编号", "Case"), accepted.subject),
        (T("发送机构", "Sent by"), _named(accepted.source, directory)),
        *signed,
        (T("接收机构", "Sent to"), _listed([_named(name, directory) for name in accepted.recipients])),
        (T("受理时间（北京时间）", "Accepted (China time)"), accepted_at),
        (T("下一步期限（当日 24:00 止）", "Next step due (24:00 of the day)"), accepted.due or T("无", "none")),
    ]


def _place(hub: Hub, asked: Asked, logged: Logged) -> list[Fact]:
    """Where the entry stands."""
    return [
        (T("枢纽", "Hub"), T(f"{hub.name['zh']}（{hub.identity.hub}）", f"{hub.name['en']} ({hub.identity.hub})")),
        (T("日志", "Log"), logged.origin),
        (T("条目序号", "Index of the entry"), str(asked.index)),
        (T("当前检查点的条目数", "Entries under the present checkpoint"), str(logged.size)),
    ]


def _named(organisation: str, directory: Directory) -> T:
    known = directory.get(organisation)
    if known is None:
        return T(organisation, organisation)
    return T(f"{known.name['zh']}（{organisation}）", f"{known.name['en']} ({organisation})")


def _listed(names: Sequence[T]) -> T:
    return T("、".join(name.zh for name in names), ", ".join(name.en for name in names))


def _typed(accepted: Accepted, catalogue: Catalogue) -> T | str:
    """The message's title; its bare name where the catalogue that the hub works by has it no more."""
    name, _, message = accepted.type.partition(".")
    protocol = catalogue.protocols.get((name, accepted.version))
    known = protocol.messages.get(message) if protocol is not None else None
    if protocol is None or known is None:
        return accepted.type
    title, declared = protocol.flow.title, known.declared
    return T(f"{title.zh} · {declared.zh}（{accepted.type}）", f"{title.en} · {declared.en} ({accepted.type})")


def _answer(
    request: web.Request, title: T, *, status: int = 200, here: str = PATH, problem: T | None = None, **more: Any
) -> web.Response:
    """The page; `here` is where it comes back to in the other language."""
    shown = {"texts": (), "facts": (), "place": (), "receipt": ""} | more
    given = {name: _echo(request.query.get(name, "")) for name in ASKED}
    shared = common(doors.language_of(request), title=title, problem=problem, here=here, given=given, **shown)
    body = environment().get_template("verify.html").render(shared)
    return web.Response(text=body, content_type="text/html", status=status)


def _echo(text: str) -> str:
    """What was typed in, to be corrected; what no index and no entry could hold is not shown again."""
    return text if text.isascii() and text.isprintable() else ""


ASK = T("核对纸面回执", "Check a printed receipt")
PURPOSE = (
    T(
        "打印的办案文书上有一个二维码，内含其回执的日志条目。扫码即到本页；也可以在下面录入。"
        "本页告诉您：这条消息是否已由本枢纽受理并载入其公开日志。",
        "A case document on paper has a QR code that holds the log entry of its receipt. Scanning it leads here; "
        "or fill in the form. This page tells whether this hub took the message and has it in its public log.",
    ),
    T(
        "不需要登录。除机构的公开名称外，本页只显示您带来的条目里已有的内容。",
        "No account is needed. But for the public names of organisations, only what you brought along is shown.",
    ),
)
UNREADABLE = T("读不出要核对的内容", "This cannot be read")
TWICE = T("地址中同一个参数出现了两次。", "A parameter stands twice in the address.")
FORMAT = T("format 只能是 json。", "format can only be json.")
MISSING = T("条目序号和条目都要有。", "Both the index and the entry are needed.")
INDEX = T("条目序号是一个整数，例如 1234。", "The index is a whole number, e.g. 1234.")
ENTRY = T(
    "条目不是完整的 base64url（只含字母、数字、- 和 _，末尾没有 =）：可能少了或多了字符。",
    "The entry is not base64url as a whole (letters, digits, - and _ only, no = at its end): "
    "characters may be missing, or too many.",
)
NO_ENTRY = T("所给内容不是日志条目：可能没有扫全。", "What was given is no log entry; perhaps it was not read whole.")
COMPARE = T(
    "请先核对：重新扫描，或与纸面逐字比较，序号与条目都不能少一个字符；地址应是印发机构所用的枢纽。",
    "First compare: scan again, or check character by character against the paper, the index and the entry; "
    "the address must be that of the hub that the bureau uses.",
)
ABSENT = T("不在日志中", "NOT in the log")
NOT_THERE = T(
    "✗ 本枢纽的日志在这个序号上没有这条受理记录。请不要把这份文书当作已由本枢纽受理。",
    "✗ This hub's log has no such acceptance at this index. Do not take the document for one that this hub took.",
)
ASK_BUREAU = T(
    "仍然如此，请向印发这份文书的机构查问；电话请另行查找，不要用这张纸上的。",
    "If it stays so, ask the bureau that printed the document; look its number up elsewhere than on this paper.",
)
CONFIRMED = T("这条消息已由本枢纽受理并载入日志", "This message was taken by this hub and is in the log")
