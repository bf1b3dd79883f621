"""What a run found: as JSON for programs, JUnit XML for builds, HTML for people."""

import re
import xml.etree.ElementTree as ElementTree
from datetime import datetime
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import jinja2
import msgspec

from adapters.conformance.scenarios import MUST, SCENARIOS
from adapters.conformance.stage import Check
from keys.errors import Fault

__all__ = ["Check", "Outcome", "Report", "ReportInvalid", "Result", "Seen", "html", "junit", "read", "write"]

_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SIGNS = {"passed": "✓ 通过 passed", "failed": "✗ 未通过 failed", "skipped": "– 未测 skipped", "broken": "! 出错 error"}


class ReportInvalid(Fault):
    """This is no report of the conformance kit."""

    code: ClassVar[str] = "conformance-report-invalid"


class Outcome(StrEnum):
    """How a scenario ended; broken is the kit's own fault, or the hub's."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    BROKEN = "broken"


class Seen(msgspec.Struct, frozen=True):
    """A request of the system under test: seconds after the scenario began, and the two statuses, if any."""

    at: float
    method: str
    path: str
    taken: int | None
    given: int | None


class Result(msgspec.Struct, frozen=True):
    """One scenario as it went; `seen` are its last requests where it did not pass."""

    name: str
    severity: str
    outcome: Outcome
    seconds: float
    finding: str
    checks: tuple[Check, ...]
    seen: tuple[Seen, ...]


class Report(msgspec.Struct, frozen=True):
    """A whole run."""

    kit: str
    organisation: str
    hub_version: str
    began: datetime
    ended: datetime
    quick: bool
    results: tuple[Result, ...]

    def count(self, outcome: Outcome) -> int:
        """How many scenarios ended so."""
        return sum(one.outcome is outcome for one in self.results)

    @property
    def holds(self) -> bool:
        """Whether everything played that must pass did."""
        return all(one.outcome is Outcome.PASSED for one in self.results if one.severity == "must")

    @property
    def conforms(self) -> bool:
        """Whether everything was played that there is to pass, and passed."""
        return {one.name for one in self.results if one.outcome is Outcome.PASSED} >= MUST


def read(content: bytes) -> Report:
    """A report from its JSON. Raises ReportInvalid."""
    try:
        return msgspec.json.decode(content, type=Report)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ReportInvalid(str(error)[:300]) from None


def write(report: Report, folder: Path) -> None:
    """`report.json`, `report.xml` and `report.html` in the folder."""
    (folder / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    (folder / "report.xml").write_bytes(junit(report))
    (folder / "report.html").write_text(html(report), "utf-8")


def junit(report: Report) -> bytes:
    """JUnit XML: a suite, a case for each scenario; what the kit itself could not do is an error."""
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": f"xieban-conformance {report.organisation}",
            "tests": str(len(report.results)),
            "failures": str(report.count(Outcome.FAILED)),
            "errors": str(report.count(Outcome.BROKEN)),
            "skipped": str(report.count(Outcome.SKIPPED)),
            "time": f"{sum(one.seconds for one in report.results):.2f}",
            "timestamp": report.began.isoformat(timespec="seconds"),
        },
    )
    tags = {Outcome.FAILED: "failure", Outcome.BROKEN: "error", Outcome.SKIPPED: "skipped"}
    for one in report.results:
        about = {"classname": f"xieban.conformance.{one.severity}", "name": one.name, "time": f"{one.seconds:.2f}"}
        case = ElementTree.SubElement(suite, "testcase", about)
        if one.outcome in tags:
            ElementTree.SubElement(case, tags[one.outcome], {"message": _clean(one.finding)})
        ElementTree.SubElement(case, "system-out").text = _clean("\n".join(_lines(one)))
    whole = ElementTree.Element("testsuites", {"name": "xieban-conformance"})
    whole.append(suite)
    written: bytes = ElementTree.tostring(whole, encoding="utf-8", xml_declaration=True)
    return written


def _lines(result: Result) -> list[str]:
    checks = [f"{'+' if one.held else '-'} {one.zh} · {one.en}" for one in result.checks]
    return checks + [
        f"{one.at:7.2f} {one.method} {one.path} {one.taken or '-'} {one.given or '-'}" for one in result.seen
    ]


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)


def html(report: Report) -> str:
    """One page that needs nothing else."""
    source = resources.files("adapters.conformance").joinpath("report.html").read_text("utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
    told: dict[str, Any] = {one.name: one.told for one in SCENARIOS}
    counts = {outcome.value: report.count(outcome) for outcome in Outcome}
    return template.render(report=report, told=told, counts=counts, signs=_SIGNS)
