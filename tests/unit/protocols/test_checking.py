"""The loader and the checker: each fault that a catalogue can have is found and named, and nothing else is raised."""

import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols import checking, flow_checks, flow_file, loading
from protocols.flow_file import FlowFile, HorizontalFile
from protocols.refusals import CatalogueInvalid

FLOW = "case-assistance/1.0/flow.toml"
SHARED = "horizontal/1.0/flow.toml"
REQUEST = "case-assistance/1.0/open/request.json"
ANSWER = "case-assistance/1.0/open/answer.json"
EVENTS = "case-assistance/1.0/sealed/request.json"
FACTS = "case-assistance/1.0/definitions.json"
DEFINITIONS = "horizontal/1.0/definitions.json"


def copied(to: Path) -> Path:
    """A catalogue with one protocol, to be broken."""
    for part in ("case-assistance", "horizontal"):
        shutil.copytree(loading.FOLDER / part, to / part)
    return to


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copied(tmp_path / "catalogue")


def replace(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text("utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), "utf-8")


def edit(folder: Path, file: str, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((folder / file).read_text("utf-8"))
    change(document)
    (folder / file).write_text(json.dumps(document), "utf-8")


def problems(folder: Path) -> list[str]:
    """What is found wrong, by loading or by checking."""
    try:
        checking.require(loading.load(folder))
    except CatalogueInvalid as fault:
        found: list[str] = fault.data["problems"]  # type: ignore[assignment]
        assert found and fault.detail
        return found
    return []


def test_the_catalogue_as_shipped_has_no_fault() -> None:
    assert problems(loading.FOLDER) == []


# What can't be loaded: the file is named ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (FLOW, "[states]", "[states"),
        (FLOW, 'protocol = "case-assistance"', 'protocol = "case-assistance"\ncolour = "red"'),
        (FLOW, 'protocol = "case-assistance"', 'protocol = "another"'),
        (FLOW, 'version = "1.0"', 'version = "2.0"'),
        (FLOW, 'version = "1.0"', 'version = "one"'),
        (FLOW, 'summary = { zh = "', 'summary = { colour = "", zh = "'),
        (FLOW, 'title = { zh = "案件协查", en = "Case assistance" }', 'title = { zh = "案件协查" }'),
        (FLOW, 'owner = "responder"', 'owners = "responder"'),
        (FLOW, 'clock = "runs"', 'clock = "walks"'),
        (FLOW, "days = 7", "days = 0"),
        (FLOW, "days = 7", "days = 100000000"),
        (FLOW, "days = 7", 'days = "seven"'),
        (FLOW, 'scope = "state"', 'scope = "country"'),
        (FLOW, "requested   = {", "Requested = {"),
        (FLOW, 'by = "responder"', "by = 7"),
        (FLOW, 'from = ["requested"]', 'from = ["nowhere"]'),
        (FLOW, 'from = ["requested"]', 'from = "requested"'),
        (FLOW, 'from = ["requested"]', 'from = ["@nowhere"]'),
        (FLOW, 'messages = ["remind", ', 'messages = ["remind", "shout", '),
        (FLOW, 'paused    = "clarifying"\n', ""),
        (FLOW, 'paused    = "clarifying"', 'paused = ["clarifying", "answered"]'),
        (FLOW, 'paused    = "clarifying"', 'paused = "clarifying"\nopen = "requested"'),
        (FLOW, 'ended     = ["closed"', 'ended     = ["nowhere"'),
        (
            FLOW,
            'request = { zh = "协查请求"',
            'ask-again = { zh = "再问", en = "Ask again" }\nrequest = { zh = "协查请求"',
        ),
        (FLOW, 'sealed = "required"', 'sealed = "perhaps"'),
        (SHARED, 'version = "1.0"', 'version = "1.1"'),
        (SHARED, "limit = 2", "limit = 0"),
        (SHARED, "limit = 2", "limits = 2"),
        (SHARED, "[messages]", "[[messages]]"),
        (REQUEST, '"type": "object"', '"type": "thing"'),
        (REQUEST, '"type": "object"', '"type": "object", "type": "object"'),
        (REQUEST, '"$ref": "#/$defs/fact"', '"$ref": "#/$defs/nothing"'),
        (REQUEST, '"$ref": "#/$defs/fact"', '"$ref": "https://xieban.example/fact"'),
        (FACTS, '"oneOf"', '"anyOf": 5, "oneOf"'),
        (REQUEST, "https://json-schema.org/draft/2020-12/schema", "https://json-schema.org/draft/2019-09/schema"),
        (REQUEST, '"$schema"', '"$id": "https://xieban.example/x", "$schema"'),
        (REQUEST, '"properties": {', '"properties": { "sealed": {"type": "boolean"},'),
    ],
)
def test_a_file_that_can_not_be_read_is_named(folder: Path, file: str, old: str, new: str) -> None:
    replace(folder, file, old, new)
    (finding,) = problems(folder)
    # A message without a schema is the flow file's fault as much as the folder's.
    assert str(folder / file) in finding or finding.startswith(str((folder / file).parent))


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"null", b"{", b"[" * 5000, b'{"a": 1e999}', b"\x00"])
@pytest.mark.parametrize("file", [FLOW, SHARED, REQUEST, EVENTS, FACTS, DEFINITIONS])
def test_any_bytes_for_a_file_are_a_fault_of_that_file(folder: Path, file: str, content: bytes) -> None:
    (folder / file).write_bytes(content)
    (finding,) = problems(folder)
    assert finding.startswith(str(folder / file))


def test_a_deeply_nested_flow_file_is_a_fault_of_that_file(folder: Path) -> None:
    (folder / FLOW).write_text("a = " + "[" * 5000 + "]" * 5000)
    (finding,) = problems(folder)
    assert finding.startswith(str(folder / FLOW))


@pytest.mark.parametrize("file", [REQUEST, EVENTS, "horizontal/1.0/open/ask.json", SHARED])
def test_a_missing_file_is_a_fault(folder: Path, file: str) -> None:
    (folder / file).unlink()
    (finding,) = problems(folder)
    assert Path(file).name in finding


@pytest.mark.parametrize("file", ["open/gossip.json", "sealed/gossip.json", "open/request.txt", "closed/request.json"])
def test_a_file_that_no_message_has_is_a_fault(folder: Path, file: str) -> None:
    stray = folder / "case-assistance/1.0" / file
    stray.parent.mkdir(exist_ok=True)
    stray.write_text("{}")
    assert problems(folder) == [f"{stray}: belongs to no message that flow.toml declares"]


def test_a_folder_in_the_place_of_a_file_is_a_fault(folder: Path) -> None:
    (folder / REQUEST).unlink()
    (folder / REQUEST).mkdir()
    (finding,) = problems(folder)
    assert finding.startswith(str(folder / REQUEST))


def test_an_empty_catalogue_is_a_fault(tmp_path: Path) -> None:
    (finding,) = problems(tmp_path)
    assert finding.startswith(str(tmp_path))


def test_a_new_protocol_is_a_new_folder_and_no_code(folder: Path) -> None:
    shutil.copytree(folder / "case-assistance", folder / "errand")
    replace(folder, "errand/1.0/flow.toml", 'protocol = "case-assistance"', 'protocol = "errand"')
    loaded = checking.require(loading.load(folder))
    assert set(loaded.protocols) == {("case-assistance", "1.0"), ("errand", "1.0")}
    schema = "https://xieban.example/v1/protocols/errand/1.0/request"
    assert loaded.message("errand.request", schema)[1].schema.id == schema


# What is loaded and does not hold together: the finding says what ---------------------------------------

MOVE = (
    '\n[[moves]]\nmessage = "accept"\nby = "responder"\nfrom = ["requested"]\nto = "in-progress"\nundone = "requested"'
)


@pytest.mark.parametrize(
    ("file", "old", "new", "finding"),
    [
        (FLOW, "opener      = {", "official = {", "there is no role opener"),
        (
            FLOW,
            "opener      = {",
            'mayor = { zh = "市长", en = "Mayor" }\nopener = {',
            "nobody can have the role mayor",
        ),
        (
            FLOW,
            'en = "Closed",      final = true',
            'en = "Closed", final = true, owner = "opener"',
            "final state closed has",
        ),
        (
            FLOW,
            'en = "Closed",      final = true',
            'en = "Closed", final = true, clock = "runs"',
            "final state closed has",
        ),
        (
            FLOW,
            'en = "Closed",      final = true',
            'en = "Closed", final = true, due = "close"',
            "final state closed has",
        ),
        (FLOW, 'owner = "opener",    due = "close"', 'due = "close"', "state answered has no owner"),
        (
            FLOW,
            'owner = "opener",    due = "close"',
            'owner = "participant", due = "close"',
            "state answered has no owner",
        ),
        (FLOW, 'owner = "opener",    due = "close"', 'owner = "opener"', "state answered has no deadline"),
        (FLOW, 'due = "close"', 'due = "soon"', "state answered has no deadline"),
        (
            FLOW,
            'due = "close"',
            'due = "acknowledge"',
            "state answered is due by acknowledge, which belongs to each message",
        ),
        (FLOW, 'due = "close"', 'due = "answer"', "state answered is due by answer, which does not run in it"),
        (FLOW, 'due = "close"', 'due = "accept"', "deadline close belongs to no state"),
        (FLOW, "days = 15", "days = 30", "deadline answer is not shorter"),
        (FLOW, 'value = "urgent"', 'value = "hasty"', "shorter for hasty, which no opening message can say"),
        (FLOW, 'field = "urgency"', 'field = "matter"', "shorter for urgent, which no opening message can say"),
        (
            FLOW,
            'opens = true\nto = "requested"\n',
            'by = "opener"\nfrom = ["requested"]\nto = "in-progress"\n',
            "no message opens a case",
        ),
        (FLOW, 'to = "requested"\nbasis', "basis", "request opens a case in no state in which it runs"),
        (FLOW, 'to = "requested"\nbasis', 'to = "closed"\nbasis', "request opens a case in no state in which it runs"),
        (
            FLOW,
            'to = "requested"\nbasis',
            'to = "clarifying"\nbasis',
            "request opens a case in no state in which it runs",
        ),
        (FLOW, 'basis = "legal_basis"\n', "", "request opens a case without a legal basis"),
        (
            FLOW,
            "opens = true\n",
            "opens = true\nlimit = 1\n",
            "request opens a case and does what only a later message can",
        ),
        (
            FLOW,
            'undone = "withdrawn"',
            'undone = "requested"',
            "request opens a case and is not undone into a final state",
        ),
        (FLOW, 'undone = "withdrawn"', 'undone = "@back"', "request opens a case and is not undone into a final state"),
        (FLOW, MOVE, MOVE + MOVE, "two moves for accept by responder in requested"),
        (FLOW, MOVE, MOVE.replace("accept", "request"), "request opens a case and can't be sent in one"),
        (
            FLOW,
            MOVE,
            '\n[[moves]]\nmessage = "request"\nopens = true\nto = "requested"\nbasis = "legal_basis"' + MOVE,
            "two moves open a case by request",
        ),
        (FLOW, MOVE, "", "accept can never be sent"),
        (FLOW, MOVE, MOVE.replace('from = ["requested"]', "from = []"), "accept can never be sent"),
        (FLOW, MOVE, MOVE.replace('by = "responder"', 'by = "mayor"'), "accept is by the unknown role mayor"),
        (
            FLOW,
            'owner = "opener",    due = "close"',
            'owner = "responder", due = "close"',
            "state answered has no way out for its owner",
        ),
        (FLOW, MOVE, MOVE.replace("in-progress", "somewhere"), "accept names the unknown state somewhere"),
        (
            FLOW,
            MOVE,
            MOVE.replace('undone = "requested"', 'undone = "somewhere"'),
            "accept names the unknown state somewhere",
        ),
        (
            FLOW,
            MOVE,
            MOVE.replace('undone = "requested"', 'undone = "answered"'),
            "accept is undone into answered, which it may not have left",
        ),
        (FLOW, MOVE, MOVE.replace("in-progress", "@back"), "accept leads back from a state that no pause led to"),
        (FLOW, MOVE, MOVE.replace("accept", "agree"), "agree is moved by but not declared"),
        (FLOW, '"remind", ', "", None),
        (FLOW, '"ask", ', "", "state clarifying can't be reached"),
        (
            FLOW,
            'requires = ["outcome"]',
            'requires = ["mood"]',
            "answer reads the field mood, which its schema does not have",
        ),
        (FLOW, 'paused    = "clarifying"', 'paused    = "answered"', "state clarifying"),
        (FLOW, 'withdrawn = "withdrawn"', 'withdrawn = "requested"', None),
        (
            FLOW,
            'decline = { zh = "不予协查", en = "Decline"',
            'decline = { zh = "不予协查", en = "Decline", may_expire = true',
            "decline may expire and yet moves the case",
        ),
        (FLOW, 'en = "Case assistance" }', 'en = "Case assistance for newborns" }', "flow.toml speaks of newborn"),
        (
            SHARED,
            'from = ["@held"]\nto = "@paused"',
            'from = ["@answered"]\nto = "@paused"',
            "ask pauses a clock that does not run",
        ),
        (
            SHARED,
            'basis = "legal_basis"             # reopening',
            "# reopening",
            "reopen reopens a case without a legal basis",
        ),
        (
            SHARED,
            'undoes = "message"',
            'undoes = "message"\nlimit = 3\n',
            "invalidate undoes a message and does something else",
        ),
        (
            SHARED,
            'undoes = "message"',
            'undoes = "letter"\n',
            "invalidate reads the field letter, which its schema does not have",
        ),
        (
            SHARED,
            'assigns = { role = "responder", from = "to" }',
            'assigns = { role = "responder", from = "to" }\nundone = "@back"',
            "forward gives the case away and can't be undone",
        ),
        (
            SHARED,
            'assigns = { role = "responder", from = "to" }',
            'assigns = { role = "responder", from = "whither" }',
            "forward reads the field whither",
        ),
        (
            SHARED,
            'role = "participant"',
            'role = "opener"',
            "add-participant gives the role opener, which can't be given",
        ),
        (
            SHARED,
            'role = "participant"',
            'role = "responder"',
            "add-participant gives away what only the responder holds",
        ),
        (
            SHARED,
            'at_least = { deadline = "answer"',
            'at_least = { deadline = "eternity"',
            "forward names the unknown deadline eternity",
        ),
        (
            SHARED,
            'proposes = { deadline = "answer"',
            'proposes = { deadline = "accept"',
            "propose-date moves accept, which does not belong to the whole case",
        ),
        (
            SHARED,
            'settles = { deadline = "answer", agreed = "agreed"',
            'settles = { deadline = "answer", agreed = "date"',
            "agree-date reads the field date, which its schema does not require",
        ),
        (
            SHARED,
            'by = "opener"\nfrom = ["@held"]',
            'by = "opener"\nfrom = ["@open"]',
            "agree-date moves answer where the clocks do not run",
        ),
        (
            SHARED,
            ', date = "date" }\nundone = "@back"\n\n[[moves]]\nmessage = "progress"',
            ', date = "agreed" }\n\n[[moves]]\nmessage = "progress"',
            "agree-date reads the field agreed as a date, which it is not",
        ),
        (SHARED, "from_hub = true", "from_hub = false", "undelivered can never be sent"),
        (SHARED, "from_hub = true", "from_hub = false", "the hub has no message undelivered to say so"),
    ],
)
def test_a_flow_that_does_not_hold_together_is_found(
    folder: Path, file: str, old: str, new: str, finding: str | None
) -> None:
    replace(folder, file, old, new)
    found = problems(folder)
    if finding is None:
        assert not any("can't" in text for text in found)
    else:
        assert any(finding in text for text in found), found


def test_a_state_without_a_way_out_or_to_an_end_is_found(folder: Path) -> None:
    replace(
        folder,
        FLOW,
        "[deadlines]",
        'limbo = { zh = "停滞", en = "Limbo", owner = "opener", due = "close" }\n[deadlines]',
    )
    replace(folder, FLOW, MOVE, MOVE.replace('"in-progress"', '"limbo"'))
    replace(folder, FLOW, '"withdraw", ', "")
    found = problems(folder)
    assert any("state limbo has no way out" in text for text in found)
    assert any("no way leads from state limbo to an end" in text for text in found)


@pytest.mark.parametrize(
    ("file", "change", "finding"),
    [
        (REQUEST, lambda d: d.pop("examples"), "open/request has no examples"),
        (REQUEST, lambda d: d.update(examples=[]), "open/request has no examples"),
        (REQUEST, lambda d: d["examples"].append({}), "open/request example 3: /legal_basis"),
        (EVENTS, lambda d: d["examples"].append({}), "sealed/request example"),
        (REQUEST, lambda d: d.pop("x-counter-examples"), "open/request has no x-counter-examples"),
        (REQUEST, lambda d: d["x-counter-examples"].insert(0, d["examples"][0]), "open/request counter-example 0 fits"),
        (REQUEST, lambda d: d.pop("x-title-en"), "open/request has no x-title-en"),
        (REQUEST, lambda d: d.update(title=" "), "open/request has no title"),
        (REQUEST, lambda d: d["required"].remove("legal_basis"), "legal_basis, which its schema does not require"),
        (
            DEFINITIONS,
            lambda d: d["legal_basis"]["required"].clear(),
            "instrument, which its schema does not",
        ),
        (REQUEST, lambda d: d["properties"].update(legal_basis=True), "request reads the field legal_basis as object"),
        (REQUEST, lambda d: d["properties"].update(urgency=True), "shorter for urgent, which no opening message"),
        (REQUEST, lambda d: d.pop("additionalProperties"), "additionalProperties is not false"),
        (REQUEST, lambda d: d["properties"]["occurred"].pop("additionalProperties"), "additionalProperties is not"),
        (REQUEST, lambda d: d["properties"].update(note={"type": "string"}), "/properties/note: is a text without"),
        (REQUEST, lambda d: d["properties"].update(note={}), "/properties/note: takes values of any type"),
        (REQUEST, lambda d: d["properties"].update(note=True), "/properties/note: takes anything"),
        (REQUEST, lambda d: d.update(patternProperties={"^x": True}), "patternProperties is no keyword"),
        (REQUEST, lambda d: d.update({"$defs": {"note": {"type": "string"}}}), "/$defs/note: is a text without"),
        (DEFINITIONS, lambda d: d["documents"].pop("maximum"), "open/request /$defs/documents: has no minimum and"),
        (REQUEST, lambda d: d["properties"].update(n={"type": "integer"}), "has no minimum and maximum"),
        (REQUEST, lambda d: d["properties"]["facts"].pop("maxItems"), "/properties/facts: has no maxItems"),
        (REQUEST, lambda d: d.update(type="array"), "is no object"),
        (EVENTS, lambda d: d["properties"].update(n={"type": "string"}), "sealed/request /properties/n: has no length"),
        (EVENTS, lambda d: d.pop("additionalProperties"), "sealed/request : additionalProperties is not false"),
        (FACTS, lambda d: d["fact"]["oneOf"][0].update(title="孕情"), "request /$defs/fact/oneOf/0/title"),
        (EVENTS, lambda d: d["properties"].update(newborn={"type": "null"}), "request /properties/newborn speaks of"),
    ],
)
def test_a_schema_that_does_not_hold_together_is_found(
    folder: Path, file: str, change: Callable[[dict[str, Any]], object], finding: str
) -> None:
    edit(folder, file, change)
    found = problems(folder)
    assert any(finding in text for text in found), found


# Whatever stands in the files -------------------------------------------------------------------------

VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, "", "x", "@back", "@nothing", [], {}, [[]], ["x"], {"x": 1}, 10**12]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to everything within a document."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [found for key in keys for found in ((*path, key), *places(value[key], (*path, key)))]


def planted(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed: Any = json.loads(json.dumps(document))
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return dict(changed)


SCHEMAS = {file: json.loads((loading.FOLDER / file).read_text("utf-8")) for file in (REQUEST, ANSWER, EVENTS)}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_schema_changed_anywhere_is_taken_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = data.draw(st.sampled_from(sorted(SCHEMAS)))
    path = data.draw(st.sampled_from(places(SCHEMAS[file])))
    document = planted(SCHEMAS[file], path, data.draw(VALUES))
    folder = tmp_path_factory.mktemp("changed") / "catalogue"
    copied(folder)
    (folder / file).write_text(json.dumps(document), "utf-8")
    assert isinstance(problems(folder), list)
    shutil.rmtree(folder)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_flow_changed_anywhere_is_taken_or_refused_and_nothing_else(data: st.DataObject) -> None:

    written, shared = (tomllib.loads((loading.FOLDER / file).read_text("utf-8")) for file in (FLOW, SHARED))
    which = data.draw(st.booleans())
    path = data.draw(st.sampled_from(places(written if which else shared)))
    changed = planted(written if which else shared, path, data.draw(VALUES))
    try:
        one = msgspec.convert(changed if which else written, FlowFile)
        flow = flow_file.flow(one, msgspec.convert(shared if which else changed, HorizontalFile))
    except (ValueError, msgspec.ValidationError):
        return
    assert all(isinstance(text, str) for text in flow_checks.findings(flow))
