"""An outsider: an organisation that knows the wire contract, jwcrypto and HTTP, and nothing of ours."""

import base64
import hashlib
import json
import os
import time
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime
from typing import Any, Protocol

from jwcrypto import jwe, jwk, jws

BASE = "https://xieban.example/v1/protocols/case-assistance/1.0"


def uuid7() -> str:
    """A UUIDv7 (RFC 9562 §5.7)."""
    value = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62))


class Recipient(Protocol):
    """Whom a message goes to, as far as its sender has to know it."""

    id: str
    sealing: jwk.JWK


class Outsider:
    """One organisation with keys made by another library."""

    def __init__(
        self, id: str, url: str, crv: str = "Ed25519", roles: tuple[str, ...] = ("bureau",), superior: str | None = None
    ) -> None:
        self.id, self.url = id, url
        self.roles, self.superior = roles, superior
        kind = {"kty": "OKP", "crv": crv} if crv == "Ed25519" else {"kty": "EC", "crv": crv}
        self.alg = "EdDSA" if crv == "Ed25519" else "ES256"
        self.signing = jwk.JWK.generate(**kind)
        self.sealing = jwk.JWK.generate(kty="OKP", crv="X25519")

    def record(self) -> dict[str, object]:
        """Its line in the file of organisations."""
        sig = self.signing.export_public(as_dict=True) | {
            "kid": self.signing.thumbprint(),
            "use": "sig",
            "alg": "Ed25519" if self.alg == "EdDSA" else self.alg,
        }
        enc = self.sealing.export_public(as_dict=True) | {
            "kid": self.sealing.thumbprint(),
            "use": "enc",
            "alg": "ECDH-ES+A256KW",
        }
        name = {"zh": self.id, "en": self.id}
        who = {"id": self.id, "name": name, "superior": self.superior, "roles": list(self.roles)}
        return who | {"jwks": {"keys": [sig, enc]}}

    def sign(self, payload: bytes, typ: str = "xieban+jws", cty: str | None = "application/cloudevents+json") -> bytes:
        """A compact JWS."""
        token = jws.JWS(payload)
        header = {"alg": self.alg, "kid": self.signing.thumbprint(), "typ": typ}
        if cty:
            header["cty"] = cty
        token.allowed_algs = [self.alg]
        token.add_signature(self.signing, None, json.dumps(header))
        return str(token.serialize(compact=True)).encode()

    def event(
        self, message: str, case: str, to: Recipient, data: dict[str, Any], content: Any = None, **more: Any
    ) -> dict[str, Any]:
        """A message, its content sealed to the recipient and to itself."""
        event = {
            "specversion": "1.0",
            "id": uuid7(),
            "source": self.id,
            "type": f"case-assistance.{message}",
            "dataschema": f"{BASE}/{message}",
            "subject": case,
            "time": datetime.now(UTC).isoformat(),
            "recipients": to.id,
            "hub": "410000-hub",
            "datacontenttype": "application/json",
        } | more
        salt = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
        inner = {"source": self.id, "id": event["id"], "subject": case, "salt": salt}
        plaintext = json.dumps(inner | {"content": content or {}}).encode()
        plaintext += b" " * (-len(plaintext) % 1024)
        sealed = jwe.JWE(plaintext, json.dumps({"enc": "A256GCM"}))
        for party in (self, to):
            header = {"alg": "ECDH-ES+A256KW", "kid": party.sealing.thumbprint()}
            sealed.add_recipient(party.sealing, json.dumps(header))
        digest = "sha-256:" + hashlib.sha256(plaintext).hexdigest()
        part = {"sealed": json.loads(sealed.serialize()), "sealed_digest": digest}
        return event | {"data": data | part}

    def unseal(self, event: dict[str, Any]) -> Any:
        """What is sealed in a message; raises unless it opens, is what its digest names, and was made for it."""
        data, opened = event["data"], jwe.JWE()
        opened.deserialize(json.dumps(data["sealed"]), self.sealing)
        assert data["sealed_digest"] == "sha-256:" + hashlib.sha256(opened.payload).hexdigest()
        inner = json.loads(opened.payload)
        assert [inner[name] for name in ("source", "id", "subject")] == [event[n] for n in ("source", "id", "subject")]
        return inner["content"]

    def token(self, **changed: Any) -> str:
        """A fresh bearer token."""
        now = int(time.time())
        claims = {"iss": self.id, "sub": self.id, "aud": "410000-hub", "iat": now, "exp": now + 240, "jti": uuid7()}
        return self.sign(json.dumps(claims | changed).encode(), "JWT", None).decode()

    def example(self, message: str) -> dict[str, Any]:
        """The open part that the hub's own schema of a message gives as its example."""
        status, schema = self.call("GET", f"/v1/protocols/case-assistance/1.0/{message}")
        assert status == 200
        return dict(schema["examples"][0])

    def open_case(self, to: "Outsider") -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Open a case with another organisation: its id, the event, the receipt."""
        event = self.event("request", uuid7(), to, self.example("request"))
        status, receipt = self.send(event)
        assert status == 201, receipt
        return event["subject"], event, receipt

    def call(
        self, method: str, path: str, body: bytes | None = None, media: str = "application/jose"
    ) -> tuple[int, Any]:
        """One HTTP call with a fresh bearer token; status and JSON (or bytes)."""
        headers = {"Authorization": f"Bearer {self.token()}", "Content-Type": media}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=40) as response:
                status, content = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        try:
            return status, json.loads(content)
        except ValueError:
            return status, content

    def send(self, event: dict[str, Any]) -> tuple[int, Any]:
        """Sign and send one message."""
        return self.call("POST", "/v1/messages", self.sign(json.dumps(event).encode()))

    def acknowledgement(self, item: dict[str, Any]) -> bytes:
        """The signed word that it has everything up to a mailbox item."""
        said = {
            "hub": "410000-hub",
            "recipient": self.id,
            "through": item["position"],
            "digest": "sha-256:" + hashlib.sha256(item["message"].encode()).hexdigest(),
            "time": datetime.now(UTC).isoformat(),
        }
        return self.sign(json.dumps(said).encode(), "xieban-ack+jws", None)

    def acknowledge(self, item: dict[str, Any]) -> tuple[int, Any]:
        """Acknowledge everything up to a mailbox item."""
        return self.call("POST", "/v1/mailbox/acknowledge", self.acknowledgement(item))
