"""`xieban backup`: a hub's backup made, looked through, expired; and the key pair that it is encrypted to."""

import asyncio
import contextlib
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from pyrage.x25519 import Identity as Opened
from pyrage.x25519 import Recipient

from hub import processes
from hub.attachments.store import opened
from hub.backup import BackupInvalid, archive, keeping, making, sealing
from hub.backup.making import Made, Source
from hub.backup.manifest import Manifest
from hub.commands import files
from hub.commands.beside import existing
from hub.commands.faults import AlreadyThere, UsageFault
from hub.commands.help_text import examples
from hub.commands.options import Config, Json
from hub.commands.output import as_json, remark, say
from hub.commands.prompting import secret
from hub.config import Config as Settings
from hub.identity import Identity, hub_key
from hub.store import embedded
from keys import checkpoint
from keys.errors import KeyStoreFault
from keys.jwk import VerifyingKey
from keys.keystore import read_passphrase

PASSPHRASE = "XIEBAN_BACKUP_PASSPHRASE"
EVERY = 64 << 20
"""Bytes between two words on how far it has come."""

app = typer.Typer(
    no_args_is_help=True,
    invoke_without_command=True,
    help="备份枢纽：一致、在线、加密。 Back up a hub: consistent, beside the running hub, encrypted.",
)
Recipients = Annotated[
    list[str] | None,
    typer.Option("--recipient", metavar="AGE1KEY", help="备份公钥，可重复。 A public key to encrypt to; repeatable."),
]
Opening = Annotated[
    Path, typer.Option("--key", metavar="FILE", help="备份私钥文件。 The private key, made by `backup key`.")
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help=f"备份私钥的口令文件（0600）；否则取 {PASSPHRASE}，或当场询问。 Its passphrase; else as said.",
    ),
]
HubKey = Annotated[
    Path | None,
    typer.Option("--hub-key", metavar="FILE", help="枢纽公钥（JWKS）；不给则信备份自带的。 The hub's public keys."),
]


@app.callback(
    epilog=examples(
        "xieban backup key --out /safe/backup.key",
        "xieban backup --data DIR --to /backups --recipient $(cat backup.pub) --keep 30 --days 90",
        "xieban backup verify /backups/410000-hub-20260601T020000000000Z.xieban-backup.age --key /safe/backup.key",
    )
)
def backup(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="枢纽的数据目录。 The hub's data directory.")
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="DIR", help="存放备份的目录。 Where backups go.")] = None,
    recipient: Recipients = None,
    keep: Annotated[int | None, typer.Option(min=1, help="只留最新的几份。 Keep the newest so many.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="只留几天内的。 Keep those of so many days.")] = None,
    final: Annotated[
        bool, typer.Option("--final", help="迁移前的最后一份，此后本处不能再启动。 The last one, before a move.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """备份枢纽：数据库、密钥、附件；可在运行时执行。 Back up a hub: database, keys, attachments."""
    if context.invoked_subcommand is not None:
        return
    if data is None or to is None or not recipient:
        raise UsageFault("--data, --to and --recipient are needed to make a backup")
    recipients = [sealing.recipient(one) for one in recipient]
    settings = existing(data, config)
    made = asyncio.run(_made(data.resolve(), to, settings, recipients, final))
    try:
        keeping.note(data, to, recipient)
    except KeyStoreFault as fault:  # the backup is there all the same
        remark(f"没有记在数据目录里 · not noted in the data directory: {fault.detail}")
    gone = keeping.expire(to, made.manifest.hub, keep, days, datetime.now(UTC))
    if json:
        as_json({"file": str(made.file), "expired": [str(file) for file in gone], **msgspec.to_builtins(made.manifest)})
        return
    say(str(made.file))
    remark(f"条目 entries {made.manifest.entries} · 附件 attachments {made.manifest.attachments}")
    remark("备份不含枢纽密钥的口令，请另行保管。 The passphrase of the hub's keys is not in it: keep it apart.")
    if to.resolve().is_relative_to(data.resolve()):
        remark(
            f"它在数据目录里，会与数据一起丢失：请另存一份 · it lies in {data} and is lost with it: copy it elsewhere"
        )
    for file in gone:
        remark(f"已过期 expired: {file.name}")


async def _made(data: Path, to: Path, settings: Settings, recipients: list[Recipient], final: bool) -> Made:
    with contextlib.ExitStack() as alone:
        if final:
            # Nobody may be at work on a hub that goes on elsewhere.
            held = alone.enter_context(contextlib.ExitStack())
            held.enter_context(embedded.locked(data))
            if settings.database.url is None:
                held.close()
        async with processes.attached(data, settings) as dsn:
            store = None if settings.attachments.store else opened(None, data)
            source = Source(dsn, data, Identity(settings.hub.id, hub_key(data)), store, final)
            moved = data / processes.MOVED
            if final:
                moved.touch(mode=0o600)
            try:
                return await making.make(source, recipients, to, _progress())
            except BaseException:
                if final:
                    moved.unlink()
                raise


def _progress() -> making.Progress:
    told = 0

    def progress(done: int) -> None:
        nonlocal told
        if done - told >= EVERY:
            told = done
            remark(f"{done >> 20} MiB …")

    return progress


@app.command(
    epilog=examples(
        "xieban backup verify FILE --key /safe/backup.key --hub-key hub.jwks",
        "xieban backup verify /backups/*.age --key /safe/backup.key",
    )
)
def verify(
    backups: Annotated[list[Path], typer.Argument(metavar="FILE...", help="备份文件。 The backups.")],
    key: Opening,
    hub_key: HubKey = None,
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """核对备份：能解密、完整、由枢纽签名。 Read backups through: each opens, is whole, and signed by its hub.

    有一份不符，状态码即为 1。 Status 1 where one is not.
    """
    keys = files.verifying_keys(hub_key) if hub_key is not None else []
    opening = [sealing.identity(key, lambda: passphrase_of(passphrase_file))]
    if len(backups) == 1:
        said = archive.verify(backups[0], opening, keys)
        as_json(said) if json else _tell(backups[0], said)
    else:
        _each(backups, opening, keys, json)
    if not keys and not json:
        remark("枢纽公钥取自备份本身；另给 --hub-key 才能证明出自该枢纽。 Believed by the hub's keys in it itself.")


def _each(backups: list[Path], opening: list[Opened], keys: list[VerifyingKey], json: bool) -> None:
    """Each of several backups; one that does not hold leaves the others to be looked at."""
    found: list[Manifest | BackupInvalid] = []
    for file in backups:
        try:
            found.append(archive.verify(file, opening, keys))
        except BackupInvalid as fault:
            found.append(fault)
        if not json:
            _tell(file, found[-1])
    bad = sum(isinstance(one, BackupInvalid) for one in found)
    if json:
        as_json([{"file": str(file), **_said(one)} for file, one in zip(backups, found, strict=True)])
    else:
        say(f"{len(found)} 份 backups，{bad} 份不符 · of which {bad} do not hold")
    if bad:
        raise typer.Exit(1)


def _said(found: Manifest | BackupInvalid) -> dict[str, Any]:
    if isinstance(found, BackupInvalid):
        return {"holds": False, "problem": found.detail}
    return {"holds": True, **msgspec.to_builtins(found)}


def _tell(file: Path, found: Manifest | BackupInvalid) -> None:
    if isinstance(found, BackupInvalid):
        say(f"✗ {file.name}: 不符 · does not hold: {found.detail}")
        return
    head = checkpoint.note_origin(found.checkpoint)
    say(f"{file.name}: 完好 · holds: {found.hub} {found.made}，日志 log {head}，条目 entries {found.entries}")


@app.command("key", epilog=examples("xieban backup key --out /safe/backup.key"))
def key_(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="私钥文件。 Where the private key goes.")],
    passphrase_file: PassphraseFile = None,
) -> None:
    """新建备份密钥：私钥以口令加密存入文件，输出公钥。 Make a key pair; prints the public key.

    私钥与口令存放在枢纽之外：备份只需公钥，恢复才需私钥。

    Keep both away from the hub: backups need the public key alone.
    """
    if out.exists():
        raise AlreadyThere(f"{out} is there already")
    say(sealing.new_identity(out, passphrase_of(passphrase_file, new=True)))


def passphrase_of(file: Path | None, *, new: bool = False) -> str:
    """The passphrase of a backup key, never a partner's. Raises KeyStoreFault, and UsageFault where there is none."""
    if file is not None:
        return read_passphrase(file)
    if given := os.environ.get(PASSPHRASE):
        return given
    if not sys.stdin.isatty():
        said = f"the backup key has a passphrase: set {PASSPHRASE}, or give --passphrase-file"
        raise UsageFault(said, check="no-passphrase")
    return secret("备份口令 · passphrase of the backup key", new=new)
