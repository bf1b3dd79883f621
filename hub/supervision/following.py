"""The log followed entry by entry: each case it speaks of has its course worked out anew, by one process at a time.

What is stored is derived; nothing is read for it but entries of the log, so it can be thrown away and made again.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import date
from typing import NamedTuple

import structlog

from hub.arrangements.reading import loaded
from hub.log import Placed
from hub.store import CONNECTION_LOST, Connection, Pool
from hub.store.queries import SQL
from protocols import entries
from protocols.between_hubs import Marked, Relayed
from protocols.course import Course, Facts, course
from protocols.entries import Accepted, Acknowledged, CalendarPublished, DueChanged, Entry, Fetched, Succeeded
from protocols.loading import Catalogue
from protocols.turnaround import KINDS, Event

logger = structlog.get_logger()
PAGE = 400
"""Entries followed in one transaction: short, so that nobody waits for it."""
CASES = 2_000
"""Cases worked out at once: a year's arrangement of holidays bears on every one that is open."""
EVERY = 0.5
STANDS_STILL = 30.0
"""Seconds until what could not be followed is tried again."""


class Logged(NamedTuple):
    """An entry that bears on a case, with the tree it is proven in."""

    place: Placed
    entry: Entry


async def follow_for_ever(pool: Pool, catalogue: Catalogue) -> None:
    """Follow the log as it grows. Any process may; who holds the head's row is the one that does.

    What can't be followed, such as an entry that a newer version made, leaves the figures where they are: no more.
    """
    while True:
        moved, pause = 0, EVERY
        try:
            async with pool.acquire() as connection:
                moved = await follow(connection, catalogue)
        except CONNECTION_LOST:
            pass
        except Exception as error:
            pause = STANDS_STILL
            logger.error("supervision-stands-still", why=f"{type(error).__name__}: {str(error)[:500]}")
        await asyncio.sleep(pause if moved < PAGE else 0)


async def follow(connection: Connection, catalogue: Catalogue, page: int = PAGE) -> int:
    """Follow the next `page` entries; how many there were. 0 also where another process is at it."""
    async with connection.transaction():
        through = await connection.fetchval(SQL["lock_course_head"])
        if through is None:
            return 0
        rows = await connection.fetch(SQL["entries_between"], through, through + page)
        if not rows:
            return 0
        end = rows[-1]["index"] + 1
        cases = await _touched(connection, [entries.decode(row["leaf"]) for row in rows])
        ordered = sorted(cases)
        for first in range(0, len(ordered), CASES):
            await keep(connection, await facts(connection, catalogue, ordered[first : first + CASES], end))
        await connection.execute(SQL["move_course_head"], end)
    return len(rows)


async def _touched(connection: Connection, read: Sequence[Entry]) -> set[str]:
    """The cases that these entries bear on."""
    cases = {entry.subject for entry in read if isinstance(entry, Accepted | DueChanged)}
    for year in {entry.year for entry in read if isinstance(entry, CalendarPublished)}:
        cases |= {str(row["case_id"]) for row in await connection.fetch(SQL["cases_in_year"], date(year, 1, 1))}
    marks = [entry for entry in read if isinstance(entry, Fetched | Acknowledged)]
    places = [(e.recipient, e.from_, e.through) for e in marks]
    places += [(e.recipient, at, at) for e in read if isinstance(e, Marked) for at in e.positions]
    columns = [name for name, _, _ in places], [first for _, first, _ in places], [last for _, _, last in places]
    cases |= {str(row["case_id"]) for row in await connection.fetch(SQL["cases_at_positions"], *columns)}
    for old in (entry.organisation for entry in read if isinstance(entry, Succeeded)):
        cases |= {str(row["case_id"]) for row in await connection.fetch(SQL["cases_of"], [old], None, None)}
    return cases


async def logged(connection: Connection, cases: Collection[str], size: int) -> dict[str, list[Logged]]:
    """Every entry among the first `size` of the log that bears on each of the cases, in the log's order.

    Arrangements of holidays bear on all of them, and are left out.
    """
    steps = await connection.fetch(SQL["case_entries"], list(cases), size)
    places = {row["log_index"]: Placed(row["log_index"], row["tree_size"]) for row in steps}
    # What was carried is repeated under an entry of its own.
    for row in await connection.fetch(SQL["relays"], list(cases)):
        if row["way"] == "down" and row["log_index"] in places:
            places[row["log_index"]] = Placed(row["log_index"], row["tree_size"])
    leaves = await _leaves(connection, places)
    found: dict[str, list[Logged]] = {case: [] for case in cases}
    boxes: dict[tuple[str, int], str] = {}
    for row in steps:
        entry = leaves[row["log_index"]]
        assert isinstance(entry, Accepted | Relayed)
        found[entry.subject].append(Logged(places[row["log_index"]], entry))
        boxes |= {(name, position): entry.subject for name, position in entry.recipients.items()}
    columns = [name for name, _ in boxes], [position for _, position in boxes]
    marks = await connection.fetch(SQL["marks_on"], *columns, size)
    signed = await _leaves(connection, {row["log_index"] for row in marks})
    for row in marks:
        place = Placed(row["log_index"], row["tree_size"])
        found[boxes[row["recipient"], row["position"]]].append(Logged(place, signed[place.index]))
    moves = await connection.fetch(SQL["due_changes"], list(cases), size)
    moved = await _leaves(connection, [row["log_index"] for row in moves])
    for row in moves:
        place = Placed(row["log_index"], row["tree_size"])
        found[str(row["case_id"])].append(Logged(place, moved[place.index]))
    for row in await connection.fetch(SQL["successions"]):
        if row["log_index"] is not None and row["log_index"] < size:
            place = Placed(row["log_index"], row["tree_size"])
            entry = (await _leaves(connection, [place.index]))[place.index]
            for one in found.values():
                one.append(Logged(place, entry))
    # One entry signs for many positions: it bears on a case once.
    return {case: sorted({one.place.index: one for one in all}.values(), key=_index) for case, all in found.items()}


def _index(one: Logged) -> int:
    return one.place.index


async def _leaves(connection: Connection, indexes: Collection[int]) -> dict[int, Entry]:
    rows = await connection.fetch(SQL["entries"], list(indexes))
    return {row["index"]: entries.decode(row["leaf"]) for row in rows}


async def facts(connection: Connection, catalogue: Catalogue, cases: Collection[str], size: int) -> dict[str, Facts]:
    """What each case contributes to figures, by the first `size` entries of the log."""
    found = {}
    calendar = (await loaded(connection, size)).calendar
    for case, read in (await logged(connection, cases, size)).items():
        if any(isinstance(one.entry, Relayed) for one in read):
            continue  # it counts where it has its home
        played = played_through(catalogue, read)
        known = played.facts(calendar) if played is not None else None
        if known is not None:
            found[case] = known
    return found


def played_through(catalogue: Catalogue, read: Sequence[Logged]) -> Course | None:
    """The course of a case by its entries; None where it has none, or its protocol is not in the catalogue."""
    first = next((one.entry for one in read if isinstance(one.entry, Accepted | Relayed)), None)
    if first is None:
        return None
    protocol = catalogue.protocols.get((first.type.partition(".")[0], first.version))
    if protocol is None:
        return None
    return course(protocol.flow, (Event(one.place.index, one.entry) for one in read))


async def keep(connection: Connection, found: dict[str, Facts]) -> None:
    """Store what the cases contribute."""
    if found:
        await connection.execute(
            SQL["set_courses"], *map(list, zip(*(row(id, f) for id, f in found.items()), strict=True))
        )


def row(case: str, facts: Facts) -> tuple[object, ...]:
    """The row of `case_course`, in the order of its columns."""
    stage = facts.stage
    return (
        case,
        facts.protocol,
        facts.version,
        facts.opener,
        facts.responder,
        facts.state,
        facts.final,
        facts.opened,
        facts.opened_on,
        facts.due,
        facts.acknowledge_by,
        facts.acknowledged_on,
        facts.accept_by,
        facts.accepted_on,
        facts.left_by_other,
        facts.answered_on,
        facts.answer_due,
        facts.ended_on,
        facts.reopened,
        *(getattr(facts.calendar, kind) for kind in KINDS),
        *(getattr(facts.working, kind) for kind in KINDS),
        stage.kind if stage else None,
        " ".join(stage.organisations) if stage else None,
        stage.begins if stage else None,
        stage.entry if stage else None,
    )
