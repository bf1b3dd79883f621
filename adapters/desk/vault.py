"""What a desk keeps, encrypted at rest: a SQLite file of sealed values under one key, itself sealed by a passphrase.

Each value is AES-256-GCM with a nonce of its own, bound to its kind and id, so that values can't be exchanged for one
another. The key is random; it is wrapped with a key that scrypt (RFC 7914) derives from the passphrase, so that the
passphrase can be changed without writing everything again. Kinds and ids are readable, and say nothing about persons.
"""

import os
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from keys.errors import Fault
from keys.keyfile import MIN_PASSPHRASE

FORMAT: Final = b"xieban-desk/1"
_SQLITE: Final = b"SQLite format 3\0"
_N, _R, _P = 1 << 16, 8, 1
_NONCE, _SALT = 12, 16


class VaultFault(Fault):
    """The desk's store can't be used: another passphrase, a damaged file, or none that this version knows."""

    code: ClassVar[str] = "desk-store-invalid"


class Vault:
    """An open store. Values are what JSON can hold; every change is on disk when the call returns."""

    def __init__(self, database: sqlite3.Connection, key: bytes) -> None:
        self._database, self._cipher = database, AESGCM(key)

    @classmethod
    def open(cls, file: Path, passphrase: str) -> "Vault":
        """The store in `file`, made where there is none. Raises VaultFault."""
        if len(passphrase) < MIN_PASSPHRASE:
            raise VaultFault(f"a passphrase has at least {MIN_PASSPHRASE} characters")
        fresh = not file.exists()
        if fresh:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        elif file.read_bytes()[: len(_SQLITE)] not in (_SQLITE, b""):
            raise VaultFault(f"{file} is no store of a desk")
        with _named(file):
            database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA secure_delete = ON")
            with database:
                database.execute("CREATE TABLE IF NOT EXISTS lock (one INTEGER PRIMARY KEY, body BLOB NOT NULL)")
                database.execute(
                    "CREATE TABLE IF NOT EXISTS value"
                    " (kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID"
                )
            row = database.execute("SELECT body FROM lock").fetchone()
            if row is None:
                key = AESGCM.generate_key(256)
                database.execute("INSERT INTO lock VALUES (1, ?)", (_wrapped(key, passphrase),))
            else:
                key = _unwrapped(bytes(row[0]), passphrase)
        return cls(database, key)

    def close(self) -> None:
        """Close the file; the key is forgotten with the object."""
        self._database.close()

    def put(self, kind: str, id: str, value: Any) -> None:
        """Keep a value under its kind and id, in the place of an earlier one."""
        nonce = os.urandom(_NONCE)
        body = nonce + self._cipher.encrypt(nonce, msgspec.json.encode(value), _bound(kind, id))
        self._database.execute("INSERT OR REPLACE INTO value VALUES (?, ?, ?)", (kind, id, body))

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

    def rekey(self, passphrase: str, new: str) -> None:
        """Have the store open with another passphrase from now on. Raises VaultFault."""
        if len(new) < MIN_PASSPHRASE:
            raise VaultFault(f"a passphrase has at least {MIN_PASSPHRASE} characters")
        (body,) = self._database.execute("SELECT body FROM lock").fetchone()
        wrapped = _wrapped(_unwrapped(bytes(body), passphrase), new)
        self._database.execute("UPDATE lock SET body = ?", (wrapped,))

    def _opened(self, kind: str, id: str, body: bytes) -> Any:
        try:
            return msgspec.json.decode(self._cipher.decrypt(body[:_NONCE], body[_NONCE:], _bound(kind, id)))
        except (InvalidTag, ValueError, msgspec.DecodeError):
            raise VaultFault(f"{kind} {id} in the desk's store was altered") from None


def _bound(kind: str, id: str) -> bytes:
    return b"\0".join((FORMAT, kind.encode(), id.encode()))


def _wrapped(key: bytes, passphrase: str) -> bytes:
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    return FORMAT + salt + nonce + AESGCM(_derived(passphrase, salt)).encrypt(nonce, key, FORMAT)


def _unwrapped(body: bytes, passphrase: str) -> bytes:
    if not body.startswith(FORMAT):
        raise VaultFault("the desk's store was made by another version")
    salt, nonce = body[len(FORMAT) :][:_SALT], body[len(FORMAT) + _SALT :][:_NONCE]
    try:
        opened = AESGCM(_derived(passphrase, salt)).decrypt(nonce, body[len(FORMAT) + _SALT + _NONCE :], FORMAT)
    except (InvalidTag, ValueError):
        raise VaultFault("wrong passphrase for the desk's store, or the file was altered") from None
    return opened


def _derived(passphrase: str, salt: bytes) -> bytes:
    # One spelling of a text typed on different keyboards (RFC 8265 §4.2.2, OpaqueString).
    text = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
    return Scrypt(salt=salt, length=32, n=_N, r=_R, p=_P).derive(text)


@contextmanager
def _named(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise VaultFault(f"{file} is no store of a desk, or is damaged: {error}") from None
