"""Restoring a backup into an empty place: held against its manifest before anything is written, audited after.

The log goes on under a new origin (`hub.continuing`), for nobody can know what was published after the backup; but
for the planned move of a hub, from a backup that was its last.
"""

import asyncio
import contextlib
import os
import tempfile
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyrage.x25519 import Identity as Opening

from hub import audit, continuing, journal, processes
from hub.attachments.store import Store, opened
from hub.audit import Report
from hub.backup import BackupInvalid, RestoreRefused, RestoreUnfinished, beginning
from hub.backup.archive import ATTACHMENTS, DATABASE, KEYS, ROWS, Member, reading, verify
from hub.backup.manifest import Manifest
from hub.config import Config
from hub.identity import PASSPHRASE, PASSPHRASE_FILE, Identity, holds_keys, hub_key
from hub.store import Connection
from hub.store.dumping import Restoring, put_rows
from hub.store.queries import SQL
from keys import checkpoint, durable
from keys.errors import KeyStoreFault
from keys.jwk import VerifyingKey
from keys.keystore import LISTING, KeyStore
from protocols.entries import Continued

Step = Callable[[Connection, Identity], Awaitable[None]]
"""What is done to the restored database before its audit: erasures that came after the backup are done again here."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is restored, and where to. `published` is the last checkpoint known to have been handed out.

    `moved`: nothing was published after the backup, for the hub was stopped before it was made and stays so.
    """

    file: Path
    identities: Sequence[Opening]
    keys: Sequence[VerifyingKey]
    data: Path
    config: Config
    published: str | None = None
    moved: bool = False
    steps: Sequence[Step] = ()


@dataclass(frozen=True, slots=True)
class Restored:
    """What stands now: from which backup, under which origin if a new one, and what the audit found."""

    manifest: Manifest
    continued: Continued | None
    report: Report


async def restore(plan: Plan) -> Restored:
    """Put the hub back; what an earlier restore left here unfinished is replaced.

    Raises RestoreRefused, BackupInvalid, DataDirectoryBusy before anything is changed, then DumpFailed and others.
    """
    journal.configure()
    beginning.require_empty(plan.data)
    with beginning.begun(plan.data) as place:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            said = await _looked_through(plan, Path(folder))
        await _require_fitting(plan, said, place.again)
        place.empty()
        async with processes.held(plan.data, plan.config) as dsn:
            await _fill(plan, dsn)
            async with processes.connected(dsn) as connection:
                identity = await processes.settle(plan.data, connection, plan.config, hub_key(plan.data))
                continued = await _settle(plan, connection, identity)
                report = await audit.audit(connection, identity.key.public, plan.config.catalogue())
        if not report.findings:
            place.finish()
    return Restored(said, continued, report)


async def restore_keys(plan: Plan) -> Manifest:
    """Put the hub's keys alone back, where they are gone; its database stays. Raises RestoreRefused, BackupInvalid."""
    journal.configure()
    keys = plan.data / "keys"
    if holds_keys(plan.data):
        raise RestoreRefused(f"{keys} holds keys; move it away first if they are of another hub")
    beginning.require_passphrase(plan.data)
    with tempfile.TemporaryDirectory(dir=plan.data, ignore_cleanup_errors=True) as folder:
        said = await _looked_through(plan, Path(folder) / "keys")
        if keys.is_dir():
            (keys / LISTING).unlink(missing_ok=True)
        (Path(folder) / "keys").replace(keys)
    durable.flush(plan.data)
    return said


async def _looked_through(plan: Plan, keys: Path) -> Manifest:
    """What the backup is, once it is known to be whole and this hub's; its keys are put into the folder `keys`."""
    told = threading.Event()
    try:
        looked = _until(told, _keys_into(keys))
        said = await asyncio.to_thread(verify, plan.file, plan.identities, plan.keys, looked)
    finally:
        told.set()
    await asyncio.to_thread(_require_passphrase, plan, KeyStore(keys))
    if said.hub != plan.config.hub.id:
        other = f"it is a backup of {said.hub}; the configuration says {plan.config.hub.id}"
        raise RestoreRefused(other, check="another-hub")
    return said


async def _require_fitting(plan: Plan, said: Manifest, again: bool) -> None:
    """Raise RestoreRefused where the backup may not go on here as the plan wants it."""
    if plan.moved and not said.final:
        raise RestoreRefused("its hub could go on: only a backup made with --final keeps the origin", check="not-final")
    if plan.config.database.url is not None:
        await _require_no_tables(plan.config.database.url, again)


def _until(told: threading.Event, looked: Callable[[Member], None]) -> Callable[[Member], None]:
    """The same look, which ends the reading once it is `told`: a thread is not cancelled with who waits for it."""

    def look(member: Member) -> None:
        if told.is_set():
            raise RestoreUnfinished
        looked(member)

    return look


async def _settle(plan: Plan, connection: Connection, identity: Identity) -> Continued | None:
    await connection.execute(SQL["forget_unnamed"])
    await _require_attachments(connection, opened(plan.config.attachments.store, plan.data))
    if plan.published is not None:
        checkpoint.verify_checkpoint(plan.published, [identity.key.public])
    continued = None if plan.moved else await continuing.go_on(connection, identity, plan.published)
    for step in plan.steps:
        await step(connection, identity)
    return continued


async def _fill(plan: Plan, dsn: str) -> None:
    """Keys, then the database, then attachments, as the backup has them."""
    kept = plan.data / "attachments" / "kept"
    with reading(plan.file, plan.identities, plan.keys) as reader:
        async with _Filling(dsn) as filling:
            for member in reader:
                if member.name.startswith(DATABASE):
                    await filling.dumped(member)
                elif member.name.startswith(ROWS):
                    await filling.spread(member)
                elif member.name.startswith(KEYS):
                    _put(member, plan.data / "keys" / member.name.removeprefix(KEYS), 0o700)
                elif member.name.startswith(ATTACHMENTS):
                    place = member.name.removeprefix(ATTACHMENTS)
                    _put(member, kept / place[:2] / place, 0o700)
            await filling.finish()


class _Filling:
    """The database while it is filled: what was dumped in one transaction, then rows of spread tables in another."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._dump: Restoring | None = None
        self._rows: Connection | None = None
        self._held = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "_Filling":
        return self

    async def __aexit__(self, *failed: Any) -> bool | None:
        if self._dump is not None:
            await self._dump.abandon()
        return await self._held.__aexit__(*failed)

    async def dumped(self, member: Member) -> None:
        """The next part of the dump."""
        if self._dump is None:
            self._dump = await Restoring.begin(self._dsn)
        await self._dump.write(member.parts)

    async def spread(self, member: Member) -> None:
        """Rows of a table, which the dump has brought."""
        if self._rows is None:
            await self._end_of_dump()
            connection = await self._held.enter_async_context(processes.connected(self._dsn))
            await self._held.enter_async_context(connection.transaction())
            self._rows = connection
        await put_rows(self._rows, member.name.removeprefix(ROWS).rpartition(".")[0], member.parts)

    async def finish(self) -> None:
        """There is no more."""
        if self._rows is None:
            await self._end_of_dump()

    async def _end_of_dump(self) -> None:
        if self._dump is None:
            raise BackupInvalid("it holds no database")
        await self._dump.finish()


def _put(member: Member, place: Path, mode: int) -> None:
    place.parent.mkdir(mode=mode, parents=True, exist_ok=True)
    listing = 0o644 if place.name == "jwks.json" else 0o600
    with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, listing), "wb") as file:
        for part in member.parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def _keys_into(folder: Path) -> Callable[[Member], None]:
    """What puts a backup's key files there as they are read."""

    def kept(member: Member) -> None:
        if member.name.startswith(KEYS):
            _put(member, folder / member.name.removeprefix(KEYS), 0o700)

    return kept


def _require_passphrase(plan: Plan, keys: KeyStore) -> None:
    """Raise RestoreRefused where the passphrase here is not that of the keys in the backup."""
    given = os.environ.get(PASSPHRASE)
    try:
        keys.signing_key(given or (plan.data / PASSPHRASE_FILE).read_text().strip(), datetime.now(UTC))
    except KeyStoreFault as fault:
        if fault.data.get("check") != "passphrase":
            raise
        where = PASSPHRASE if given else plan.data / PASSPHRASE_FILE
        raise RestoreRefused(f"{where} is not the passphrase of the hub's keys in it", check="passphrase") from None


async def _require_no_tables(dsn: str, again: bool) -> None:
    """Raise RestoreRefused unless it is empty. One that is not the data directory's own is emptied by its operator."""
    async with processes.connected(dsn) as connection:
        tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    if tables:
        mend = "; if they are of the restore that was broken off: DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        raise RestoreRefused(f"the database is not empty: it has {tables} tables{mend if again else ''}")


async def _require_attachments(connection: Connection, store: Store) -> None:
    """Raise BackupInvalid where a file that messages name lies nowhere."""
    for row in await connection.fetch(SQL["attachments_kept"]):
        if await store.size(row["place"]) != row["size"]:
            raise BackupInvalid(
                f"attachment {row['digest'].hex()} is neither in it nor in the store that config.toml names",
                check="attachment",
            )
