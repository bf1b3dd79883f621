"""A mapping checked before it is used: every rule shown by examples, and each example gives what it says."""

import json
from pathlib import Path
from typing import Any

import msgspec

from adapters.provincial import mapping, platform, translating
from adapters.provincial.mapping import Example, Rules
from adapters.provincial.settings import Settings
from adapters.running.configuration import AdapterConfigInvalid, Section
from keys.errors import Fault


def check(section: Section) -> list[str]:
    """Everything that is wrong with a section and its mapping; nothing is called. Empty where all is well."""
    try:
        settings = section.read(Settings)
        known = section.common.catalogue()
        found = examples(mapping.load(settings.mapping, known))
        platform.Parts.of(settings, known)
    except AdapterConfigInvalid as fault:
        return [fault.detail]
    return found


def examples(rules: Rules) -> list[str]:
    """What the examples of a mapping show to be wrong, and which rules have none."""
    shown_records = {one.record for one in rules.examples}
    shown_messages = {one.message for one in rules.examples}
    found = [f"records.{name} has no example" for name in rules.records if name not in shown_records]
    found += [f"messages.{type} has no example" for type in rules.messages if type not in shown_messages]
    for number, example in enumerate(rules.examples, 1):
        where = f"example {number} ({example.given})"
        try:
            made, wanted = _made(rules, example), _json(rules.folder / example.gives)
        except (Fault, OSError, ValueError) as error:
            found.append(f"{where}: {error.detail if isinstance(error, Fault) else error}")
            continue
        if made != wanted:
            found.append(f"{where}: gives {json.dumps(made, ensure_ascii=False, sort_keys=True)}, "
                         f"and {example.gives} says otherwise")  # fmt: skip
    return found


def _made(rules: Rules, example: Example) -> Any:
    given = _json(rules.folder / example.given)
    if example.record is not None and (record := rules.records.get(example.record)) is not None:
        wanted, number = translating.message_of(record, given)
        key = translating.key_of(record, given)
        held = msgspec.to_builtins(wanted) | {"case": number, "key": key, "to": list(wanted.to) or None}
        return {name: value for name, value in held.items() if value is not None}
    if example.message is not None and (message := rules.messages.get(example.message)) is not None:
        return translating.body_of(message, given)
    raise ValueError("an example is of a record or of a message that the mapping has")


def _json(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))
