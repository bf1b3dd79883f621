"""The options that several commands share, each said once."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from hub.commands.faults import UsageFault

HUB = "XIEBAN_HUB"
ORGANISATION = "XIEBAN_ORGANISATION"
KEYS = "XIEBAN_KEYS"
DIRECTORY = "XIEBAN_DIRECTORY"
"""A pinned directory: where it is set, keys of organisations are believed from there alone."""
PROTOCOLS = "XIEBAN_PROTOCOLS"
"""A folder with protocols besides those that come with xieban."""
_PARTNER = "机构与枢纽 · Partner"

Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="枢纽的数据目录。 The hub's data directory.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="config.toml，缺省用默认设置。 The configuration, else the defaults."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="以 JSON 输出到标准输出。 JSON on standard output.")]
Hub = Annotated[
    str,
    typer.Option("--hub", envvar=HUB, metavar="URL", rich_help_panel=_PARTNER, help="枢纽地址。 The hub's address."),
]
As = Annotated[
    str,
    typer.Option(
        "--as",
        envvar=ORGANISATION,
        metavar="ORGANISATION",
        rich_help_panel=_PARTNER,
        help="以哪个机构的身份，如 411002-health。 The organisation that speaks.",
    ),
]
Keys = Annotated[
    Path,
    typer.Option(
        "--keys",
        envvar=KEYS,
        metavar="DIR",
        rich_help_panel=_PARTNER,
        help="该机构的密钥库，见 keys new。 Its key store, made by keys new.",
    ),
]
Passphrase = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        rich_help_panel=_PARTNER,
        help="口令文件（0600）；否则取环境变量 XIEBAN_PASSPHRASE，或当场询问。"
        " The passphrase, else the variable XIEBAN_PASSPHRASE, else a prompt.",
    ),
]
Patience = Annotated[
    float,
    typer.Option(
        "--patience",
        metavar="SECONDS",
        min=0.0,
        rich_help_panel=_PARTNER,
        help="枢纽无应答时重试多久。 How long to try again while the hub does not answer.",
    ),
]
Sealed = Annotated[
    str | None,
    typer.Option(
        "--sealed",
        metavar="FILE|-",
        help="密封内容 JSON，端到端加密给接收机构，枢纽读不到；- 为标准输入。"
        " The sealed content, which only the recipients can read.",
    ),
]
Check = Annotated[
    bool,
    typer.Option(
        "--check/--no-check",
        help="发送前按模式核对密封内容（枢纽看不到，无法代为核对）。"
        " Hold the sealed content against its schema first; the hub can't.",
    ),
]
Preflight = Annotated[
    bool,
    typer.Option(
        "--preflight", help="只问枢纽现在是否会受理，不发送。 Ask whether it would be taken now; nothing is sent."
    ),
]
ReceiptOut = Annotated[
    Path | None,
    typer.Option("--receipt", metavar="FILE", help="保存回执，供 verify 离线验证。 Keep the receipt, for verify."),
]
MessageOut = Annotated[
    Path | None,
    typer.Option(
        "--message-out",
        metavar="FILE",
        help="发送前保存已签名的原始消息，可用 send --resend 重发。 Keep the signed bytes before they are sent.",
    ),
]
Attach = Annotated[
    list[Path] | None,
    typer.Option(
        "--attach",
        metavar="FILE",
        help="附件，可重复；加密上传，枢纽读不到。 To attach, sealed: the hub can't read it; repeatable.",
    ),
]
CompromisedSince = Annotated[
    str | None,
    typer.Option(
        "--compromised-since", metavar="TIME", help="可能泄露的时刻（带时区）。 Since when it may have leaked."
    ),
]
DEFAULT_PATIENCE = 20.0


def leaked_since(text: str | None) -> datetime | None:
    """The moment in `--compromised-since`. Raises UsageFault."""
    try:
        moment = datetime.fromisoformat(text) if text is not None else None
        if moment is not None and moment.tzinfo is None:
            raise ValueError
    except ValueError:
        raise UsageFault("--compromised-since is a moment with its offset, e.g. 2026-11-20T08:00:00+08:00") from None
    return moment
