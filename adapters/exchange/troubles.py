"""What can't be read, written or moved just now: it shows in `xieban adapter status`, and stops nothing else."""

from typing import Final

from adapters.exchange.folder import FOLDERS
from adapters.exchange.pen import at
from adapters.running.store import Store

MOST: Final = 20
"""Files in trouble that are named; where there are more, there is one reason for all of them."""


class Troubles:
    """The files in trouble, as ways of the adapter that wait."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: set[str] = set()
        for one in store.waiting():
            if one.way.partition("/")[0] in FOLDERS:
                store.reset(one.way)

    def note(self, where: str, name: str, why: str) -> None:
        """Something is wrong with a file."""
        way = at(where, name)
        if way in self._known or len(self._known) < MOST:
            self._known.add(way)
            self._store.failed(way, why)

    def over(self, where: str, name: str) -> None:
        """Nothing is wrong with it any more."""
        way = at(where, name)
        if way in self._known:
            self._known.discard(way)
            self._store.reset(way)

    def only(self, where: str, present: set[str]) -> None:
        """Of the files in this folder there are only these: what was wrong with others is over."""
        ways = {at(where, name) for name in present}
        for way in [one for one in self._known if one.startswith(f"{where}/") and one not in ways]:
            self._known.discard(way)
            self._store.reset(way)
