"""`xieban hubs`: the hubs of other provinces that this one exchanges messages with."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from hub.commands import beside, files
from hub.commands.beside import existing
from hub.commands.faults import UsageFault
from hub.commands.help_text import examples
from hub.commands.options import As, Config, Data, Json, Keys, Passphrase
from hub.commands.output import as_json, say, table
from hub.commands.partner import passphrase_of
from hub.identity import establish, hub_key
from hub.organisations import load
from hub.relaying import admitting
from hub.store import Connection
from keys.keystore import KeyStore
from protocols import vouching
from protocols.departments import is_hub
from protocols.envelope import rfc3339
from protocols.vouching import Constraints, Described, Name

app = typer.Typer(no_args_is_help=True, help="外省枢纽。 Hubs of other provinces, its neighbours.")
HubId = Annotated[str, typer.Argument(metavar="HUB", help="对方枢纽，如 440000-hub。 The other hub.")]


@app.command(
    epilog=examples("xieban hubs apply 410000-supervision --data DIR --config config.toml > guangdong.application")
)
def apply(
    anchor: Annotated[str, typer.Argument(metavar="ANCHOR", help="对方枢纽的信任锚。 The other hub's anchor.")],
    data: Data,
    config: Config = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="申请有效天数。 Days it holds.")] = 365,
) -> None:
    """以本枢纽自己的密钥申请与外省枢纽互通。 Apply, with this hub's own key, to be another hub's neighbour.

    把输出交给对方的信任锚；当面或电话核对密钥编号。

    Give what it prints to the other side's anchor; compare the key's id by another way.
    """
    settings = existing(data, config)
    key = hub_key(data.resolve())
    described = Described(Name(settings.hub.name_zh, settings.hub.name_en), ["partner"])
    say(vouching.apply(settings.hub.id, described, anchor, [key.public], key, datetime.now(UTC), days))


@app.command(
    epilog=examples(
        "xieban hubs vouch guangdong.application --as 410000-supervision --keys K --division 44 --department health"
        " > guangdong.chain",
    )
)
def vouch(
    application: Annotated[str, typer.Argument(metavar="APPLICATION", help="对方枢纽的申请。 Its application.")],
    organisation: As,
    keys: Keys,
    division: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="只就此代码开头的区划。 Only divisions that begin so.")
    ] = None,
    department: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="只就这些部门。 Only these departments.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="担保天数。 Days it holds.")] = 365,
    passphrase_file: Passphrase = None,
) -> None:
    """信任锚为外省枢纽担保，限定区划、部门与期限。 The anchor vouches for another hub, within limits and a time."""
    now = datetime.now(UTC)
    asked = files.content(application).decode("utf-8", "replace").strip()
    if not is_hub(vouching.read_application(asked, now).sub):
        raise UsageFault("that is no hub's application; organisations are vouched for by xieban keys vouch")
    departments = [*department, admitting.HUB_DEPARTMENT] if department else None
    signing = KeyStore(keys).signing_key(passphrase_of(passphrase_file), now)
    limits = Constraints(divisions=division or None, departments=departments)
    for one in (asked, vouching.vouch(organisation, asked, signing, limits, now, days)):
        say(one)


@app.command(epilog=examples("xieban hubs admit guangdong.chain --url https://hub.gd.example --data DIR"))
def admit(
    file: Annotated[str, typer.Argument(metavar="CHAIN", help="担保链，- 为标准输入。 The chain of statements.")],
    data: Data,
    url: Annotated[str, typer.Option(metavar="URL", help="对方枢纽的地址。 The other hub's address.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """凭担保链与外省枢纽互通，立即生效，载入日志。 Make another hub a neighbour, at once, in the log.

    再次接纳即更新地址、密钥、限定与期限。 Admitting it again renews its address, key, limits and expiry.
    """
    settings = existing(data, config)
    if settings.trust.anchor is None or settings.trust.anchor_jwks is None:
        raise UsageFault("config.toml names no anchor: [trust] anchor and anchor_jwks", check="no-anchor")
    if not url.startswith(("https://", "http://")) or any(char.isspace() for char in url) or len(url) > 500:
        raise UsageFault("--url is the other hub's address, e.g. https://hub.example")
    anchor, jwks = settings.trust.anchor, files.object_in(settings.trust.anchor_jwks)
    chain = files.content(file).decode("utf-8", "replace").split()
    found = vouching.verify_chain(chain, anchor, jwks, datetime.now(UTC), settings.trust.algorithms)

    async def work(connection: Connection) -> int:
        identity = await establish(connection, settings.hub.id, hub_key(data.resolve()))
        return await admitting.admit(connection, identity, found, url.rstrip("/"), settings.trust.algorithms)

    made = beside.run(data, config, work)
    if json:
        as_json({"hub": found.organisation, "expires": rfc3339(found.expires), "entries": made})
    else:
        say(f"已互通 · neighbours: {found.organisation} 至 until {found.expires:%Y-%m-%d}，日志 log entries {made}")


@app.command(epilog=examples("xieban hubs end 440000-hub --data DIR"))
def end(hub: HubId, data: Data, config: Config = None, json: Json = False) -> None:
    """终止互通，立即生效。 End it, at once: nothing is taken from that hub, and nothing goes to it."""
    settings = existing(data, config)

    async def work(connection: Connection) -> bool:
        identity = await establish(connection, settings.hub.id, hub_key(data.resolve()))
        return await admitting.end(connection, identity, hub)

    was = beside.run(data, config, work)
    if json:
        as_json({"hub": hub, "ended": was})
    else:
        say(f"{'已终止 · ended' if was else '此前已终止 · had ended before'}: {hub}")


@app.command("list", epilog=examples("xieban hubs list --data DIR"))
def list_(data: Data, config: Config = None, json: Json = False) -> None:
    """互通的枢纽：地址、限定、期限、转到何处。 The neighbours: address, limits, expiry, how far messages have come."""

    async def work(connection: Connection) -> list[dict[str, object]]:
        directory, now = await load(connection), datetime.now(UTC)
        found: list[dict[str, object]] = []
        for one in directory.neighbours.values():
            taken, learned, _ = await admitting.cursors(connection, one.hub)
            found.append({
                "hub": one.hub, "url": one.url, "divisions": one.divisions, "departments": one.departments,
                "expires": rfc3339(one.expires), "in_force": one.in_force(now), "taken": taken, "learned": learned,
            })  # fmt: skip
        return found

    found = beside.run(data, config, work)
    if json:
        as_json({"items": found})
        return
    columns = (
        "枢纽 hub",
        "地址 url",
        "区划 divisions",
        "部门 departments",
        "期限 expires",
        "有效 in force",
        "已收 taken",
    )
    table(columns, (
        (one["hub"], one["url"], _limits(one["divisions"]), _limits(one["departments"]), str(one["expires"])[:10],
         "是 yes" if one["in_force"] else "否 NO", one["taken"]) for one in found
    ))  # fmt: skip


def _limits(codes: object) -> str:
    return " ".join(codes) if isinstance(codes, tuple) else "—"
