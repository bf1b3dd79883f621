"""`xieban recompute`: published figures worked out again from the log, by its operator or by an auditor outside."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import msgspec
import typer

from adapters import witness
from adapters.witness import Reader
from hub.commands import files
from hub.commands.beside import database, existing
from hub.commands.faults import UsageFault
from hub.commands.help_text import examples
from hub.commands.options import DEFAULT_PATIENCE, HUB, KEYS, ORGANISATION, Config, Json, Passphrase, Patience
from hub.commands.output import as_json, progress, remark, say, table
from hub.commands.partner import Partner, connected, passphrase_of
from hub.identity import hub_key
from hub.supervision import recomputing
from hub.supervision.recomputing import Bulletin, Item
from keys import jwt
from keys.keystore import KeyStore
from protocols import deadlines, envelope, loading
from protocols.recomputing import Recomputed
from protocols.scorecard import Asked, By, Row, named

EXAMPLES = examples(
    "xieban recompute --data /var/lib/xieban --by pair",
    "xieban recompute --data ./hub --responder 440306-health --cases",
    "xieban recompute --bulletin 019aa5b0-7c3e-7b10-8a44-0c5d9e7f3b21 --data ./hub",
    "xieban recompute --hub https://hub.example --as 410000-supervision --keys K --key hub.jwks",
)
SHOWN = 50
_OUTSIDE = "在枢纽之外 · From outside"


class Group(StrEnum):
    """How figures are grouped."""

    ALL = "all"
    PAIR = "pair"
    OPENER = "opener"
    RESPONDER = "responder"
    MONTH = "month"
    PROTOCOL = "protocol"
    PREFECTURE = "prefecture"
    PROVINCE = "province"


def recompute(
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="枢纽的数据目录。 The hub's data directory.")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="立案起始日，默认本年初。 Cases opened from here.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DAY", help="截止日，默认今天。 Through here.")] = None,
    by: Annotated[Group, typer.Option("--by", help="如何分组。 Grouped by what.")] = Group.PAIR,
    protocol: Annotated[str | None, typer.Option(help="只算此协议。 Only this protocol.")] = None,
    opener: Annotated[str | None, typer.Option(help="只算此发起方。 Only this opener.")] = None,
    responder: Annotated[str | None, typer.Option(help="只算此协办方。 Only this responder.")] = None,
    bulletin: Annotated[
        str | None,
        typer.Option("--bulletin", metavar="CASE", help="重算此进展通报或考核的数字（枢纽旁）。 A bulletin's figures."),
    ] = None,
    cases: Annotated[bool, typer.Option("--cases", help="列出每个数字背后的案件。 Name every case.")] = False,
    hub: Annotated[
        str | None,
        typer.Option("--hub", envvar=HUB, metavar="URL", rich_help_panel=_OUTSIDE, help="枢纽地址。 Its address."),
    ] = None,
    organisation: Annotated[
        str | None,
        typer.Option(
            "--as",
            envvar=ORGANISATION,
            metavar="ORGANISATION",
            rich_help_panel=_OUTSIDE,
            help="以哪个审计机构的身份。 The auditor that asks.",
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", envvar=KEYS, metavar="DIR", rich_help_panel=_OUTSIDE, help="密钥库。 Its key store."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="JWKS", rich_help_panel=_OUTSIDE, help="枢纽公钥集。 The hub's public keys."),
    ] = None,
    config: Config = None,
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """从日志重算公布的数字；任何一处不符即以状态码 1 退出。 Work published figures out again from the log alone.

    给 --data 时在枢纽旁执行；给 --hub 时由审计方在外部执行，逐条读取日志，不信任枢纽。

    Every entry is read and held against the signed root; each case in which the two differ is named. With --data
    beside a hub; with --hub by an auditor, who believes nothing of what the hub says.
    """
    asked = Asked(*_period(first, last), protocol, opener, responder)
    if bulletin is not None:
        if data is None or not envelope.is_id(bulletin):
            raise UsageFault("--bulletin takes the id of a bulletin's case, and --data of its hub")
        _report_bulletin(asyncio.run(_of_bulletin(data, config, bulletin)), cases, json)
        return
    if data is not None:
        found = asyncio.run(_beside(data, config, asked, by.value))
    elif hub and organisation and keys and key:
        partner = Partner(hub, organisation, keys, passphrase_file, patience)
        found = asyncio.run(_outside(partner, key, asked, by.value))
    else:
        raise UsageFault("give --data of a hub, or --hub, --as, --keys and --key of an auditor")
    _report(found, cases, json)
    if not found.holds:
        raise typer.Exit(1)


def _period(first: str | None, last: str | None) -> tuple[date, date]:
    today = deadlines.local_date(datetime.now(UTC))
    try:
        begins = date.fromisoformat(first) if first else today.replace(month=1, day=1)
        ends = date.fromisoformat(last) if last else today
    except ValueError:
        raise UsageFault("--from and --to are days, e.g. 2026-10-12") from None
    if ends < begins:
        raise UsageFault("--from is no later than --to")
    return begins, ends


async def _beside(data: Path, config: Path | None, asked: Asked, by: By) -> Recomputed:
    settings = existing(data, config)
    own = hub_key(data.resolve()).public
    async with database(data, settings) as connection:
        with progress("已读日志条目 · entries read") as bar:
            return await recomputing.recompute(connection, own, settings.catalogue(), asked, by, bar)


async def _of_bulletin(data: Path, config: Path | None, case: str) -> Bulletin:
    settings = existing(data, config)
    own = hub_key(data.resolve()).public
    async with database(data, settings) as connection:
        with progress("已读日志条目 · entries read") as bar:
            return await recomputing.recompute_bulletin(connection, own, settings.catalogue(), case, bar)


async def _outside(partner: Partner, key: Path, asked: Asked, by: By) -> Recomputed:
    signing = KeyStore(partner.keys).signing_key(passphrase_of(partner.passphrase_file), datetime.now(UTC))
    async with connected(partner) as client, aiohttp.ClientSession() as session:

        def token() -> str:
            return jwt.bearer(partner.organisation, client.hub, signing, datetime.now(UTC))

        reader, trusted = Reader(client.url, session, token), files.verifying_keys(key)
        with progress("已读日志条目 · entries read") as bar:
            return await witness.recompute(client, reader, trusted, loading.catalogue(), asked, by, bar)


def _report(found: Recomputed, cases: bool, json: bool) -> None:
    behind = {
        row.of: [case for case, facts in found.cases.items() if _in(row, facts)] for row in found.rows
    } if cases else {}  # fmt: skip
    if json:
        rows = [msgspec.to_builtins(row) | ({"cases": behind[row.of]} if cases else {}) for row in found.rows]
        as_json(
            {
                "holds": found.holds,
                "rooted": found.rooted,
                "entries": found.entries,
                "published": found.published,
                "recomputed": rows,
                "differences": found.differences,
            }
        )
        return
    published = {row.of: row for row in found.published.rows}
    columns = ("对象 of", "案件 cases", "超期 overdue", "协办方 responder (h)", "公布的 published")
    table(columns, (_line(row, published.get(row.of)) for row in found.rows))
    for row in found.rows:
        for case in behind.get(row.of, ()):
            say(f"{_title(row)}: {case}")
    for one in found.differences[:SHOWN]:
        remark(f"✗ {one.case} {one.field}: 公布 published {one.published}, 日志 log {one.recomputed}")
    if len(found.differences) > SHOWN:
        remark(f"✗ 另有 · and {len(found.differences) - SHOWN} more: --json")
    if not found.rooted:
        remark("✗ 日志条目与签名的树根不符 · the entries do not make the root that the hub signed")
    say(f"条目 entries {found.entries} · 案件 cases {len(found.cases)}")
    say("与日志一致 · the log says the same" if found.holds else "与日志不符 · the log says otherwise")


def _report_bulletin(found: Bulletin, cases: bool, json: bool) -> None:
    if json:
        as_json({"holds": found.holds, "rooted": found.rooted, "entries": found.entries, "type": found.type,
                 "period": found.data["period"], "between": found.data["between"], "items": found.items})  # fmt: skip
    else:
        table(("数字 figure", "公布 published", "日志 log", ""), (_item(item) for item in found.items))
        for item in found.items:
            for line in _behind(item, cases):
                say(f"{_item(item)[0]}: {line}")
        if not found.rooted:
            remark("✗ 日志条目与签名的树根不符 · the entries do not make the root that the hub signed")
        say("与日志一致 · the log says the same" if found.holds else "与日志不符 · the log says otherwise")
    if not found.holds:
        raise typer.Exit(1)


def _behind(item: Item, all: bool) -> list[str]:
    """The cases behind a figure, those first in which the two differ; with `all` the others too."""
    published, recomputed = (set((side or {}).get("cases", ())) for side in (item.published, item.recomputed))
    return [
        *(f"{case} ✗ 仅见于通报 only published" for case in sorted(published - recomputed)),
        *(f"{case} ✗ 仅见于日志 only in the log" for case in sorted(recomputed - published)),
        *(sorted(published & recomputed) if all else ()),
    ]


def _item(item: Item) -> tuple[str, Any, Any, str]:
    known = item.published or item.recomputed or {}
    names = ("protocol", "opener", "figure", "assessed", "indicator")
    title = " · ".join(str(known[name]) for name in names if name in known)

    def value(side: Mapping[str, Any] | None) -> Any:
        return None if side is None else side.get("count", side.get("value"))

    return title, value(item.published), value(item.recomputed), "✓" if item.holds else "✗"


def _line(row: Row, published: Row | None) -> tuple[Any, ...]:
    figure = row.figure
    return (
        _title(row),
        figure.cases,
        figure.overdue,
        figure.calendar.responder // 3600,
        "✓" if row == published else "✗",
    )


def _title(row: Row) -> str:
    return " → ".join(one for one in row.of if one) or "全部 all"


def _in(row: Row, facts: Any) -> bool:
    of = (facts.opener, facts.responder, f"{facts.opened_on:%Y-%m}", facts.protocol)
    return all(wanted is None or named(wanted, has) for wanted, has in zip(row.of, of, strict=True))
