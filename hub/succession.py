"""Organisations that stand in the place of others: divisions merged, bureaus renamed, duties moved.

On its day the successor takes over every case that is not at its end and the mailbox; ended cases and all that was
said stay under the old name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

import structlog

from hub import entering, organisations
from hub.identity import Identity
from hub.intake.ledger import Ledger
from hub.organisations import Directory
from hub.store import CONNECTION_LOST, Connection
from hub.store.queries import SQL
from keys.errors import Fault
from protocols import deadlines
from protocols.entries import Succeeded
from protocols.loading import Catalogue

logger = structlog.get_logger()
SHOWN = 10


class SuccessionInvalid(Fault):
    """This organisation can't stand in that one's place; nothing was changed."""

    code: ClassVar[str] = "succession-invalid"


@dataclass(frozen=True, slots=True)
class Done:
    """A succession that happened: how many cases changed hands, and its place in the log."""

    organisation: str
    successor: str
    cases: int
    index: int


async def plan(connection: Connection, old: str, new: str, on: date) -> None:
    """Write down that `new` stands in the place of `old` from the day `on`. Raises SuccessionInvalid."""
    _check(await organisations.load(connection), old, new)
    await connection.execute(SQL["set_succession"], old, new, on)


async def carry_out(connection: Connection, identity: Identity, catalogue: Catalogue) -> list[Done]:
    """Do every succession whose day has come, each in a transaction of its own; one that can't be done is passed over.

    What is passed over is tried again the next time, and said in the log of the process.
    """
    now = await connection.fetchval("SELECT clock_timestamp()")
    done = []
    for row in await connection.fetch(SQL["successions_due"], deadlines.local_date(now)):
        try:
            done.append(await _succeed(connection, identity, catalogue, row["organisation"], row["successor"]))
        except CONNECTION_LOST:
            raise
        except Exception as error:
            logger.warning("succession-passed-over", organisation=row["organisation"], why=str(error)[:500])
    return [one for one in done if one is not None]


async def succeed(connection: Connection, identity: Identity, catalogue: Catalogue, old: str) -> Done | None:
    """Do the succession of `old` now, if its day has come. Raises SuccessionInvalid."""
    now = await connection.fetchval("SELECT clock_timestamp()")
    for row in await connection.fetch(SQL["successions_due"], deadlines.local_date(now)):
        if row["organisation"] == old:
            return await _succeed(connection, identity, catalogue, old, row["successor"])
    return None


async def _succeed(connection: Connection, identity: Identity, catalogue: Catalogue, old: str, new: str) -> Done | None:
    async with connection.transaction():
        ledger = await entering.opened(connection)
        (row,) = [row for row in await connection.fetch(SQL["successions"]) if row["organisation"] == old]
        if row["log_index"] is not None:
            return None  # another process was first
        _check(ledger.directory, old, new)
        index = ledger.append(Succeeded(old, new, row["effective"].isoformat(), ledger.at))
        cases = await _take_over(connection, ledger, catalogue, old, new)
        await connection.execute(SQL["succession_done"], old, index, ledger.size + len(ledger.leaves))
        await entering.finish(connection, identity, ledger)
    return Done(old, new, cases, index)


async def _take_over(connection: Connection, ledger: Ledger, catalogue: Catalogue, old: str, new: str) -> int:
    count, stuck = 0, list[str]()
    for row in await connection.fetch(SQL["cases_of_party"], old):
        found = ledger.read(row)
        case = ledger.cases.get(found.id, found)
        rules = catalogue.protocols[case.protocol, case.version].flow
        if old not in case.parties() or case.home is not None or rules.states[case.state].final:
            continue
        main = {case.opener, case.position.responder}
        if main == {old, new}:
            stuck.append(case.id)
            continue
        after = case.succeeded(old, new)
        ledger.cases[case.id] = after
        ledger.changed_cases[case.id] = (after, row["due"])
        ledger.parties.add((new, case.id))
        count += 1
    if stuck:
        shown = ", ".join(stuck[:SHOWN])
        raise SuccessionInvalid(
            f"{old} and {new} face each other in {len(stuck)} open cases, to be ended first: {shown}", cases=stuck
        )
    return count


def _check(directory: Directory, old: str, new: str) -> None:
    for name in (old, new):
        if directory.get(name) is None:
            raise SuccessionInvalid(f"{name} is not known here")
    if directory.organisations[old].successor is not None:
        raise SuccessionInvalid(f"{old} was succeeded by {directory.organisations[old].successor} already")
    if old in (new, directory.heir(new)):
        raise SuccessionInvalid(f"{new} can't stand in the place of {old}")


async def happened(connection: Connection) -> Sequence[tuple[int, int, str, str]]:
    """Every succession so far: log index, tree size, old and new organisation, in order."""
    rows = await connection.fetch(SQL["successions"])
    return [
        (row["log_index"], row["tree_size"], row["organisation"], row["successor"])
        for row in rows
        if row["log_index"] is not None
    ]
