"""The refusals of this package: one class each, with a stable code, a default sentence and the data behind it."""

from __future__ import annotations

from typing import ClassVar


class Fault(Exception):
    """The request was refused.

    The base of every refusal in keys, protocols and hub. `code` is stable, kebab-case and unique; it is what
    a problem type, a translation and a partner's program go by. `detail` says in English what is wrong with
    this very input (by default the first line of the class's docstring); `data` carries the values behind it, and
    where one code has causes that need different advice, `check` says which it was. Neither ever holds private key
    material.
    """

    code: ClassVar[str] = "fault"

    def __init__(self, detail: str | None = None, **data: object) -> None:
        self.detail = detail if detail is not None else default_detail(type(self))
        self.data = data
        super().__init__(self.detail)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


def default_detail(fault: type[Fault]) -> str:
    """The first line of the class's docstring, which is what a fault says when nothing more precise is known."""
    text = (fault.__doc__ or fault.code).strip()
    return text.splitlines()[0]


class MalformedJSON(Fault):
    """The text is not JSON as this system takes it."""

    code = "json-malformed"


class MalformedJWS(Fault):
    """The bytes are not a compact JWS as this system takes it."""

    code = "jws-malformed"


class MalformedKey(Fault):
    """The JWK is not a key as this system takes it."""

    code = "key-malformed"


class AlgorithmNotAllowed(Fault):
    """The algorithm is not allowed here, or is not the key's own."""

    code = "algorithm-not-allowed"


class BadSignature(Fault):
    """The signature does not verify."""

    code = "signature-invalid"


class KeyUnknown(Fault):
    """No key with this kid is known."""

    code = "key-unknown"


class KeyNotValid(Fault):
    """The key is not valid at this moment: not yet, no longer, or revoked."""

    code = "key-not-valid"


class TokenInvalid(Fault):
    """The bearer token is not valid."""

    code = "token-invalid"


class BadSeal(Fault):
    """The sealed part cannot be opened, or is not sealed as it must be."""

    code = "seal-invalid"


class BadProof(Fault):
    """The Merkle proof does not lead to the root."""

    code = "proof-invalid"


class BadCheckpoint(Fault):
    """The checkpoint is malformed or not signed by a known key."""

    code = "checkpoint-invalid"


class KeyStoreFault(Fault):
    """The key store cannot be used as it is."""

    code = "keystore-fault"
