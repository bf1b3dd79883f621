"""What due dates are counted by, as a log tells it: holiday arrangements published so far, and outages."""

from collections.abc import Iterable
from datetime import date

from protocols import clocks
from protocols.calendar import STATUTORY, Calendar
from protocols.cases import Case
from protocols.entries import CalendarPublished, DueChanged, Entry, Outage

Cause = CalendarPublished | Outage


class Arrangements:
    """Follows a log's `calendar` and `outage` entries, and says what they make of a case."""

    def __init__(self, entries: Iterable[tuple[int, Entry]] = ()) -> None:
        self.calendar: Calendar = STATUTORY
        self._causes: dict[int, Cause] = {}
        for index, entry in entries:
            self.take(index, entry)

    def take(self, index: int, entry: Entry) -> None:
        """The next entry of the log; others than these two say nothing here. Raises CalendarInvalid, ValueError."""
        if isinstance(entry, CalendarPublished):
            holidays, workdays = map(_days, (entry.holidays, entry.workdays))
            self.calendar = self.calendar.arranged(entry.year, holidays, workdays)
        if isinstance(entry, Cause):
            self._causes[index] = entry

    def moved(self, case: Case, cause: int) -> Case:
        """The case as the entry at index `cause` leaves it; itself where nothing moves. Raises ValueError."""
        match self._causes.get(cause):
            case CalendarPublished():
                return clocks.recounted(case, self.calendar)
            case Outage(days=days, to=to):
                return clocks.postponed(case, set(_days(days)), date.fromisoformat(to), self.calendar)
            case _:
                raise ValueError(f"entry {cause} moves no due date")


def _days(said: Iterable[str]) -> list[date]:
    return [date.fromisoformat(day) for day in said]


def changed_due(entry: DueChanged) -> date | None:
    """The due date of the case's next step that the entry leaves."""
    return date.fromisoformat(entry.due) if entry.due else None
