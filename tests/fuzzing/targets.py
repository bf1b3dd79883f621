"""Every reader of bytes from outside, by name."""

from collections.abc import Mapping
from typing import Final

from tests.fuzzing import partners, wire
from tests.fuzzing.probing import Target

TARGETS: Final[Mapping[str, Target]] = {target.name: target for target in (*wire.TARGETS, *partners.TARGETS)}
