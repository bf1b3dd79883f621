"""Which alarms ring for what /metrics says: real samples, as scraped, evaluated by promtool."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub.store import embedded
from tests.acceptance.pages import ROOT

RULES = ROOT / "docs/operation/alerts.yaml"
HUB, ADAPTERS = "xieban", "xieban-adapters"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian: apt install prometheus) is not here")
COUNTED = ("_total", "_count", "_sum", "_bucket")
REPLICATED = {"xieban_replica_used", "xieban_replica_behind_seconds"}
"""Metrics of a hub that has a replica; tests/cluster/test_replicas.py finds them there, and has their alarm ring."""
LASTS = 180
"""Minutes for which what was scraped lasts."""


def promtool(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What promtool says."""
    assert PROMTOOL is not None
    command = [PROMTOOL, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of an exposition."""
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for each in families for one in each.samples}


def names(text: str) -> set[str]:
    """The names of all samples of an exposition."""
    return {name for name, _ in samples(text)}


def ringing(now: str | None, before: str | None = None, job: str = HUB) -> set[str]:
    """The alarms that ring once what was scraped `now` has lasted; None: nothing could be scraped.

    With what was scraped `before`, what was counted in between is counted again each minute.
    """
    seen, earlier = samples(now or ""), samples(before or "")
    series = [_series("up", {}, f"{int(now is not None)}x{LASTS}", job)]
    for (name, labels), value in seen.items():
        begins = earlier.get((name, labels), 0.0) if before is not None and name.endswith(COUNTED) else value
        series.append(_series(name, dict(labels), f"{begins:.9f}+{value - begins:.9f}x{LASTS}", job))
    return _evaluated(series)


def _series(name: str, labels: Mapping[str, str], values: str, job: str) -> dict[str, str]:
    marks = {**labels, "job": job, "instance": "one"}
    told = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in marks.items())
    return {"series": f"{name}{{{told}}}", "values": values.replace("+-", "-")}


def _evaluated(series: Sequence[Mapping[str, str]]) -> set[str]:
    asked = {"expr": 'ALERTS{alertstate="firing"}', "eval_time": f"{LASTS - 1}m", "exp_samples": []}
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [asked]}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(RULES, folder)
        document = {"rule_files": [RULES.name], "evaluation_interval": "1m", "tests": [test]}
        (Path(folder) / "test.yaml").write_text(json.dumps(document, ensure_ascii=False), "utf-8")
        done = promtool("test", "rules", "test.yaml", folder=Path(folder))
    said = done.stdout + done.stderr
    found = set(re.findall(r'alertname=\\?"(\w+)', said))
    assert bool(found) == (done.returncode != 0), said
    return found


@contextlib.asynccontextmanager
async def leaderless(data: Path) -> AsyncIterator[None]:
    """Nobody has led the hub's scheduler for a minute, and nobody can take over meanwhile."""
    connection = await asyncpg.connect(embedded.dsn(data))
    silent = "UPDATE scheduler_lead SET leader = 'gone', seen = clock_timestamp() - interval '1 min'"
    while True:
        await connection.execute(silent)
        transaction = connection.transaction()
        await transaction.start()
        if await connection.fetchval("SELECT leader FROM scheduler_lead FOR UPDATE") == "gone":
            break
        await transaction.rollback()
    try:
        yield
    finally:
        await transaction.rollback()
        await connection.close()


@contextlib.contextmanager
def small_disk() -> Iterator[Path | None]:
    """A file system of its own, where the system lets us have one."""
    with tempfile.TemporaryDirectory(prefix="disk-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=400m,mode=700", "none", folder]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            yield None
            return
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
