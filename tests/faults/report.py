"""What a campaign did and found: faults, checks and answers, counted; on the screen and in a file."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.checker import Finding


@dataclass(slots=True)
class Report:
    """The figures of one campaign. `recovered`: for each fault, the seconds until both nodes took messages again."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    recovered: dict[str, list[float]] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    checks: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    messages: int = 0
    log_size: int = 0

    def done(self, fault: str, recovered: float) -> None:
        """A fault was there, and is over."""
        self.faults[fault] += 1
        self.recovered.setdefault(fault, []).append(recovered)

    def show(self) -> None:
        """The tables."""
        console = Console()
        faults = Table("fault", "times", "recovered, longest s", title=f"seed {self.seed}, {self.seconds:.0f} s")
        for name, count in self.faults.items():
            faults.add_row(name, str(count), f"{max(self.recovered[name]):.1f}")
        for name, why in self.unavailable.items():
            faults.add_row(name, "-", why)
        checks = Table("invariant", "checks", title=f"{self.messages} messages, log of {self.log_size}")
        for name, count in self.checks.items():
            checks.add_row(name, str(count))
        checks.add_section()
        checks.add_row(
            "faults, checks, findings", f"{self.faults.total()}, {self.checks.total()}, {len(self.findings)}"
        )
        answers = Table("answer", "times")
        for name, count in sorted(self.answers.items()):
            answers.add_row(name, str(count))
        for table in (faults, checks, answers):
            console.print(table)
        for finding in self.findings:
            console.print(f"{finding.invariant}: {finding.about}", style="red", markup=False)

    def write(self, path: Path) -> None:
        """As JSON."""
        figures = {each.name: getattr(self, each.name) for each in fields(self)}
        figures["findings"] = [asdict(finding) for finding in self.findings]
        path.write_text(json.dumps(figures, ensure_ascii=False, indent=1))
