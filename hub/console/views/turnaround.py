"""Turnaround over time, region by region, and scorecards; each figure with the cases behind it."""

import asyncio
import contextlib
from datetime import UTC, date, datetime
from urllib.parse import urlencode

from hub.console.pages import Chart, Field, Page, Section, Visit
from hub.console.tables import Cell, Heat, Light, Link, Rows, Table
from hub.console.views.today import protocol_name
from hub.console.words import INDICATORS, STAGES, T
from hub.supervision.figures import figures
from protocols import deadlines, scorecard
from protocols.divisions import division
from protocols.errors import DivisionUnknown
from protocols.scorecard import DAYS, Asked, By, Figure, Figures, Row
from protocols.turnaround import KINDS

DAY = 86_400
LEVELS = 4
_ALL = ("", T("全部", "All"))
WORKING = T("工作日内的天数，按案件平均。", "Days on working days, the mean of the cases.")


def asked(visit: Visit) -> Asked:
    """What the address asks for: this year's cases unless it says otherwise."""
    today = deadlines.local_date(datetime.now(UTC))
    first, last = visit.day("from", today.replace(month=1, day=1)), visit.day("to", today)
    return Asked(
        min(first, last),
        last,
        visit.query("protocol") or None,
        visit.query("opener") or None,
        visit.query("responder") or None,
    )


async def found(visit: Visit, by: By) -> Figures:
    """The figures that the address asks for; worked out once for all parts of a page."""
    if by not in visit.worked_out:
        visit.worked_out[by] = asyncio.create_task(_figures(visit, by))
    return await visit.worked_out[by]


async def _figures(visit: Visit, by: By) -> Figures:
    return await visit.hub.reader.read(lambda c: figures(c, asked(visit), by, visit.sight, datetime.now(UTC)))


def filters(visit: Visit) -> list[Field]:
    """The period and the protocol."""
    period = asked(visit)
    names = sorted({name for name, _ in visit.hub.catalogue.protocols})
    return [
        Field("from", T("立案自", "Opened from"), str(period.first), "date"),
        Field("to", T("至", "through"), str(period.last), "date"),
        Field(
            "protocol",
            T("协议", "Protocol"),
            period.protocol or "",
            options=[_ALL, *((n, protocol_name(visit, n)) for n in names)],
        ),
        Field("opener", T("发起方（编号，或区划代码的开头）", "Opener (id, or first digits)"), period.opener or ""),
        Field("responder", T("协办方（编号，或区划代码的开头）", "Responder (the same)"), period.responder or ""),
    ]


async def over_time(visit: Visit) -> Page:
    """`/console/turnaround`: month by month."""
    months = await found(visit, "month")
    query = visit.request.query_string
    rows: list[list[Cell]] = [[row.month, *_split(row.figure)] for row in months.rows]
    return Page(
        [
            Section(
                T("按立案月份", "By the month opened"),
                [WORKING],
                Chart(
                    f"/console/chart/months.svg?{query}",
                    T("每月平均时长的折线图，数字见下表", "Mean time by month; the figures are in the table"),
                ),
                Table("months", T("立案月份", "Month opened"), (T("月份", "Month"), *SPLIT), rows, _through(months)),
                [Link(T("按机构看", "By organisation"), f"/console/scorecards?{query}")],
            )
        ],
        filters(visit),
        live=True,
    )


async def matrix(visit: Visit) -> Page:
    """`/console/matrix`: rows open, columns answer; the mean working days with the responder."""
    pairs = await found(visit, _level(visit))
    times: dict[tuple[str, str], tuple[int, int]] = {}
    for row in pairs.rows:
        key = _folded(visit, row.opener), _folded(visit, row.responder)
        spent, cases = times.get(key, (0, 0))
        times[key] = spent + row.figure.working.responder, cases + row.figure.cases
    regions = sorted({name for pair in times for name in pair})
    means = {pair: spent / cases / DAY for pair, (spent, cases) in times.items()}
    most = max(means.values(), default=0.0)
    period = {name: visit.query(name) for name in ("from", "to", "protocol") if visit.query(name)}

    def heat(one: str, other: str) -> Heat:
        mean = means.get((one, other))
        strength = 0 if mean is None or not most else min(LEVELS, int(mean / most * LEVELS + 0.5))
        return Heat(
            None if mean is None else round(mean, 1),
            strength,
            "/console/scorecards?" + urlencode({**period, "opener": one, "responder": other}),
        )

    rows: list[list[Cell]] = [[_region(visit, one), *(heat(one, other) for other in regions)] for one in regions]
    note = T(
        "行为发起地，列为协办地；格中为协办方平均用时（工作日）。颜色越深越久。",
        "Rows open, columns answer; mean working days with the responder. Darker is longer.",
    )
    columns: list[T | str] = [T("发起 \\ 协办", "Opens \\ answers"), *(_region(visit, one) for one in regions)]
    return Page(
        [
            Section(
                None, [note], table=Table("matrix", T("地区矩阵", "Region by region"), columns, rows, _through(pairs))
            )
        ],
        filters(visit),
        live=True,
    )


def _level(visit: Visit) -> By:
    """By what regions somebody looks: who sees one province by prefectures, others by provinces."""
    return "prefecture" if len({name[:2] for name in visit.sight}) == 1 else "province"


def _folded(visit: Visit, region: str | None) -> str:
    """A region as it is shown: the prefectures of another province as that province."""
    return region[:2] if region and region[:2] != visit.sight[0][:2] and len(region) > 2 else region or ""


async def by_region(visit: Visit) -> Page:
    """The scorecards of regions as responders, from the same figures as the matrix."""
    pairs = await found(visit, _level(visit))
    regions: dict[str, list[Figure]] = {}
    for row in pairs.rows:
        regions.setdefault(_folded(visit, row.responder), []).append(row.figure)
    figures_of = {region: scorecard.added(each) for region, each in sorted(regions.items())}
    rows: list[list[Cell]] = [
        [_region(visit, region), one.cases, *_lights(one), one.overdue] for region, one in figures_of.items()
    ]
    times: list[list[Cell]] = [[_region(visit, region), *_split(one)] for region, one in figures_of.items()]
    whose = T("协办地区", "Region that answers")
    columns = (whose, T("案件", "Cases"), *INDICATORS.values(), T("超期", "Overdue"))
    title = T("地区考核表", "Scorecards of regions")
    return Page(
        [
            Section(title, [THRESHOLDS], table=Table("regions", title, columns, rows, _through(pairs))),
            Section(
                T("各地区的时间花在哪里", "Where the time of each region went"),
                [WORKING],
                table=Table("region-times", T("各地区", "Each region"), (whose, *SPLIT), times),
            ),
        ]
    )


async def scorecards(visit: Visit) -> Page:
    """`/console/scorecards`: each responder's indicators, with traffic lights."""
    by: By = "pair" if visit.query("opener") else "responder"
    result = await found(visit, by)

    def title(row: Row) -> str:
        return " → ".join(visit.name(name) for name in (row.opener, row.responder) if name)

    def lights(row: Row) -> list[Cell]:
        behind = _cases(visit, result.asked, row)
        return [title(row), row.figure.cases, *_lights(row.figure), row.figure.overdue, behind]

    def times(row: Row) -> list[Cell]:
        return [title(row), *_split(row.figure), _cases(visit, result.asked, row)]

    whose, behind = T("机构", "Organisation"), T("背后的案件", "Behind it")
    columns = (whose, T("案件", "Cases"), *INDICATORS.values(), T("超期", "Overdue"), behind)
    chart = Chart(
        f"/console/chart/turnaround.svg?{visit.request.query_string}",
        T("各机构时长构成的条形图，数字见下表", "Time by organisation; the figures are in the table"),
    )
    return Page(
        [
            Section(
                None,
                [THRESHOLDS],
                table=Table(
                    "scorecards", T("考核表", "Scorecards"), columns, Rows(result.rows, lights), _through(result)
                ),
            ),
            Section(
                T("时间花在哪里", "Where the time went"),
                [WORKING],
                chart,
                Table("times", T("各机构", "Each organisation"), (whose, *SPLIT, behind), Rows(result.rows, times)),
            ),
        ],
        filters(visit),
        live=True,
    )


async def pack(visit: Visit) -> Page:
    """`/console/pack`: everything for the half-yearly joint meeting as one document, to be printed."""
    today = deadlines.local_date(datetime.now(UTC))
    half = date(today.year, 1 if today.month <= 6 else 7, 1)
    first, last = visit.day("from", half), visit.day("to", today)
    title = T(f"{first} 至 {last} 立案的案件", f"Cases opened {first} to {last}")
    parts: list[Section] = [
        Section(
            title,
            [
                T(
                    f"出具：{visit.name(visit.person.organisation)}，{today}",
                    f"Made by {visit.name(visit.person.organisation)}, {today}",
                )
            ],
        )
    ]
    # Who sees one prefecture meets with its counties, others with regions.
    closer = scorecards if len({name[:4] for name in visit.sight}) == 1 else by_region
    for page in await asyncio.gather(over_time(visit), matrix(visit), closer(visit)):
        parts += page.sections
    parts.append(
        Section(
            T("如何重算", "How to recompute"),
            [
                T("从日志重算以上数字并列出每件案件：", "Work these figures out from the log, every case named:"),
                f"xieban recompute --data DIR --from {first} --to {last} --cases",
            ],
        )
    )
    return Page(parts, filters(visit))


A_DAY = T(" 天", " d")
SPLIT = (T("案件", "Cases"), T("未结", "Open"), T("超期", "Overdue"), *(STAGES[kind] for kind in KINDS))
THRESHOLDS = T(
    "绿：≥80%（平均答复 <16 天）；黄：60%–80%（16–25 天）；红：<60%（>25 天）；重新打开：绿 <5%，黄 <10%。",
    "Green: 80 % and more (answers in under 16 days); amber: 60 to 80 % (16 to 25 days); red below. "
    "Reopened: green below 5 %, amber below 10 %.",
)


def _lights(figure: Figure) -> list[Cell]:
    return [Light(one.value, one.rating, A_DAY if name == DAYS else "%") for name, one in figure.indicators.items()]


def _split(figure: Figure) -> list[Cell]:
    return [figure.cases, figure.open, figure.overdue, *(mean_days(figure, kind) for kind in KINDS)]


def mean_days(figure: Figure, kind: str) -> float:
    """Working days of a kind of time, the mean of the cases."""
    return round(float(getattr(figure.working, kind)) / figure.cases / DAY, 2)


def _cases(visit: Visit, period: Asked, row: Row) -> Link:
    query = {
        "from": str(period.first),
        "to": str(period.last),
        "responder": row.responder,
        "opener": row.opener,
        "protocol": period.protocol,
    }
    return Link(T("列出", "List"), "/console/cases?" + urlencode({k: v for k, v in query.items() if v}))


def _region(visit: Visit, prefix: str) -> str:
    """A region by its code and its name (GB/T 2260), which in English is that of its supervisor if there is one."""
    there = f"{prefix:0<6}-supervision"
    if visit.language == "en" and visit.directory.get(there):
        return f"{prefix} {visit.name(there)}"
    with contextlib.suppress(DivisionUnknown):
        return f"{prefix} {division(f'{prefix:0<6}').name}"
    return prefix


def _through(result: Figures) -> T:
    return T(f"截至日志第 {result.through} 条。", f"By the first {result.through} entries of the log.")
