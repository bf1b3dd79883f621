"""A stretch of the log as the audit reads it: leaves, entries, and the messages they name."""

from dataclasses import dataclass, field
from datetime import datetime

from keys.jws import Compact
from protocols.between_hubs import Relayed, Returned
from protocols.entries import Accepted, Carried, Entry
from protocols.envelope import Event


@dataclass(slots=True)
class Page:
    """The entries from `first` up to `end` (excluded); what can't be read is missing in the mappings."""

    first: int
    end: int
    leaves: dict[int, bytes]
    entries: dict[int, Entry] = field(default_factory=dict)
    bodies: dict[int, bytes] = field(default_factory=dict)
    messages: dict[int, tuple[Compact, Event]] = field(default_factory=dict)

    def accepted(self) -> dict[int, Accepted]:
        """The entries that took a message, by index."""
        return {index: entry for index, entry in self.entries.items() if isinstance(entry, Accepted)}

    def carried(self) -> dict[int, Carried]:
        """The entries that stand for a message's bytes, by index; that a home returned one is said without them."""
        return {
            index: entry
            for index, entry in self.entries.items()
            if isinstance(entry, Carried) and not (isinstance(entry, Returned) and entry.there is not None)
        }

    def moved(self) -> dict[int, Accepted | Relayed]:
        """The entries by which a case moved, by index."""
        return {
            index: entry
            for index, entry in self.entries.items()
            if isinstance(entry, Accepted) or (isinstance(entry, Relayed) and entry.there is not None)
        }

    def moment(self, index: int) -> datetime:
        """When the entry was made."""
        return datetime.fromisoformat(self.entries[index].at)
