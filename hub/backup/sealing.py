"""Encryption of backups: the age format (age-encryption.org/v1), to public keys, in a stream.

Whoever makes backups needs the public keys only. A private key is an age identity, kept encrypted under a passphrase;
what is made here, the program `age` opens as well.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyrage
from pyrage.x25519 import Identity, Recipient

from hub.backup import BackupInvalid
from keys import private_files
from keys.keyfile import require_long


def recipient(text: str) -> Recipient:
    """A public key, `age1…`. Raises BackupInvalid."""
    try:
        return Recipient.from_str(text.strip())
    except pyrage.RecipientError as error:
        raise BackupInvalid(f"{text[:80]!r} is no public key of age: {error}", check="recipient") from None


def new_identity(file: Path, passphrase: str) -> str:
    """Make a key pair: the private key in `file`, encrypted under the passphrase; the public key is returned.

    Raises KeyStoreFault where the file can't be written, and for a passphrase that is too short.
    """
    require_long(passphrase)
    made = Identity.generate()
    private_files.write(file, pyrage.passphrase.encrypt(f"{made}\n".encode(), passphrase))
    return str(made.to_public())


def identity(file: Path, passphrase: Callable[[], str]) -> Identity:
    """The private key in a file, which is asked a passphrase for where it is encrypted. Raises BackupInvalid."""
    try:
        content = file.read_bytes()
        if content.startswith(b"age-encryption.org/"):
            content = pyrage.passphrase.decrypt(content, passphrase())
        lines = [line for line in content.decode().splitlines() if line and not line.startswith("#")]
        (line,) = lines
        return Identity.from_str(line)
    except OSError as error:
        raise BackupInvalid(f"{file} can't be read: {error.strerror}", check="key-unreadable") from None
    except pyrage.DecryptError as error:
        raise BackupInvalid(f"{file} holds no key that this passphrase opens: {error}", check="passphrase") from None
    except (pyrage.IdentityError, ValueError) as error:
        raise BackupInvalid(f"{file} holds no private key of age: {error}", check="no-key") from None


class _Passing(threading.Thread):
    """One side of a pipe, in a thread of its own: pyrage blocks while it reads and writes."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.failed: Exception | None = None

    def run(self) -> None:
        try:
            self._work()
        except Exception as error:
            self.failed = error


@contextmanager
def sealed(into: BinaryIO, recipients: Sequence[Recipient]) -> Iterator[BinaryIO]:
    """A file to write to; what is written arrives in `into` encrypted. Raises OSError where `into` can't take it."""
    reading, writing = os.pipe()

    def work() -> None:
        with open(reading, "rb") as plain:
            pyrage.encrypt_io(plain, into, recipients)

    passing = _Passing(work)
    passing.start()
    try:
        with open(writing, "wb") as plain:
            yield plain
    finally:
        passing.join()
        if passing.failed is not None:
            raise OSError(f"encryption: {passing.failed}")


@contextmanager
def opened(sealed: BinaryIO, identities: Sequence[Identity]) -> Iterator[BinaryIO]:
    """What is encrypted in `sealed`, as a file to read from. Raises BackupInvalid at its end where it does not open."""
    reading, writing = os.pipe()

    def work() -> None:
        with open(writing, "wb") as plain:
            pyrage.decrypt_io(sealed, plain, identities)

    passing = _Passing(work)
    passing.start()
    with open(reading, "rb") as plain:
        try:
            yield plain
        except BackupInvalid:
            plain.close()
            passing.join()
            if isinstance(passing.failed, pyrage.DecryptError):
                raise BackupInvalid(f"it does not open: {passing.failed}", check="sealed") from None
            raise
        finally:
            plain.close()
            passing.join()
    if passing.failed is not None:
        raise BackupInvalid(f"it does not open: {passing.failed}", check="sealed")
