"""docs/threat-model.md treats every letter of every arrow, and every test that it names exists."""

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/threat-model.md").read_text("utf-8")
ARROWS = (
    "sender → hub",
    "hub → database",
    "hub → recipient (poll)",
    "recipient → hub (acknowledgement)",
    "hub ↔ hub",
    "adapter ↔ provincial platform",
    "adapter ↔ file exchange",
    "adapter ↔ AS4 access point",
    "adapter ↔ bus",
    "desk ↔ hub",
    "browser ↔ desk",
    "browser ↔ console",
    "operator's command line",
    "log ↔ auditor and witness",
    "vouching and the anchor",
    "build and supply chain",
)
ACCEPTED = re.compile(r"\*\*accepted\*\*: .{20,}\. \*\*Would change\*\*: .{10,}", re.DOTALL)


@lru_cache
def collected(file: str) -> frozenset[str]:
    """The tests that pytest collects from a file; none where there is no such file."""
    path = TESTS / file
    if not path.is_file() or not path.name.startswith("test_"):
        return frozenset()
    body = ast.parse(path.read_text("utf-8")).body
    defined = (node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(name for name in defined if name.startswith("test_"))


def complaints(page: str) -> list[str]:
    """What is wrong with a threat model, one sentence each."""
    sections = dict(re.findall(r"(?ms)^## \d+\. [^\n]* · ([^\n]+)\n(.*?)(?=^## |\Z)", page))
    found = [f"no section for {arrow}" for arrow in ARROWS if arrow not in sections]
    found += [f"no such arrow: {arrow}" for arrow in sections if arrow not in ARROWS]
    for arrow, text in sections.items():
        rows = re.findall(r"(?m)^\| (?!---)(.*?) \| (.*?) \|(.*)\|$", text)
        found += [f"{arrow}: nothing of {letter}" for letter in "STRIDE" if letter not in {row[0] for row in rows}]
        found += [f"{arrow}: {row[0]!r} is no letter" for row in rows if row[0] not in tuple("STRIDE")]
        for letter, threat, answer in rows:
            named = re.findall(r"`([\w/]+\.py)::(\w+)`", answer)
            found += [f"{arrow}: no test {file}::{name}" for file, name in named if name not in collected(file)]
            if not (ACCEPTED.search(answer) if "**accepted**" in answer else named):
                found.append(f"{arrow}: {letter} {threat}: no test, and no reason")
    return found


def test_every_letter_of_every_arrow_is_answered_by_a_test_or_a_reason() -> None:
    assert complaints(PAGE) == []


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("## 9. ", "## nine ", "no section for adapter ↔ bus"),
        ("· hub ↔ hub", "· hub ↔ moon", "no such arrow: hub ↔ moon"),
        ("test_a_forged_signature_is_refused", "test_a_forged_signature_is_taken", "no test acceptance"),
        ("acceptance/test_hostile_input.py", "acceptance/hostile_input.py", "no test acceptance/hostile_input.py"),
        ("**Would change**", "Would change", "no test, and no reason"),
        ("| R | \"we never signed for it\"", "| X | \"we never signed for it\"", "nothing of R"),
        ("`acceptance/test_exchange.py::test_what_must_be_signed_is_rejected_unsigned_or_altered`", "", "no reason"),
    ],
)  # fmt: skip
def test_what_is_left_out_of_the_page_is_found(before: str, after: str, complaint: str) -> None:
    assert before in PAGE
    assert any(complaint in found for found in complaints(PAGE.replace(before, after, 1)))


def test_what_is_no_test_does_not_count() -> None:
    """What pytest would not collect covers nothing, whatever it is called."""
    assert "complaints" not in collected("unit/test_threat_model.py")
    assert "test_every_letter_of_every_arrow_is_answered_by_a_test_or_a_reason" in collected(
        "unit/test_threat_model.py"
    )
