"""`xieban conformance`: the kit that a partner runs against its own system, and the badge for who passed."""

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from adapters import conformance as kit
from adapters.conformance import badge as badges
from adapters.conformance import report as reports
from hub.commands import files
from hub.commands.beside import existing
from hub.commands.faults import UsageFault
from hub.commands.help_text import examples
from hub.commands.options import Config, Data, Json
from hub.commands.output import as_json, remark, say
from hub.identity import hub_key

app = typer.Typer(
    no_args_is_help=True, help="符合性测试：被测系统是否守约。 Whether a system keeps to the contract of the wire."
)
_SIGNS = {"passed": "✓", "failed": "✗", "skipped": "–", "broken": "!"}
Command = Annotated[
    str | None,
    typer.Option("--command", metavar="CMD", help="启动被测系统的命令；不给则它已在运行。 Starts it; else it runs."),
]
Restart = Annotated[
    str | None,
    typer.Option("--restart", metavar="CMD", help="使它丢失游标后重启的命令。 Starts it again without its cursor."),
]
Trigger = Annotated[
    str | None, typer.Option("--trigger", metavar="CMD", help="使它发起一件案件的命令。 Has it open a case.")
]
Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="NAME", help="只测这些情形，可重复。 Only these scenarios.")
]


@app.command(
    epilog=examples(
        "xieban conformance run --explain",
        "xieban conformance run --partner 411002-health --jwks public.jwks --quick --command"
        " './our-system --hub {hub} --as {organisation}'",
        "xieban conformance run --partner 411002-health --jwks public.jwks --port 8430 --restart './reset.sh'",
    )
)
def run(
    partner: Annotated[
        str | None, typer.Option("--partner", metavar="ID", help="被测机构编号。 The organisation under test.")
    ] = None,
    jwks: Annotated[
        Path | None, typer.Option("--jwks", metavar="FILE", help="它的公钥（JWKS）。 Its public keys.")
    ] = None,
    command: Command = None,
    restart: Restart = None,
    trigger: Trigger = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="报告写到哪里。 Where the reports go.")] = Path(
        "conformance"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="较短的测试。 A shorter run.")] = False,
    only: Only = None,
    patience: Annotated[
        float, typer.Option("--patience", metavar="SECONDS", min=1.0, help="每步等多久。 How long each step may take.")
    ] = kit.PATIENCE,
    host: Annotated[str, typer.Option("--host", help="代理的地址。 Where the proxy listens.")] = "127.0.0.1",
    across: Annotated[
        bool, typer.Option("--across", help="对端机构在外省枢纽。 Who it works with is at another province's hub.")
    ] = False,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="代理的端口，0 为任意。 Its port; 0 takes any.")
    ] = 0,
    explain: Annotated[
        bool, typer.Option("--explain", help="只说明要求和各种情形。 Only say what is asked and what is played.")
    ] = False,
    json: Json = False,
) -> None:
    """测试一个系统，写出报告；状态码 0 表示“必须”的各项全部通过。 Test a system; status 0 only if every `must` passes.

    工具另起一个一次性的枢纽，被测系统经一个会出错的代理与它往来。被测系统须做什么，见 --explain。

    The kit starts a throw-away hub; the system under test reaches it through a proxy that misbehaves.
    """
    if explain:
        _explain()
        return
    if partner is None or jwks is None:
        raise UsageFault("--partner and --jwks say who is tested; --explain says what is asked of it")
    if port == 0 and command is None:
        raise UsageFault("a system that runs already needs a --port to find the kit at")
    scenarios = _chosen(only)
    out.mkdir(parents=True, exist_ok=True)
    out = out.resolve()
    subject = kit.Commands(out / "system.log", command, restart, trigger)
    if command is None:
        remark(f"请把被测系统指向 · point the system at: http://{host}:{port}")
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as folder:
        settings = kit.Settings(
            partner, files.object_in(str(jwks)), Path(folder), quick, patience, host, port, across, scenarios
        )
        found = asyncio.run(kit.run(settings, subject, _progress(len(scenarios))))
    reports.write(found, out)
    if json:
        as_json(found)
    else:
        counts = " · ".join(f"{_SIGNS[one.value]} {found.count(one)}" for one in kit.Outcome)
        verdict = "符合 · conforms" if found.conforms else "所测均符合 · passed" if found.holds else "不符合 · does not"
        say(f"{verdict}  {counts}  {out / 'report.html'}")
    if not found.holds:
        raise typer.Exit(1)


def _chosen(only: Sequence[str] | None) -> Sequence[kit.Scenario]:
    unknown = set(only or ()) - {one.name for one in kit.SCENARIOS}
    if unknown:
        raise UsageFault(f"no scenario {', '.join(sorted(unknown))}; see --explain")
    return [one for one in kit.SCENARIOS if not only or one.name in only]


def _progress(count: int) -> kit.Progress:
    done = 0

    def told(ended: kit.Result | None, begins: kit.Scenario | None) -> None:
        nonlocal done
        if begins is not None:
            done += 1
            remark(f"[{done}/{count}] {begins.name} {begins.told.title.zh} · {begins.told.title.en}")
        if ended is not None:
            finding = f"  {ended.finding}" if ended.finding else ""
            remark(f"    {_SIGNS[ended.outcome.value]} {ended.seconds:.1f} s{finding}")

    return told


def _explain() -> None:
    say("对被测系统的要求 · What is asked of the system under test\n")
    for number, asked in enumerate(kit.ASKED, 1):
        say(f"{number}. {asked.zh}\n   {asked.en}")
    say("\n情形 · Scenarios")
    for one in kit.SCENARIOS:
        severity = "必须 must" if one.told.severity == "must" else "应当 should"
        say(f"\n{one.name} · {one.told.title.zh} {one.told.title.en} · {severity}")
        for words in (one.told.does, one.told.expects, one.told.why):
            say(f"  {words.zh}\n  {words.en}")
        say(f"  § {one.told.section}")


Report = Annotated[str, typer.Argument(metavar="REPORT", help="report.json，- 为标准输入。 The report.")]


@app.command(
    epilog=examples(
        "xieban conformance badge conformance/report.json --data DIR",
        "xieban conformance badge conformance/report.json --data DIR --out badges/",
    )
)
def badge(
    report: Report,
    data: Data,
    config: Config = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="徽章写到哪里。 Where the badge goes.")] = Path("."),
    json: Json = False,
) -> None:
    """在枢纽本机，以枢纽密钥为一份通过的报告签发徽章。 On the hub's machine: sign a badge for a report that passed.

    报告本身没有签名：只为自己看着跑完的测试签发。

    A report proves nothing by itself: sign only what you saw run.
    """
    settings = existing(data, config)
    content = files.content(report)
    found = reports.read(content)
    made, token = badges.sign(found, content, settings.hub.id, hub_key(data.resolve()), datetime.now(UTC))
    out.mkdir(parents=True, exist_ok=True)
    files.keep(out / "badge.jws", token + b"\n")
    files.keep(out / "badge.svg", badges.picture(made).encode())
    if json:
        as_json(made)
        return
    say(f"已签发 · signed: {out / 'badge.jws'} · {made.organisation} {made.passed} 项通过 passed")


@app.command(
    "verify-badge",
    epilog=examples("xieban conformance verify-badge badge.jws --key hub.jwks --report conformance/report.json"),
)
def verify_badge(
    badge: Annotated[str, typer.Argument(metavar="BADGE", help="badge.jws，- 为标准输入。 The badge.")],
    key: Annotated[Path, typer.Option("--key", metavar="JWKS", help="枢纽公钥。 The hub's public keys.")],
    report: Annotated[
        str | None, typer.Option("--report", metavar="FILE", help="一并核对的报告。 The report that it is for.")
    ] = None,
    json: Json = False,
) -> None:
    """离线核对徽章：谁签的、是否有效、是否属于这份报告。 Verify a badge offline: whose, in force, for this report."""
    content = None if report is None else files.content(report)
    found = badges.verify(files.content(badge), files.verifying_keys(key), datetime.now(UTC), content)
    if json:
        as_json(found)
        return
    until = datetime.fromtimestamp(found.exp, UTC)
    say(f"有效 · valid: {found.organisation} · {found.hub} · kit {found.kit}{' quick' if found.quick else ''}")
    say(
        f"通过 passed {found.passed} · 未通过 failed {found.failed} · 未测 skipped {found.skipped} · → {until:%Y-%m-%d}"
    )
