"""A sandbox for partners: a throw-away hub whose counterparts answer, ask, delay and misbehave by a script."""

from adapters.sandbox.belongings import Belongings
from adapters.sandbox.running import Sandbox, Settings, sandbox
from adapters.sandbox.words import COUNTERPARTS, Told

__all__ = ["COUNTERPARTS", "Belongings", "Sandbox", "Settings", "Told", "sandbox"]
