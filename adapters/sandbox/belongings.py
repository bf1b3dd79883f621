"""What is made for a partner that brings no keys of its own: a key store, and the same keys for other languages."""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from keys import jwk, private_files
from keys.errors import Fault
from keys.keystore import KeyStore, read_passphrase


class SandboxRunning(Fault):
    """A sandbox runs in this folder; its hub's keys would be written over."""

    code: ClassVar[str] = "sandbox-running"


@dataclass(frozen=True, slots=True)
class Belongings:
    """A folder that outlives the hub, so that a partner's program keeps its keys from one day to the next."""

    folder: Path

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """For one sandbox at a time, whose `hub_jwks` is gone once it ends. Raises SandboxRunning."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SandboxRunning(f"another sandbox runs in {self.folder}") from None
            self.hub_jwks.unlink(missing_ok=True)
            try:
                yield
            finally:
                self.hub_jwks.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    @property
    def keys(self) -> Path:
        """The key store, for the command line and the SDK."""
        return self.folder / "keys"

    @property
    def passphrase_file(self) -> Path:
        """The one line that opens it."""
        return self.folder / "passphrase"

    @property
    def private_jwks(self) -> Path:
        """The private keys as a JWK Set (RFC 7517 §5), in the clear: of a sandbox, and good for nothing else."""
        return self.folder / "private.jwks"

    @property
    def hub_jwks(self) -> Path:
        """The public keys of the hub that runs now: there once it is ready, and not before."""
        return self.folder / "hub.jwks"

    def made(self) -> dict[str, Any]:
        """The public keys, made the first time. Raises KeyStoreFault."""
        store = KeyStore(self.keys)
        store.create()
        if not self.passphrase_file.exists():
            private_files.write(self.passphrase_file, secrets.token_urlsafe(16).encode())
        passphrase = read_passphrase(self.passphrase_file)
        if not store.kids():
            for key in (jwk.generate_signing(), jwk.generate_encryption()):
                store.add(key, passphrase)
        private = [store.signing_key(passphrase, datetime.now(UTC)).jwk()]
        private += [key.jwk() for key in store.decryption_keys(passphrase)]
        text = json.dumps({"keys": private}, indent=1)
        private_files.write(self.private_jwks, text.encode())
        return store.public_jwks()
