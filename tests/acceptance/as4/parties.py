"""Access points for tests: keys with certificates of their own making, and the counterpart as a process."""

import base64
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from adapters.as4.packing import Identity
from adapters.as4.signing import SigningKey

FOLDER = Path(__file__).parent
PYTHON = FOLDER / ".venv" / "bin" / "python"


@dataclass(frozen=True)
class Keys:
    """A private key with its certificate."""

    key: SigningKey
    certificate: x509.Certificate

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()


def keys(name: str, kind: str = "rsa", days: int = 30) -> Keys:
    """The keys of a party, the same for one name within a run."""
    return _keys(name, kind, days)


@cache
def _keys(name: str, kind: str, days: int) -> Keys:
    key: SigningKey = (
        rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    )
    who, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    start = now - timedelta(days=60)
    made = x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key()).serial_number(
        x509.random_serial_number()).not_valid_before(start).not_valid_after(now + timedelta(days=days))  # fmt: skip
    return Keys(key, made.sign(key, hashes.SHA256()))


def identity(us: str, them: str, encrypt: bool = False, kind: str = "rsa") -> Identity:
    """Who `us` is to `them`."""
    ours, theirs = keys(us, kind), keys(them, kind)
    return Identity(us, ours.key, ours.certificate, theirs.certificate, theirs.certificate, encrypt)


def missing() -> str | None:
    """Why the counterpart is not here; None if it is."""
    if PYTHON.exists():
        return None
    return "没有 PyPI as4, 请运行 make access-point · PyPI's as4 is not installed: make access-point"


class Counterpart:
    """The access point that is not ours, running. Each call is one of its methods."""

    def __init__(
        self, us: str, them: str, encrypt: bool, agreement: str, held: Mapping[str, Keys] | None = None
    ) -> None:
        """`us` is the counterpart's own name here; `held` are the keys of both, where they outlive this run."""
        ours, theirs = (held[us], held[them]) if held is not None else (keys(us), keys(them))
        told = {
            "party": us, "key": ours.key_pem, "certificate": ours.pem, "their_party": them,
            "their_certificate": theirs.pem, "encrypt": encrypt, "agreement": agreement,
        }  # fmt: skip
        self.process = subprocess.Popen([PYTHON, FOLDER / "counterpart.py"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)  # fmt: skip
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(told), file=self.process.stdin, flush=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def __call__(self, method: str, **said: Any) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.url}/{method}", json.dumps(said).encode())
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                found: dict[str, Any] = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None
        return found

    def received(self, since: int = 0) -> list[dict[str, Any]]:
        """What came, after the first so many, with the payloads as bytes."""
        return [one | {"payloads": [base64.b64decode(held) for held in one["payloads"]]}
                for one in self("state", since=since)["received"]]  # fmt: skip

    def send(self, url: str, built: dict[str, Any]) -> dict[str, Any]:
        """Send what was built; the answer, and what `as4` makes of it."""
        answer = self("push_back", url=url, kind=built["kind"], body=built["body"])
        return answer | {"id": built["id"], "seen": self("receipt", id=built["id"], body=answer["body"])}

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
