"""The addresses of charts: the same figures as the tables beside them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from aiohttp import web

from hub.console import charts
from hub.console.pages import Visit
from hub.console.views.turnaround import found, mean_days
from hub.console.words import STAGES, T
from hub.errors import Forbidden, NotFound
from protocols import envelope
from protocols.scorecard import Row
from protocols.turnaround import KINDS

MOST_BARS = 30
DAYS = T("个工作日", "working days")


async def turnaround(visit: Visit) -> web.Response:
    """`/console/chart/turnaround.svg`: by responder, the slowest first."""
    rows = (await found(visit, "responder")).rows
    slowest = sorted(rows, key=lambda row: -row.figure.working.total / row.figure.cases)[:MOST_BARS]
    return _svg(_drawn(visit, slowest, lambda row: visit.name(row.responder or ""), charts.stacked))


async def months(visit: Visit) -> web.Response:
    """`/console/chart/months.svg`."""
    return _svg(_drawn(visit, (await found(visit, "month")).rows, lambda row: row.month or "", charts.lines))


async def case(visit: Visit) -> web.Response:
    """`/console/chart/case/{id}.svg`: one bar."""
    id = visit.request.match_info["id"]
    if not envelope.is_id(id):
        raise web.HTTPNotFound
    try:
        caller = visit.directory.organisations[visit.person.organisation]
        clock = await visit.hub.clock(caller, id, visit.sight)
    except (NotFound, Forbidden):
        raise web.HTTPNotFound from None
    series = {STAGES[k].say(visit.language): [getattr(clock.calendar, k) / 3600] for k in KINDS}
    return _svg(charts.stacked([f"{datetime.now(UTC):%Y-%m-%d}"], series, T("小时", "hours").say(visit.language)))


def _drawn(visit: Visit, rows: Sequence[Row], name: Callable[[Row], str], draw: Callable[..., bytes]) -> bytes:
    series = {STAGES[kind].say(visit.language): [mean_days(row.figure, kind) for row in rows] for kind in KINDS}
    return draw([name(row) for row in rows], series, DAYS.say(visit.language))


def _svg(body: bytes) -> web.Response:
    # Its own styles are inside it; nothing else is.
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return web.Response(body=body, content_type="image/svg+xml", headers={"Content-Security-Policy": policy})
