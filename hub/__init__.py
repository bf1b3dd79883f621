"""The server: intake, mailbox, cases, log, organisations, HTTP."""

import gc
from functools import cache

GARBAGE = 20_000
"""After how many more objects made than let go the collector looks at the youngest of them."""

# What a process loads at its start it keeps: by Python's own thresholds the collector would look through it dozens of
# times and find nothing, for a tenth of the time that a start takes.
gc.set_threshold(GARBAGE, 20, 50)


@cache
def version() -> str:
    """The version that is installed."""
    from importlib import metadata  # most commands do without

    return metadata.version("xieban")
