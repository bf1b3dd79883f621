"""The adapter's section of config.toml: the agreement with one partner, what ebMS calls a P-Mode."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from yarl import URL

from adapters.as4.messaging import Party
from adapters.as4.names import DEFAULT_MPC
from adapters.as4.packing import Identity
from adapters.running.configuration import AdapterConfigInvalid, Section, path

PEM: Final = "-----BEGIN "
LEAST_BITS: Final = 2048
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Counterpart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The partner's access point. Without a `url` it pulls."""

    party: str
    party_type: str | None = None
    certificate: str
    """By which its signatures are known: PEM, or the path of a PEM file. No other is taken, whoever issued it."""
    encryption_certificate: str | None = None
    """To which payloads are encrypted, where it is another one."""
    url: str | None = None
    allow_http: bool = False
    tls_ca: Path | None = None
    """The certificate authority of its TLS, where it is not one of the public ones."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of it."""

    partner: Counterpart
    party: str | None = None
    """Our name in the agreement; the first organisation's id, where none is said."""
    party_type: str | None = None
    certificate: str
    key: Path
    """The private key of our certificate: the path of a PEM file, not encrypted, that its owner alone can read."""
    agreement: str | None = None
    mpc: str = DEFAULT_MPC
    """The channel on which a partner that pulls asks."""
    encrypt: bool = False
    with_content: bool = False
    """Whether to hand over what was opened here, beside the sealed message; only encrypted."""
    service_type: str | None = None
    services: dict[str, str] = {}
    """By protocol, where its name is not the partner's word for it."""
    actions: dict[str, str] = {}
    """By message type, likewise."""
    answers: str = "xieban"
    """The service under which the partner is told what became of its messages."""
    receipt_within: float = 30.0
    """Seconds after which a message without a receipt is sent again."""
    attempts: int = 12
    """How often a message is sent that gets no receipt, before it is a dead letter."""
    pull_wait: float = 2.0
    """Seconds that a pull request waits at most for a message."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both sides agreed on, with the keys."""

    identity: Identity
    us: Party
    them: Party
    settings: Settings
    url: URL | None
    tls: ssl.SSLContext | None

    def service(self, protocol: str) -> Party:
        """The service of a protocol."""
        return Party(self.settings.services.get(protocol, protocol), self.settings.service_type)

    def action(self, type: str) -> str:
        """The action of a message type."""
        return self.settings.actions.get(type, type)


def agreement(section: Section) -> Agreement:
    """The agreement that a section describes. Raises AdapterConfigInvalid."""
    settings = section.read(Settings)
    try:
        return _agreement(section, settings)
    except (OSError, ValueError, TypeError) as error:
        raise AdapterConfigInvalid(f"[adapters.{section.name}] {error}") from None


def _agreement(section: Section, settings: Settings) -> Agreement:
    base, partner = section.base, settings.partner
    key = load_pem_private_key(settings.key.read_bytes(), None)
    if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey):
        raise ValueError(f"key {settings.key} is neither RSA nor EC")
    ours, theirs = _certificate(settings.certificate, base), _certificate(partner.certificate, base)
    if ours.public_key() != key.public_key():
        raise ValueError("certificate is not that of key")
    encryption = _certificate(partner.encryption_certificate, base) if partner.encryption_certificate else theirs
    if settings.encrypt and not (isinstance(encryption.public_key(), RSAPublicKey) and isinstance(key, RSAPrivateKey)):
        raise ValueError("encrypt needs RSA on both sides")
    if settings.with_content and not settings.encrypt:
        raise ValueError("with_content hands over what was sealed, and needs encrypt = true")
    if not (
        0.05 <= settings.receipt_within <= 3600 and 1 <= settings.attempts <= 100 and 0 <= settings.pull_wait <= 30
    ):
        raise ValueError("receipt_within is 0.05 to 3600, attempts 1 to 100, pull_wait 0 to 30")
    if section.common.listen is None and partner.url is None:
        raise ValueError("a partner without a url pulls, and needs listen")
    party = settings.party or section.common.organisations[0]
    if not _NAME.fullmatch(party):
        raise ValueError("party is a name of letters, digits, dots and hyphens; it is the domain of message ids")
    return Agreement(
        Identity(party, key, ours, theirs, encryption, settings.encrypt),
        Party(party, settings.party_type), Party(partner.party, partner.party_type), settings,
        _url(partner), _tls(partner),
    )  # fmt: skip


def _certificate(named: str, base: Path) -> x509.Certificate:
    held = named.encode() if named.lstrip().startswith(PEM) else path(named, base).read_bytes()
    found = x509.load_pem_x509_certificate(held)
    public = found.public_key()
    if isinstance(public, RSAPublicKey) and public.key_size < LEAST_BITS:
        raise ValueError(f"an RSA key has at least {LEAST_BITS} bits")
    return found


def _url(partner: Counterpart) -> URL | None:
    if partner.url is None:
        return None
    url = URL(partner.url)
    if url.host is None or url.scheme not in (("https", "http") if partner.allow_http else ("https",)):
        raise ValueError(f"url {partner.url} is not https; allow_http = true takes http")
    return url


def _tls(partner: Counterpart) -> ssl.SSLContext | None:
    return None if partner.tls_ca is None else ssl.create_default_context(cafile=str(partner.tls_ca))


def protocol_of(settings: Settings, service: str) -> str:
    """The protocol of a service."""
    return _back(settings.services, service)


def type_of(settings: Settings, action: str) -> str:
    """The message type of an action."""
    return _back(settings.actions, action)


def _back(named: Mapping[str, str], value: str) -> str:
    return next((ours for ours, theirs in named.items() if theirs == value), value)
