"""`make bench`: intake and delivery beside the floor of the same run, printed, kept as JSON and drawn.

Every figure is for one hub process with its PostgreSQL (fsync and synchronous_commit on). *Per core* is messages
per CPU second of hub and PostgreSQL together; what the load generator used is shown beside it and not counted.
"""

import argparse
import socket
import sys
from pathlib import Path

from benchmarks import country, processes, report, traffic, workloads
from benchmarks.workloads import Report

COUNTIES = 2849
"""Of the whole country, as simulated."""


def measure(given: argparse.Namespace) -> Report:
    """Run every workload; `scale` times the usual number of messages."""
    found, scale = Report(), given.scale
    if given.only_country:
        found.country = country.measure(free_port(), given.country or COUNTIES)
        return found
    if given.only_readers:
        workloads.supervisors(free_port(), given.readers or 1_000_000, 20 * scale, found, note)
        return found
    bureaus = traffic.bureaus(workloads.BUREAUS)
    writer = traffic.Writer(bureaus)
    found.machine = report.machine(len(writer.requests(1)[0]))
    note("floor")
    found.floor = workloads.floor(writer.requests(int(10_000 * scale)), bureaus, 3)
    with processes.hub(free_port()) as hub:
        hub.enrol([bureau.record() for bureau in bureaus])
        workloads.throughput(hub, writer, scale, found, note)
        note("half load: whole cases")
        workloads.half_load(hub, writer, 20 * scale, found)
        note("overload")
        workloads.overload(hub, writer, 4 * scale, found)
        if given.soak:
            workloads.soak(hub, writer, given.soak, found, note)
    with processes.hub(free_port()) as hub:
        note("long poll")
        workloads.waiting(hub, int(workloads.PARTNERS * scale), int(1_000 * scale), found)
    if given.stored:
        note("one more message where many are stored")
        workloads.cost_when_stored(free_port(), given.stored, scale, found)
    if given.country:
        note("a country's organisations")
        found.country = country.measure(free_port(), given.country)
    if given.readers:
        workloads.supervisors(free_port(), given.readers, 20 * scale, found, note)
    return found


def note(name: str) -> None:
    """Say what is measured now."""
    print(f"… {name}", file=sys.stderr, flush=True)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def main() -> None:
    """Measure, print, keep, draw; with --least, fail where a goal is missed by far."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual number of messages")
    parser.add_argument("--json", type=Path, help="where to keep the figures")
    parser.add_argument("--picture", type=Path, help="where to draw them, .svg or .png")
    parser.add_argument(
        "--stored", type=int, nargs="*", default=[], metavar="N", help="measure one more message with N stored, each N"
    )
    parser.add_argument(
        "--readers", type=int, default=0, metavar="CASES", help="time every page of the console with so many cases"
    )
    parser.add_argument("--only-readers", action="store_true", help="measure nothing but --readers")
    parser.add_argument(
        "--country", type=int, default=0, metavar="COUNTIES", help="take in the organisations of so many, rotate keys"
    )
    parser.add_argument("--only-country", action="store_true", help="measure nothing but --country, of all counties")
    parser.add_argument("--soak", type=float, default=0, metavar="SECONDS", help="keep half load up for so long")
    parser.add_argument(
        "--least", type=float, help="the least share of its goal that each goal of the floor must reach"
    )
    given = parser.parse_args()
    found = measure(given)
    if given.json:
        report.keep(found, given.json)
    report.show(found)
    if given.picture:
        report.draw(found, given.picture)
    failures = wrong(found, given.least or 0)
    if failures:
        sys.exit("\n".join(failures))


def wrong(found: Report, least: float) -> list[str]:
    """What must not be in any run, and what falls under `least` of its goal."""
    slow = [row for row in found.readers.get("pages", ()) if least and row["ms"] > report.PAGE_MS / least]
    pages = [f"{row['page']} for the {row['viewer']}: {row['ms']:.0f} ms" for row in slow]
    if not found.throughput:
        return pages
    said = pages + [
        f"refused in: {name}" for name, row in found.throughput.items() if set(row["statuses"]) - {"200", "201"}
    ]
    if set(found.half_load["statuses"]) - {"201"}:
        said.append(f"refused at half load: {found.half_load['statuses']}")
    if any(set(row["statuses"]) - {"201", "503"} for row in found.overload):
        said.append("the overload met something else than 201 and 503")
    if found.waiting["arrived"] < found.waiting["sent"] or found.waiting["failed"]:
        said.append(f"of the partners that waited, not all were reached: {found.waiting}")
    for name, goal in report.GOALS.items():
        reached = found.throughput[name]["of_floor"]
        if reached < least * goal:
            said.append(f"{name}: {reached:.0%} of the floor per core; at least {least * goal:.0%} is wanted")
    return said


if __name__ == "__main__":
    main()
