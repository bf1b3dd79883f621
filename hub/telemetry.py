"""Tracing set up for a process: spans in the background to an OTLP/HTTP collector. Needs the extra `telemetry`."""

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from hub.config import TelemetrySection
from keys.errors import Fault
from protocols import tracing

RANDOM_BITS = 32
"""The last bits of a trace id, by which traces are sampled: random also in a UUIDv7 that counts within a moment."""
WITHIN = 3.0
"""Seconds for one delivery; what the collector does not take is dropped, and nobody waits for it."""


class TelemetryAbsent(Fault):
    """[telemetry] names a collector, and the extra is not installed: pip install 'xieban[telemetry]'."""

    code: ClassVar[str] = "telemetry-absent"


def require(settings: TelemetrySection) -> None:
    """Raise TelemetryAbsent where there is a collector and nothing to speak to it with."""
    if settings.endpoint is not None:
        try:
            importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        except ModuleNotFoundError:
            raise TelemetryAbsent() from None


@contextlib.contextmanager
def traced(settings: TelemetrySection, service: str, instance: str) -> Iterator[None]:
    """Trace while it lasts, where there is a collector; deliver what is left at the end. Raises TelemetryAbsent."""
    if settings.endpoint is None:
        yield
        return
    require(settings)
    provider = _provider(settings.endpoint, settings.sample, service, instance)
    tracing.use(provider.get_tracer("xieban"))
    try:
        yield
    finally:
        tracing.use(None)
        provider.shutdown()


def _provider(endpoint: str, sample: int, service: str, instance: str) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult

    class MessageIds(RandomIdGenerator):
        """A trace begun for a message has the message's id."""

        def generate_trace_id(self) -> int:
            wanted = tracing.WANTED.get()
            return super().generate_trace_id() if wanted is None else wanted

    class OneOf(Sampler):
        """One trace of so many, the same ones at every station."""

        def should_sample(
            self, parent_context: Any, trace_id: int, name: str, kind: Any = None, attributes: Any = None,
            links: Sequence[Any] | None = None, trace_state: Any = None,
        ) -> SamplingResult:  # fmt: skip
            kept = (trace_id & ((1 << RANDOM_BITS) - 1)) < (1 << RANDOM_BITS) // sample
            return SamplingResult(Decision.RECORD_AND_SAMPLE if kept else Decision.DROP, attributes)

        def get_description(self) -> str:
            return f"one of {sample}"

    resource = Resource.create({"service.name": service, "service.instance.id": instance})
    provider = TracerProvider(
        sampler=ParentBased(OneOf()), resource=resource, id_generator=MessageIds(), shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=WITHIN)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    return provider
