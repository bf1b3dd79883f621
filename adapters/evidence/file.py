"""The file: a ZIP of the signed messages as they were, receipts, log entries with proofs, keys, and a summary."""

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec

from keys import strict_json
from keys.errors import Fault, MalformedJSON

FORMAT = "xieban-evidence/1"
SUMMARY = "summary.html"
MAX_TOTAL = 256 << 20
"""Most bytes that a file may hold when unpacked: more is no evidence of one case."""
MAX_PIECES = 5_000
_NAME = re.compile(
    r"evidence\.json|hub\.jwks|deadlines\.json|summary\.html|keys/[0-9a-z-]{1,60}\.json|messages/[0-9]{4}\.(jose|json|sealed)"
)
_EPOCH = (1980, 1, 1, 0, 0, 0)


class EvidenceUnreadable(Fault):
    """The file is no evidence of a case, or was damaged."""

    code: ClassVar[str] = "evidence-unreadable"


@dataclass(frozen=True, slots=True)
class Piece:
    """One message: its exact bytes, its receipt, all its log entries, and the plaintext where it was opened."""

    compact: bytes
    receipt: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    plaintext: bytes | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of a case: `keys` are log entries by organisation, `withheld` what the party can't get."""

    hub: str
    origin: str
    case: str
    made: str
    by: str
    hub_keys: Sequence[Mapping[str, Any]]
    pieces: Sequence[Piece]
    keys: Mapping[str, Sequence[Mapping[str, Any]]]
    withheld: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    summary: str = ""
    earlier: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    """The origins that the log had before, with the proofs of where each ended (`protocols.lineage`)."""
    deadlines: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    """Log entries that due dates were counted by, and that moved those of the case."""


def write(evidence: Evidence) -> bytes:
    """The file; the same bytes for the same evidence."""
    parts: dict[str, bytes] = {
        "evidence.json": _json(
            {
                "format": FORMAT,
                "hub": evidence.hub,
                "origin": evidence.origin,
                "case": evidence.case,
                "made": evidence.made,
                "by": evidence.by,
                "withheld": [dict(one) for one in evidence.withheld],
                **({"earlier": [dict(one) for one in evidence.earlier]} if evidence.earlier else {}),
            }
        ),
        "hub.jwks": _json({"keys": [dict(key) for key in evidence.hub_keys]}),
    }
    for name, events in sorted(evidence.keys.items()):
        parts[f"keys/{name}.json"] = _json([dict(event) for event in events])
    if evidence.deadlines:
        parts["deadlines.json"] = _json([dict(event) for event in evidence.deadlines])
    for number, piece in enumerate(evidence.pieces, 1):
        place = f"messages/{number:04d}"
        parts[f"{place}.jose"] = piece.compact
        parts[f"{place}.json"] = _json({"receipt": dict(piece.receipt), "events": [dict(e) for e in piece.events]})
        if piece.plaintext is not None:
            parts[f"{place}.sealed"] = piece.plaintext
    parts[SUMMARY] = evidence.summary.encode("utf-8")
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return whole.getvalue()


def read(content: bytes) -> Evidence:
    """The evidence in a file; nothing in it is believed yet. Raises EvidenceUnreadable."""
    parts = _unpacked(content)
    about, jwks = _document(parts, "evidence.json", dict), _document(parts, "hub.jwks", dict)
    if about.get("format") != FORMAT:
        raise EvidenceUnreadable(f"not of the format {FORMAT}")
    numbers = sorted({name[9:13] for name in parts if name.startswith("messages/")})
    if numbers != [f"{n:04d}" for n in range(1, len(numbers) + 1)]:
        raise EvidenceUnreadable("the messages are not numbered one after the other")
    pieces = []
    for number in numbers:
        said = _document(parts, f"messages/{number}.json", dict)
        if f"messages/{number}.jose" not in parts:
            raise EvidenceUnreadable(f"message {number} is missing")
        compact, plaintext = parts[f"messages/{number}.jose"], parts.get(f"messages/{number}.sealed")
        pieces.append(Piece(compact, _typed(said, "receipt", dict), _typed(said, "events", list), plaintext))
    keys = {name[5:-5]: _document(parts, name, list) for name in parts if name.startswith("keys/")}
    return Evidence(
        hub=_typed(about, "hub", str),
        origin=_typed(about, "origin", str),
        case=_typed(about, "case", str),
        made=_typed(about, "made", str),
        by=_typed(about, "by", str),
        hub_keys=_typed(jwks, "keys", list),
        pieces=pieces,
        keys=keys,
        withheld=_typed(about, "withheld", list),
        earlier=_typed({"earlier": []} | about, "earlier", list),
        summary=parts.get(SUMMARY, b"").decode("utf-8", "replace"),
        deadlines=_document(parts, "deadlines.json", list) if "deadlines.json" in parts else (),
    )


def _unpacked(content: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if len(names) > MAX_PIECES or len(set(names)) != len(names):
                raise EvidenceUnreadable("too many parts, or one that is there twice")
            if strange := [name for name in names if _NAME.fullmatch(name) is None]:
                raise EvidenceUnreadable(f"holds {strange[0][:80]!r}, which is no part of evidence")
            if sum(entry.file_size for entry in entries) > MAX_TOTAL:
                raise EvidenceUnreadable("holds more than evidence of one case can")
            return {entry.filename: _read(archive, entry) for entry in entries}
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, EOFError) as error:
        raise EvidenceUnreadable(f"is no ZIP that can be read: {error}") from None
    except Exception as error:
        # zlib and struct raise errors of their own for bytes that are no ZIP at all.
        if isinstance(error, Fault):
            raise
        raise EvidenceUnreadable(f"is damaged: {type(error).__name__}") from None


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as part:
        # By one more than it says: read without a number, zipfile unfolds all there is and cuts it then.
        return part.read(entry.file_size + 1)


def _document(parts: Mapping[str, bytes], name: str, kind: type[Any]) -> Any:
    try:
        found = strict_json.loads(parts[name])
    except KeyError:
        raise EvidenceUnreadable(f"{name} is missing") from None
    except (MalformedJSON, RecursionError) as fault:
        raise EvidenceUnreadable(f"{name} is not JSON: {fault}") from None
    if not isinstance(found, kind):
        raise EvidenceUnreadable(f"{name} is not what it should be")
    return found


def _typed(document: Mapping[str, Any], name: str, kind: type[Any]) -> Any:
    found = document.get(name)
    if not isinstance(found, kind):
        raise EvidenceUnreadable(f"{name} is missing or not what it should be")
    return found


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)
