"""`xieban directory`: the signed directory of organisations, pinned by a partner, its root signed by the operator."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from adapters.client import Pinned
from adapters.client.pinned import SnapshotOrganisation
from hub.commands import files
from hub.commands.beside import database, existing
from hub.commands.faults import InputUnreadable
from hub.commands.help_text import examples
from hub.commands.options import DIRECTORY, Config, Data, Hub, Json, Passphrase
from hub.commands.output import as_json, say, table
from hub.commands.partner import passphrase_of
from hub.identity import establish, hub_key
from hub.snapshot import metadata, publishing
from keys.jwk import SigningKey, parse_public
from keys.keystore import KeyStore

app = typer.Typer(
    no_args_is_help=True,
    help="签名目录：防回滚、防冻结的机构与公钥快照。 The signed directory: keys as a pinned snapshot.",
)
Where = Annotated[
    Path,
    typer.Option("--directory", envvar=DIRECTORY, metavar="DIR", help="保存目录快照的位置。 Where it is kept."),
]


@app.command(
    epilog=examples(
        "xieban directory root --data DIR > root.json",
        "xieban directory pin root.json --hub https://hub.example --directory ~/xieban-directory",
        "export XIEBAN_DIRECTORY=~/xieban-directory",
    )
)
def pin(
    root: Annotated[str, typer.Argument(metavar="ROOT", help="运行方交来的 root.json。 From the operator.")],
    hub: Hub,
    directory: Where,
    json: Json = False,
) -> None:
    """固定枢纽的签名目录，此后只信它。 Pin the hub's signed directory; from then on keys are believed from it alone.

    root.json 须经枢纽以外的途径取得。设置 XIEBAN_DIRECTORY 后，各命令只认快照中的公钥；过期、回滚、冻结一律拒绝。

    root.json comes by another way than the hub itself. With XIEBAN_DIRECTORY set every command uses the snapshot's
    keys; what is expired, rolled back or frozen is refused. Any TUF client can do the same at HUB/snapshot/.
    """
    until = asyncio.run(Pinned(directory).pin(hub, files.content(root)))
    if json:
        as_json({"hub": hub, "directory": str(directory), "until": until.isoformat()})
    else:
        say(f"已固定 · pinned: {directory}, 有效至 holds until {until.isoformat()}")


@app.command(epilog=examples("xieban directory show 411002-health --directory ~/xieban-directory"))
def show(
    organisation: Annotated[str, typer.Argument(metavar="ID", help="机构编号。 The organisation's id.")],
    directory: Where,
    json: Json = False,
) -> None:
    """更新快照并查看一个机构的全部公钥。 Refresh the snapshot; show an organisation with every key it ever had."""
    found = asyncio.run(Pinned(directory).organisation(organisation))
    if found is None:
        raise InputUnreadable(f"no organisation {organisation} in the signed directory")
    if json:
        as_json(found)
        return
    say(f"{found.id}  {found.name.get('zh')} · {found.name.get('en')}    上级 superior: {found.superior or '—'}")
    columns = ("编号 kid", "用途 use", "算法 alg", "登记 added", "停用 removed", "可能泄露 compromised")
    table(columns, _rows(found))


@app.command(
    epilog=examples(
        "xieban directory root --data DIR > root.json",
        "xieban keys new --keys OFFLINE",
        "xieban directory root --data DIR --keys OFFLINE > root.json",
    )
)
def root(
    data: Data,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", metavar="DIR", help="今后签署根的密钥库，平时离线保存。 Whose key signs the root."),
    ] = None,
    previous: Annotated[
        Path | None,
        typer.Option("--previous", metavar="DIR", help="现根的密钥库，如与 --keys 不同。 The present root's keys."),
    ] = None,
    config: Config = None,
    passphrase_file: Passphrase = None,
) -> None:
    """输出目录的根，交给机构固定；用 --keys 改由离线密钥签署。 The root to pin; --keys has an offline key sign it.

    起初由枢纽自己的密钥签署。改由离线密钥签署后，枢纽失守也换不掉根；根一年到期，须在此之前再签。

    At first the hub's own key signs it. With an offline key nobody who takes the hub over can replace the root; it
    holds for a year and is to be signed again before.
    """
    settings = existing(data, config)
    offline = _newest(keys, passphrase_file) if keys is not None else None
    before = [_newest(previous, passphrase_file)] if previous is not None else []

    async def work() -> bytes:
        async with database(data, settings) as connection:
            identity = await establish(connection, settings.hub.id, hub_key(data.resolve()))
            return await publishing.root(connection, identity, offline, before)

    body = asyncio.run(work())
    version, expires, signed_by = metadata.describe(body)
    typer.echo(body.decode("utf-8"), nl=False)
    typer.echo(
        f"根 root {version}，有效至 until {expires:%Y-%m-%d}，签署密钥 signed by {' '.join(signed_by)}", err=True
    )


def _newest(store: Path, passphrase_file: Path | None) -> SigningKey:
    return KeyStore(store).signing_key(passphrase_of(passphrase_file), datetime.now(UTC))


def _rows(found: SnapshotOrganisation) -> list[tuple[object, ...]]:
    return [
        (parse_public(key.jwk).kid, key.jwk.get("use"), key.jwk.get("alg"), key.added, key.removed, key.compromised)
        for key in found.keys
    ]
