"""The key store: a directory of private keys, each an encrypted JWK (RFC 7517 §7) that only its owner may read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from keys import strict_json
from keys.errors import KeyStoreFault
from keys.jwk import DecryptionKey, SigningKey, parse_private, public_jwks

ALG: Final = "PBES2-HS512+A256KW"
ENC: Final = "A256GCM"
ITERATIONS: Final = 210_000
VARIABLE: Final = "XIEBAN_PASSPHRASE"


class KeyStore:
    """A directory (0700) with one file `<kid>.jwe` (0600) a private key and the public `jwks.json`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def create(self) -> None:
        """Make the directory; nothing happens where it is there."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def add(self, key: SigningKey | DecryptionKey, passphrase: str) -> None:
        """Store a private key encrypted with `passphrase`. Raises KeyStoreFault."""
        self._check(self.directory, 0o700)
        header = {"alg": ALG, "enc": ENC, "cty": "jwk+json", "p2c": ITERATIONS, "kid": key.kid}
        registry = jwe.JWERegistry(algorithms=[ALG, ENC])
        body = json.dumps(key.jwk()).encode()
        token = jwe.encrypt_compact(header, body, OctKey.import_key(passphrase), registry=registry)
        _write(self.directory / f"{key.kid}.jwe", token.encode(), 0o600)
        public = self.public_jwks()["keys"] + [key.public.jwk]
        unique = {entry["kid"]: dict(entry) for entry in public}
        _write(self.directory / "jwks.json", json.dumps({"keys": list(unique.values())}, indent=1).encode(), 0o644)

    def kids(self) -> list[str]:
        """The kids of all private keys."""
        return sorted(path.stem for path in self.directory.glob("*.jwe"))

    def signing_key(self, passphrase: str, at: datetime) -> SigningKey:
        """The newest signing key valid at `at`. Raises KeyStoreFault."""
        keys = [key for key in self._open(passphrase) if isinstance(key, SigningKey) and key.public.valid_at(at)]
        if not keys:
            raise KeyStoreFault(f"no valid signing key in {self.directory}")
        return max(keys, key=lambda key: (key.public.not_before is not None, key.public.not_before or at, key.kid))

    def decryption_keys(self, passphrase: str) -> list[DecryptionKey]:
        """All keys that open what was sealed. Raises KeyStoreFault."""
        return [key for key in self._open(passphrase) if isinstance(key, DecryptionKey)]

    def public_jwks(self) -> dict[str, Any]:
        """The public keys, as a JWK Set."""
        path = self.directory / "jwks.json"
        return dict(strict_json.loads(path.read_bytes())) if path.exists() else public_jwks([])

    def _open(self, passphrase: str) -> list[SigningKey | DecryptionKey]:
        self._check(self.directory, 0o700)
        registry = jwe.JWERegistry(algorithms=[ALG, ENC])
        found = []
        for kid in self.kids():
            path = self.directory / f"{kid}.jwe"
            self._check(path, 0o600)
            try:
                opened = jwe.decrypt_compact(path.read_text().strip(), OctKey.import_key(passphrase), registry=registry)
            except (JoseError, ValueError) as error:
                raise KeyStoreFault(f"{path}: wrong passphrase, or not a key of this store") from error
            key = parse_private(strict_json.loads(opened.plaintext or b""))
            if key.kid != kid:
                raise KeyStoreFault(f"{path}: holds another key than its name says")
            found.append(key)
        return found

    @staticmethod
    def _check(path: Path, mode: int) -> None:
        try:
            actual = path.stat().st_mode & 0o777
        except FileNotFoundError:
            raise KeyStoreFault(f"{path} does not exist") from None
        if actual & ~mode:
            raise KeyStoreFault(f"{path} can be reached by others; run: chmod {mode:o} {path}")


def read_passphrase(file: Path | None = None, prompt: Callable[[], str] | None = None) -> str:
    """The passphrase: from `file`, else the variable XIEBAN_PASSPHRASE, else `prompt`. Raises KeyStoreFault."""
    if file is not None:
        try:
            return file.read_text("utf-8").strip()
        except OSError as error:
            raise KeyStoreFault(f"{file}: {error.strerror}") from error
    given = os.environ.get(VARIABLE) or (prompt() if prompt else "")
    if not given:
        raise KeyStoreFault(f"no passphrase: give a file or set {VARIABLE}")
    return given


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write so that the file is there whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
