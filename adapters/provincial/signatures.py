"""HTTP Message Signatures (RFC 9421) with Ed25519 over a Content-Digest (RFC 9530): what we push, what is pushed to us.

Signed are the method, the target URI, the digest of the body, and the idempotency key where there is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageSigner,
    HTTPMessageVerifier,
    MappingKeyResolver,
    algorithms,
)

from adapters.provincial.settings import Push, Webhook
from adapters.running.configuration import AdapterConfigInvalid

COMPONENTS: Final = ("@method", "@target-uri", "content-digest")
IDEMPOTENCY: Final = "Idempotency-Key"
OLDEST: Final = timedelta(minutes=5)
LABEL: Final = "xieban"


@dataclass
class _Message:
    """A request as the library reads it."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


class Signer:
    """The adapter's own key, which signs what is pushed."""

    def __init__(self, key: Ed25519PrivateKey, key_id: str) -> None:
        self._key_id = key_id
        self._signer = HTTPMessageSigner(
            signature_algorithm=algorithms.ED25519,
            key_resolver=MappingKeyResolver(public_keys={}, private_keys={key_id: key}),
        )

    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """Content-Digest, Signature-Input and Signature for a request with these headers and this body."""
        message = _Message(method, url, dict(headers))
        covered = (*COMPONENTS[:2], *((IDEMPOTENCY.lower(),) if IDEMPOTENCY in headers else ()))
        self._signer.sign(message, key_id=self._key_id, label=LABEL, covered_component_ids=covered, body=body)
        return {name: value for name, value in message.headers.items() if name not in headers}


class Verifier:
    """The platform's keys, by their ids. A signature is at most five minutes old."""

    def __init__(self, keys: Mapping[str, Ed25519PublicKey]) -> None:
        self._verifier = HTTPMessageVerifier(
            signature_algorithm=algorithms.ED25519,
            key_resolver=MappingKeyResolver(public_keys=dict(keys), private_keys={}),
        )

    def holds(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the request is signed by a known key, over method, address and body."""
        try:
            found = self._verifier.verify(
                _Message(method, url, dict(headers)), max_age=OLDEST, require_components=COMPONENTS, body=body
            )
        except (HTTPMessageSignaturesException, ValueError, KeyError, TypeError):
            return False
        return bool(found) and all("created" in one.parameters for one in found)


def signer(push: Push) -> Signer | None:
    """What signs for a section, None where it has no key. Raises AdapterConfigInvalid."""
    if push.signing_key is None:
        return None
    passphrase = push.passphrase.read().encode() if push.passphrase else None
    try:
        key = load_pem_private_key(push.signing_key.read_bytes(), passphrase)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise AdapterConfigInvalid(f"signing_key {push.signing_key}: {type(error).__name__}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise AdapterConfigInvalid(f"signing_key {push.signing_key} is no Ed25519 key")
    return Signer(key, push.key_id)


def verifier(webhook: Webhook) -> Verifier | None:
    """What verifies for a section, None where it names no keys. Raises AdapterConfigInvalid."""
    return Verifier({name: _public(file) for name, file in webhook.keys.items()}) if webhook.keys else None


def _public(file: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(file.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise AdapterConfigInvalid(f"key {file}: {type(error).__name__}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise AdapterConfigInvalid(f"key {file} is no Ed25519 key")
    return key
