"""The key store: a directory of private keys, each an encrypted JWK (RFC 7517 §7) that only its owner may read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from keys import keyfile, private_files, strict_json
from keys.errors import Fault, KeyStoreFault
from keys.jwk import DecryptionKey, EncryptionKey, SigningKey, VerifyingKey, parse_jwks, parse_private, public_jwks

VARIABLE: Final = "XIEBAN_PASSPHRASE"
LISTING: Final = "jwks.json"

_KEY_FILE: Final = re.compile(r"(?P<kid>[A-Za-z0-9_-]{43})\.jwe\Z")
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class KeyStore:
    """A directory (0700) with one file `<kid>.jwe` (0600) a private key and the public `jwks.json`.

    All keys of a store have one passphrase. `jwks.json` is a convenience: it says without the passphrase what
    is there; what the encrypted files say counts.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def create(self) -> None:
        """Make the directory; nothing happens where it is there. Raises KeyStoreFault."""
        with private_files.faults(self.directory):
            self.directory.mkdir(mode=private_files.DIRECTORY, parents=True, exist_ok=True)
        self._check()

    def add(self, key: SigningKey | DecryptionKey, passphrase: str) -> None:
        """Store a private key encrypted with `passphrase`, and list its public part.

        Raises KeyStoreFault, also when the keys already there have another passphrase.
        """
        self._check()
        token = keyfile.encrypt(key, passphrase)
        with private_files.locked(self.directory):
            listed = self._listed()
            kids = self.kids()
            # A key whose listing was interrupted is listed now; else one is opened to try the passphrase on.
            opened = [self._open(kid, passphrase) for kid in kids if kid not in listed]
            if not opened and kids:
                self._open(kids[0], passphrase)
            # The key before its listing: nobody shall seal to a key that is not safely stored.
            private_files.write(self._path(key.kid), token)
            self._list(
                [*(listed[kid] for kid in kids if kid in listed), *(entry.public for entry in opened), key.public]
            )

    def retire(self, kids: Iterable[str], passphrase: str, at: datetime) -> None:
        """Let keys end at the (aware) moment `at`: nothing is signed or sealed with them from then on.

        They stay in the store, for reading what was sealed to them. Raises KeyStoreFault.
        """
        for kid in kids:
            jwk = self._open(kid, passphrase).jwk() | {"exp": int(at.timestamp())}
            if "nbf" in jwk:
                jwk["nbf"] = min(jwk["nbf"], jwk["exp"] - 1)
            self.add(parse_private(jwk), passphrase)

    def kids(self) -> list[str]:
        """The kids of all private keys, sorted. Raises KeyStoreFault."""
        with private_files.faults(self.directory):
            names = os.listdir(self.directory)
        return sorted(match["kid"] for match in map(_KEY_FILE.match, names) if match)

    def public_keys(self) -> list[VerifyingKey | EncryptionKey]:
        """The public parts of all keys, from the listing; needs no passphrase.

        Raises KeyStoreFault when the listing and the files do not fit together (then `relist`), or the modes
        of a file let others reach it.
        """
        self._check()
        listed, stored = self._listed(), self.kids()
        for kid in stored:
            private_files.check_file(self._path(kid))
        missing, unlisted = sorted(listed.keys() - set(stored)), sorted(set(stored) - listed.keys())
        if missing or unlisted:
            raise KeyStoreFault(
                f"{self.directory / LISTING} does not fit the private keys beside it",
                check="listing",
                missing=missing,
                unlisted=unlisted,
            )
        return list(listed.values())

    def public_jwks(self) -> dict[str, Any]:
        """The public keys, as a JWK Set. Raises KeyStoreFault, as `public_keys`."""
        return public_jwks(self.public_keys())

    def relist(self, passphrase: str) -> None:
        """Make the listing anew from the private keys. Raises KeyStoreFault."""
        self._check()
        with private_files.locked(self.directory):
            self._list([self._open(kid, passphrase).public for kid in self.kids()])

    def signing_key(self, passphrase: str, at: datetime) -> SigningKey:
        """The newest signing key valid at the (aware) moment `at`; no other key is decrypted for it.

        Raises KeyStoreFault.
        """
        self._check()
        opened, listed = self._known(passphrase)
        public = [*listed, *(key.public for key in opened)]
        valid = [key for key in public if isinstance(key, VerifyingKey) and key.valid_at(at)]
        if not valid:
            moment = at.isoformat(timespec="seconds")
            raise KeyStoreFault(f"no signing key in {self.directory} is valid at {moment}", check="none-valid")
        newest = max(valid, key=lambda key: (key.not_before or _LONG_AGO, key.kid))
        found = next((key for key in opened if key.kid == newest.kid), None) or self._open(newest.kid, passphrase)
        if not isinstance(found, SigningKey) or found.public != newest:
            said = f"{self.directory / LISTING} says something else of a key than its file"
            raise KeyStoreFault(said, check="listing", kid=found.kid)
        return found

    def decryption_keys(self, passphrase: str) -> list[DecryptionKey]:
        """All keys that open what was sealed, valid or not; no signing key is decrypted. Raises KeyStoreFault."""
        self._check()
        opened, listed = self._known(passphrase)
        opened += [self._open(key.kid, passphrase) for key in listed if isinstance(key, EncryptionKey)]
        return [key for key in opened if isinstance(key, DecryptionKey)]

    def _check(self) -> None:
        """Raises KeyStoreFault unless the directory is private; one around a store has its own reasons for its mode."""
        inside = self.directory / "keys"
        if os.path.exists(inside / LISTING) and not os.path.exists(self.directory / LISTING):
            raise KeyStoreFault(f"{self.directory} is no key store, but holds one: {inside}", check="around")
        private_files.check_directory(self.directory)

    def _known(self, passphrase: str) -> tuple[list[SigningKey | DecryptionKey], list[VerifyingKey | EncryptionKey]]:
        """Unlisted keys, which must be opened to know them, and listed ones that are there."""
        try:
            listed = self._listed()
        except KeyStoreFault:
            listed = {}
        kids = self.kids()
        opened = [self._open(kid, passphrase) for kid in kids if kid not in listed]
        return opened, [listed[kid] for kid in kids if kid in listed]

    def _open(self, kid: str, passphrase: str) -> SigningKey | DecryptionKey:
        path = self._path(kid)
        token = private_files.read(path)
        try:
            return keyfile.decrypt(token, kid, passphrase)
        except KeyStoreFault as fault:
            raise KeyStoreFault(f"{path}: {fault.detail}", **fault.data) from None

    def _listed(self) -> dict[str, VerifyingKey | EncryptionKey]:
        path = self.directory / LISTING
        if not path.exists():
            return {}
        try:
            keys = parse_jwks(strict_json.loads(private_files.read(path, 0o644)))
        except KeyStoreFault:
            raise
        except Fault as fault:
            raise KeyStoreFault(f"{path} is not a JWK Set: {fault.detail}", check="listing") from None
        return {key.kid: key for key in keys}

    def _list(self, keys: Iterable[VerifyingKey | EncryptionKey]) -> None:
        document = public_jwks({key.kid: key for key in keys}.values())
        private_files.write(self.directory / LISTING, json.dumps(document, indent=1).encode("utf-8"), 0o644)

    def _path(self, kid: str) -> Path:
        return self.directory / f"{kid}.jwe"


def read_passphrase(file: Path | None = None, prompt: Callable[[], str] | None = None) -> str:
    """The passphrase: the one line in `file`, else the variable XIEBAN_PASSPHRASE, else what `prompt` gives.

    Raises KeyStoreFault when there is none, and for a file that others can reach.
    """
    if file is not None:
        return _passphrase_in(file)
    given = os.environ.get(VARIABLE) or (prompt() if prompt else "")
    if not given:
        raise KeyStoreFault(f"no passphrase: give a file or set {VARIABLE}", check="no-passphrase")
    return given


def _passphrase_in(file: Path) -> str:
    try:
        text = private_files.read_secret(file).decode("utf-8").strip("\r\n")
    except UnicodeDecodeError:
        raise KeyStoreFault(f"{file} is not UTF-8", check="not-one-line") from None
    if not text or "\n" in text or "\r" in text:
        raise KeyStoreFault(f"{file} must hold the passphrase, in one line", check="not-one-line")
    return text
