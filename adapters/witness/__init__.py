"""A hub's log from outside: a witness signs only what never contradicts what it signed, and others ask."""

from adapters.witness.fetching import Fetching, fetching
from adapters.witness.follower import Follower, LogRewritten, LogSetBack, Seen
from adapters.witness.reading import LogUnreachable, Reader
from adapters.witness.recomputing import recompute

__all__ = [
    "Fetching",
    "Follower",
    "LogRewritten",
    "LogSetBack",
    "LogUnreachable",
    "Reader",
    "Seen",
    "fetching",
    "recompute",
]
