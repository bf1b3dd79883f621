"""Supervisors reading where a million cases are: every page of the console, timed as a browser would meet it.

The hub is filled as in `stored`, ten messages a case; what the figures and lists are made from has a row for each case,
drawn at random: 3,000 bureaus in thirty provinces below a national supervisor, a year of cases, one in fourteen open.
Afterwards messages are sent while somebody reads without a pause, for no reader may keep intake waiting.
"""

import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from benchmarks import processes, stored
from benchmarks.processes import Hub
from benchmarks.stored import ORGANISATIONS, PROVINCES
from hub.store import embedded
from hub.store.migrate import FOLDER
from keys import jwk

NATION = "100000-supervision"
VIEWERS = {"nation": NATION, "province": "200000-supervision"}
PER_CASE = 10
ROUNDS = 5
PAGES = (
    "/console/",
    "/console/cases",
    "/console/cases?overdue=1",
    "/console/cases?stage=opener",
    "/console/cases?responder=200150-health",
    "/console/cases/{case}",
    "/console/turnaround",
    "/console/turnaround?from={inside}",
    "/console/matrix",
    "/console/scorecards",
    "/console/scorecards?protocol=errand",
    "/console/bulletins",
    "/console/traces",
    "/console/organisations",
    "/console/log",
    "/console/schedule",
    "/console/pack",
    "/console/chart/months.svg",
    "/console/chart/turnaround.svg",
    "/console/chart/case/{case}.svg",
)
Seen = dict[str, Any]


def fill(data: Path, cases: int) -> None:
    """Fill the hub in `data`, which does not run, with so many cases and ten times as many messages."""
    stored.fill(data, cases * PER_CASE, PER_CASE)
    asyncio.run(_fill(data, cases))


async def _fill(data: Path, cases: int) -> None:
    server = await embedded.start(data)
    try:
        connection = await asyncpg.connect(embedded.dsn(data), command_timeout=3_600)
        await connection.execute("SET synchronous_commit = off")
        keys = [one.public for one in (jwk.generate_signing(), jwk.generate_encryption())]
        await connection.execute(_ORGANISATIONS, NATION, PROVINCES, ORGANISATIONS)
        for key in keys:
            await connection.execute(
                "INSERT INTO organisation_key SELECT id, $1, $2, now() FROM organisation ON CONFLICT DO NOTHING",
                key.kid, json.dumps(key.jwk),
            )  # fmt: skip
        await connection.execute("UPDATE log_head SET key_epoch = key_epoch + 1")
        await connection.execute("SELECT setseed(0.2026)")
        for start in range(0, cases, 50_000):
            numbers = range(start, min(start + 50_000, cases))
            ids = [stored.id_of(number * PER_CASE) for number in numbers]
            await connection.execute(_COURSES, ids, PROVINCES, ORGANISATIONS, start, cases)
        _, added, statement = (FOLDER / "0015_figures.sql").read_text("utf-8").partition("INSERT INTO figure_sum")
        await connection.execute(added + statement)  # as they were added up when the table was made
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
        await connection.close()
    finally:
        await server.stop()


_ORGANISATIONS = """
INSERT INTO organisation (id, name_zh, name_en, superior, roles)
SELECT $1, '全国督导', 'Nation', NULL::text, ARRAY['supervisor']
UNION ALL SELECT (11 + n) * 10000 || '-supervision', n || '省督导', 'Province ' || n, $1, ARRAY['supervisor']
    FROM generate_series(0, $2::int - 1) AS n
UNION ALL SELECT (11 + n % $2::int) * 10000 + 100 + n / $2::int || '-health', '第' || n || '卫生健康局', 'Bureau ' || n,
    (11 + n % $2::int) * 10000 || '-supervision', ARRAY['bureau'] FROM generate_series(0, $3::int - 1) AS n
ON CONFLICT (id) DO UPDATE SET superior = excluded.superior"""
# Days are counted back from today; an open case was opened in the last forty days, or is one of the two per cent that
# hang. Three per cent were never signed for, as many never taken up in so many words.
_COURSES = """
WITH drawn AS (
    SELECT id::uuid AS id, 364 - (($4::bigint + number) * 364 / $5::bigint)::int AS ago,
        (random() * ($3::int - 1))::int AS opener,
        (random() * ($3::int - 2))::int AS shift, random() AS r1, random() AS r2, random() AS r3, random() AS r4,
        (random() * 39)::int AS takes
    FROM unnest($1::text[]) WITH ORDINALITY AS one (id, number)
), named AS (
    SELECT *, (11 + opener % $2::int) * 10000 + 100 + opener / $2::int || '-health' AS opens,
        (opener + 1 + shift) % $3::int AS answering
    FROM drawn
), made AS (
    SELECT *, (11 + answering % $2::int) * 10000 + 100 + answering / $2::int || '-health' AS answers,
        CURRENT_DATE - ago AS day, (takes > ago OR r1 < 0.02) AS open,
        CURRENT_DATE - ago + 15 + (r4 * 15)::int AS due
    FROM named
)
INSERT INTO case_course
SELECT id, (ARRAY['case-assistance', 'errand', 'document-verification', 'reverse-trace'])[1 + (r2 * 3.2)::int], '1.0',
    opens, answers, CASE WHEN open THEN 'accepted' ELSE 'closed' END, NOT open, day + time '04:00', day,
    CASE WHEN open THEN due END, day + 2, CASE WHEN r3 < 0.97 THEN day + (r3 * 3)::int END, day + 7,
    CASE WHEN r1 < 0.97 THEN day + (r1 * 8)::int END, false,
    CASE WHEN NOT open AND r3 < 0.95 THEN day + takes END, CASE WHEN NOT open AND r3 < 0.95 THEN due END,
    CASE WHEN NOT open THEN day + takes + 1 END, CASE WHEN NOT open THEN r4 < 0.05 END,
    (r1 * 86400)::int, (r2 * 86400)::int, takes * 40000, (r3 * 86400)::int,
    (r1 * 43200)::int, (r2 * 43200)::int, takes * 30000, (r3 * 43200)::int,
    CASE WHEN open THEN (ARRAY['transit', 'unread', 'responder', 'opener'])[1 + (r3 * 3.99)::int] END,
    CASE WHEN open THEN answers END, CASE WHEN open THEN day + time '10:00' END, CASE WHEN open THEN 1 END
FROM made"""


def measure(hub: Hub, case: str, send: Callable[[], Seen]) -> Seen:
    """Every page for both viewers, by milliseconds to the first byte and to the last; then intake beside a reader."""
    inside = str(date.today() - timedelta(days=200))
    cookies = {name: enter(hub, f"reader.{name}", organisation) for name, organisation in VIEWERS.items()}
    rows = []
    for name, cookie in cookies.items():
        for page in PAGES:
            path = page.format(case=case, inside=inside)
            fetch(hub, path, cookie)  # what is read for the first time comes from disk
            runs = [fetch(hub, path, cookie) for _ in range(ROUNDS)]
            firsts, lasts, sizes = zip(*runs, strict=True)
            rows.append(
                {"viewer": name, "page": page, "first_ms": middle(firsts), "ms": middle(lasts), "bytes": sizes[0]}
            )
    alone, pages = send(), [page.format(case=case, inside=inside) for page in PAGES]
    with ThreadPoolExecutor() as threads:
        reading = True

        def read() -> int:
            count = 0
            while reading:
                fetch(hub, pages[count % len(pages)], cookies["nation"])
                count += 1
            return count

        counted = threads.submit(read)
        beside = send()
        reading = False
        read_meanwhile = counted.result()
    return {"pages": rows, "alone": alone, "beside": beside, "read_meanwhile": read_meanwhile}


def middle(values: Sequence[float]) -> float:
    """The median, in milliseconds of seconds."""
    return 1000 * sorted(values)[len(values) // 2]


def enter(hub: Hub, name: str, organisation: str) -> str:
    """A session of somebody of a supervising organisation: its cookie."""
    where = ("--data", str(hub.data), "--url", hub.url)
    processes.xieban("people", "invite", name, "--organisation", organisation, "--full-name", name, *where)
    command = [sys.executable, "-m", "hub.commands", "people", "link", name, *where]
    link = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    calling = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=30)
    calling.request("POST", urlsplit(link).path, headers={"Origin": hub.url})
    cookie = calling.getresponse().getheader("Set-Cookie") or ""
    return cookie.partition(";")[0]


def fetch(hub: Hub, path: str, cookie: str) -> tuple[float, float, int]:
    """A page: seconds to its first byte and to its last, and its size."""
    calling = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=120)
    calling.connect()
    started = time.perf_counter()
    calling.request("GET", path, headers={"Cookie": cookie})
    answer = calling.getresponse()
    first = answer.read(1)
    began = time.perf_counter() - started
    size = len(first + answer.read())
    whole = time.perf_counter() - started
    calling.close()
    if answer.status != 200:
        sys.exit(f"{path}: {answer.status}")
    return began, whole, size
