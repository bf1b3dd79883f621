"""Every case played again from its messages: its state, its due dates and its steps are what they make it."""

from datetime import datetime

import msgspec

from hub.audit.erasures import Erasures
from hub.audit.page import Page
from hub.store import Connection
from hub.store.queries import SQL
from keys.errors import Fault
from protocols import flow
from protocols.arrangements import Arrangements, Cause
from protocols.between_hubs import Relayed
from protocols.entries import Accepted, DueChanged, Succeeded
from protocols.envelope import Event
from protocols.flow import Case, Transition
from protocols.loading import Catalogue

PAGE = 1000


class Cases:
    """Replays the flow and holds `case_file` and `case_step` against it."""

    def __init__(self, hub: str, catalogue: Catalogue, erasures: Erasures) -> None:
        self._hub, self._catalogue = hub, catalogue
        self._unplayable = erasures.touched
        self._cases: dict[str, Case] = {}
        self._steps = 0
        self._arrangements = Arrangements()
        self._changes = self._causes = 0

    async def page(self, connection: Connection, page: Page) -> list[str]:
        """Play the messages of a stretch."""
        found: list[str] = []
        accepted = page.moved()
        self._steps += len(accepted)
        for index, entry in page.entries.items():
            self._causes += isinstance(entry, Cause)
            try:
                self._arrangements.take(index, entry)
            except (Fault, ValueError) as fault:
                found.append(f"entry {index}: {fault.detail if isinstance(fault, Fault) else fault}")
            if index in accepted and index in page.messages:
                assert isinstance(entry, Accepted | Relayed)
                found += self._play(page, index, entry, page.messages[index][1])
            elif isinstance(entry, DueChanged):
                found += self._move(index, entry)
            elif isinstance(entry, Succeeded):
                self._succeed(entry)
        columns = [entry.subject for entry in accepted.values()], list(accepted)
        states = {row["log_index"]: row for row in await connection.fetch(SQL["steps"], *columns)}
        for index, entry in accepted.items():
            row = states.get(index)
            due = row["due"].isoformat() if row is not None and row["due"] else None
            if row is None or (row["source"], str(row["id"]), row["type"], due) != (
                entry.source,
                entry.id,
                entry.type,
                entry.due,
            ):
                found.append(f"the step of entry {index} differs from the log")
        return found

    def _play(self, page: Page, index: int, entry: Accepted | Relayed, event: Event) -> list[str]:
        try:
            protocol, message = self._catalogue.message(event.type, event.dataschema)
        except Fault as fault:
            return [f"entry {index}: {fault.detail}"]
        home = entry.home if isinstance(entry, Relayed) else None
        moves = any(move.message == message.name for move in protocol.flow.moves)
        if entry.source == (home or self._hub) and not moves:
            return []
        named = flow.subject_case(protocol.flow, event) or ""
        if event.subject in self._unplayable or named in self._unplayable:
            self._unplayable.add(event.subject)
            return []
        about = self._cases.get(named)
        before = self._cases.get(event.subject)
        there = entry.there if isinstance(entry, Relayed) else None
        moment, calendar = datetime.fromisoformat(there.at if there else entry.at), self._arrangements.calendar
        outcome = flow.advance(protocol.flow, before, event, moment, about, calendar)
        if not isinstance(outcome, Transition):
            return [f"entry {index}: {event.type} was not allowed then: {outcome.detail}"]
        self._cases[event.subject] = msgspec.structs.replace(outcome.case, home=home)
        due = outcome.due.date.isoformat() if outcome.due else None
        same = due == entry.due or home is not None
        found = [] if same else [f"entry {index}: due {entry.due} where the flow says {due}"]
        told, logged = (protocol.version, flow.assigned(protocol.flow, before, event)), (entry.version, entry.assigned)
        return found if told == logged else [*found, f"entry {index}: {logged} where the message says {told}"]

    def _move(self, index: int, entry: DueChanged) -> list[str]:
        self._changes += 1
        if entry.there is not None:
            return []  # the home's word, of a case that it alone advances
        case = self._cases.get(entry.subject)
        if entry.subject in self._unplayable:
            return []
        if case is None:
            return [f"entry {index}: moves the due date of a case that is not there"]
        rules = self._catalogue.protocols[case.protocol, case.version].flow
        try:
            moved = self._arrangements.moved(case, entry.cause)
        except ValueError as error:
            return [f"entry {index}: {error}"]
        self._cases[entry.subject] = moved
        was, due = flow.current_due(rules, case), flow.current_due(rules, moved)
        comes_to = was and was.date.isoformat(), due and due.date.isoformat(), bool(due and due.provisional)
        said = entry.was, entry.due, entry.provisional
        return [] if said == comes_to else [f"entry {index}: due {said} where its cause makes {comes_to}"]

    def _succeed(self, entry: Succeeded) -> None:
        for id, case in self._cases.items():
            rules = self._catalogue.protocols[case.protocol, case.version].flow
            if entry.organisation in case.parties() and case.home is None and not rules.states[case.state].final:
                self._cases[id] = case.succeeded(entry.organisation, entry.successor)

    async def finish(self, connection: Connection) -> list[str]:
        """The stored cases are those played, no more and no less."""
        found: list[str] = []
        after = None
        while rows := await connection.fetch(SQL["all_cases"], after, PAGE):
            for row in rows:
                case = self._cases.pop(str(row["case_id"]), None)
                if str(row["case_id"]) in self._unplayable:
                    continue
                if case is None or msgspec.json.decode(row["record"], type=Case) != case or row["state"] != case.state:
                    found.append(f"case {row['case_id']} is not what its messages make it")
            after = rows[-1]["case_id"]
        found += [f"case {id} is gone" for id in sorted(self._cases)]
        steps = await connection.fetchval(SQL["step_total"])
        changes = await connection.fetchval(SQL["due_change_total"])
        if changes != self._changes:
            found.append(f"{changes} due dates moved where the log has {self._changes}")
        causes = len(await connection.fetch(SQL["arrangements"]))
        if causes != self._causes:
            found.append(f"{causes} arrangements where the log has {self._causes}")
        if steps != self._steps:
            found.append(f"{steps} steps of cases where the log has {self._steps}")
        return found
