"""A form from a JSON Schema: what a screen asks for, and what was filled in read back as the data to be judged.

Nothing here knows a protocol. Titles, help, code lists, dates and bounds come from the schema (JSON Schema 2020-12 with
`x-title-en` and `x-description-en`), so that a new protocol needs no new screen. A field's name is the path to its
value, its steps separated by dots: `subjects.0.name`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

from protocols.schemas import Problem, Schema

Kind = Literal["text", "long", "integer", "number", "date", "yes-or-no", "choice", "choices", "group", "list"]
LONG = 200
"""Characters from which on a text gets several lines."""
_ABSENT = object()


class Words(NamedTuple):
    """A text in both languages."""

    zh: str
    en: str


NOT_RIGHT: Final = Words("填写有误", "not right")


class Remark(NamedTuple):
    """What is to be put right at a place of a form, by the name of its field; the empty name means the form."""

    name: str
    words: Words


@dataclass(frozen=True, slots=True)
class Field:
    """What a form asks for at one place: `parts` are those of a group, or the one that a list repeats.

    `options` are values with their titles; `least` is how many entries a list has at least, `longest` bounds a text.
    """

    key: str
    kind: Kind
    title: Words
    help: Words | None
    required: bool
    options: tuple[tuple[str, Words], ...] = ()
    parts: tuple["Field", ...] = ()
    least: int = 0
    longest: int | None = None
    needed_with: tuple[tuple[str, Words], ...] = ()
    """The fields beside it, by key and title, with which it must be filled in (JSON Schema, dependentRequired)."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A field at its place in a form: its name, what stands in it, what is wrong with it."""

    name: str
    field: Field
    values: tuple[str, ...] = ()
    problems: tuple[Words, ...] = ()
    parts: tuple["Shown", ...] = ()

    def submitted(self) -> Iterator[tuple[str, str]]:
        """What a browser sends of it: names with values, in the order of the form."""
        for value in self.values:
            yield self.name, value
        for part in self.parts:
            yield from part.submitted()


def form(schema: Schema, without: Collection[str] = ()) -> Field:
    """The form of a schema's object, but for properties that somebody else fills in. Raises ValueError."""
    document = schema.document
    field = _field("", document, document.get("$defs", {}), True)
    if field.kind != "group":
        raise ValueError("a form is made of an object")
    return replace(field, parts=tuple(part for part in field.parts if part.key not in without))


def shown(field: Field, data: Any = None, remarks: Sequence[Remark] = (), name: str = "") -> Shown:
    """The form with `data` in it, as far as it fits, and each remark at its field or at the nearest around it."""
    if field.kind == "group":
        held = data if isinstance(data, dict) else {}
        parts = [shown(part, held.get(part.key), remarks, _at(name, part.key)) for part in field.parts]
        return Shown(name, field, (), _own(name, remarks, [part.name for part in parts]), tuple(parts))
    if field.kind == "list":
        entries: list[Any] = list(data) if isinstance(data, list) else []
        entries += [None] * (max(field.least, 1) - len(entries))
        (part,) = field.parts
        parts = [shown(part, entry, remarks, _at(name, str(n))) for n, entry in enumerate(entries)]
        return Shown(name, field, (), _own(name, remarks, [part.name for part in parts]), tuple(parts))
    return Shown(name, field, _values(field, data), _own(name, remarks, []))


def read(field: Field, submitted: Mapping[str, Sequence[str]], name: str = "") -> Any:
    """What was filled in, as data; what is left empty is left out, what is no number stays the text that it is."""
    found = _read(field, submitted, name)
    return {} if found is _ABSENT else found


def _read(field: Field, submitted: Mapping[str, Sequence[str]], name: str) -> Any:
    match field.kind:
        case "group":
            found = {part.key: _read(part, submitted, _at(name, part.key)) for part in field.parts}
            kept = {key: value for key, value in found.items() if value is not _ABSENT}
            return kept if kept or not name else _ABSENT
        case "list":
            (part,) = field.parts
            entries = [_read(part, submitted, _at(name, str(n))) for n in _entries(submitted, name)]
            return [entry for entry in entries if entry is not _ABSENT] or _ABSENT
        case "choices":
            known = {value for value, _ in field.options}
            return [value for value in dict.fromkeys(submitted.get(name, ())) if value in known] or _ABSENT
    text = next(iter(submitted.get(name, ())), "").replace("\r\n", "\n")
    if not text.strip():
        return _ABSENT
    match field.kind:
        case "integer" | "number":
            return _number(field.kind, text.strip())
        case "yes-or-no":
            return {"true": True, "false": False}.get(text, text)
        case "long":
            return text
        case _:
            return text.strip()


def _number(kind: Kind, text: str) -> int | float | str:
    try:
        if len(text) <= 18 and text.isascii():
            return int(text) if kind == "integer" or text.lstrip("-").isdigit() else float(text)
    except ValueError:
        pass
    return text


def _entries(submitted: Mapping[str, Sequence[str]], name: str) -> list[int]:
    """The numbers of a list's entries, in their order; a form has no more than a few hundred."""
    start = f"{name}."
    steps = {key[len(start) :].partition(".")[0] for key in submitted if key.startswith(start)}
    return sorted(int(step) for step in steps if step.isascii() and step.isdigit() and len(step) < 4)


def _field(key: str, schema: Mapping[str, Any], definitions: Mapping[str, Any], required: bool) -> Field:
    merged = _resolved(schema, definitions)
    title = _words(merged, "title") or Words(key, key)
    field = Field(key, "text", title, _words(merged, "description"), required)
    if options := _options(merged):
        return replace(field, kind="choice", options=options)
    match merged.get("type"):
        case "object":
            wanted = set(merged.get("required", ()))
            parts = [_field(k, part, definitions, k in wanted) for k, part in merged.get("properties", {}).items()]
            return replace(field, kind="group", parts=_depending(parts, merged.get("dependentRequired", {})))
        case "array":
            part = _field("", merged.get("items", {}), definitions, True)
            part = part if part.title.zh else replace(part, title=title)
            field = replace(field, least=merged.get("minItems", 0))
            if part.kind == "choice" and merged.get("uniqueItems"):
                return replace(field, kind="choices", options=part.options)
            return replace(field, kind="list", parts=(part,))
        case "integer":
            return replace(field, kind="integer")
        case "number":
            return replace(field, kind="number")
        case "boolean":
            return replace(
                field, kind="yes-or-no", options=(("true", Words("是", "Yes")), ("false", Words("否", "No")))
            )
    longest = merged.get("maxLength")
    kind: Kind = "date" if merged.get("format") == "date" else "long" if (longest or 0) > LONG else "text"
    return replace(field, kind=kind, longest=longest)


def _depending(parts: Sequence[Field], needs: Mapping[str, Sequence[str]]) -> tuple[Field, ...]:
    """The parts of a group, each with the others that make it necessary."""
    titles = {part.key: part.title for part in parts}
    return tuple(
        replace(part, needed_with=tuple((key, titles[key]) for key, named in needs.items() if part.key in named))
        for part in parts
    )


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with what it refers to; what it says itself comes first."""
    found = dict(schema)
    while isinstance(reference := found.pop("$ref", None), str):
        found = {**definitions[reference.removeprefix("#/$defs/")], **found}
    return found


def _options(schema: Mapping[str, Any]) -> tuple[tuple[str, Words], ...]:
    listed = schema.get("oneOf")
    if isinstance(listed, list) and all(isinstance(one.get("const"), str) for one in listed):
        return tuple((one["const"], _words(one, "title") or Words(one["const"], one["const"])) for one in listed)
    codes = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    return tuple((code, Words(code, code)) for code in codes if isinstance(code, str))


def _words(schema: Mapping[str, Any], name: str) -> Words | None:
    text = schema.get(name)
    return None if text is None else Words(str(text), str(schema.get(f"x-{name}-en", text)))


def requiring(field: Field, keys: Collection[str]) -> Field:
    """The form with these fields of it required, whatever the schema says by itself."""
    parts = tuple(replace(part, required=True) if part.key in keys else part for part in field.parts)
    return replace(field, parts=parts)


def opened(field: Field, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data with every group that is required, be it empty: what lacks in it is said at its own fields."""
    inside = {
        part.key: opened(part, held)
        for part in field.parts
        if part.kind == "group" and part.required and isinstance(held := data.get(part.key, {}), dict)
    }
    return {**data, **inside}


def choosing(field: Field, path: str, options: Sequence[tuple[str, Words]]) -> Field:
    """The form with a choice of `options` in the place of the field at `path`; itself where there is none."""
    key, _, rest = path.partition(".")
    parts = tuple(
        part
        if part.key != key
        else choosing(part, rest, options)
        if rest
        else replace(part, kind="choice", options=tuple(options))
        for part in field.parts
    )
    return replace(field, parts=parts)


def _values(field: Field, data: Any) -> tuple[str, ...]:
    if field.kind == "choices":
        return tuple(one for one in data if isinstance(one, str)) if isinstance(data, list) else ()
    if isinstance(data, bool):
        return ("true" if data else "false",)
    return (str(data),) if isinstance(data, str | int | float) else ("",)


def _at(name: str, step: str) -> str:
    return f"{name}.{step}" if name else step


def _own(name: str, remarks: Sequence[Remark], inner: Collection[str]) -> tuple[Words, ...]:
    """The remarks at this place, or within it but at none of its parts."""

    def here(at: str) -> bool:
        within = at == name or not name or at.startswith(f"{name}.")
        return within and not any(at == part or at.startswith(f"{part}.") for part in inner)

    return tuple(remark.words for remark in remarks if here(remark.name))


def remark(problem: Problem) -> Remark:
    """A problem at its field, in words for who fills in the form."""
    return Remark(problem.pointer.removeprefix("/").replace("/", "."), said(problem))


def said(problem: Problem) -> Words:
    """What is wrong, in words for who fills in the form."""
    limit = problem.limit
    if limit is None and problem.keyword.startswith(("min", "max")):
        return NOT_RIGHT
    return {
        "required": Words("必须填写", "must be filled in"),
        "dependentRequired": Words("与另一项须一并填写", "goes together with another one"),
        "minLength": Words(f"至少 {limit} 个字", f"at least {limit} characters"),
        "maxLength": Words(f"最多 {limit} 个字", f"at most {limit} characters"),
        "minimum": Words(f"不小于 {limit}", f"at least {limit}"),
        "maximum": Words(f"不大于 {limit}", f"at most {limit}"),
        "minItems": Words(f"至少 {limit} 项", f"at least {limit} entries"),
        "maxItems": Words(f"最多 {limit} 项", f"at most {limit} entries"),
        "uniqueItems": Words("有重复", "something is there twice"),
        "oneOf": Words("请从列表中选择", "choose one of the list"),
        "enum": Words("请从列表中选择", "choose one of the list"),
        "const": Words("请从列表中选择", "choose one of the list"),
        "format": Words("格式不对，例如日期 2026-10-12", "not in the form it should have, e.g. a day 2026-10-12"),
        "pattern": Words("格式不对", "not in the form it should have"),
        "afterToday": Words("须在今天之后", "must be a day after today"),
        "otherDate": Words("与对方提议的日期不同", "not the date that was proposed"),
        "datePassed": Words("提议的日期已过", "the date that was proposed has passed"),
        "monthNotOver": Words("这个月还没有结束", "this month is not over"),
        "caseUnknown": Words("没有这件案件，或本机构看不到它", "no case that this organisation sees"),
        "notAsked": Words("这家机构没有参与本案", "was not asked in this case"),
        "hasIt": Words("这家机构已是发起方或协办方", "is opener or responder of the case already"),
        "takesPart": Words("这家机构已参与本案", "takes part in the case already"),
        "passedItOn": Words("这家机构办过本案，已转出", "held the case before and passed it on"),
        "isHub": Words("这是枢纽，不办案", "is a hub and answers no case"),
        "type": Words("应填数字", "a number is wanted") if limit in ("integer", "number") else NOT_RIGHT,
    }.get(problem.keyword, NOT_RIGHT)
