"""`xieban restore`: a hub put back from its backup; or told that its database is not the newest there was."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from hub import continuing, ending, processes, published
from hub.backup import RestoreRefused, RestoreUnfinished, keeping, sealing
from hub.backup.restoring import Plan, Restored, restore_keys
from hub.backup.restoring import restore as restore_
from hub.commands import files
from hub.commands.backup import HubKey, PassphraseFile, passphrase_of
from hub.commands.beside import existing
from hub.commands.faults import InputUnreadable, UsageFault
from hub.commands.help_text import examples
from hub.commands.options import Config, Data, Json
from hub.commands.output import as_json, remark, say
from hub.config import Config as Settings
from hub.config import load
from hub.erasure import again
from hub.erasure.erasing import Request
from hub.identity import hub_key as own_key
from hub.published import Kept
from hub.store import connecting, embedded
from keys import checkpoint
from protocols.entries import Continued

EXAMPLES = examples(
    "xieban restore BACKUP --data DIR --key /safe/backup.key",
    "xieban restore /backups --data DIR --key /safe/backup.key",
    "xieban restore BACKUP --data DIR --key /safe/backup.key --config config.toml",
    "xieban restore BACKUP --keys-only --data DIR --key /safe/backup.key",
    "xieban restore --not-current --data DIR",
)


def restore(
    data: Data,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[BACKUP]", help="备份文件，或其目录：取最新一份。 The backup; of a folder, its newest."
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="备份私钥文件。 The backup's private key.")
    ] = None,
    hub_key: HubKey = None,
    last_checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--published",
            metavar="FILE",
            help="已知最后发布的检查点（见证方或原 published/ 中）。 The last checkpoint known to be published.",
        ),
    ] = None,
    moved: Annotated[
        bool, typer.Option("--moved", help="迁移：备份以 --final 制作。 A move: the backup was made with --final.")
    ] = False,
    erased: Annotated[
        Path | None,
        typer.Option(
            "--erased", metavar="FILE", help="备份之后依法删除的案件（erased.jsonl）。 Erased since the backup."
        ),
    ] = None,
    not_current: Annotated[
        bool,
        typer.Option(
            "--not-current",
            help="数据库已由别的办法恢复到较早状态：日志换新名称继续。 The database was set back by other means.",
        ),
    ] = False,
    keys_only: Annotated[
        bool, typer.Option("--keys-only", help="只放回丢失的枢纽密钥。 Put back the hub's keys alone, which are gone.")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", help="看不出数据库回退过，也照做 --not-current。 Do so though the database seems to be current."
        ),
    ] = False,
    passphrase_file: PassphraseFile = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """把备份恢复到空处并审计；日志换新名称继续。 Restore into an empty place, and audit; the log goes on anew.

    备份之后受理的消息已丢失：日志不分叉，以新名称和新的收件箱编号段继续，发送机构据回执重发。

    What was taken after the backup is lost: the log goes on under a new origin, so that it never forks, and mailboxes
    in a new epoch; senders see by their receipts what to send again.
    """
    note = _note(last_checkpoint)
    if not_current:
        if file is not None or moved or keys_only:
            raise UsageFault("--not-current is for a database that is in its place already, without a backup")
        continued = asyncio.run(_go_on(data.resolve(), existing(data, config), note, yes))
        as_json(continued) if json else _tell(continued)
        return
    if file is None or key is None:
        raise UsageFault("a backup and its --key are needed; or --not-current")
    opening = sealing.identity(key, lambda: passphrase_of(passphrase_file))
    trusted = files.verifying_keys(hub_key) if hub_key is not None else []
    settings = load(config)
    steps = [] if erased is None else [again.step(_erased(erased), settings.catalogue())]
    plan = Plan(_newest(file, settings.hub.id), [opening], trusted, data.resolve(), settings, note, moved, steps)
    if keys_only:
        said = asyncio.run(restore_keys(plan))
        as_json(said) if json else say(f"密钥已放回 · the keys are back: {said.hub} {said.made}")
        return
    done = asyncio.run(_done(plan))
    if json:
        as_json({**msgspec.to_builtins(done), "holds": not done.report.findings})
    else:
        _tell_all(done)
    if done.report.findings:
        raise typer.Exit(1)


def _newest(place: Path, hub: str) -> Path:
    """The backup; of a folder the hub's newest one by its name, which is said. Raises RestoreRefused."""
    if not place.is_dir():
        return place
    kept = keeping.kept(place, hub)
    if not kept:
        raise RestoreRefused(f"{place} holds no backup of {hub}; [hub] id says whose is wanted, or name the file")
    made, file = kept[0]
    remark(f"取最新的备份 · the newest of {len(kept)}, {made:%Y-%m-%d %H:%M:%S} UTC: {file}")
    return file


async def _done(plan: Plan) -> Restored:
    """What was restored. Raises RestoreUnfinished where a signal ends it before, once nothing of it runs any more."""
    stop = ending.signalled()
    work, told = asyncio.create_task(restore_(plan)), asyncio.create_task(stop.wait())
    await asyncio.wait([work, told], return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    work.cancel()
    await asyncio.wait([work])
    if stop.is_set() and (plan.data / processes.UNFINISHED).exists():
        raise RestoreUnfinished(f"interrupted; no hub starts in {plan.data} until the same xieban restore is run again")
    if work.cancelled():
        raise KeyboardInterrupt
    return work.result()


async def _go_on(data: Path, settings: Settings, note: str | None, sure: bool) -> Continued:
    """Begin a new origin on the database in its place, which is older than what was published, or so somebody says.

    Raises DataDirectoryBusy while a hub runs on it, RestoreRefused where nobody is `sure` of a database that seems to
    be current.
    """
    with embedded.locked(data):
        async with processes.held(data, settings) as dsn, processes.connected(dsn) as connection:
            if settings.database.url and (others := await connecting.others(connection)):
                raise embedded.DataDirectoryBusy(f"{others} other connections are open on the database; stop every hub")
            identity = await processes.settle(data, connection, settings, own_key(data), migrating=False)
            kept = published.kept(data, [identity.key.public])
            if note is not None:
                kept = [Kept(checkpoint.verify_checkpoint(note, [identity.key.public]), note)]
            missing = await published.lost(connection, kept)
            if missing is None and not sure:
                _require_word(data)
            return await continuing.go_on(connection, identity, note or (missing.note if missing else None))


def _require_word(data: Path) -> None:
    """Have somebody say that a log which lacks nothing goes on anew all the same. Raises RestoreRefused."""
    why = f"the database has all that was published from {data}; a new origin must be told to every witness and partner"
    if not sys.stdin.isatty():
        raise RestoreRefused(f"{why}: --yes says that it was set back all the same, as by a snapshot of the machine")
    remark(f"数据库不缺已发布的条目；换了名称，须告知每个见证方和机构。 {why}")
    if not typer.confirm("数据库确曾回退，换新名称继续？ Was it set back? Go on anew?", err=True):
        raise RestoreRefused("the log goes on as it was")


def _erased(file: Path) -> list[Request]:
    try:
        return again.noted(file)
    except OSError as error:
        raise InputUnreadable(f"{file}: {error.strerror}") from None


def _note(file: Path | None) -> str | None:
    try:
        return None if file is None else file.read_text("utf-8").rstrip("\n") + "\n"
    except (OSError, UnicodeError) as error:
        raise InputUnreadable(f"{file}: {error}") from None


def _tell(continued: Continued) -> None:
    say(f"日志改以新名称继续 · the log goes on as {continued.origin}")
    remark(f"收件箱编号段 mailbox epoch {continued.epoch}；请告知见证方与各机构。 Tell witnesses and partners.")


def _tell_all(done: Restored) -> None:
    for finding in done.report.findings:
        remark(f"✗ {finding}")
    if done.continued is not None:
        _tell(done.continued)
    if done.report.findings:
        say(f"{len(done.report.findings)} 处不符 · do not hold: this hub does not start")
    else:
        say(f"已恢复并审计 · restored and audited: 条目 entries {done.report.entries}，{done.manifest.made}")
