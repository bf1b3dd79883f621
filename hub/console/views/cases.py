"""Cases: a list with filters in its address; one case with its clock, its timeline and the proof of both."""

from datetime import UTC, date, datetime, timedelta
from typing import cast, get_args

from hub.cases import View
from hub.console.pages import Chart, Field, Page, Section, Visit
from hub.console.tables import Cell, Link, Table
from hub.console.views import disputed
from hub.console.views.today import CASE_COLUMNS, case_row, protocol_name, state_name
from hub.console.words import STAGES, T
from hub.errors import Forbidden, NotFound, PurposeNeeded
from hub.holders import Purpose
from hub.store.queries import SQL
from protocols import deadlines, envelope, legal_basis
from protocols.turnaround import KINDS

PAGE = 100
ANY = ("", T("全部", "All"))
PURPOSES = {
    "trace": T("倒查", "Tracing"),
    "supervision": T("督导", "Supervision"),
    "audit": T("审计", "Audit"),
    "complaint": T("投诉处理", "A complaint"),
    "own-case": T("本机构案件", "Own case"),
}
TRACE = "reverse-trace"


async def listing(visit: Visit) -> Page:
    """`/console/cases`."""
    return await _listing(visit, visit.query("protocol") or None)


async def traces(visit: Visit) -> Page:
    """`/console/traces`."""
    return await _listing(visit, TRACE)


async def _listing(visit: Visit, protocol: str | None) -> Page:
    today = deadlines.local_date(datetime.now(UTC))
    first, last = visit.day("from", today - timedelta(days=365)), visit.day("to", today)
    overdue = visit.query("overdue") == "1"
    stage = visit.query("stage") if visit.query("stage") in STAGES else None
    named = (visit.query("state") or None, visit.query("opener") or None, visit.query("responder") or None)
    after_day, after_id = _cursor(visit.query("after"))
    wanted = visit.sight, protocol, *named, stage, overdue, today, first, last, after_day, after_id, PAGE
    rows = await visit.hub.reader.read(lambda connection: connection.fetch(SQL["console_cases"], *wanted))
    names = sorted({name for name, _ in visit.hub.catalogue.protocols})
    filters = [
        Field(
            "protocol",
            T("协议", "Protocol"),
            protocol or "",
            options=[ANY, *((n, protocol_name(visit, n)) for n in names)],
        ),
        Field("stage", T("卡在", "Now"), stage or "", options=[ANY, *STAGES.items()]),
        Field(
            "overdue",
            T("是否超期", "Overdue"),
            "1" if overdue else "",
            options=[ANY, ("1", T("只看超期", "Only overdue"))],
        ),
        Field("opener", T("发起方", "Opener"), named[1] or ""),
        Field("responder", T("协办方", "Responder"), named[2] or ""),
        Field("from", T("立案自", "Opened from"), str(first), "date"),
        Field("to", T("至", "through"), str(last), "date"),
    ]
    columns = (*CASE_COLUMNS, T("立案日", "Opened"))
    table = Table(
        "cases",
        T("案件，新的在前", "Cases, the newest first"),
        columns,
        [[*case_row(visit, row, today), row["opened_on"]] for row in rows],
    )
    more = []
    if len(rows) == PAGE:
        more = [Link(T("下一页", "Next page"), visit.address(after=f"{rows[-1]['opened_on']}/{rows[-1]['case_id']}"))]
    return Page(
        [Section(table=table, links=more)], filters if protocol != TRACE or visit.query("protocol") else [], live=True
    )


async def one(visit: Visit) -> Page:
    """`/console/cases/{id}`."""
    id, hub = visit.request.match_info["id"], visit.hub
    caller = visit.directory.organisations[visit.person.organisation]
    if not envelope.is_id(id):
        return Page([Section(text=[T("没有这件案件。", "There is no such case.")])])
    purpose = visit.query("purpose")
    try:
        known = cast(Purpose, purpose) if purpose in get_args(Purpose) else None
        case = await hub.read_case(caller, id, known, visit.sight)
        clock = await hub.clock(caller, id, visit.sight)
    except PurposeNeeded:
        choose = Field(
            "purpose", T("查看目的（将记入日志）", "What for (entered in the log)"), "", options=list(PURPOSES.items())
        )
        return Page(
            [Section(text=[T("倒查案件每次查看都记入日志。", "Every look at a reverse trace is logged.")])], [choose]
        )
    except (NotFound, Forbidden):
        return Page(
            [Section(text=[T("没有这件案件，或不在您的范围内。", "There is no such case, or it is not yours to see.")])]
        )
    sums: list[list[Cell]] = [
        [STAGES[kind], _hours(getattr(clock.calendar, kind)), _hours(getattr(clock.working, kind))] for kind in KINDS
    ]
    stages: list[list[Cell]] = [
        [
            STAGES[stage.kind],
            "、".join(map(visit.name, stage.organisations)),
            state_name(visit, case.protocol, stage.state),
            deadlines.written(stage.begins),
            deadlines.written(stage.ends) if stage.ends else T("至今", "until now"),
            _hours(((stage.ends or datetime.now(UTC)) - stage.begins).total_seconds()),
            stage.entry,
        ]
        for stage in clock.stages
    ]
    steps: list[list[Cell]] = [
        [
            step.log_index,
            deadlines.written(datetime.fromisoformat(step.accepted)),
            _message(visit, case, step.type),
            visit.name(step.source) + (f"（{visit.name(step.gateway)} 代签）" if step.gateway else ""),
            state_name(visit, case.protocol, step.to),
            step.due.date if step.due else None,
            T("签名密钥可能已泄露", "signed with a key that may have leaked") if step.suspect else None,
        ]
        for step in case.timeline
    ]
    due = case.due.date if case.due else None
    opener, responder = visit.name(case.opener), visit.name(case.responder)
    waits = "、".join(map(visit.name, case.awaits)) or "—"
    facts: list[T | str] = [
        T(
            f"{_t(protocol_name(visit, case.protocol)).zh} · 状态 {case.title['zh']} · 期限 {due or '—'}",
            f"{_t(protocol_name(visit, case.protocol)).en} · state {case.title['en']} · due {due or '—'}",
        ),
        T(
            f"发起方 {opener} · 协办方 {responder} · 等待 {waits}",
            f"Opener {opener} · responder {responder} · waits for {waits}",
        ),
        T(f"法律依据 {_basis(case, 'zh')}", f"Legal basis {_basis(case, 'en')}"),
    ]
    return Page(
        [
            Section(T(f"案件 {id}", f"Case {id}"), facts),
            *disputed.sections(visit, case),
            Section(
                T("时间花在哪里", "Where the time went"),
                [CLOCK],
                Chart(
                    f"/console/chart/case/{id}.svg",
                    T("各段时长的条形图，数字见下表", "A bar of the stages; the figures are in the table"),
                ),
                Table(
                    "clock",
                    T("小时", "Hours"),
                    (T("时段", "Kind"), T("自然时", "Calendar"), T("工作日内", "On working days")),
                    sums,
                ),
            ),
            Section(
                None,
                table=Table(
                    "stages",
                    T("每段的起止都是日志条目", "Each boundary is an entry of the log"),
                    (
                        T("时段", "Kind"),
                        T("机构", "Whose"),
                        T("状态", "State"),
                        T("自", "From"),
                        T("至", "Until"),
                        T("小时", "Hours"),
                        T("日志条目", "Log entry"),
                    ),
                    stages,
                ),
            ),
            Section(
                T("经过", "Timeline"),
                table=Table(
                    "timeline",
                    T("每条消息", "Every message"),
                    (
                        T("日志条目", "Log entry"),
                        T("受理时间", "Accepted"),
                        T("消息", "Message"),
                        T("来自", "From"),
                        T("此后状态", "State after"),
                        T("此后期限", "Due after"),
                        T("备注", "Note"),
                    ),
                    steps,
                ),
            ),
            Section(
                T("证明", "Proof"),
                [
                    T(
                        "由日志条目重算本页的时长；生成可离线核对的证据文件：",
                        "Work this clock out again from the log; make a file that verifies offline:",
                    ),
                    f"xieban case clock {id} · xieban evidence {id} --out case.zip",
                ],
            ),
        ],
        live=True,
    )


CLOCK = T(
    "在途：已受理，未取走；未读：已取走，未签收；此后算协办方的或等发起方的。",
    "In transit: accepted, not fetched. Unread: fetched, not signed for. Then the responder's, or the opener's.",
)


def _message(visit: Visit, case: View, type: str) -> T | str:
    protocol = visit.hub.catalogue.protocols[case.protocol, case.version]
    known = protocol.messages.get(type.partition(".")[2])
    return T(known.declared.zh, known.declared.en) if known is not None else type


def _basis(case: View, language: str) -> str:
    """The title of the case's legal basis, its id where the register has none."""
    known = legal_basis.register().get(case.legal_basis or "")
    return known.title[language] if known is not None else case.legal_basis or "—"


def _cursor(text: str) -> tuple[date | None, str | None]:
    day, _, id = text.partition("/")
    try:
        return (date.fromisoformat(day), id) if envelope.is_id(id) else (None, None)
    except ValueError:
        return None, None


def _hours(seconds: float) -> float:
    return round(seconds / 3600, 1)


def _t(text: T | str) -> T:
    return text if isinstance(text, T) else T(text, text)
