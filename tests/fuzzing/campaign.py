"""A campaign: one process of libFuzzer a target, on a corpus that grows, and what came of it."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fuzzing.probing import Target

GRACE = 120
"""Seconds that a process has beside the time it fuzzes: it imports everything with instruments first."""
_STATUS = re.compile(r"^#(\d+)\s.*?cov: (\d+).*?corp: (\d+)/\S+", re.MULTILINE)
_STATISTIC = re.compile(r"^stat::(\w+):\s+(\d+)", re.MULTILINE)
_FOUND = re.compile(r"Test unit written to (\S+)")
_WHAT = re.compile(r"^(?: === Uncaught Python exception: ===\n(.*)|.*(?:ERROR: libFuzzer: (.*)))$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What fuzzing one target came to: inputs tried, edges covered, inputs kept, most memory in MiB, and findings."""

    name: str
    inputs: int
    covered: int
    kept: int
    memory: int
    finding: str | None
    input: Path | None

    @property
    def line(self) -> str:
        """As a line of the report."""
        said = "ok" if self.finding is None else f"FOUND {self.finding} · {self.input}"
        figures = f"{self.inputs:>10,}  {self.covered:>6}  {self.kept:>5}  {self.memory:>5} MiB"
        return f"{self.name:<20}  {figures}  {said}"


HEAD = f"{'':<20}  {'inputs':>10}  {'edges':>6}  {'kept':>5}  {'memory':>9}"


def fuzz(target: Target, seconds: int, growing: Path, found: Path, memory: int = 1024) -> Outcome:
    """Fuzz a target so long, from its seeds and kept corpus; `growing` holds what is new, `found` what breaks it."""
    for folder in (growing, found):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="seeds-") as seeds:
        for number, seed in enumerate([*target.seeds(), *target.kept()]):
            (Path(seeds) / f"seed-{number}").write_bytes(seed)
        words = Path(seeds) / "words.dict"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
        options = [
            f"-max_total_time={seconds}", f"-timeout={max(10, round(4 * target.seconds))}", f"-rss_limit_mb={memory}",
            f"-malloc_limit_mb={memory}", f"-max_len={target.largest}", f"-dict={words}", f"-artifact_prefix={found}/",
            "-print_final_stats=1", "-reload=0", "-verbosity=1",
        ]  # fmt: skip
        return _outcome(target, _run([target.name, *options, str(growing), seeds], seconds))


def _run(arguments: Sequence[str], seconds: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzzing.child", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=seconds + GRACE, check=False
    )


def _outcome(target: Target, done: subprocess.CompletedProcess[str]) -> Outcome:
    said = done.stdout + done.stderr
    statistics = {name: int(value) for name, value in _STATISTIC.findall(said)}
    inputs, covered, kept = max(((int(a), int(b), int(c)) for a, b, c in _STATUS.findall(said)), default=(0, 0, 0))
    finding, input = None, None
    if done.returncode:
        what = _WHAT.findall(said)
        finding = " ".join((what[0][0] or what[0][1]).split())[:300] if what else said[-500:]
        written = _FOUND.search(said)
        input = Path(written[1]) if written else None
    tried = statistics.get("number_of_executed_units", inputs)
    return Outcome(target.name, tried, covered, kept, statistics.get("peak_rss_mb", 0), finding, input)


def _escaped(word: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in word)
