"""Turnaround over time, region by region, and scorecards; each figure with the cases behind it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from urllib.parse import urlencode

from hub.console.pages import Chart, Field, Page, Section, Visit
from hub.console.tables import Cell, Heat, Light, Link, Table
from hub.console.views.today import protocol_name
from hub.console.words import INDICATORS, STAGES, T
from hub.supervision.figures import figures
from protocols import deadlines
from protocols.scorecard import DAYS, Asked, By, Figure, Figures, Row
from protocols.turnaround import KINDS

DAY = 86_400
LEVELS = 4
MOST_REGIONS = 60
"""Of more prefectures than this a matrix is drawn by province."""
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
    """The figures that the address asks for."""
    async with visit.hub.pool.acquire() as connection:
        return await figures(connection, asked(visit), by, visit.sight, datetime.now(UTC))


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
    """`/console/turnaround`."""
    months, pairs = await found(visit, "month"), await found(visit, "responder")
    query = visit.request.query_string
    rows: list[list[Cell]] = [[row.month, *_split(row.figure)] for row in months.rows]
    by_pair: list[list[Cell]] = [
        [visit.name(row.responder or ""), *_split(row.figure), _cases(visit, months.asked, row)] for row in pairs.rows
    ]
    columns = (T("案件", "Cases"), T("未结", "Open"), T("超期", "Overdue"), *(STAGES[kind] for kind in KINDS))
    return Page(
        [
            Section(
                T("按月", "By month"),
                [WORKING],
                Chart(
                    f"/console/chart/months.svg?{query}",
                    T("每月平均时长的折线图，数字见下表", "Mean time by month; the figures are in the table"),
                ),
                Table("months", T("立案月份", "Month opened"), (T("月份", "Month"), *columns), rows, _through(months)),
            ),
            Section(
                T("按协办方", "By responder"),
                [WORKING],
                Chart(
                    f"/console/chart/turnaround.svg?{query}",
                    T("各协办方时长构成的条形图，数字见下表", "Time by responder; the figures are in the table"),
                ),
                Table(
                    "responders",
                    T("各协办方", "Each responder"),
                    (T("协办方", "Responder"), *columns, T("背后的案件", "Behind it")),
                    by_pair,
                    _through(pairs),
                ),
            ),
        ],
        filters(visit),
        live=True,
    )


async def matrix(visit: Visit) -> Page:
    """`/console/matrix`: rows open, columns answer; the mean working days with the responder."""
    prefectures = len({name[:4] for name in visit.directory.organisations})
    by: By = "prefecture" if prefectures <= MOST_REGIONS else "province"
    pairs = await found(visit, by)
    regions = sorted({row.opener or "" for row in pairs.rows} | {row.responder or "" for row in pairs.rows})
    means = {
        (row.opener or "", row.responder or ""): row.figure.working.responder / row.figure.cases / DAY
        for row in pairs.rows
    }
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


async def scorecards(visit: Visit) -> Page:
    """`/console/scorecards`: each responder's indicators, with traffic lights."""
    by: By = "pair" if visit.query("opener") else "responder"
    result = await found(visit, by)
    rows: list[list[Cell]] = []
    for row in result.rows:
        title = " → ".join(visit.name(name) for name in (row.opener, row.responder) if name)
        rows.append(
            [title, row.figure.cases, *_lights(row.figure), row.figure.overdue, _cases(visit, result.asked, row)]
        )
    columns: tuple[T, ...] = (
        T("机构", "Organisation"),
        T("案件", "Cases"),
        *INDICATORS.values(),
        T("超期", "Overdue"),
        T("背后的案件", "Behind it"),
    )
    return Page(
        [
            Section(
                None,
                [THRESHOLDS],
                table=Table("scorecards", T("考核表", "Scorecards"), columns, rows, _through(result)),
            )
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
    for view in (over_time, matrix, scorecards):
        parts += (await view(visit)).sections
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


THRESHOLDS = T(
    "绿：≥80%（平均答复 <16 天）；黄：60%–80%（16–25 天）；红：<60%（>25 天）；重新打开：绿 <5%，黄 <10%。",
    "Green: 80 % and more (answers in under 16 days); amber: 60 to 80 % (16 to 25 days); red below. "
    "Reopened: green below 5 %, amber below 10 %.",
)


def _lights(figure: Figure) -> list[Cell]:
    return [Light(one.value, one.rating, "d" if name == DAYS else "%") for name, one in figure.indicators.items()]


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
    names: Sequence[str] = [visit.name(one) for one in visit.directory.organisations if one.startswith(prefix)]
    return f"{prefix} {names[0][:6]}" if names else prefix


def _through(result: Figures) -> T:
    return T(f"截至日志第 {result.through} 条。", f"By the first {result.through} entries of the log.")
