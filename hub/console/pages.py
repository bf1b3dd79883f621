"""A page of the console as a value, and how it becomes a response: streamed HTML, or one of its tables as a file."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import structlog
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from hub.api.calls import HUB
from hub.console.people import Person
from hub.console.tables import Heat, Light, Link, Table, as_csv, as_xlsx
from hub.console.words import LIGHTS, T
from hub.organisations import Directory
from hub.service import Hub
from hub.store import CONNECTION_LOST
from keys.errors import Fault
from protocols.scorecard import Figures

logger = structlog.get_logger()
LANGUAGE = "xieban-language"
SHOWN = 100
"""Rows of a table at once; its export has all of them."""
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
NAVIGATION: Sequence[tuple[str, T]] = (
    ("/console/", T("今日", "Today")),
    ("/console/cases", T("案件", "Cases")),
    ("/console/turnaround", T("办理时长", "Turnaround")),
    ("/console/matrix", T("地区矩阵", "Matrix")),
    ("/console/scorecards", T("考核表", "Scorecards")),
    ("/console/bulletins", T("信息通报", "Bulletins")),
    ("/console/traces", T("异地倒查", "Reverse traces")),
    ("/console/organisations", T("机构与密钥", "Organisations")),
    ("/console/log", T("日志", "The log")),
    ("/console/schedule", T("计划任务", "Schedule")),
    ("/console/pack", T("联席会议材料", "Joint-meeting pack")),
)


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture at an address of its own, with the words for who does not see it."""

    src: str
    alt: T


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form of filters: a choice where it has `options`, else of an HTML input type."""

    name: str
    title: T
    value: str
    kind: str = "text"
    options: Sequence[tuple[str, T | str]] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page: words, a chart, a table."""

    title: T | None = None
    text: Sequence[T | str] = ()
    chart: Chart | None = None
    table: Table | None = None
    links: Sequence[Link] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says."""

    sections: Sequence[Section]
    filters: Sequence[Field] = ()
    live: bool = False
    """Whether it is drawn again when the log has grown."""


@dataclass(slots=True)
class Visit:
    """A request by somebody who is logged in: what a page is made for."""

    request: web.Request
    person: Person
    language: str
    directory: Directory
    sight: list[str] = field(default_factory=list)
    worked_out: dict[str, asyncio.Task[Figures]] = field(default_factory=dict)
    """Figures under way or there, by how they are grouped."""

    @property
    def hub(self) -> Hub:
        """The hub."""
        return self.request.config_dict[HUB]

    def name(self, organisation: str) -> str:
        """An organisation's name in the visitor's language, else its id."""
        if organisation == self.hub.identity.hub:
            return self.hub.name[self.language]
        known = self.directory.get(organisation)
        return known.name[self.language] if known is not None else organisation

    def query(self, name: str, default: str = "") -> str:
        """A filter of the address."""
        return self.request.query.get(name, default).replace("\x00", "")[:200]

    def day(self, name: str, default: date) -> date:
        """A day of the address; the default for what is none."""
        try:
            found = date.fromisoformat(self.query(name))
        except ValueError:
            return default
        return found if 2000 <= found.year <= 2100 else default

    def begins(self, table: Table) -> int:
        """From which row on a table is shown, counted from 0."""
        text = self.query(f"{table.name}.from")
        asked = int(text) - 1 if text.isascii() and text.isdigit() and len(text) < 8 else 0
        return max(0, min(asked, len(table.rows) - 1))

    def address(self, **changed: str | None) -> str:
        """This page's own address with some filters changed; None leaves one out."""
        query = {**self.request.query, **changed}
        kept = {name: value for name, value in query.items() if value}
        return self.request.path + (f"?{urlencode(kept)}" if kept else "")


AWAY = T("数据库暂不可用，请稍后再试。", "The database is away; try again in a moment.")
FAILED = T("这一页未能生成，已记录。请告知运行方。", "This page could not be made, which was noted; tell the operator.")
View = Callable[[Visit], Awaitable[Page]]


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates; everything is escaped."""
    made = Environment(
        loader=PackageLoader("hub.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.tests |= {
        "link": lambda cell: isinstance(cell, Link),
        "light": lambda cell: isinstance(cell, Light),
        "heat": lambda cell: isinstance(cell, Heat),
        "amount": lambda cell: isinstance(cell, int | float),
    }
    return made


def common(language: str, **more: Any) -> dict[str, Any]:
    """What every template knows."""

    def say(text: T | str | None) -> str:
        return text.say(language) if isinstance(text, T) else text or ""

    return {"say": say, "T": T, "language": language, "lights": LIGHTS, **more}


async def show(visit: Visit, title: T, view: View) -> web.StreamResponse:
    """The page: its head leaves before its figures are known; with `export` in the address one table as a file."""
    if "export" in visit.request.query:
        return await _export(visit, view)
    response = web.StreamResponse(headers={"Content-Type": "text/html; charset=utf-8"})
    shared = common(
        visit.language,
        title=title,
        person=visit.person,
        organisation=visit.name(visit.person.organisation),
        navigation=NAVIGATION,
        here=visit.request.path,
        address=visit.address,
        begins=visit.begins,
        SHOWN=SHOWN,
    )
    await response.prepare(visit.request)
    head, body = environment().get_template("head.html"), environment().get_template("body.html")
    await response.write(head.render(shared).encode("utf-8"))
    try:
        page = await view(visit)
    except web.HTTPException as refusal:
        page = Page([Section(text=[refusal.reason])])
    except Fault as fault:
        page = Page([Section(text=[str(fault.detail)])])
    except CONNECTION_LOST as error:
        logger.warning("console-without-database", why=f"{type(error).__name__}: {error}"[:200])
        page = Page([Section(text=[AWAY])])
    except Exception:
        # The head of the page has left: what went wrong is said in its place.
        logger.exception("console-failed", path=visit.request.path)
        page = Page([Section(text=[FAILED])])
    for part in _parts(body.generate(**shared, page=page)):
        await response.write(part)
        await asyncio.sleep(0)  # other work comes in between
    await response.write_eof()
    return response


def _parts(pieces: Iterable[str], size: int = 8_192) -> Iterator[bytes]:
    """The pieces in parts of some size: not a write for every cell."""
    held: list[str] = []
    length = 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= size:
            yield "".join(held).encode("utf-8")
            held, length = [], 0
    yield "".join(held).encode("utf-8")


async def _export(visit: Visit, view: View) -> web.Response:
    kind, wanted = visit.query("export"), visit.query("table")
    page = await view(visit)
    tables: Mapping[str, Table] = {s.table.name: s.table for s in page.sections if s.table is not None}
    table = tables.get(wanted)
    if table is None or kind not in ("csv", "xlsx"):
        raise web.HTTPNotFound
    body = as_csv(table, visit.language) if kind == "csv" else as_xlsx(table, visit.language)
    headers = {
        "Content-Type": "text/csv; charset=utf-8" if kind == "csv" else XLSX,
        "Content-Disposition": f'attachment; filename="xieban-{table.name}.{kind}"',
    }
    return web.Response(body=body, headers=headers)
