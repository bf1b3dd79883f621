"""A mapping: a folder with mapping.toml and codes.toml that turns the platform's records into our messages and back."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from adapters.provincial import code_lists
from adapters.provincial.code_lists import CodeLists
from adapters.provincial.expressions import Expression, ExpressionInvalid, Function
from adapters.running.configuration import AdapterConfigInvalid
from protocols import loading
from protocols.loading import Catalogue, MessageType


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of record on the platform as a message of ours; all but `type` are expressions on the record."""

    type: str
    key: tuple[str, ...]
    """By what the record is known again, each part there or it has none; with its version, where records change."""
    source: str
    to: str | None = None
    """Whom it goes to, one or an array: on messages that open a case."""
    case: str
    """The case's number on the platform."""
    data: str
    content: str | None = None
    causationid: str | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One message of ours as the platform takes it. `body` and `number` are expressions, on the message and on the
    platform's answer: the number that the platform gave the case.
    """

    body: str
    number: str | None = None
    url: str | None = None
    """Where it goes, where that is not the section's `push.url`."""


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """JSON files beside the mapping: what goes in, and what must come out."""

    record: str | None = None
    message: str | None = None
    given: str
    gives: str


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What mapping.toml holds."""

    records: dict[str, Record] = {}
    messages: dict[str, Message] = {}
    ignore: tuple[str, ...] = ()
    """Messages that the platform has no use for, `*` at the end for many: taken, and not passed on."""
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordRule:
    """A record's rule, compiled, with the message that it makes."""

    name: str
    type: str
    message: MessageType
    opens: bool
    key: Sequence[Expression]
    expressions: Mapping[str, Expression]


@dataclass(frozen=True, slots=True)
class MessageRule:
    """A message's rule, compiled."""

    type: str
    body: Expression
    number: Expression | None
    url: str | None


class Rules:
    """A mapping, ready to be applied."""

    def __init__(self, folder: Path, file: File, codes: CodeLists, known: Catalogue) -> None:
        """Raises AdapterConfigInvalid that names the rule."""
        self.folder, self.examples, self._ignore = folder, file.examples, file.ignore
        functions = codes.functions()
        self.records = {name: _record(folder, name, rule, functions, known) for name, rule in file.records.items()}
        self.messages = {type: _message(folder, type, rule, functions, known) for type, rule in file.messages.items()}

    def ignores(self, type: str) -> bool:
        """Whether the platform has no use for messages of this type."""
        return any(fnmatchcase(type, one) for one in self._ignore)


def load(folder: Path, known: Catalogue | None = None) -> Rules:
    """The mapping in a folder, by the protocols that are `known`, else those shipped.

    Raises AdapterConfigInvalid that names what is wrong with it.
    """
    file = folder / "mapping.toml"
    try:
        written = msgspec.convert(tomllib.loads(file.read_text("utf-8")), File)
        lists = folder / "codes.toml"
        codes = code_lists.read(lists.read_text("utf-8")) if lists.exists() else CodeLists({})
    except (OSError, ValueError) as error:
        raise AdapterConfigInvalid(f"{file}: {error}") from None
    return Rules(folder, written, codes, known or loading.catalogue())


def compiled(text: str, what: str, functions: Mapping[str, Function] | None = None) -> Expression:
    """An expression. Raises AdapterConfigInvalid that says where it stands."""
    try:
        return Expression(text, functions)
    except ExpressionInvalid as fault:
        raise AdapterConfigInvalid(f"{what}: {fault.detail}") from None


def _record(folder: Path, name: str, rule: Record, functions: Mapping[str, Function], known: Catalogue) -> RecordRule:
    where = f"{folder / 'mapping.toml'} records.{name}"
    message, opens = _known(rule.type, where, known)
    if opens != (rule.to is not None):
        raise AdapterConfigInvalid(f"{where}: {rule.type} {'opens a case and' if opens else 'does not open one,'} "
                                   f"{'needs' if opens else 'and has no'} `to`")  # fmt: skip
    if message.declared.sealed == "required" and rule.content is None:
        raise AdapterConfigInvalid(f"{where}: {rule.type} needs `content`")
    written: dict[str, Any] = msgspec.structs.asdict(rule)
    texts = {field: text for field, text in written.items() if field not in ("type", "key") and text is not None}
    made = {field: compiled(text, f"{where}.{field}", functions) for field, text in texts.items()}
    if not rule.key:
        raise AdapterConfigInvalid(f"{where}: key has one part at least")
    key = [compiled(text, f"{where}.key", functions) for text in rule.key]
    return RecordRule(name, rule.type, message, opens, key, made)


def _message(
    folder: Path, type: str, rule: Message, functions: Mapping[str, Function], known: Catalogue
) -> MessageRule:
    where = f"{folder / 'mapping.toml'} messages.{type}"
    _known(type, where, known)
    number = None if rule.number is None else compiled(rule.number, f"{where}.number", functions)
    return MessageRule(type, compiled(rule.body, f"{where}.body", functions), number, rule.url)


def _known(type: str, where: str, known: Catalogue) -> tuple[MessageType, bool]:
    """The newest form of a message, and whether it opens a case."""
    protocol, _, name = type.partition(".")
    found = known.latest(protocol)
    if found is None or name not in found.messages:
        raise AdapterConfigInvalid(f"{where}: there is no message {type}; see xieban protocols")
    return found.messages[name], name in found.flow.opening
