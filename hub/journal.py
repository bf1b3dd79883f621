"""Structured logs: one JSON object a line on standard error, with ids and never content."""

import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from hub.legible import escaped

_RENDER = structlog.processors.JSONRenderer(ensure_ascii=False)


def configure(least: str = "info", **bound: Any) -> None:
    """Make every log line of this process, of the level `least` and above, JSON on standard error, with `bound` in it.

    Standard output stays free for what a command has to say.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        # Whatever standard error is when something is said: a program that calls a command may have another one then.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**bound)


def _line(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    return escaped(str(_RENDER(logger, method, event)))
