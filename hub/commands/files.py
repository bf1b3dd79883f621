"""Files that commands read and write; `-` is standard input."""

import sys
from pathlib import Path
from typing import Any

from hub.commands.faults import InputUnreadable, UsageFault
from keys import strict_json
from keys.errors import Fault
from keys.jwk import VerifyingKey, parse_jwks

STDIN = "-"
_KINDS = {
    list: "an array",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def content(path: str) -> bytes:
    """The bytes of a file or of standard input. Raises InputUnreadable."""
    try:
        return sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
    except OSError as error:
        raise InputUnreadable(f"{path}: {error.strerror}") from error


def document(path: str) -> Any:
    """The JSON in a file or in standard input. Raises InputUnreadable."""
    try:
        return strict_json.loads(content(path))
    except Fault as fault:
        if isinstance(fault, InputUnreadable):
            raise
        raise InputUnreadable(f"{_name(path)}: {fault.detail}") from fault


def object_in(path: str) -> dict[str, Any]:
    """The JSON object in a file or in standard input. Raises InputUnreadable."""
    found = document(path)
    if not isinstance(found, dict):
        raise InputUnreadable(f"{_name(path)} holds {_KINDS[type(found)]}, where a JSON object is wanted")
    return found


def parts(data: str | None, sealed: str | None) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The open part, empty without a file, and the sealed content of a message. Raises InputUnreadable, UsageFault."""
    if data == STDIN and sealed == STDIN:
        raise UsageFault("--data and --sealed can't both be standard input")
    return object_in(data) if data else {}, object_in(sealed) if sealed else None


def verifying_keys(path: Path) -> list[VerifyingKey]:
    """The keys in a JWKS file that verify signatures. Raises InputUnreadable, MalformedKey."""
    found = [key for key in parse_jwks(document(str(path))) if isinstance(key, VerifyingKey)]
    if not found:
        raise InputUnreadable(f"{path} holds no key that verifies signatures")
    return found


def keep(path: Path | None, content: bytes) -> None:
    """Write what the user asked to keep, if anywhere. Raises InputUnreadable."""
    if path is not None:
        try:
            path.write_bytes(content)
        except OSError as error:
            raise InputUnreadable(f"{path} can't be written: {error.strerror}") from error


def _name(path: str) -> str:
    return "standard input" if path == STDIN else path
