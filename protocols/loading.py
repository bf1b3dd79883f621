"""The catalogue as loaded: every protocol's folder read into a flow and its message schemas."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from protocols.refusals import CatalogueInvalid, SchemaMismatch, TypeUnknown
from protocols.schemas import Schema
from protocols.table import Deadline, Flow, Move, State, Text, tabulate

BASE = "https://xieban.example/v1/protocols"
FOLDER = Path(__file__).parent / "catalogue"
HORIZONTAL = "horizontal"


class MessageDeclaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message as the flow file declares it."""

    zh: str
    en: str
    sealed: Literal["required", "optional", "none"] = "none"
    may_expire: bool = False
    from_hub: bool = False


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
            raise TypeUnknown(f"no message {type[:130]}; see GET /v1/protocols")
        if found is None or f"{found[0].name}.{found[1].name}" != type:
            raise SchemaMismatch(f"dataschema is not a schema of {type}; see GET /v1/protocols")
        return found

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
    """The catalogue that this package ships. Raises CatalogueInvalid."""
    return load(FOLDER)


def load(folder: Path) -> Catalogue:
    """Read every `<protocol>/<version>/` below `folder`. Raises CatalogueInvalid."""
    files = sorted(folder.glob("*/*/flow.toml"))
    return Catalogue(read_protocol(file.parent) for file in files if file.parts[-3] != HORIZONTAL)


def read_protocol(folder: Path) -> Protocol:
    """Read one version of a protocol. Raises CatalogueInvalid naming the file."""
    path = folder / "flow.toml"
    try:
        return _protocol(folder, _toml(path))
    except (msgspec.ValidationError, KeyError, TypeError, ValueError, OSError) as error:
        raise CatalogueInvalid(f"{path}: {error}", problems=[f"{path}: {error}"]) from error


def _protocol(folder: Path, document: dict[str, Any]) -> Protocol:
    adopted = document.pop("horizontal", {"version": "1.0", "messages": [], "states": {}})
    horizontal_folder = folder.parents[1] / HORIZONTAL / adopted["version"]
    horizontal = _toml(horizontal_folder / "flow.toml")
    chosen = set(adopted["messages"])
    if unknown := chosen - horizontal["messages"].keys():
        raise ValueError(f"no horizontal message {sorted(unknown)}")
    states = msgspec.convert(document["states"], dict[str, State])
    names = _state_names(states, adopted["states"])
    raw_moves = document["moves"] + [move for move in horizontal["moves"] if move["message"] in chosen]
    moves = tuple(move for raw in raw_moves for move in _moves(raw, states, names))
    flow = Flow(
        protocol=document["protocol"],
        version=document["version"],
        title=msgspec.convert(document["title"], Text),
        summary=msgspec.convert(document["summary"], Text),
        roles=msgspec.convert(document["roles"], dict[str, Text]),
        states=states,
        deadlines=msgspec.convert(document["deadlines"], dict[str, Deadline]),
        moves=moves,
        **tabulate(moves),
    )
    declared = {name: horizontal["messages"][name] for name in adopted["messages"]} | document["messages"]
    messages = msgspec.convert(declared, dict[str, MessageDeclaration])
    folders = (folder, horizontal_folder)
    return Protocol(flow, {name: _message(flow, name, m, folders) for name, m in messages.items()})


def _state_names(states: Mapping[str, State], bound: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What each `@name` of a move stands for."""
    running = [name for name, state in states.items() if not state.final]
    names = {f"@{key}": (value,) if isinstance(value, str) else tuple(value) for key, value in bound.items()}
    held = [n for n in running if states[n].owner == "responder" and states[n].clock == "runs"]
    return names | {"@open": tuple(running), "@held": tuple(held), "@any": tuple(states)}


def _moves(raw: Mapping[str, Any], states: Mapping[str, State], names: Mapping[str, tuple[str, ...]]) -> list[Move]:
    """The lines of the table that one entry of the file stands for."""
    by = raw.get("by", [])
    sources = [state for name in raw.get("from", []) for state in names.get(name, (name,))]
    if by != "other":
        return [_move(raw, [by] if isinstance(by, str) else by, sources, states, names)]
    other = {"opener": "responder", "responder": "opener"}
    groups = {role: [name for name in sources if states[name].owner == other[role]] for role in other}
    return [_move(raw, [role], group, states, names) for role, group in groups.items() if group]


def _move(
    raw: Mapping[str, Any],
    by: list[str],
    sources: list[str],
    states: Mapping[str, State],
    names: Mapping[str, tuple[str, ...]],
) -> Move:
    resolved = {
        **raw,
        "by": by,
        "states": sources,
        "to": _single(raw.get("to"), names),
        "undone": _single(raw.get("undone"), names),
    }
    resolved.pop("from", None)
    if unknown := [name for name in sources if name not in states]:
        raise ValueError(f"{raw['message']}: no state {unknown}")
    return msgspec.convert(resolved, Move)


def _single(name: str | None, names: Mapping[str, tuple[str, ...]]) -> str | None:
    if name is None or name == "@back" or not name.startswith("@"):
        return name
    (state,) = names[name]
    return state


def _message(flow: Flow, name: str, declared: MessageDeclaration, folders: tuple[Path, Path]) -> MessageType:
    uri = f"{BASE}/{flow.protocol}/{flow.version}/{name}"
    document = _schema_file(folders, "open", name)
    sealed = None
    if declared.sealed != "none":
        document = _with_sealed_part(document)
        sealed = Schema({"$id": f"{uri}/sealed", **_schema_file(folders, "sealed", name)})
    return MessageType(name, declared, Schema({"$id": uri, **document}), sealed)


def _with_sealed_part(document: dict[str, Any]) -> dict[str, Any]:
    part = json.loads((FOLDER / "sealed.json").read_text("utf-8"))
    properties = {name: {"$ref": f"#/$defs/{name}"} for name in ("sealed", "sealed_digest")}
    both = {"sealed": ["sealed_digest"], "sealed_digest": ["sealed"]}
    return {
        **document,
        "properties": document.get("properties", {}) | properties,
        "dependentRequired": document.get("dependentRequired", {}) | both,
        "$defs": document.get("$defs", {}) | part,
    }


def _schema_file(folders: tuple[Path, Path], part: str, name: str) -> dict[str, Any]:
    """The message's schema: the protocol's own file first, else the horizontal one."""
    for folder in folders:
        path = folder / part / f"{name}.json"
        if path.exists():
            return dict(json.loads(path.read_text("utf-8")))
    raise ValueError(f"no {part}/{name}.json")


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))
