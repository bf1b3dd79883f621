"""The catalogue as loaded: every protocol's folder read into a flow and its message schemas."""

import codecs
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_origin

import msgspec

from keys import strict_json
from keys.errors import MalformedJSON
from protocols import bundling, flow_file
from protocols.attachments import ATTACHMENTS
from protocols.envelope import Event
from protocols.flow_file import FlowFile, HorizontalFile, MessageDeclaration
from protocols.refusals import CatalogueInvalid, SchemaMismatch, TypeUnknown
from protocols.schemas import Schema
from protocols.table import Flow

BASE = "https://xieban.example/v1/protocols"
FOLDER = Path(__file__).parent / "catalogue"
HORIZONTAL = "horizontal"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_Written = TypeVar("_Written", FlowFile, HorizontalFile)


@dataclass(frozen=True, slots=True)
class MessageType:
    """One message of one protocol: what may stand in it, open and sealed."""

    name: str
    declared: MessageDeclaration
    schema: Schema
    sealed_schema: Schema | None


@dataclass(frozen=True, slots=True)
class Protocol:
    """One version of a protocol: its flow and its messages by name."""

    flow: Flow
    messages: Mapping[str, MessageType]

    @property
    def name(self) -> str:
        """The protocol's name, e.g. `case-assistance`."""
        return self.flow.protocol

    @property
    def version(self) -> str:
        """The version, e.g. `1.0`."""
        return self.flow.version

    def readers(self, event: Event) -> list[str]:
        """Who must be able to open the sealed part of `event`, a message of this protocol that fits its schema."""
        return self.readers_of(event.message, event.source, event.recipients, event.data)

    def readers_of(self, message: str, source: str, recipients: Sequence[str], data: Mapping[str, Any]) -> list[str]:
        """The same, of a message that is still to be written."""
        to = self.messages[message].declared.sealed_to
        if to == "newcomer":
            brought = {move.assigns.source for move in self.flow.moves if move.message == message and move.assigns}
            return [str(data[field]) for field in sorted(brought) if field in data]
        return [*recipients] if to == "recipients" else [*recipients, source]


class Catalogue:
    """All protocols, by name and version."""

    def __init__(self, protocols: Iterable[Protocol]) -> None:
        self.protocols = {(protocol.name, protocol.version): protocol for protocol in protocols}
        self._schemas = {
            message.schema.id: (protocol, message)
            for protocol in self.protocols.values()
            for message in protocol.messages.values()
        }
        self._types = {f"{protocol.name}.{name}" for protocol in self.protocols.values() for name in protocol.messages}

    def message(self, type: str, dataschema: str) -> tuple[Protocol, MessageType]:
        """The message that `type` and `dataschema` name; raises TypeUnknown or SchemaMismatch."""
        found = self._schemas.get(dataschema)
        if type not in self._types:
            raise TypeUnknown(f"no message {type[:130]}; {self._instead(type.partition('.')[0])}")
        if found is None or f"{found[0].name}.{found[1].name}" != type:
            raise SchemaMismatch(f"dataschema is not a schema of {type}; see GET /v1/protocols")
        return found

    def _instead(self, protocol: str) -> str:
        """What there is instead of a type that is unknown."""
        latest = self.latest(protocol)
        if latest is None:
            return f"the protocols are {', '.join(sorted({name for name, _ in self.protocols}))}"
        return f"{protocol} has {', '.join(sorted(latest.messages))}"

    def protocol(self, name: str, version: str) -> Protocol | None:
        """The protocol, or None."""
        return self.protocols.get((name, version))

    def latest(self, name: str) -> Protocol | None:
        """The newest version of the protocol, or None."""
        versions = [version for known, version in self.protocols if known == name]
        newest = max(versions, key=lambda v: [int(part) for part in v.split(".")], default=None)
        return None if newest is None else self.protocols[(name, newest)]


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """The catalogue that this package ships: held by its tests, its schemas are compiled when each is needed."""
    return Catalogue(read_protocol(file.parent, compiling=False) for file in _flows(FOLDER))


def load(folder: Path) -> Catalogue:
    """Read every `<protocol>/<version>/` below `folder`. Raises CatalogueInvalid naming the file."""
    return Catalogue(read_protocol(file.parent) for file in _flows(folder))


def names(folder: Path | None) -> list[tuple[str, str]]:
    """The names and versions of the protocols in `folder`, of the shipped ones without it; none of them is read.

    Raises CatalogueInvalid.
    """
    return [(file.parts[-3], file.parts[-2]) for file in _flows(folder or FOLDER)]


def _flows(folder: Path) -> list[Path]:
    files = [file for file in sorted(folder.glob("*/*/flow.toml")) if file.parts[-3] != HORIZONTAL]
    if not files:
        raise _invalid(folder, "no <protocol>/<version>/flow.toml in it")
    return files


def read_protocol(folder: Path, *, compiling: bool = True) -> Protocol:
    """Read one version of a protocol. Raises CatalogueInvalid naming the file.

    The horizontal messages are those beside it; for a folder that stands alone, those that this package ships.
    Without `compiling` a schema that is none is found when it is first needed.
    """
    folder = folder.resolve()
    path = folder / "flow.toml"
    written = _toml(path, FlowFile)
    if (written.protocol, written.version) != (folder.parent.name, folder.name):
        raise _invalid(path, f"says it is {written.protocol} {written.version}, which its folder does not")
    shared = folder.parents[1] / HORIZONTAL / written.horizontal.version
    if not shared.exists():
        shared = FOLDER / HORIZONTAL / written.horizontal.version
    horizontal = _toml(shared / "flow.toml", HorizontalFile)
    if horizontal.version != shared.name:
        raise _invalid(shared / "flow.toml", f"says it is version {horizontal.version}, which its folder does not")
    try:
        flow = flow_file.flow(written, horizontal)
    except ValueError as error:
        raise _invalid(path, error) from error
    _no_strays(folder, written.messages)
    _no_strays(shared, horizontal.messages)
    adopted = {name: horizontal.messages[name] for name in written.horizontal.messages}
    declared = adopted | written.messages
    definitions = _definitions(shared) | _definitions(folder)
    messages = {}
    for name, message in declared.items():
        places = (folder, shared) if name in adopted else (folder,)
        messages[name] = _message(f"{BASE}/{flow.protocol}/{flow.version}/{name}", name, message, places, definitions)
    if compiling:
        for name, read in messages.items():
            _compile(read, (folder, shared) if name in adopted else (folder,))
    return Protocol(flow, messages)


def _compile(message: MessageType, places: tuple[Path, ...]) -> None:
    for part, schema in (("open", message.schema), ("sealed", message.sealed_schema)):
        try:
            if schema is not None:
                schema.compiled()
        except (ValueError, TypeError, RecursionError) as error:
            path = _schema_file(places, part, message.name)
            raise _invalid(path, f"no JSON Schema (2020-12): {error}") from error


def _message(
    uri: str, name: str, declared: MessageDeclaration, places: tuple[Path, ...], definitions: Mapping[str, Any]
) -> MessageType:
    """The message with its schemas: the protocol's own file first, else that of the horizontal message."""
    path = _schema_file(places, "open", name)
    document = bundling.bundle(_json(path), definitions)
    sealed = None
    if declared.sealed != "none":
        document = _with_sealed_part(path, document)
        sealed_path = _schema_file(places, "sealed", name)
        sealed = _schema(sealed_path, f"{uri}/sealed", bundling.bundle(_json(sealed_path), definitions))
    return MessageType(name, declared, _schema(path, uri, document), sealed)


def _definitions(folder: Path) -> dict[str, Any]:
    """What the messages of a folder share; nothing where it has no such file."""
    path = folder / "definitions.json"
    return _json(path) if path.exists() else {}


def _with_sealed_part(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    part = _json(FOLDER / "sealed.json")
    names = ("sealed", "sealed_digest", ATTACHMENTS)
    given: dict[str, dict[str, Any]] = {
        "properties": {name: {"$ref": f"#/$defs/{name}"} for name in names},
        "dependentRequired": {"sealed": ["sealed_digest"], "sealed_digest": ["sealed"], ATTACHMENTS: ["sealed"]},
        "$defs": part,
    }
    for keyword, ours in given.items():
        theirs = document.get(keyword, {})
        if not isinstance(theirs, dict) or theirs.keys() & ours.keys():
            raise _invalid(path, f"{keyword} leaves no room for the sealed part ({', '.join(ours)})")
        document = {**document, keyword: theirs | ours}
    return document


def _schema_file(places: tuple[Path, ...], part: str, name: str) -> Path:
    for folder in places:
        path = folder / part / f"{name}.json"
        if path.exists():
            return path
    raise _invalid(places[0], f"no {part}/{name}.json for the message {name}; begin with a copy of another in {part}/")


def _schema(path: Path, uri: str, document: dict[str, Any]) -> Schema:
    if document.get("$schema") != DIALECT:
        raise _invalid(path, f"$schema is not {DIALECT}")
    if "$id" in document:
        raise _invalid(path, "bears an $id, which is given by its place")
    return Schema({"$id": uri, **document})


def _no_strays(folder: Path, declared: Mapping[str, MessageDeclaration]) -> None:
    for path in sorted(folder.glob("*/*")):
        message = declared.get(path.stem)
        parts = ("open",) if message is None or message.sealed == "none" else ("open", "sealed")
        if message is None or path.suffix != ".json" or path.parent.name not in parts:
            raise _invalid(path, "belongs to no message that flow.toml declares")


def _toml(path: Path, kind: type[_Written]) -> _Written:
    try:
        return _as(kind, tomllib.loads(path.read_text("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise _invalid(path, "is not in UTF-8") from error
    except (OSError, ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
        raise _invalid(path, error) from error


def _as(kind: type[_Written], written: dict[str, Any]) -> _Written:
    """The file as what it is to be. Raises ValueError naming the entry of a table, which msgspec leaves out."""
    try:
        return msgspec.convert(written, kind)
    except msgspec.ValidationError as error:
        raise ValueError(next(_misfits(kind, written), str(error))) from None


def _misfits(kind: type[_Written], written: dict[str, Any]) -> Iterator[str]:
    """What does not fit in the entries of the file's tables."""
    for field in msgspec.structs.fields(kind):
        table = written.get(field.encode_name)
        if get_origin(field.type) is dict and isinstance(table, dict):
            for name, entry in table.items():
                try:
                    msgspec.convert({name: entry}, field.type)
                except msgspec.ValidationError as error:
                    reason = str(error).replace("`$[...]", "`$").removesuffix(" - at `$`")
                    yield f"[{field.encode_name}] {name}: {reason}"


def _json(path: Path) -> dict[str, Any]:
    try:
        document = strict_json.loads(path.read_bytes().removeprefix(codecs.BOM_UTF8))
    except (OSError, MalformedJSON, RecursionError) as error:
        raise _invalid(path, error) from error
    if not isinstance(document, dict):
        raise _invalid(path, "is no JSON object")
    return document


def _invalid(path: Path, why: object) -> CatalogueInvalid:
    reason = str(why).strip().partition("\n")[0]
    return CatalogueInvalid(f"{path}: {reason}", problems=[f"{path}: {reason}"])
