"""What a draft asks for: the form of its message at this desk, what stands in it, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from adapters.desk import forms
from adapters.desk.forms import Field, Remark, Shown, Words
from protocols import deadlines, legal_basis
from protocols.attachments import ATTACHMENTS
from protocols.loading import Catalogue, MessageType, Protocol
from protocols.schemas import Problem
from protocols.table import OPENER, PARTICIPANT, RESPONDER

if TYPE_CHECKING:  # what is asked for without a desk needs none of a desk's store
    from adapters.desk.bureau import Bureau
    from adapters.desk.drafts import Draft

WITHOUT = ("sealed", "sealed_digest", ATTACHMENTS, "messages")
"""What the desk fills in itself."""


def openings(bureau: Bureau) -> Iterator[tuple[Protocol, str]]:
    """What this organisation may open a case by: what its roles allow, and needs no earlier case."""
    own = bureau.organisation_of(bureau.organisation)
    return openings_for(bureau.catalogue, own["roles"] if own is not None else ())


def openings_for(catalogue: Catalogue, roles: Collection[str]) -> Iterator[tuple[Protocol, str]]:
    """The same for an organisation of these roles."""
    for name in dict.fromkeys(name for name, _ in catalogue.protocols):
        protocol = catalogue.latest(name)
        assert protocol is not None
        for message, move in protocol.flow.opening.items():
            by_hub = protocol.messages[message].declared.from_hub
            if not by_hub and move.links is None and (not move.of or not set(roles).isdisjoint(move.of)):
                yield protocol, message


def kind_of(bureau: Bureau, protocol: str, version: str, message: str) -> MessageType | None:
    """A message as the catalogue at hand has it."""
    known = bureau.catalogue.protocols.get((protocol, version))
    return known.messages.get(message) if known is not None else None


def form_of(bureau: Bureau, protocol: str, version: str, message: str) -> tuple[Field, Field | None] | None:
    """The forms of a message's open and sealed part; None where the catalogue at hand does not know it."""
    kind = kind_of(bureau, protocol, version, message)
    if kind is None:
        return None
    return forms_of(kind, [one for one in bureau.organisations() if one["id"] != bureau.organisation])


def forms_of(kind: MessageType, others: Sequence[Mapping[str, Any]]) -> tuple[Field, Field | None]:
    """The same, with these organisations to choose from."""
    opened = forms.choosing(forms.form(kind.schema, WITHOUT), "legal_basis.instrument", bases())
    named = [(str(one["id"]), Words(f"{one['name']['zh']} {one['id']}", str(one["name"]["en"]))) for one in others]
    opened = forms.choosing(opened, "to", named)
    return opened, forms.form(kind.sealed_schema, WITHOUT) if kind.sealed_schema is not None else None


def encloses(bureau: Bureau, draft: Draft) -> bool:
    """Whether files can go with this message."""
    kind = kind_of(bureau, draft.protocol, draft.version, draft.message)
    schema = kind.sealed_schema if kind is not None else None
    return schema is not None and ATTACHMENTS in schema.document.get("properties", {})


def has_contact(bureau: Bureau, draft: Draft) -> bool:
    """Whether this message says who is to be rung up."""
    kind = kind_of(bureau, draft.protocol, draft.version, draft.message)
    schema = kind.sealed_schema if kind is not None else None
    return schema is not None and "contact" in schema.document.get("properties", {})


def bases() -> list[tuple[str, Words]]:
    """The legal bases that are in force today."""
    today = deadlines.local_date(datetime.now(UTC))
    known = [one for one in legal_basis.register().values() if one.in_force_on(today)]
    listed = [(one.id, Words(f"《{one.title['zh']}》", one.title["en"])) for one in known]
    return sorted(listed, key=lambda one: one[1].zh)


def fill(bureau: Bureau, draft: Draft, sent: Mapping[str, Sequence[str]]) -> None:
    """Put what was filled in into the draft: `open.…` and `sealed.…`."""
    opened, sealed = _forms(bureau, draft)
    draft.data = forms.read(opened, _below(sent, "open"))
    draft.content = (forms.read(sealed, _below(sent, "sealed")) or None) if sealed is not None else None


def extend(draft: Draft, name: str) -> None:
    """One more entry in the list of this name."""
    part, *steps = name.split(".")
    held: Any = draft.data if part == "open" else draft.content
    for step in steps[:-1]:
        held = held.get(step) if isinstance(held, dict) else None
    if (
        isinstance(held, dict)
        and steps
        and isinstance(held.get(steps[-1], []), list)
        and len(held.get(steps[-1], ())) < 50
    ):
        held[steps[-1]] = [*held.get(steps[-1], []), None]


def problems(bureau: Bureau, draft: Draft) -> list[Problem]:
    """What is wrong with the draft, at `/open/…` and `/sealed/…`."""
    kind = kind_of(bureau, draft.protocol, draft.version, draft.message)
    assert kind is not None
    missing = [name for name in _required(bureau, draft) if name not in draft.data]
    opened, sealed = _forms(bureau, draft)
    content = draft.content
    if sealed is not None and (content or draft.files or kind.declared.sealed == "required"):
        content = forms.opened(sealed, content or {})
    found = problems_of(kind, forms.opened(opened, draft.data), content, bool(draft.files))
    return found + [Problem(f"/open/{name}", "required") for name in missing]


def problems_of(
    kind: MessageType, data: Mapping[str, Any], content: Mapping[str, Any] | None, encloses: bool = False
) -> list[Problem]:
    """What the schemas of a message find wrong in it, before the desk fills in the rest."""
    found = [
        Problem(f"/open{one.pointer}", one.keyword, one.limit)
        for one in kind.schema.problems(_whole(data))
        if one.pointer not in ("/sealed", "/sealed_digest")
    ]
    if kind.sealed_schema is not None and (content or encloses or kind.declared.sealed == "required"):
        inside = kind.sealed_schema.problems(_whole(content or {}))
        found += [Problem(f"/sealed{one.pointer}", one.keyword, one.limit) for one in inside
                  if one.pointer != "/messages"]  # fmt: skip
    return found


def shown(bureau: Bureau, draft: Draft, checked: bool, said: Sequence[Remark] = ()) -> tuple[Shown, Shown | None]:
    """The forms with the draft in them: at each field what was `said` of it, and once `checked` what is wrong."""
    found = [*said, *map(forms.remark, problems(bureau, draft) if checked else ())]
    opened, sealed = _forms(bureau, draft)
    inside = forms.shown(sealed, draft.content, found, "sealed") if sealed is not None else None
    return forms.shown(opened, draft.data, found, "open"), inside


def lines(form: Field, data: Any) -> Iterator[tuple[Words, Words]]:
    """What a message says, line by line, in the words of its schema."""
    return read(forms.shown(form, data))


def plain(data: Any, around: tuple[str, ...] = ()) -> Iterator[tuple[Words, Words]]:
    """What data say, line by line, where no schema names their parts."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            if around or key not in WITHOUT:
                yield from plain(value, (*around, str(key)))
    elif isinstance(data, list):
        for value in data:
            yield from plain(value, around)
    elif data is not None:
        title, text = " · ".join(around), str(data)
        yield Words(title, title), Words(text, text)


def read(shown: Shown) -> Iterator[tuple[Words, Words]]:
    """The same of a form that is filled in."""
    return _said(shown, ())


def _said(one: Shown, around: tuple[Words, ...]) -> Iterator[tuple[Words, Words]]:
    options = dict(one.field.options)
    title = Words(*(" · ".join(words) for words in zip(*around, one.field.title, strict=True)))
    for value in one.values:
        if value:
            yield title, options.get(value, Words(value, value))
    inside = (*around, one.field.title) if one.field.kind == "group" and one.field.key else around
    for part in one.parts:
        yield from _said(part, inside)


def _forms(bureau: Bureau, draft: Draft) -> tuple[Field, Field | None]:
    made = form_of(bureau, draft.protocol, draft.version, draft.message)
    assert made is not None
    return forms.requiring(made[0], _required(bureau, draft)), made[1]


def _required(bureau: Bureau, draft: Draft) -> tuple[str, ...]:
    """What the flow demands of this message besides its schema, where the case stands now."""
    case = bureau.case(draft.case)
    if case is None:
        return ()
    sides = {case["opener"]: OPENER, case["responder"]: RESPONDER}
    role = sides.get(bureau.organisation, PARTICIPANT)
    flow = bureau.catalogue.protocols[draft.protocol, draft.version].flow
    move = flow.table.get((case["state"], role), {}).get(draft.message)
    return move.requires if move is not None else ()


def _below(sent: Mapping[str, Sequence[str]], part: str) -> dict[str, Sequence[str]]:
    return {name.removeprefix(f"{part}."): values for name, values in sent.items() if name.startswith(f"{part}.")}


def _whole(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data without the empty places that were made for more."""
    return {
        name: [one for one in value if one is not None] if isinstance(value, list) else value
        for name, value in data.items()
    }
