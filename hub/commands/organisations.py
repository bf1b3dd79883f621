"""`xieban organisations`: the directory, taken in and looked at."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub import enrolment, revocations, succession
from hub.commands import files
from hub.commands import options as shared
from hub.commands.beside import database, existing
from hub.commands.faults import InputUnreadable, UsageFault
from hub.commands.help_text import examples
from hub.commands.options import CompromisedSince, Config, Data, Json
from hub.commands.output import as_json, progress, say, table
from hub.commands.thumbprints import OfKeys
from hub.identity import establish, hub_key
from hub.organisations import Organisation, load
from protocols import vouching

if TYPE_CHECKING:
    from adapters.client.directory import Directory

app = typer.Typer(no_args_is_help=True, help="机构目录。 The directory of organisations.")
SHOWN = 20
"""Changes of keys that are said one by one."""
WORDS: Mapping[str, str] = {
    "added": "启用",
    "removed": "停用",
    "taken up again": "恢复启用",
    "stays out of use": "已泄露，仍停用",
}
DataOrNone = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="枢纽的数据目录（在枢纽本机）。 The hub's data, on its machine."),
]
HubOrNone = Annotated[
    str | None,
    typer.Option("--hub", envvar=shared.HUB, metavar="URL", help="或枢纽地址。 Or the hub's address."),
]


@app.command(
    "import",
    epilog=examples(
        "xieban keys new --keys K --organisation 411002-health --name-zh NAME --name-en NAME > me.json",
        "xieban organisations import me.json --data DIR",
        "xieban organisations import me.json --superior 411000-supervision --data DIR",
        'me.json: [{"id","name":{"zh","en"},"superior":null,"roles":["bureau"],"jwks":{"keys":[]}}]',
        'and, to let it sign with SM2: "algorithms":["Ed25519","SM2"]',
    ),
)
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="机构 JSON，- 为标准输入。 The organisations.")],
    data: Data,
    superior: Annotated[
        str | None,
        typer.Option(metavar="ID", help="上级，用于没有写明上级的记录。 The superior of records that name none."),
    ] = None,
    reinstate: Annotated[
        bool,
        typer.Option(
            "--reinstate", help="旧文件也照办，恢复停用的公钥。 An old file, too: its keys are taken up again."
        ),
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """导入机构及其公钥（JSON）。 Take in organisations and their public keys; safe to repeat.

    整个文件先核对，有一条有误则全部不导入。运行中的枢纽立即认得新机构。记录中不再列出的公钥即告停用。

    The file is checked as a whole: where a record is bad nothing is taken. A running hub knows the newcomers at once.

    A key that a record no longer lists is revoked. One that leaked is never taken up again.
    """
    records = enrolment.parse(files.content(file), superior)
    settings = existing(data, config)

    async def work(told: Callable[[int, int], None]) -> enrolment.Enrolled:
        async with database(data, settings) as connection:
            identity = await establish(connection, settings.hub.id, hub_key(data.resolve()))
            return await enrolment.enrol(connection, identity, records, reinstate=reinstate, told=told)

    with progress("导入 · importing") as told:
        done = asyncio.run(work(told))
    if json:
        changes = [change._asdict() for change in done.changes]
        as_json({"organisations": len(records), "key_events": done.entries, "keys": changes})
        return
    for change in done.changes[:SHOWN]:
        say(f"  {change.organisation} {change.kid} {WORDS[change.what]} · {change.what}")
    if len(done.changes) > SHOWN:
        say(f"  … 另有 {len(done.changes) - SHOWN} 项，见 --json · and {len(done.changes) - SHOWN} more, by --json")
    say(f"已导入 {len(records)} 个机构，{done.entries} 项密钥变更 · "
        f"{len(records)} organisations, {done.entries} key events")  # fmt: skip


@app.command(
    epilog=examples(
        "xieban organisations admit weidu.chain --data DIR --config config.toml --dry-run",
        "xieban organisations admit weidu.chain --data DIR --config config.toml",
    )
)
def admit(
    file: Annotated[str, typer.Argument(metavar="CHAIN", help="担保链，- 为标准输入。 The chain of statements.")],
    data: Data,
    config: Config = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只核对，不导入。 Verify and show only.")] = False,
    json: Json = False,
) -> None:
    """凭担保链接纳一个机构。 Admit an organisation by a chain of statements up to this hub's anchor.

    链由申请机构的 keys apply 和各级上级的 keys vouch 产生；全部声明记入日志。

    The chain is made by keys apply and, at each superior, keys vouch. All of it goes into the log.
    """
    settings = existing(data, config)
    if settings.trust.anchor is None or settings.trust.anchor_jwks is None:
        raise UsageFault("config.toml names no anchor: [trust] anchor and anchor_jwks", check="no-anchor")
    chain = files.content(file).decode("utf-8", "replace").split()
    found = vouching.verify_chain(
        chain,
        settings.trust.anchor,
        files.object_in(settings.trust.anchor_jwks),
        datetime.now(UTC),
        settings.trust.algorithms,
    )

    async def work() -> int:
        async with database(data, settings) as connection:
            identity = await establish(connection, settings.hub.id, hub_key(data.resolve()))
            return await enrolment.admit(connection, identity, found, settings.trust.algorithms)

    made = 0 if dry_run else asyncio.run(work())
    if json:
        as_json(
            {"organisation": found.organisation, "path": list(found.path), "expires": found.expires.isoformat(),
             "admitted": not dry_run, "entries": made}
        )  # fmt: skip
        return
    say(" → ".join(found.path) + "（信任锚 anchor）")
    say(f"{found.described.name.zh} {found.described.name.en} · {', '.join(found.described.roles)}")
    say(f"担保有效至 · vouched for until {found.expires:%Y-%m-%d}")
    say("仅核对，未导入 · verified only" if dry_run else f"已接纳 · admitted, log entries {made}")


@app.command(
    cls=OfKeys,
    epilog=examples(
        "xieban organisations revoke 411002-health KID --data DIR",
        "xieban organisations revoke 411002-health KID --compromised-since 2026-11-20T08:00:00+08:00 --data DIR",
    ),
)
def revoke(
    organisation: Annotated[str, typer.Argument(metavar="ID", help="机构。 The organisation.")],
    kid: Annotated[str, typer.Argument(metavar="KID", help="密钥编号。 The key.")],
    data: Data,
    since: CompromisedSince = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """立即停用一把公钥，所有节点同时生效。 Take a key out of use at once, everywhere.

    此前收下的消息仍可验证；写明泄露时刻的，其后收下的消息标为存疑，须由该机构核实。

    What was taken before stays verifiable; with a time, what was taken from then on is marked as suspect.
    """
    moment = shared.leaked_since(since)
    settings = existing(data, config)

    async def work() -> tuple[int, bool]:
        async with database(data, settings) as connection:
            identity = await establish(connection, settings.hub.id, hub_key(data.resolve()))
            return await revocations.revoke(connection, identity, organisation, kid, moment)

    entry, was_in_use = asyncio.run(work())
    if json:
        as_json({"organisation": organisation, "kid": kid, "revoked": was_in_use, "entry": entry})
    else:
        say(
            f"{'已停用 · revoked' if was_in_use else '此前已停用 · was revoked before'}: {kid} · 日志 log entry {entry}"
        )


@app.command(
    epilog=examples(
        "xieban organisations succeed 411002-health 411003-health --on 2027-01-01 --data DIR",
    )
)
def succeed(
    old: Annotated[str, typer.Argument(metavar="OLD", help="被承继的机构。 Whose place is taken.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="承继的机构。 Who takes it.")],
    data: Data,
    on: Annotated[str, typer.Option(metavar="DATE", help="自哪一天起。 From which day on.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """一个机构承继另一个机构。 Let one organisation stand in the place of another from a day on.

    到期之日，未结案件与收件箱转由承继机构；已结案件和既有记录保留原名。两机构互为对方的案件须先办结。

    On that day the open cases and the mailbox pass to the successor; what is ended stays under the old name.

    Cases in which the two face each other have to be ended first.
    """
    try:
        day = date.fromisoformat(on)
    except ValueError:
        raise UsageFault("--on is a day, e.g. 2027-01-01") from None
    settings = existing(data, config)

    async def work() -> succession.Done | None:
        async with database(data, settings) as connection:
            identity = await establish(connection, settings.hub.id, hub_key(data.resolve()))
            await succession.plan(connection, old, new, day)
            return await succession.succeed(connection, identity, settings.catalogue(), old)

    done = asyncio.run(work())
    if json:
        as_json({"organisation": old, "successor": new, "on": on, "cases": done.cases if done else None})
    elif done is None:
        say(f"已登记：自 {on} 起 · noted, from {on} on: {old} → {new}")
    else:
        say(f"{old} → {new}: 转交案件 cases taken over {done.cases} · 日志 log entry {done.index}")


@app.command(
    "list",
    epilog=examples(
        "xieban organisations list --hub https://hub.example",
        "xieban organisations list 4110 --data DIR --json",
    ),
)
def list_(
    prefix: Annotated[
        str, typer.Argument(metavar="[PREFIX]", help="只列编号以此开头的。 Only ids that begin like this.")
    ] = "",
    data: DataOrNone = None,
    hub: HubOrNone = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """列出机构。 List the organisations, of a data directory or of a hub."""
    if data is not None:
        found = [_described(one) for one in asyncio.run(_directory(data, config))]
    else:
        found = asyncio.run(_listed(_address(hub)))
    found = sorted((one for one in found if one["id"].startswith(prefix)), key=lambda one: str(one["id"]))
    if json:
        as_json({"items": found})
        return
    columns = ("编号 id", "名称 name", "name", "角色 roles", "上级 superior")
    table(columns, ((o["id"], o["name"]["zh"], o["name"]["en"], " ".join(o["roles"]), o["superior"]) for o in found))


@app.command(
    epilog=examples(
        "xieban organisations show 411002-health --hub https://hub.example",
        "xieban organisations show 411002-health --data DIR --json | jq .jwks",
    )
)
def show(
    organisation: Annotated[str, typer.Argument(metavar="ID", help="机构编号。 The organisation's id.")],
    data: DataOrNone = None,
    hub: HubOrNone = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """查看一个机构及其现用公钥。 Show an organisation and its present public keys."""
    if data is not None:
        known = {one.id: one for one in asyncio.run(_directory(data, config))}.get(organisation)
        if known is None:
            raise InputUnreadable(f"no organisation {organisation} in {data}; see xieban organisations list")
        found = _described(known) | {"jwks": {"keys": [dict(key.jwk) for key in known.keys if key.removed is None]}}
    else:
        found = asyncio.run(_shown(_address(hub), organisation))
    if json:
        as_json(found)
        return
    say(f"{found['id']}  {found['name']['zh']} · {found['name']['en']}")
    say(f"角色 roles: {' '.join(found['roles'])}    上级 superior: {found['superior'] or '—'}")
    keys = found["jwks"]["keys"]
    table(
        ("编号 kid", "用途 use", "算法 alg", "曲线 crv"),
        ([key.get(name) for name in ("kid", "use", "alg", "crv")] for key in keys),
    )


async def _directory(data: Path, config: Path | None) -> list[Organisation]:
    async with database(data, existing(data, config)) as connection:
        return list((await load(connection)).organisations.values())


async def _listed(url: str) -> list[dict[str, Any]]:
    async with _asked(url) as directory:
        return await directory.listing()


async def _shown(url: str, organisation: str) -> dict[str, Any]:
    async with _asked(url) as directory:
        return await directory.one(organisation)


@contextlib.asynccontextmanager
async def _asked(url: str) -> AsyncIterator["Directory"]:
    """The hub's directory, over HTTP."""
    from adapters.client.connection import Connection
    from adapters.client.directory import Directory
    from adapters.client.patience import Patience

    async with Connection(url, Patience(within=shared.DEFAULT_PATIENCE)) as connection:
        yield Directory(connection)


def _described(known: Organisation) -> dict[str, Any]:
    return {
        "id": known.id,
        "name": dict(known.name),
        "superior": known.superior,
        "roles": sorted(known.roles),
        "algorithms": sorted(known.algorithms),
    }


def _address(hub: str | None) -> str:
    if hub is None:
        raise UsageFault("give --data DIR or --hub URL")
    return hub
