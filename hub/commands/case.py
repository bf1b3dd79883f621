"""`xieban case`: a case opened, answered and looked at."""

import asyncio
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.client import Sent
from hub.commands import files, sending
from hub.commands.faults import UsageFault
from hub.commands.help_text import examples
from hub.commands.options import (
    DEFAULT_PATIENCE,
    As,
    Attach,
    Check,
    Hub,
    Json,
    Keys,
    MessageOut,
    Passphrase,
    Patience,
    Preflight,
    ReceiptOut,
    Sealed,
)
from hub.commands.output import as_json, say, table
from hub.commands.partner import Partner, connected
from protocols import envelope

KINDS = {
    "transit": "在途 in transit",
    "unread": "未读 unread",
    "responder": "协办方 with the responder",
    "opener": "等发起方 waiting on the opener",
}
app = typer.Typer(no_args_is_help=True, help="案件：发起、答复、查看。 Cases: open, reply, look at.")
CaseId = Annotated[str, typer.Argument(metavar="CASE", help="案件编号。 The case's id.")]


@app.command(
    "open",
    epilog=examples(
        "xieban protocols show case-assistance request --example > data.json",
        "xieban protocols show case-assistance request --sealed --example > sealed.json",
        "xieban case open --to 440306-health --data data.json --sealed sealed.json --receipt receipt.json",
    ),
)
def open_(
    hub: Hub,
    organisation: As,
    keys: Keys,
    to: Annotated[str, typer.Option("--to", metavar="ORGANISATION", help="协办方。 The responder.")],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="FILE|-",
            help="开放部分 JSON，- 为标准输入；样例见 protocols show --example。"
            " The open part; protocols show --example prints one to begin with.",
        ),
    ],
    sealed: Sealed = None,
    attach: Attach = None,
    participant: Annotated[
        list[str] | None,
        typer.Option("--participant", metavar="ORGANISATION", help="参与方，可重复。 Who takes part from the start."),
    ] = None,
    protocol: Annotated[str, typer.Option(help="协议，见 protocols list。 The protocol.")] = "case-assistance",
    message: Annotated[str, typer.Option(help="发起用的消息。 The message that opens it.")] = "request",
    check: Check = True,
    preflight: Preflight = False,
    receipt: ReceiptOut = None,
    message_out: MessageOut = None,
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """发起案件。 Open a case with another organisation.

    开放部分只有代码、日期、数字和编号；能识别个人的内容写在密封部分。

    The open part holds codes, dates, numbers and ids; whatever identifies a person belongs in the sealed part.
    """
    open_part, content = files.parts(data, sealed)

    async def work() -> Sent | None:
        async with connected(Partner(hub, organisation, keys, passphrase_file, patience)) as client:
            recipients = [to, *(participant or [])]
            type, id = f"{protocol}.{message}", envelope.new_id()
            async with sending.attached(client, keys, attach, open_part, content) as (said, sealed_part):
                draft = await client.prepare(type, id, recipients, said, sealed_part, check=check)
                return await sending.deliver(client, draft, preflight, receipt, message_out)

    sending.report(asyncio.run(work()), json)


@app.command(
    epilog=examples(
        "xieban case show CASE",
        "xieban case reply CASE accept",
        "xieban case reply CASE answer --data answer.json --sealed sealed.json",
    )
)
def reply(
    hub: Hub,
    organisation: As,
    keys: Keys,
    case: CaseId,
    message: Annotated[
        str, typer.Argument(metavar="MESSAGE", help="消息，如 accept、answer、close。 The message to send.")
    ],
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="FILE|-", help="开放部分 JSON，默认为空。 The open part, else an empty one."),
    ] = None,
    sealed: Sealed = None,
    attach: Attach = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="ORGANISATION", help="接收机构，默认案件其他各方。 Recipients, else all others."),
    ] = None,
    answers: Annotated[
        str | None,
        typer.Option("--answers", metavar="ID", help="所答复的消息，默认对方最近一条。 Else the others' last message."),
    ] = None,
    check: Check = True,
    preflight: Preflight = False,
    receipt: ReceiptOut = None,
    message_out: MessageOut = None,
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """在案件中答复。 Send a message in a case; `case show` says which are allowed now."""
    open_part, content = files.parts(data, sealed)

    async def work() -> Sent | None:
        async with connected(Partner(hub, organisation, keys, passphrase_file, patience)) as client:
            cause = answers or _last_of_others(await client.case(case), organisation)
            async with sending.attached(client, keys, attach, open_part, content) as (said, sealed_part):
                draft = await client.prepare_reply(
                    case, message, said, sealed_part, recipients=to, causationid=cause, check=check
                )
                return await sending.deliver(client, draft, preflight, receipt, message_out)

    sending.report(asyncio.run(work()), json)


@app.command(epilog=examples("xieban case show CASE", "xieban case show CASE --json | jq .allowed_actions"))
def show(
    hub: Hub,
    organisation: As,
    keys: Keys,
    case: CaseId,
    purpose: Annotated[
        str | None,
        typer.Option(metavar="PURPOSE", help="查看目的，查看倒查案件时须写明。 What for, where it is logged."),
    ] = None,
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """案件的状态、期限、经过和可办事项。 A case's state, due date, timeline and what may be sent now."""

    async def work() -> dict[str, Any]:
        async with connected(Partner(hub, organisation, keys, passphrase_file, patience)) as client:
            return await client.case(case, purpose=purpose)

    view = asyncio.run(work())
    if json:
        as_json(view)
        return
    say(f"案件 case {view['id']}  {view['protocol']} {view['version']}")
    say(f"状态 state {_title(view)}  期限 due {_due(view)}")
    parties = [f"发起方 opener {view['opener']}", f"协办方 responder {view['responder']}"]
    say("  ".join([*parties, *(f"参与方 participant {name}" for name in view.get("participants", []))]))
    steps = [step for step in view.get("timeline", []) if isinstance(step, dict)]
    table(
        ("受理时间 accepted", "消息 type", "来自 source", "状态 to", "编号 id"),
        ([step["accepted"], step["type"], _signed_by(step), step["to"], step["id"]] for step in steps),
    )
    actions = [action for action in view.get("allowed_actions", []) if isinstance(action, dict)]
    say("现在可发 · may be sent now: " + (", ".join(str(action.get("message")) for action in actions) or "—"))


@app.command(
    epilog=examples(
        "xieban case holders CASE --purpose trace",
        "xieban case holders CASE --purpose trace --on 2026-10-12 --json",
    )
)
def holders(
    hub: Hub,
    organisation: As,
    keys: Keys,
    case: CaseId,
    purpose: Annotated[
        str,
        typer.Option(metavar="PURPOSE", help="目的：trace、supervision、audit、complaint、own-case。 Logged."),
    ],
    on: Annotated[str | None, typer.Option(metavar="DATE", help="只看这一天。 Only this day.")] = None,
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """案件何时由谁经办、何事到期，逐项核对日志证明。 Who held a case when and what fell due, each proven by the log."""
    try:
        day = date.fromisoformat(on) if on is not None else None
    except ValueError:
        raise UsageFault("--on is a day, e.g. 2026-10-12") from None

    async def work() -> dict[str, Any]:
        async with connected(Partner(hub, organisation, keys, passphrase_file, patience)) as client:
            return await client.holders(case, purpose, day)

    found = asyncio.run(work())
    if json:
        as_json(found)
        return
    columns = ("自 from", "至 through", "经办 holders", "状态 state", "期限 due", "逾期自 overdue from", "日志 entry")
    table(
        columns,
        (
            (
                one["first"],
                one["through"] or "—",
                ", ".join(one["holders"]) or "—",
                f"{one['title']['zh']} {one['state']}",
                one["due"] or "—",
                one["overdue"] or "—",
                one["entry"],
            )
            for one in found["holdings"]
        ),
    )
    say(f"本次查看已记入日志 · this look is log entry {found['viewed']}")


@app.command(epilog=examples("xieban case clock CASE", "xieban case clock CASE --json | jq .working"))
def clock(
    hub: Hub,
    organisation: As,
    keys: Keys,
    case: CaseId,
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """办理时长花在哪里、是谁的，由日志条目重算核对。 Where a case's time went, and whose, worked out from the log.

    在途：已受理未取走；未读：已取走未签收；协办方；等发起方。每段的起止都是日志条目。

    In transit: accepted, not fetched. Unread: fetched, not signed for. Then with the responder, or waiting on the
    opener. Each boundary is an entry of the log.
    """

    async def work() -> dict[str, Any]:
        async with connected(Partner(hub, organisation, keys, passphrase_file, patience)) as client:
            return await client.clock(case)

    found = asyncio.run(work())
    if json:
        as_json(found)
        return
    columns = ("自 from", "至 until", "时长 kind", "机构 whose", "状态 state", "日志 entry")
    stages = found["stages"]
    table(
        columns,
        (
            (s["begins"], s["ends"] or "—", KINDS[s["kind"]], ", ".join(s["organisations"]), s["state"], s["entry"])
            for s in stages
        ),
    )
    calendar, working = found["calendar"], found["working"]
    sums = ((KINDS[kind], _hours(calendar[kind]), _hours(working[kind])) for kind in KINDS)
    table(("合计 in all", "自然时 calendar h", "工作日内 on working days h"), sums)


def _hours(seconds: int) -> str:
    return f"{seconds / 3600:.1f}"


@app.command("list", epilog=examples("xieban case list --state requested", "xieban case list --limit 20 --json"))
def list_(
    hub: Hub,
    organisation: As,
    keys: Keys,
    state: Annotated[
        str | None, typer.Option("--state", help="只列此状态的，如 requested。 Only cases in this state.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="最多几件。 At most so many.")] = 100,
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """列出本机构可见的案件，新的在前。 List the cases you may see, the newest first."""

    async def work() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with connected(Partner(hub, organisation, keys, passphrase_file, patience)) as client:
            async for summary in client.cases(state=state):
                found.append(summary)
                if len(found) == limit:
                    break
        return found

    found = asyncio.run(work())
    if json:
        as_json({"items": found})
        return
    columns = ("编号 id", "状态 state", "期限 due", "发起方 opener", "协办方 responder", "更新 updated")
    table(columns, ((c.get("id"), _title(c), _due(c), *map(c.get, ("opener", "responder", "updated"))) for c in found))


@app.command(epilog=examples("xieban case attachments CASE --into ~/files"))
def attachments(
    hub: Hub,
    organisation: As,
    keys: Keys,
    case: CaseId,
    into: Annotated[Path, typer.Option(metavar="DIR", help="保存到此目录。 The folder for the files.")],
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """取得案件的全部附件，逐块核对后解密。 Fetch every attachment of a case, each verified before it is opened."""

    async def work() -> list[dict[str, Any]]:
        async with connected(Partner(hub, organisation, keys, passphrase_file, patience), opening=True) as client:
            return [one async for one in sending.fetched(client, case, into)]

    found = asyncio.run(work())
    if json:
        as_json({"items": found})
        return
    table(("文件 file", "字节 bytes", "来自 source", "消息 message"),
          ((one["file"], one["size"], one["source"], one["message"]) for one in found))  # fmt: skip


def _last_of_others(view: dict[str, Any], organisation: str) -> str | None:
    steps = [step for step in view.get("timeline", []) if isinstance(step, dict)]
    return next((str(step["id"]) for step in reversed(steps) if step.get("source") != organisation), None)


def _signed_by(step: dict[str, Any]) -> str:
    """The source, with the gateway that signed for it, and whether its key is in doubt."""
    gateway = f"（{step['gateway']} 代签 signed）" if step.get("gateway") else ""
    return f"{step['source']}{gateway}{'（密钥存疑 key in doubt）' if step.get('suspect') else ''}"


def _title(view: dict[str, Any]) -> str:
    title = view.get("title")
    words = title if isinstance(title, dict) else {}
    return f"{words.get('zh', '')} {view.get('state', '')}".strip()


def _due(view: dict[str, Any]) -> str:
    due = view.get("due")
    if not isinstance(due, dict):
        return "—"
    return str(due.get("date")) + ("（暂定 provisional）" if due.get("provisional") else "")
