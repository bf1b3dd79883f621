"""A message's way as a trace (OpenTelemetry, W3C Trace Context): the same trace at every station, and nothing inside.

The trace's id is the message's own: a UUIDv7 has sixteen bytes, the last of them random, as a trace id must have.
So the SDK, hubs and adapters, whichever of them trace, put their spans into one trace, and nothing has to travel with
the message or be stored of it. A caller in a trace of its own, by `traceparent`, is linked. Until `use` was called
nothing is made and OpenTelemetry is not even imported (docs/decisions/0039-operation.md).
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final
from uuid import UUID

from keys.errors import Fault

TRACEPARENT: Final = "traceparent"
ATTRIBUTES: Final = frozenset({"message", "type", "source", "recipient", "hub", "outcome", "problem"})
"""All that a span may say, each under `xieban.`: ids and codes, of authorities and never of persons."""

WANTED: Final[ContextVar[int | None]] = ContextVar("wanted", default=None)
"""The id that a trace begun now has; see `MessageIds` in whoever sets tracing up."""
_came: Final[ContextVar[Any]] = ContextVar("came", default=None)
_tracer: Any = None
_NOTHING: Final = nullcontext()


def use(tracer: Any) -> None:
    """Trace from now on with an OpenTelemetry tracer; with None no more."""
    global _tracer
    _tracer = tracer


def came(headers: Mapping[str, str]) -> None:
    """Note the trace that a call came in, for what is begun in this task from now on."""
    if _tracer is not None:
        _came.set(_remote(headers.get(TRACEPARENT)))


def outgoing() -> dict[str, str]:
    """The header by which the span that this task is in goes on to whoever is called; empty outside of one.

    The span may be the application's own, made with OpenTelemetry and without `use`.
    """
    if _tracer is None and "opentelemetry.trace" not in sys.modules:
        return {}
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {TRACEPARENT: f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags) & 1:02x}"}


class Way:
    """What one station does with one message; the steps are its children. This one records nothing."""

    __slots__ = ()

    def step(self, name: str) -> AbstractContextManager[None]:
        """A step that lasts as long as the block."""
        return _NOTHING

    def took(self, name: str, began: int, ended: int) -> None:
        """A step that is over, its ends in nanoseconds since 1970."""

    def end(self, outcome: str, problem: Fault | None = None) -> None:
        """Nothing more is done with the message here."""


class _Traced(Way):
    __slots__ = ("_inside", "_span")

    def __init__(self, span: Any) -> None:
        from opentelemetry import trace

        self._span, self._inside = span, trace.set_span_in_context(span)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        with _tracer.start_as_current_span(name, self._inside, record_exception=False) as span:
            try:
                yield
            except Fault as fault:
                span.set_attribute("xieban.problem", fault.code)
                raise

    def took(self, name: str, began: int, ended: int) -> None:
        _tracer.start_span(name, self._inside, start_time=began).end(ended)

    def end(self, outcome: str, problem: Fault | None = None) -> None:
        self._span.set_attribute("xieban.outcome", outcome)
        if problem is not None:
            self._span.set_attribute("xieban.problem", problem.code)
        self._span.end()


NOWHERE: Final = Way()


def on() -> bool:
    """Whether anything is traced."""
    return _tracer is not None


def begin(name: str, message: object, **said: object) -> Way:
    """A station's span in the message's trace, below the span that came with the call where that is of it.

    Raises ValueError for what a span may not say. What is no message's id is not traced.
    """
    if _tracer is None:
        return NOWHERE
    span = _begun(name, message, said)
    return NOWHERE if span is None else _Traced(span)


@contextmanager
def _within(name: str, message: object, said: Mapping[str, object]) -> Iterator[None]:
    from opentelemetry import trace

    span = _begun(name, message, said)
    if span is None:
        yield
        return
    with trace.use_span(span, end_on_exit=True, record_exception=False):
        try:
            yield
        except Fault as fault:
            span.set_attribute("xieban.problem", fault.code)
            raise


def within(name: str, message: object, **said: object) -> AbstractContextManager[None]:
    """The same for a block, whose calls go on in this span: see `outgoing`."""
    return _NOTHING if _tracer is None else _within(name, message, said)


def _begun(name: str, message: object, said: Mapping[str, object]) -> Any:
    from opentelemetry import context, trace

    if strange := said.keys() - ATTRIBUTES:
        raise ValueError(f"a span says nothing of {', '.join(sorted(strange))}")
    try:
        wanted = UUID(str(message)).int
    except ValueError:
        return None
    caller = _came.get() or trace.get_current_span().get_span_context()
    ours = caller.is_valid and caller.trace_id == wanted
    parent = trace.set_span_in_context(trace.NonRecordingSpan(caller)) if ours else context.Context()
    told = {f"xieban.{key}": str(value) for key, value in said.items()} | {"xieban.message": str(message)}
    links = [trace.Link(caller)] if caller.is_valid and not ours else []
    token = WANTED.set(wanted)
    try:
        return _tracer.start_span(name, parent, attributes=told, links=links)
    finally:
        WANTED.reset(token)


def _remote(text: str | None) -> Any:
    """The span that a `traceparent` names (W3C Trace Context §3.2); None where it is none."""
    from opentelemetry import trace

    parts = (text or "").split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2] or parts[0] == "ff":
        return None
    if not all(set(part) <= set("0123456789abcdef") for part in parts[:4]):
        return None
    _, trace_id, span_id, flags = (int(part, 16) for part in parts[:4])
    found = trace.SpanContext(trace_id, span_id, True, trace.TraceFlags(flags & 1))
    return found if found.is_valid else None
