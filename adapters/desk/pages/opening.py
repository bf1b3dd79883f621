"""Opening a case: what one wants, in plain words, and of which authority."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from adapters.desk import asking
from adapters.desk.forms import Words
from adapters.desk.pages.frame import Pages, Visit, elsewhere
from protocols.loading import Protocol
from protocols.schemas import Schema

SHOWN: Final = 30


async def new(visit: Visit) -> web.StreamResponse:
    """`GET /new`: what is wanted, and who is meant."""
    bureau, wanted = visit.bureau, visit.request.query.get("q", "")[:60]
    others = [one for one in await bureau.find(wanted) if one["id"] != bureau.organisation]
    known = _openings(visit)
    several = Counter(protocol.name for protocol, _ in known.values())
    choices = [(value, _named(protocol, name, several[protocol.name] > 1), _help(protocol, name))
               for value, (protocol, name) in known.items()]  # fmt: skip
    found = [one | {"usual": _usual(bureau.usual(one["id"]))} for one in map(dict, others[:SHOWN])]
    return visit.page("new.html", Words("发起案件", "Open a case"), q=wanted, found=found, openings=choices,
                      more=max(0, len(others) - SHOWN))  # fmt: skip


async def draft(visit: Visit) -> web.StreamResponse:
    """`POST /new`: a draft of it."""
    sent, bureau = await visit.form(), visit.bureau
    known, to = _openings(visit).get(sent.get("opening", "")), sent.get("to", "")
    if known is None or bureau.organisation_of(to) is None or to == bureau.organisation:
        raise web.HTTPNotFound
    made = bureau.begin(known[0].name, known[1], None, to, visit.officer.name)
    visit.drafted(made)
    visit.desk.officers.give(made.case, visit.officer.name)
    return elsewhere(f"/drafts/{made.id}")


def _openings(visit: Visit) -> Mapping[str, tuple[Protocol, str]]:
    return {f"{protocol.name}.{name}": (protocol, name) for protocol, name in asking.openings(visit.bureau)}


def _named(protocol: Protocol, message: str, in_full: bool) -> Words:
    """What a case is opened for: the protocol's title, with the message's where there are several."""
    title, declared = protocol.flow.title, protocol.messages[message].declared
    return Words(f"{title.zh}：{declared.zh}", f"{title.en}: {declared.en}") if in_full else Words(title.zh, title.en)


def _usual(days: float | None) -> Words:
    if days is None:
        return Words("尚无办理记录", "no case with it yet")
    if days < 1:
        return Words("通常当天答复", "usually answers within a day")
    return Words(f"通常 {days:.0f} 天答复", f"answers in some {days:.0f} days")


def _help(protocol: Protocol, message: str) -> Words | None:
    schema: Schema = protocol.messages[message].schema
    text: Any = schema.document.get("description")
    return None if text is None else Words(str(text), str(schema.document.get("x-description-en", text)))


PAGES: Pages = (("GET", "/new", new), ("POST", "/new", draft))
