"""The bureau's own keys at its desk: kept in its store, made, imported, and backed up on paper or in a file.

A back-up is text: one line for each private key, an encrypted JWK (RFC 7517 §7) under a passphrase of its own, as the
key store of the command line keeps them. A line fits into a QR code, so that paper will do.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final

import segno

from adapters.desk.vault import Vault
from keys import base64url, jwk, keyfile, strict_json
from keys.errors import Fault, KeyStoreFault
from keys.jwk import DecryptionKey, EncryptionKey, SigningKey, VerifyingKey
from keys.keystore import KeyStore

KIND: Final = "key"
MOST: Final = 50
_NONE: Final = "不是加密的密钥，或者没有抄全"
_START: Final = "eyJhbGci"
"""How each line of a back-up begins: `{"alg"` in base64url."""
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class KeysInvalid(Fault):
    """What was given is no back-up of keys, or its passphrase is another one."""

    code: ClassVar[str] = "desk-keys-invalid"


class Keyring:
    """The private keys in an open store."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def make(self) -> list[SigningKey | DecryptionKey]:
        """A signing key and an encryption key, fresh; earlier ones stay, for reading what was sealed to them."""
        now = datetime.now(UTC).replace(microsecond=0)
        made: list[SigningKey | DecryptionKey] = [jwk.generate_signing("Ed25519", now)]
        made.append(jwk.generate_encryption("X25519", now))
        self._keep(made)
        return made

    def take(self, lines: str, passphrase: str) -> int:
        """Import the keys of a back-up; how many. Raises KeysInvalid, and imports nothing then."""
        # Whoever types from paper breaks lines where the paper does.
        tokens = [_START + rest for rest in "".join(lines.split()).split(_START)[1:]]
        if not tokens or len(tokens) > MOST:
            raise KeysInvalid("no keys are in there", zh="里面没有密钥")
        found = [_opened(token, passphrase) for token in tokens]
        self._keep(found)
        return len(found)

    def take_from(self, folder: Path, passphrase: str) -> int:
        """Import the keys of a key store of the command line; how many. Raises KeysInvalid."""
        store = KeyStore(folder)
        try:
            lines = [(folder / f"{kid}.jwe").read_text("ascii") for kid in store.kids()]
        except (KeyStoreFault, OSError, UnicodeDecodeError) as error:
            raise KeysInvalid(
                f"{folder} is no key store that can be read: {error}", zh="这个目录不是可读的密钥库"
            ) from None
        return self.take("\n".join(lines), passphrase)

    def backup(self, passphrase: str) -> list[tuple[VerifyingKey | EncryptionKey, str]]:
        """Every private key, encrypted with `passphrase`: whose it is, and its line. Raises KeysInvalid."""
        try:
            return [(key.public, keyfile.encrypt(key, passphrase).decode("ascii")) for key in self.private()]
        except KeyStoreFault as fault:
            raise KeysInvalid(fault.detail, zh="备份口令至少 8 个字") from None

    def private(self) -> list[SigningKey | DecryptionKey]:
        """All keys there are."""
        return [jwk.parse_private(value) for _, value in self._vault.all(KIND)]

    def public(self) -> list[VerifyingKey | EncryptionKey]:
        """Their public parts, the newest first."""
        return sorted((key.public for key in self.private()), key=_age, reverse=True)

    def signing(self, listed: Collection[str]) -> SigningKey | None:
        """What to sign with: the newest key that the hub lists as ours; where it lists none, the newest."""
        now = datetime.now(UTC)
        valid = [key for key in self.private() if isinstance(key, SigningKey) and key.public.valid_at(now)]
        known = [key for key in valid if key.kid in listed] or valid
        return max(known, key=lambda key: _age(key.public), default=None)

    def openers(self) -> list[DecryptionKey]:
        """What opens what was sealed to this bureau, lately or long ago."""
        return [key for key in self.private() if isinstance(key, DecryptionKey)]

    def _keep(self, keys: Sequence[SigningKey | DecryptionKey]) -> None:
        self._vault.put_many([(KIND, key.kid, key.jwk()) for key in keys])


def code(line: str) -> str:
    """A line of a back-up as a QR code (ISO/IEC 18004), an SVG element."""
    return segno.make_qr(line, error="l").svg_inline(scale=2, border=4, light="#fff")


def _age(key: VerifyingKey | EncryptionKey) -> tuple[datetime, str]:
    return key.not_before or _LONG_AGO, key.kid


def _opened(token: str, passphrase: str) -> SigningKey | DecryptionKey:
    try:
        header = strict_json.loads(base64url.decode(token.partition(".")[0]))
        kid = header.get("kid") if isinstance(header, dict) else None
        if not isinstance(kid, str):
            raise KeysInvalid("this is no encrypted key", zh=_NONE)
        return keyfile.decrypt(token.encode("ascii"), kid, passphrase)
    except (ValueError, UnicodeError):
        raise KeysInvalid("this is no encrypted key", zh=_NONE) from None
    except KeyStoreFault as fault:
        wrong = fault.data.get("check") == "passphrase"
        raise KeysInvalid(fault.detail, zh="口令不对，或者抄错了字" if wrong else _NONE) from None
    except Fault as fault:
        raise KeysInvalid(f"this is no encrypted key: {fault.detail}", zh=_NONE) from None
