"""What `[adapters.provincial]` says: how the platform is reached, what it is asked, and how each side proves itself."""

import ipaddress
import os
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from adapters.running.configuration import AdapterConfigInvalid

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Secret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a secret is; it never stands in the section itself."""

    file: Path | None = None
    env: str | None = None

    def read(self) -> str:
        """The secret, read anew each time, so that it can be changed under a running adapter.

        Raises AdapterConfigInvalid, which names the place and never what is there.
        """
        if (self.file is None) == (self.env is None):
            raise AdapterConfigInvalid("a secret is in a file or in an environment variable: file = … or env = …")
        if self.file is None:
            found = os.environ.get(self.env or "", "")
        else:
            try:
                found = self.file.read_text("utf-8")
            except (OSError, ValueError) as error:
                why = type(error).__name__
                raise AdapterConfigInvalid(f"the secret in {self.file} can't be read ({why})") from None
        if not (found := found.strip()):
            raise AdapterConfigInvalid(f"there is no secret in {self.file or self.env}")
        return found


class Key(msgspec.Struct, frozen=True, kw_only=True, tag="key", tag_field="type", forbid_unknown_fields=True):
    """An API key in a header."""

    header: str = "X-API-Key"
    secret: Secret
    prefix: str = ""


class OAuth(msgspec.Struct, frozen=True, kw_only=True, tag="oauth", tag_field="type", forbid_unknown_fields=True):
    """OAuth 2.0 client credentials (RFC 6749 §4.4); the client's own proof in a header or in the form (§2.3.1)."""

    token_url: str
    client_id: str
    secret: Secret
    scope: str | None = None
    proof: Literal["header", "form"] = "header"


class Sm2(msgspec.Struct, frozen=True, kw_only=True, tag="sm2", tag_field="type", forbid_unknown_fields=True):
    """A request signed with SM2 and SM3 over a text of our making (decision 17); needs the extra `[sm]`.

    `text` may hold {appid} {timestamp} {nonce} {method} {path} {query} {body} {body_sha256} {body_sm3}.
    """

    appid: str
    key_file: Path
    """The private key, a JWK."""
    text: str = "{appid}\n{timestamp}\n{nonce}\n{method}\n{path}\n{body_sm3}"
    encoding: Literal["base64", "hex"] = "base64"
    clock: Literal["seconds", "milliseconds"] = "milliseconds"
    appid_header: str = "X-App-Id"
    timestamp_header: str = "X-Timestamp"
    nonce_header: str = "X-Nonce"
    signature_header: str = "X-Signature"


class Open(msgspec.Struct, frozen=True, kw_only=True, tag="none", tag_field="type", forbid_unknown_fields=True):
    """Nothing, where a client certificate or the network alone decides."""


Authentication: TypeAlias = Key | OAuth | Sm2 | Open


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The client certificate of mutual TLS, beside any other proof."""

    certificate: Path
    key: Path
    passphrase: Secret | None = None


class Paging(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the platform is asked for the next page. What ends it: a page that is not full, no cursor, no link."""

    by: Literal["none", "page", "offset", "cursor", "link"] = "none"
    parameter: str = "page"
    """The query's parameter with the page's number, the offset or the cursor."""
    first: int = 1
    size_parameter: str | None = None
    size: int = 100
    next: str | None = None
    """An expression: the cursor in the body, for `cursor`."""


class Since(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is remembered from one round to the next: the greatest mark of all items, e.g. when they last changed.

    The platform is asked for this mark and later ones; what it has again is known by its key.
    """

    parameter: str
    mark: str
    """An expression on one item."""
    start: str | None = None


class Pull(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of the platform, again and again."""

    url: str
    query: dict[str, str] = {}
    items: str
    """An expression on the body: the array of items."""
    kind: str
    """An expression on one item, or a constant in quotes: which record of the mapping it is."""
    paging: Paging = Paging()
    since: Since | None = None


class Push(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where messages go; `{type}`, `{id}`, `{case}`, `{number}`, `{organisation}` are put into the path.

    Many platforms answer 200 and say in the body what they think: `taken` and `again` are expressions on it. Where
    `again` is true the platform is left alone for a while, where `taken` is not true it does not take the message.
    """

    url: str
    method: Literal["POST", "PUT"] = "POST"
    taken: str | None = None
    again: str | None = None
    signing_key: Path | None = None
    """An Ed25519 private key in PEM that signs each request (RFC 9421)."""
    passphrase: Secret | None = None
    key_id: str = "xieban"


class Settle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where receipts go; `{record}`, `{key}`, `{case}`, `{message}`, `{number}` are put into the path."""

    url: str
    method: Literal["POST", "PUT"] = "POST"


class Webhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the platform proves itself where it calls `POST /provincial/{record}`: by a key, a signature, or both."""

    header: str = "X-API-Key"
    secret: Secret | None = None
    keys: dict[str, Path] = {}
    """Ed25519 public keys in PEM, by key id (RFC 9421)."""
    url: str | None = None
    """The address as the platform writes it, before any proxy; what its signature is over begins with it."""
    largest: int = 1 << 20


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The section's own part."""

    mapping: Path
    """The folder with mapping.toml and codes.toml."""
    allow_private: tuple[str, ...] = ()
    """Networks that are not public and may be reached all the same, e.g. 10.20.0.0/16."""
    allow_http: bool = False
    ca_file: Path | None = None
    timeout: float = 20.0
    largest: int = 4 << 20
    """Bytes of an answer at most."""
    per_minute: float | None = None
    """Calls of the platform at most."""
    authentication: Authentication = Open()
    tls: Certificate | None = None
    pull: Pull | None = None
    push: Push | None = None
    settle: Settle | None = None
    webhook: Webhook | None = None

    def networks(self) -> tuple[Network, ...]:
        """`allow_private` as networks. Raises AdapterConfigInvalid."""
        try:
            return tuple(ipaddress.ip_network(one) for one in self.allow_private)
        except ValueError as error:
            raise AdapterConfigInvalid(f"allow_private: {error}") from None
