"""Cases moved by an entry that says what due dates are counted by: page by page, each case by an entry of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

from hub.intake.batch import Sequencer
from hub.intake.ledger import Job, Ledger, Taken
from hub.store import Pool
from hub.store.queries import SQL
from keys.errors import Fault
from protocols import entries, flow
from protocols.entries import DueChanged, Outage
from protocols.loading import Catalogue

PAGE = 200


@dataclass(frozen=True, slots=True)
class Move(Job):
    """Cases, by their ids, that the entry at index `cause` may move."""

    cause: int
    ids: Sequence[str]
    catalogue: Catalogue

    @property
    def recipients(self) -> Sequence[str]:
        """Nobody's mailbox is read."""
        return ()

    @property
    def cases(self) -> Sequence[str]:
        """All of them."""
        return self.ids

    def take(self, ledger: Ledger) -> Taken | Fault:
        """Enter `due-changed` for each case that it moves; new is whether there was one."""
        moved = [self._moved(ledger, id) for id in self.ids if id in ledger.cases]
        return Taken(max(ledger.size + len(ledger.leaves) - 1, 0), None, any(moved))

    def _moved(self, ledger: Ledger, id: str) -> bool:
        before = ledger.cases[id]
        after = ledger.directory.arrangements.moved(before, self.cause)
        if after == before or before.home is not None:
            return False
        rules = self.catalogue.protocols[after.protocol, after.version].flow
        was, due = flow.current_due(rules, before), flow.current_due(rules, after)
        index = ledger.append(
            DueChanged(
                subject=id,
                due=due.date.isoformat() if due else None,
                was=was.date.isoformat() if was else None,
                provisional=bool(due and due.provisional),
                cause=self.cause,
                at=ledger.at,
            )
        )
        ledger.due_changes.append((id, index))
        ledger.cases[id] = after
        ledger.changed_cases[id] = (after, due.date if due else None)
        ledger.parties.update((name, id) for name in after.parties())
        if rules.hub_acts:
            ledger.duties[id] = (index, flow.hub_acts_on(rules, after))
        return True


async def carry_out(pool: Pool, sequencer: Sequencer, catalogue: Catalogue) -> None:
    """Move every case that an entry not yet carried out moves.

    What was moved already is found moved: it can be broken off and begun again.
    """
    async with pool.acquire() as connection:
        open = await connection.fetch(SQL["arrangements_open"])
    for row in open:
        cause, after = entries.decode(row["leaf"]), None
        while True:
            async with pool.acquire() as connection:
                found = await connection.fetch(SQL["cases_like"], _signs(cause), after, PAGE)
            if not found:
                break
            after = found[-1]["case_id"]
            await sequencer.submit(Move(row["log_index"], [str(one["case_id"]) for one in found], catalogue))
        async with pool.acquire() as connection:
            await connection.execute(SQL["arrangement_carried_out"], row["log_index"])


def _signs(cause: entries.Entry) -> list[str]:
    """How the records of cases that it may move look."""
    if isinstance(cause, Outage):
        return [f'%"due":"{day}"%' for day in cause.days]
    return ['%"provisional":true%']
