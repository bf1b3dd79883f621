"""`xieban evidence` and `xieban verify-evidence`: one case in one file, verified anywhere."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from adapters import evidence as evidences
from hub.commands import files
from hub.commands.help_text import examples
from hub.commands.known import known
from hub.commands.options import DEFAULT_PATIENCE, As, Hub, Json, Keys, Passphrase, Patience
from hub.commands.output import as_json, remark, say, table
from hub.commands.partner import Partner, connected, passphrase_of
from keys.jwk import VerifyingKey, parse_public
from keys.keystore import KeyStore

EXAMPLES = examples(
    "xieban evidence CASE --out case.zip",
    "xieban evidence CASE --out case.zip --open",
    "xieban verify-evidence case.zip --key hub.jwks",
)
VERIFY_EXAMPLES = examples(
    "xieban verify-evidence case.zip --key hub.jwks",
    "xieban verify-evidence case.zip --key hub.jwks --html case.html --json",
)


def evidence(
    hub: Hub,
    organisation: As,
    keys: Keys,
    case: Annotated[str, typer.Argument(metavar="CASE", help="案件编号。 The case's id.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="写到哪里。 Where to write it.")],
    opened: Annotated[
        bool,
        typer.Option(
            "--open", help="附上本机构能打开的密封内容，任何持有文件者都能读到。 With what is sealed, in the clear."
        ),
    ] = False,
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> None:
    """把一件案件的全部消息、回执、证明和密钥写入一个文件。 One case in one file, verifiable offline by anybody.

    默认不含密封内容；加 --open 后附上明文，须按涉密材料保管。

    What is sealed stays sealed unless --open puts it in the clear: then keep the file as you keep such papers.
    """

    async def work() -> evidences.Evidence:
        async with connected(Partner(hub, organisation, keys, passphrase_file, patience)) as client:
            opening = KeyStore(keys).decryption_keys(passphrase_of(passphrase_file)) if opened else []
            return await evidences.gather(client, case, opening)

    made = asyncio.run(work())
    files.keep(out, evidences.write(made))
    say(f"已写 · written: {out} · 消息 messages {len(made.pieces)} · 未含 not included {len(made.withheld)}")


def verify_evidence(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="证据文件。 The file.")],
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="JWKS", help="枢纽公钥，另行取得。 The hub's keys, obtained elsewhere."),
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="写出摘要页。 Write the summary.")] = None,
    json: Json = False,
) -> None:
    """离线核对证据文件；状态码 0 表示全部属实。 Verify evidence offline; status 0 only if everything holds.

    不给 --key 时用文件自带的枢纽公钥：只能说明文件前后一致，不能说明出自该枢纽。

    Without --key the keys in the file are used: that shows that it is consistent, not whose hub it came from.
    """
    found = evidences.read(files.content(str(file)))
    own = [one for one in map(parse_public, found.hub_keys) if isinstance(one, VerifyingKey)]
    report = evidences.check(found, files.verifying_keys(key) if key else own, known())
    if found.summary != evidences.page(found, report):
        report.findings.append("the summary in the file is not what the messages make it")
    if html is not None:
        files.keep(html, evidences.page(found, report).encode("utf-8"))
    if json:
        as_json(
            {
                "holds": not report.findings,
                "findings": report.findings,
                "hub_key_pinned": key is not None,
                "case": found.case,
                "state": report.state,
                "messages": len(report.steps),
                "opened": report.opened,
                "withheld": len(found.withheld),
            }
        )
    else:
        columns = ("受理时间 taken", "消息 message", "来自 from", "状态 state", "期限 due", "日志 entry")
        rows = ((s.accepted, s.event.type, s.event.source, s.state or "—", s.due or "—", s.index) for s in report.steps)
        table(columns, rows)
        for finding in report.findings:
            remark(f"✗ {finding}")
        if key is None:
            remark("! 未用另行取得的枢纽公钥 · the hub's key was taken from the file itself: see --key")
        say("全部属实 · everything holds" if not report.findings else f"{len(report.findings)} 处不符 · do not hold")
    if report.findings:
        raise typer.Exit(1)
