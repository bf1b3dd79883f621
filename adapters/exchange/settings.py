"""What `[adapters.NAME]` says of an exchange by files."""

import json
import os
from pathlib import Path
from typing import Final, Literal

import msgspec

from adapters.running.configuration import AdapterConfigInvalid, Section
from keys import private_files
from keys.errors import Fault
from keys.jwk import VerifyingKey, parse_jwks

PASSWORD: Final = "XIEBAN_SFTP_PASSWORD"
"""The environment variable that holds the password of an SFTP server, where no file does."""


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An SFTP server. Its host key must stand in `known_hosts`: none is trusted because it was the first one seen."""

    host: str
    port: int = 22
    user: str
    known_hosts: Path
    folder: str = "."
    key: Path | None = None
    """The private key to log in with, in OpenSSH's form."""
    key_passphrase_file: Path | None = None
    password_file: Path | None = None
    within: float = 30.0
    """Seconds that one step may take."""

    def password(self) -> str | None:
        """The password, of the file or of the environment."""
        return _line(self.password_file) if self.password_file is not None else os.environ.get(PASSWORD)

    def key_passphrase(self) -> str | None:
        """What opens the private key."""
        return _line(self.key_passphrase_file) if self.key_passphrase_file is not None else None


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The section. Either `root`, a folder, or `sftp`."""

    root: Path | None = None
    sftp: Server | None = None
    mode: str = "0640"
    """Who may read the files that are written, as chmod has it."""
    complete: Literal["settled", "ready"] = "settled"
    """When a file is whole: it did not change for `settle` seconds, or a file `NAME.ready` lies beside it."""
    settle: float = 2.0
    doubles: Literal["refuse", "take"] = "refuse"
    """Whether bytes that were taken before are taken again."""
    require_signed: bool = False
    partner_keys: Path | None = None
    """The public keys (JWKS) that sign what the partner puts in."""
    daily_workbook: bool = False
    templates: bool = True

    @property
    def permissions(self) -> int:
        """`mode` as a number."""
        return int(self.mode, 8)


def checked(section: Section, settings: Settings) -> Settings:
    """The settings, which can be worked with. Raises AdapterConfigInvalid."""
    where = f"[adapters.{section.name}]"
    if (settings.root is None) == (settings.sftp is None):
        raise AdapterConfigInvalid(f"{where} has either root, a folder, or sftp")
    if settings.require_signed and settings.partner_keys is None:
        raise AdapterConfigInvalid(f"{where} require_signed needs partner_keys, a JWKS file of the partner")
    if not 0 <= settings.settle <= 3600:
        raise AdapterConfigInvalid(f"{where} settle is 0 to 3600 seconds")
    try:
        if not 0 <= settings.permissions <= 0o777:
            raise ValueError
    except ValueError:
        raise AdapterConfigInvalid(f'{where} mode is octal, e.g. "0640"') from None
    if settings.sftp is not None and not settings.sftp.known_hosts.is_file():
        raise AdapterConfigInvalid(f"{where} known_hosts {settings.sftp.known_hosts} is no file; "
                                   "write the server's host key there, got from its keeper")  # fmt: skip
    if settings.sftp is not None:
        settings.sftp.password(), settings.sftp.key_passphrase()
        if settings.sftp.key is not None:
            secret(settings.sftp.key)
    keys_of(settings)
    return settings


def keys_of(settings: Settings) -> list[VerifyingKey]:
    """The partner's keys; none where none are named. Raises AdapterConfigInvalid."""
    file = settings.partner_keys
    if file is None:
        return []
    try:
        found = [key for key in parse_jwks(json.loads(file.read_bytes())) if isinstance(key, VerifyingKey)]
    except (OSError, ValueError, Fault) as error:
        raise AdapterConfigInvalid(f"partner_keys {file}: {error}") from None
    if not found:
        raise AdapterConfigInvalid(f"partner_keys {file} holds no key that verifies signatures")
    return found


def secret(file: Path) -> bytes:
    """What stands in a file that its owner alone can reach. Raises AdapterConfigInvalid."""
    try:
        return private_files.read_secret(file)
    except Fault as fault:
        raise AdapterConfigInvalid(fault.detail) from None


def _line(file: Path) -> str:
    return secret(file).decode("utf-8", "replace").strip("\r\n")
