"""What every page has around it: who looks, in which language, and how a page is rendered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Final, Literal

from aiohttp import BodyPartReader, web
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from adapters.client.answers import Name
from adapters.desk import asking
from adapters.desk.bureau import Bureau
from adapters.desk.desk import Desk
from adapters.desk.drafts import Draft, State
from adapters.desk.forms import Words
from adapters.desk.officers import BUREAU, Officer
from adapters.desk.saying import said as said_of
from protocols import deadlines
from protocols.departments import is_hub

LANGUAGE = "xieban-desk-language"
LARGEST_FORM: Final = 4 << 20
"""Bytes of a form; files that are streamed are not held to it."""
LONGEST: Final = 3600.0
"""Seconds that a form may take to come in, with its files."""
NAVIGATION: Final = (
    ("/", Words("待办", "To do")),
    ("/cases", Words("案件", "Cases")),
    ("/new", Words("发起案件", "Open a case")),
    ("/packages", Words("批量发起", "Many at once")),
    ("/officers", Words("人员", "Officers")),
    ("/settings", Words("设置", "Settings")),
)
STATES: Final[Mapping[State, Words]] = {
    "draft": Words("草稿", "draft"),
    "waiting": Words("待签发", "waits for the head"),
    "queued": Words("已签发，待发出", "signed, on its way"),
    "sent": Words("已发出", "sent"),
    "refused": Words("被退回", "refused"),
}


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody looks at a page of a desk."""

    desk: Desk
    request: web.Request
    officer: Officer

    @property
    def bureau(self) -> Bureau:
        """The bureau's work. Sends to the set-up where there is none yet."""
        if self.desk.bureau is None:
            raise web.HTTPSeeOther("/setup")
        return self.desk.bureau

    @property
    def today(self) -> date:
        """The day in China."""
        return deadlines.local_date(datetime.now(UTC))

    def require_head(self) -> None:
        """Raises HTTPForbidden for somebody who is no head."""
        if not self.officer.signs:
            raise web.HTTPForbidden

    def say(self, words: Words | str | None) -> str:
        """The words in the visitor's language."""
        return said(self.request, words)

    def name_of(self, organisation: str) -> str:
        """An organisation's name, its id where it is not known."""
        return name_of(self.desk, self.request, organisation)

    def called(self, account: str) -> str:
        """The name of whose account it is, the account where nobody has it."""
        found = self.desk.officers.one(account)
        return found.full_name if found is not None else account

    def title_of(self, protocol: str, version: str, message: str) -> Words:
        """A message's title."""
        known = self.desk.catalogue.protocols.get((protocol, version))
        declared = known.messages[message].declared if known is not None and message in known.messages else None
        return Words(declared.zh, declared.en) if declared is not None else Words(message, message)

    def protocol_of(self, protocol: str, version: str) -> Words:
        """A protocol's title."""
        known = self.desk.catalogue.protocols.get((protocol, version))
        return Words(known.flow.title.zh, known.flow.title.en) if known is not None else Words(protocol, protocol)

    def note(self, zh: str, en: str, case: str = BUREAU, **more: Any) -> None:
        """Keep what this officer did."""
        self.desk.officers.note(self.officer, (zh, en), case, **more)

    def titled(self, draft: Draft) -> Words:
        """A draft's title."""
        return self.title_of(draft.protocol, draft.version, draft.message)

    def did(self, zh: str, en: str, draft: Draft, **more: Any) -> None:
        """Keep what this officer did with a draft."""
        title = self.titled(draft)
        self.note(f"{zh}“{title.zh}”", f"{en} “{title.en}”", draft.case, **more)

    def drafted(self, draft: Draft) -> None:
        """Keep a new draft, with who is to be rung up as this officer said it last."""
        contact = self.desk.vault.get("contact", self.officer.name)
        if contact is not None and asking.has_contact(self.bureau, draft):
            draft.content = {"contact": contact, **(draft.content or {})}
        self.bureau.drafts.keep(draft)
        self.did("起草", "drafted", draft)

    def deeds(self, case: str = BUREAU) -> list[dict[str, Any]]:
        """What was done about a case, or about the desk, in words."""
        return [dict(deed, at=local(deed["at"]), what=Words(*deed["what"])) for deed in self.desk.officers.deeds(case)]

    async def form(self) -> dict[str, str]:
        """The texts of the form that was sent."""
        texts = await texts_of(self.request)
        self.still()
        return texts

    async def upload(self, most: int) -> tuple[dict[str, str], str, bytes | None]:
        """The texts of a form with one file in it, its name and content: in memory alone, cut after `most` bytes."""
        if self.request.content_type != "multipart/form-data":
            return await self.form(), "", None
        texts, name, content = dict[str, str](), "", None
        async with reading():
            async for part in await self.request.multipart():
                if not isinstance(part, BodyPartReader) or part.name is None:
                    continue
                if part.filename is None:
                    texts[part.name] = (await limited(part, LARGEST_FORM)).decode("utf-8", "replace")
                elif part.filename:
                    name, content = part.filename, await limited(part, most)
        self.still()
        return texts, name, content

    def still(self) -> None:
        """Raises HTTPSeeOther where the officer was logged out, or is somebody else by now, while the form came in."""
        token = self.request.cookies.get(self.desk.cookie)
        now = None if self.desk.vault.locked else self.desk.officers.of(token, touch=False)
        if now is None or (now.name, now.role) != (self.officer.name, self.officer.role):
            raise web.HTTPSeeOther("/enter")

    def touch(self) -> None:
        """The officer is at work, also while a long file comes in."""
        if not self.desk.vault.locked:
            self.desk.officers.of(self.request.cookies.get(self.desk.cookie))

    def page(self, template: str, title: Words, status: int = 200, **more: Any) -> web.Response:
        """A page."""
        return render(self.desk, self.request, template, title, status, self.officer, title_of=self.title_of,
                      today=self.today, **more)  # fmt: skip


Handler = Callable[[Visit], Awaitable[web.StreamResponse]]
Pages = Sequence[tuple[str, str, Handler]]


def render(
    desk: Desk, request: web.Request, template: str, title: Words, status: int, officer: Officer | None, **more: Any
) -> web.Response:
    """A page in the visitor's language; whoever looks."""
    language = language_of(request)
    own = desk.membership.bureau if not desk.vault.locked else None
    contact = desk.bureau.contact if desk.bureau is not None else None
    body = _environment().get_template(template).render(
        title=title, language=language, say=lambda words: said(request, words), W=Words, officer=officer,
        organisation=own.id if own is not None else "",
        bureau_name=(own.name.en if language == "en" else own.name.zh) if own is not None else "",
        name_of=lambda id: name_of(desk, request, id), navigation=NAVIGATION, here=request.path, states=STATES,
        contact=contact, problem=more.pop("problem", None), notice=more.pop("notice", None), **more,
    )  # fmt: skip
    return web.Response(text=body, content_type="text/html", status=status)


@contextlib.asynccontextmanager
async def reading() -> AsyncIterator[None]:
    """Whatever is wrong with a body, or takes too long, is a bad request. Raises HTTPBadRequest, HTTPRequestTimeout."""
    try:
        async with asyncio.timeout(LONGEST):
            yield
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (ValueError, LookupError, AssertionError, RuntimeError) as error:
        raise web.HTTPBadRequest from error


async def texts_of(request: web.Request) -> dict[str, str]:
    """The texts of a form. Raises HTTPBadRequest for what is none."""
    async with reading():
        return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}


async def limited(part: BodyPartReader, most: int) -> bytes:
    """What a part of a form holds, and one byte more than `most` where it is longer."""
    content = bytearray()
    while len(content) <= most and (piece := await part.read_chunk(1 << 16)):
        content += piece
    return bytes(part.decode(bytes(content[: most + 1])))


def language_of(request: web.Request) -> Literal["zh", "en"]:
    """`en` where the visitor chose so, else `zh`."""
    return "en" if request.cookies.get(LANGUAGE) == "en" else "zh"


def said(request: web.Request, words: Words | str | None) -> str:
    """Words in the visitor's language; a text as it is."""
    if isinstance(words, Words):
        return words.en if language_of(request) == "en" else words.zh
    return words or ""


def name_of(desk: Desk, request: web.Request, organisation: str) -> str:
    """An organisation's name in the visitor's language, its id where it is not known."""
    language = language_of(request)
    known = desk.bureau.organisation_of(organisation) if desk.bureau is not None else None
    if known is None and desk.bureau is not None and is_hub(organisation):
        hub = desk.membership.hub
        name = hub.name if hub is not None and hub.id == organisation else Name(organisation, organisation)
        return name.en if language == "en" else name.zh
    return str(known["name"][language]) if known is not None else organisation


def framed(zh: str, en: str, fault: BaseException) -> Words:
    """What could not be done, and why."""
    why = said_of(fault)
    return Words(f"{zh}：{why.zh}", f"{en}: {why.en}")


def size(count: int) -> str:
    """A number of bytes, for people."""
    for unit, bytes_ in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= bytes_:
            return f"{count / bytes_:.1f} {unit}"
    return f"{count} B"


def local(moment: str | datetime) -> str:
    """A moment as clocks in China show it."""
    when = moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)
    return when.astimezone(deadlines.SHANGHAI).strftime("%Y-%m-%d %H:%M")


def elsewhere(path: str) -> web.Response:
    """On to another page of the desk."""
    return web.Response(status=303, headers={"Location": path})


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("adapters.desk"), autoescape=select_autoescape(), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["local"] = local
    made.filters["size"] = size
    return made
