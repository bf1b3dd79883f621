"""The desk itself: new, locked, or open for as long as somebody works at it.

Who logs in opens the store with their password; then the bureau's keys are at hand, and the courier runs. When nobody
has done anything for a while all of it is forgotten again, unless the bureau wants its desk to go on by itself.
"""

import asyncio
import contextlib
import gc
import hashlib
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, ClassVar, Final

import structlog

from adapters.client import Client, Patience
from adapters.desk import digest, habits
from adapters.desk.bureau import Bureau
from adapters.desk.courier import Courier
from adapters.desk.digest import DigestNotDelivered, Row
from adapters.desk.joining import Membership
from adapters.desk.keyring import Keyring
from adapters.desk.officers import LoginRefused, Officers
from adapters.desk.vault import Vault, VaultFault
from keys.errors import Fault
from protocols import deadlines
from protocols.loading import Catalogue

logger = structlog.get_logger()
STORE: Final = "desk.db"
ENCLOSURES: Final = "enclosures"
SEALED: Final = (".sealed", ".kept")
"""How files of drafts end, and those of messages."""
EVERY: Final = 2.0
"""Seconds between two looks at whether it is time to lock, or for a digest."""
PATIENCE: Final = Patience(within=5)
LARGEST: Final = 1 << 34
"""Bytes of a back-up that is taken."""


_NONE: Final = "不是办案台的备份文件，或者已损坏"


class BackupInvalid(Fault):
    """What was given is no back-up of a desk, or this desk is in use."""

    code: ClassVar[str] = "desk-backup-invalid"


class Desk:
    """One bureau's desk in a folder of this machine."""

    def __init__(self, folder: Path, catalogue: Catalogue) -> None:
        """Raises VaultFault where the folder holds no store that this version can read."""
        self.folder, self.catalogue = folder, catalogue
        self._alone = _alone(folder)
        self._beginning = asyncio.Lock()
        self.cookie = f"xieban-desk-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}"
        """What a session's cookie is called: browsers give a cookie to every port of a machine."""
        self.first = secrets.token_urlsafe(24)
        """What is in the address where a new desk is set up."""
        self._courier: asyncio.Task[None] | None = None
        _sweep(folder)
        self._stand(Vault(folder / STORE))

    def _stand(self, vault: Vault) -> None:
        self.vault, self.officers = vault, Officers(vault)
        self.membership, self.keyring = Membership(vault), Keyring(vault)
        self.bureau: Bureau | None = None

    @property
    def new(self) -> bool:
        """Whether nobody has an account yet."""
        return not self.vault.accounts()

    def close(self) -> None:
        """Forget the keys, and close the store."""
        self.vault.close()
        self._alone.close()

    # Open and locked --------------------------------------------------------------------------------------

    async def enter(self, name: str, password: str, address: str = "") -> str:
        """Log somebody in; the desk is open then. A session's token. Raises LoginRefused."""
        token = await self.officers.log_in(name, password, address)
        await self.open()
        return token

    async def begin(self, name: str, full_name: str, password: str) -> str:
        """The first account, of a head; a session's token. Raises OfficerInvalid, BackupInvalid where there is one."""
        async with self._beginning:
            if not self.new:
                raise BackupInvalid("this desk is in use already", zh="本办案台已在使用")
            officer = await asyncio.to_thread(self.officers.add, name, full_name, "head", password)
            self.first = secrets.token_urlsafe(24)
        self.officers.note(officer, ("启用办案台", "set up the desk"))
        await self.open()
        return self.officers.session(name)

    async def open(self) -> None:
        """Work with the hub, once it is known which, and for whom."""
        self.officers.idle = 60.0 * self.habits.lock_after
        bureau, hub = self.membership.bureau, self.membership.hub
        if self._courier is not None and self._courier.done():
            await self.halt()
        if self.bureau is not None or bureau is None or hub is None or not self.keyring.private():
            return
        self.bureau = Bureau(self.vault, bureau.id, self.catalogue, self.client, self.folder / ENCLOSURES)
        self.bureau.drafts.sweep()
        self._courier = asyncio.create_task(Courier(self.bureau, hub.id).run())

    async def lock(self) -> None:
        """Forget keys and content; what was signed goes out when somebody logs in again."""
        await self.halt()
        self.officers.leave_all()
        self.vault.lock()
        gc.collect()  # what was opened hangs in circles of tasks; what the interpreter still holds is beyond us

    async def halt(self) -> None:
        """Stop working with the hub."""
        courier, self._courier, self.bureau = self._courier, None, None
        if courier is not None:
            courier.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await courier

    async def reopen(self) -> None:
        """Work with the hub by what is known now: another one, or other keys."""
        await self.halt()
        await self.open()

    def client(self) -> Client:
        """A client with the bureau's keys. Raises VaultFault where there are none."""
        bureau, hub = self.membership.bureau, self.membership.hub
        signing = self.keyring.signing(self.vault.get("state", "listed") or ())
        if bureau is None or hub is None or signing is None:
            raise VaultFault("this desk is not set up yet")
        openers = self.keyring.openers()
        return Client(hub.url, bureau.id, signing, openers, hub_keys=hub.verifying(), patience=PATIENCE,
                      catalogue=self.catalogue)  # fmt: skip

    @property
    def habits(self) -> habits.Habits:
        """What the open desk is set to."""
        return habits.load(self.vault)

    async def watch(self) -> None:
        """Lock when nobody is there, and make the digest when its time comes; for ever."""
        while True:
            await asyncio.sleep(EVERY)
            if self.vault.locked:
                continue
            try:
                await self._digest_in_time()
                if not self.officers.anybody() and not self.habits.stays_open:
                    await self.lock()
            except Exception:
                logger.exception("desk-watch-failed")

    # The digest -------------------------------------------------------------------------------------------

    async def _digest_in_time(self) -> None:
        now = datetime.now(UTC).astimezone(deadlines.SHANGHAI)
        wanted = self.habits
        if wanted.digest == "nobody" or self.bureau is None or now.strftime("%H:%M") < wanted.digest_at:
            return
        tried = self.vault.get("state", "digest") or {}
        recent = tried.get("at") and now - datetime.fromisoformat(tried["at"]) < timedelta(minutes=10)
        if tried.get("day") == now.date().isoformat() and (tried["problem"] is None or recent):
            return
        await self.deliver_digest()

    async def deliver_digest(self) -> str | None:
        """Make the digest of today and hand it over as it is wanted; what went wrong, None where nothing did."""
        wanted, problem = self.habits, None
        now = datetime.now(UTC).astimezone(deadlines.SHANGHAI)
        try:
            if wanted.digest == "mail":
                await asyncio.to_thread(digest.mail, self.digest(), wanted.mail)
            else:
                folder = Path(wanted.folder).expanduser() if wanted.folder else self.folder / "digests"
                await asyncio.to_thread(digest.write, self.digest(), folder)
        except DigestNotDelivered as fault:
            problem = fault.detail
        self.vault.put("state", "digest", {"day": now.date().isoformat(), "at": now.isoformat(), "problem": problem})
        return problem

    def digest(self) -> digest.Digest:
        """What today comes to, without anything that is sealed. Raises VaultFault where there is no bureau yet."""
        bureau, own = self.bureau, self.membership.bureau
        if bureau is None or own is None:
            raise VaultFault("this desk is not set up yet")
        today = deadlines.local_date(datetime.now(UTC))
        soon = deadlines.due_date(today, 3, "working").date
        waiting = len(bureau.drafts.all("waiting"))
        return digest.made(own.name.zh, own.id, today, soon, bureau.cases(), bureau.arrived(), waiting, self._row)

    def _row(self, case: Mapping[str, Any]) -> Row:
        assert self.bureau is not None
        other = case["responder"] if case["opener"] == self.bureau.organisation else case["opener"]
        known = self.bureau.organisation_of(other)
        protocol = self.catalogue.protocols.get((case["protocol"], case["version"]))
        what = protocol.flow.title.zh if protocol is not None else case["protocol"]
        due = str((case["due"] or {}).get("date", ""))
        return case["id"], f"{what}（{case['title']['zh']}）", str(known["name"]["zh"]) if known else other, due

    # Back-up ----------------------------------------------------------------------------------------------

    def back_up(self) -> Path:
        """The whole desk in one file, as encrypted as itself; the caller removes it."""
        target = self.folder / f"backup-{secrets.token_hex(8)}.zip"
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            copy = Path(folder) / STORE
            self.vault.copy(copy)
            try:
                with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
                    target.chmod(0o600)
                    archive.write(copy, STORE)
                    for blob in sorted((self.folder / ENCLOSURES).glob("*")):
                        if blob.suffix in SEALED:
                            archive.write(blob, f"{ENCLOSURES}/{blob.name}")
            except BaseException:
                target.unlink(missing_ok=True)
                raise
        return target

    async def restore(self, content: AsyncIterator[bytes], name: str, password: str) -> str:
        """Take a back-up into a new desk, and log somebody of it in; a session's token.

        Nothing is taken where it is no back-up, or the password does not open it. Raises BackupInvalid, LoginRefused.
        """
        if not self.new:
            raise BackupInvalid(
                "this desk is in use already; restore into an empty folder", zh="本办案台已在使用；请用空目录"
            )
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            unpacked = Path(folder) / "desk"
            archive = Path(folder) / "backup.zip"
            size = 0
            with archive.open("wb") as file:
                async for piece in content:
                    size += len(piece)
                    if size > LARGEST:
                        raise BackupInvalid("the file is too long to be a back-up", zh=_NONE)
                    await asyncio.to_thread(file.write, piece)
            await asyncio.to_thread(unpack, archive, unpacked)
            await asyncio.to_thread(self._check, unpacked / STORE, name, password)
            async with self._beginning:
                if not self.new:
                    raise BackupInvalid("this desk is in use already", zh="本办案台已在使用")
                self._replace(unpacked)
        return await self.enter(name, password)

    def _replace(self, unpacked: Path) -> None:
        """Put what was unpacked in the place of a store that nobody uses yet."""
        self.vault.close()
        for suffix in ("", "-wal", "-shm"):
            (self.folder / f"{STORE}{suffix}").unlink(missing_ok=True)
        shutil.rmtree(self.folder / ENCLOSURES, ignore_errors=True)
        for one in unpacked.iterdir():
            one.rename(self.folder / one.name)
        self._stand(Vault(self.folder / STORE))
        self.first = secrets.token_urlsafe(24)

    def _check(self, file: Path, name: str, password: str) -> None:
        try:
            vault = Vault(file)
        except VaultFault as fault:
            raise BackupInvalid(f"this is no back-up of a desk: {fault.detail}", zh=_NONE) from None
        try:
            if not Officers(vault).fits(name, password):
                raise LoginRefused("the password does not open this back-up")
        except VaultFault as fault:
            raise BackupInvalid(f"this is no back-up of a desk: {fault.detail}", zh=_NONE) from None
        finally:
            vault.close()


def _alone(folder: Path) -> IO[bytes]:
    """The folder is this process's alone until the file is closed. Raises VaultFault where another one has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    held = (folder / ".lock").open("wb")
    try:
        import fcntl

        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass  # Windows; SQLite's own locks hold there
    except OSError:
        held.close()
        raise VaultFault(f"another desk works on {folder} already", zh="已有一个办案台在用这个目录") from None
    return held


def _sweep(folder: Path) -> None:
    """Remove what a crash left: half-made back-ups and what was being unpacked."""
    for left in folder.glob("backup-*.zip"):
        left.unlink(missing_ok=True)
    for left in folder.glob("tmp*"):
        shutil.rmtree(left, ignore_errors=True)


def _names_file(name: str) -> bool:
    stem, dot, suffix = name.partition(".")
    return stem.isalnum() and dot + suffix in SEALED


def unpack(archive: Path, into: Path) -> None:
    """Unpack what a back-up holds, and nothing else. Raises BackupInvalid."""
    try:
        with zipfile.ZipFile(archive) as held:
            # Nothing is compressed: parts that are more than the file lie over one another.
            if sum(one.file_size for one in held.infolist()) > archive.stat().st_size:
                raise BackupInvalid("the parts of a back-up are not longer than the whole", zh=_NONE)
            for one in held.infolist():
                folder, _, name = one.filename.rpartition("/")
                blob = folder == ENCLOSURES and _names_file(name)
                if one.filename != STORE and not blob:
                    raise BackupInvalid(f"a back-up of a desk holds no {one.filename[:60]!r}", zh=_NONE)
                if one.compress_type != zipfile.ZIP_STORED:
                    raise BackupInvalid("a back-up of a desk is not compressed", zh=_NONE)
                target = into / one.filename
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with held.open(one) as source, target.open("xb") as file:
                    target.chmod(0o600)
                    shutil.copyfileobj(source, file)
            if STORE not in held.namelist():
                raise BackupInvalid("this is no back-up of a desk", zh=_NONE)
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError, NotImplementedError, EOFError) as error:
        raise BackupInvalid(f"this is no back-up of a desk: {error}", zh=_NONE) from None
