"""The summary of evidence for people: one page of HTML without script, made from what was verified and nothing else."""

from html import escape

from adapters.evidence.checking import Report, Step
from adapters.evidence.file import Evidence
from protocols.loading import catalogue

_STYLE = (
    "body{font-family:sans-serif;margin:2em;max-width:70em;color:#222}table{border-collapse:collapse;width:100%}"
    "th,td{border:1px solid #bbb;padding:.35em .6em;text-align:left;vertical-align:top}th{background:#eef2f6}"
    ".wrong{color:#a00}.small{color:#555;font-size:.85em;word-break:break-all}"
)


_SUSPECT = '<br><span class="wrong">所用密钥可能已泄露，须向发送机构核实 · its key may have leaked by then</span>'


def page(evidence: Evidence, report: Report) -> str:
    """The page; the same for the same evidence."""
    verdict = (
        "全部核对一致 · everything in this file holds"
        if not report.findings
        else "以下各项不符 · these do not hold: " + "; ".join(report.findings[:20])
    )
    withheld = (
        f"<p>另有 {len(evidence.withheld)} 条消息不是发给出具方的，不在本文件中 · "
        f"{len(evidence.withheld)} messages between others are not in this file.</p>"
        if evidence.withheld
        else ""
    )
    successions = "".join(
        f"<p>{escape(one.at)} 起 {escape(one.organisation)} 由 {escape(one.successor)} 承继 · from then on "
        f"{escape(one.successor)} in its place (日志 entry {index})</p>\n"
        for index, one in report.successions
    ) + "".join(
        f"<p>{escape(one.at)} 期限由 {escape(one.was or '—')} 改为 {escape(one.due or '—')} · due date moved "
        f"(日志 entry {index}, 原因 cause {one.cause})</p>\n"
        for index, one in report.moves
    )
    rows = "\n".join(_row(number, step) for number, step in enumerate(report.steps, 1))
    return (
        '<!doctype html>\n<html lang="zh"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>案件证据 · evidence of a case</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>案件证据 · Evidence of a case</h1>\n<p>案件 case <b>{escape(evidence.case)}</b><br>"
        f"枢纽 hub {escape(evidence.hub)} · 日志 log {escape(evidence.origin)}<br>"
        f"出具 made by {escape(evidence.by)}, {escape(evidence.made)}</p>\n"
        f'<p class="{"wrong" if report.findings else ""}">{escape(verdict)}</p>\n'
        f"<p>状态 state <b>{escape(report.state or '—')}</b> · 消息 messages {len(report.steps)} · "
        f"已开启的密封部分 sealed parts opened {report.opened}</p>\n{withheld}{successions}"
        "<table><tr><th></th><th>受理时间 taken</th><th>消息 message</th>"
        "<th>来自 from → 发往 to</th><th>状态 state</th>"
        f"<th>期限 due</th><th>密封 sealed</th></tr>\n{rows}\n</table>\n"
        '<p class="small">本页由文件中的签名消息和日志证明生成，本身不是证明；请以 xieban verify-evidence 核对文件。'
        " This page is made from the signed messages and proofs in the file and proves nothing by itself."
        " 文件证明其中的消息，不证明此后再无消息。 The file proves the messages in it, not that none came after them."
        "</p>\n"
        "</body></html>\n"
    )


def _row(number: int, step: Step) -> str:
    event = step.event
    sealed = "—"
    if step.sealed:
        sealed = "未开启 not opened" if step.content is None else f"已开启 opened<br>{escape(_text(step))}"
    return (
        f"<tr><td>{number}</td><td>{escape(step.accepted)}{_SUSPECT if step.suspect else ''}</td>"
        f"<td>{escape(_title(step))}<br>"
        f'<span class="small">{escape(event.type)} {escape(event.id)}<br>日志 entry {step.index}</span></td>'
        f"<td>{escape(event.source)}{_signed_by(step)} → {escape(', '.join(event.recipients))}</td>"
        f"<td>{escape(step.state or '—')}</td><td>{escape(step.due or '—')}</td><td>{sealed}</td></tr>"
    )


def _signed_by(step: Step) -> str:
    return f" （{escape(step.gateway)} 代签 signs for it）" if step.gateway is not None else ""


def _title(step: Step) -> str:
    known = catalogue().latest(step.event.type.partition(".")[0])
    message = known.messages.get(step.event.message) if known else None
    return f"{message.declared.zh} {message.declared.en}" if message else step.event.message


def _text(step: Step) -> str:
    content = step.content or {}
    return str(next((content[name] for name in ("narrative", "explanation", "note", "reasons") if name in content), ""))
