"""What a desk keeps, encrypted at rest: a SQLite file of sealed values under one key, which every password opens.

Each value is AES-256-GCM with a nonce of its own, bound to its kind and id, so that values can't be exchanged for one
another. The key is random; it is wrapped once for each account, with a key that scrypt (RFC 7914) derives from the
account's password, so that a password is changed without writing everything again. Names of accounts, kinds and ids are
readable, and say nothing about the persons of a case.
"""

import os
import sqlite3
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from keys.errors import Fault

FORMAT: Final = b"xieban-desk/1"
_SQLITE: Final = b"SQLite format 3\0"
_N, _R, _P = 1 << 16, 8, 1
_NONCE, _SALT = 12, 16
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS lock (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS value"
    " (kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID",
)


class VaultFault(Fault):
    """The desk's store can't be used: a damaged file, or none that this version knows."""

    code: ClassVar[str] = "desk-store-invalid"


class VaultLocked(VaultFault):
    """The store is locked, or the password does not open it."""

    code: ClassVar[str] = "desk-store-locked"


class Vault:
    """A store, locked until a password opens it. Values are what JSON can hold.

    Every change is on disk when the call returns. Reading and changing values raises VaultLocked while it is locked.
    """

    def __init__(self, file: Path) -> None:
        """The store in `file`, locked; an empty one is made where there is none. Raises VaultFault."""
        self.file = file
        self._key: bytes | None = None
        self._alone = threading.RLock()
        if not file.exists():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        elif not file.is_file() or _beginning(file) not in (_SQLITE, b""):
            raise VaultFault(f"{file} is no store of a desk")
        with _named(file):
            self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
            for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
                self._database.execute(f"PRAGMA {setting}")
            for table in _TABLES:
                self._database.execute(table)
            self._database.execute("SELECT name, body FROM lock").fetchall()

    def close(self) -> None:
        """Close the file and forget the key."""
        self.lock()
        self._database.close()

    # Who opens it -----------------------------------------------------------------------------------------

    @property
    def locked(self) -> bool:
        """Whether its key is forgotten."""
        return self._key is None

    def accounts(self) -> list[str]:
        """Whose passwords open it, by name; nobody's where the store is new."""
        return [str(name) for (name,) in self._database.execute("SELECT name FROM lock ORDER BY name")]

    def unlock(self, account: str, password: str) -> None:
        """Open it, or hold the password against it where it is open. Raises VaultLocked where it does not fit."""
        row = self._database.execute("SELECT body FROM lock WHERE name = ?", (account,)).fetchone()
        if row is None:
            _derived(password, os.urandom(_SALT))  # who has no account waits as long as who mistook the password
            raise VaultLocked("the password does not open this desk")
        self._key = _unwrapped(bytes(row[0]), account, password)

    def lock(self) -> None:
        """Forget the key."""
        self._key = None

    def admit(self, account: str, password: str) -> None:
        """Let a password open the store, in the place of the account's last one. The first makes the store's key."""
        if self.locked and self.accounts():
            raise VaultLocked("the desk is locked")
        key = self._key or AESGCM.generate_key(256)
        self._database.execute("INSERT OR REPLACE INTO lock VALUES (?, ?)", (account, _wrapped(key, password, account)))
        self._key = key

    def expel(self, account: str) -> None:
        """Let the account's password open it no more."""
        self._database.execute("DELETE FROM lock WHERE name = ?", (account,))

    def copy(self, to: Path) -> None:
        """A copy of the whole store as of now, as encrypted as itself, into a file that its owner alone can read."""
        os.close(os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(sqlite3.connect(to)) as target:
            self._database.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")

    # Values -----------------------------------------------------------------------------------------------

    def put(self, kind: str, id: str, value: Any) -> None:
        """Keep a value under its kind and id, in the place of an earlier one."""
        self.put_many([(kind, id, value)])

    def put_many(self, values: list[tuple[str, str, Any]]) -> None:
        """Keep several values: all of them, or none."""
        rows = [(kind, id, self._sealed(kind, id, value)) for kind, id, value in values]
        with self._transaction():
            self._database.executemany("INSERT OR REPLACE INTO value VALUES (?, ?, ?)", rows)

    def get(self, kind: str, id: str) -> Any:
        """The value, or None. Raises VaultFault where it was altered."""
        row = self._database.execute("SELECT body FROM value WHERE kind = ? AND id = ?", (kind, id)).fetchone()
        return None if row is None else self._opened(kind, id, bytes(row[0]))

    def all(self, kind: str, begins: str = "") -> list[tuple[str, Any]]:
        """Every value of a kind whose id begins like this, with its id, in their order. Raises VaultFault."""
        statement = "SELECT id, body FROM value WHERE kind = ? AND id >= ? AND id < ? ORDER BY id"
        rows = self._database.execute(statement, (kind, begins, f"{begins}\U0010ffff")).fetchall()
        return [(str(id), self._opened(kind, str(id), bytes(body))) for id, body in rows]

    def drop(self, kind: str, id: str) -> None:
        """Forget a value."""
        self._database.execute("DELETE FROM value WHERE kind = ? AND id = ?", (kind, id))

    def _sealed(self, kind: str, id: str, value: Any) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher().encrypt(nonce, msgspec.json.encode(value), _bound(kind, id))

    def _opened(self, kind: str, id: str, body: bytes) -> Any:
        cipher = self._cipher()
        try:
            return msgspec.json.decode(cipher.decrypt(body[:_NONCE], body[_NONCE:], _bound(kind, id)))
        except (InvalidTag, ValueError, msgspec.DecodeError):
            raise VaultFault(f"{kind} {id} in the desk's store was altered") from None

    def _cipher(self) -> AESGCM:
        if self._key is None:
            raise VaultLocked("the desk is locked")
        return AESGCM(self._key)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._alone:  # passwords are derived in threads of their own, and kept from there
            self._database.execute("BEGIN IMMEDIATE")
            with self._database:
                yield


def _beginning(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(len(_SQLITE))


def _bound(kind: str, id: str) -> bytes:
    return b"\0".join((FORMAT, kind.encode(), id.encode()))


def _wrapped(key: bytes, password: str, account: str) -> bytes:
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    return FORMAT + salt + nonce + AESGCM(_derived(password, salt)).encrypt(nonce, key, _bound("lock", account))


def _unwrapped(body: bytes, account: str, password: str) -> bytes:
    if not body.startswith(FORMAT):
        raise VaultFault("the desk's store was made by another version")
    salt, nonce = body[len(FORMAT) :][:_SALT], body[len(FORMAT) + _SALT :][:_NONCE]
    wrapped = body[len(FORMAT) + _SALT + _NONCE :]
    try:
        return AESGCM(_derived(password, salt)).decrypt(nonce, wrapped, _bound("lock", account))
    except (InvalidTag, ValueError):
        raise VaultLocked("the password does not open this desk") from None


def _derived(password: str, salt: bytes) -> bytes:
    # One spelling of a text typed on different keyboards (RFC 8265 §4.2.2, OpaqueString).
    text = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    return Scrypt(salt=salt, length=32, n=_N, r=_R, p=_P).derive(text)


@contextmanager
def _named(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise VaultFault(f"{file} is no store of a desk, or is damaged: {error}") from None
