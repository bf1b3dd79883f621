"""A witness: follows a hub's log from outside, and signs only what never contradicts what it signed before."""

from adapters.witness.follower import Follower, LogRewritten, Seen

__all__ = ["Follower", "LogRewritten", "Seen"]
