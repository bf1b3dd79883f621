"""A message's way as one trace, from the SDK through hubs to who gets it; nothing of its content; nothing while off."""

import itertools
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from adapters.client import Client, Refused
from hub import telemetry
from hub.config import TelemetrySection
from protocols import tracing
from protocols.envelope import new_id
from tests.acceptance.bureaus import Bureau, content, enrolled, example, opened
from tests.acceptance.collector import Collector, Span, collecting
from tests.acceptance.pages import ROOT
from tests.conftest import RunningHub, running_hub

HERE, THERE = Bureau("411002-health"), Bureau("440306-health")
STEPS = ["receive", "verify", "validate", "wait", "commit", "prove"]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def hub(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    config = tmp_path_factory.mktemp("config") / "config.toml"
    config.write_text(f'[telemetry]\nendpoint = "{collector.url}"\n')
    with running_hub("--config", str(config)) as running:
        enrolled(running, HERE, THERE)
        yield running


@pytest.fixture
def traced(collector: Collector) -> Iterator[None]:
    """This process traces too, as a partner's."""
    with telemetry.traced(TelemetrySection(collector.url), "partner", "one"):
        yield


def named(spans: list[Span], service: str) -> list[str]:
    return [span.name for span in spans if span.service == service]


async def test_a_message_is_one_trace_from_its_sender_to_its_recipient(
    hub: RunningHub, collector: Collector, traced: None
) -> None:
    sent = await opened(HERE, "case-assistance", "request", [THERE.id])
    async with THERE.client() as there:
        assert [item.event.id for item in (await there.poll(0)).items] == [sent.id]
    wanted = UUID(sent.id).hex
    collector.until(lambda: {"send", "deliver", *STEPS} <= {span.name for span in collector.of(wanted)})
    spans = collector.of(wanted)
    (send,) = (span for span in spans if span.name == "send")
    (receive,) = (span for span in spans if span.name == "receive")
    assert (send.parent, receive.parent) == ("", send.id)
    inside = [span for span in spans if span.parent == receive.id]
    assert [span.name for span in inside] == STEPS[1:]
    assert all(receive.began <= span.began <= span.ended <= receive.ended for span in inside)
    assert all(one.ended <= next.began for one, next in itertools.pairwise(inside))
    assert receive.attributes == {
        "xieban.message": sent.id, "xieban.source": HERE.id, "xieban.hub": "410000-hub", "xieban.outcome": "new",
    }  # fmt: skip
    (deliver,) = (span for span in spans if span.name == "deliver")
    assert deliver.attributes["xieban.recipient"] == THERE.id


async def test_a_trace_says_nothing_of_what_a_message_says(hub: RunningHub, collector: Collector, traced: None) -> None:
    sent = await opened(HERE, "tip-off-referral", "refer", [THERE.id])
    collector.until(lambda: "prove" in named(collector.of(UUID(sent.id).hex), "xieban"))
    assert all(key.removeprefix("xieban.") in tracing.ATTRIBUTES for span in collector.spans for key in span.attributes)
    told = json.dumps([example("tip-off-referral", "refer"), content("tip-off-referral", "refer")], ensure_ascii=False)
    words = {word for word in told.split('"') if len(word) > 3 and not word.isspace()} - {": ", ", "}
    everything = b"".join(collector.raw)
    assert len(words) > 10 and not [word for word in words if word.encode() in everything]
    assert sent.id.encode() in everything
    with pytest.raises(ValueError, match="narrative"):
        tracing.begin("receive", sent.id, narrative="x")


async def test_a_refusal_is_told_by_its_code(hub: RunningHub, collector: Collector, traced: None) -> None:
    async with HERE.client() as here:
        data = example("errand", "request", legal_basis="sc-555-2009")
        draft = await here.prepare("errand.request", "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7", [THERE.id], data,
                                   content("errand", "request"))  # fmt: skip
        with pytest.raises(Refused) as refused:
            await here.resend(draft)
    wanted = UUID(draft.id).hex
    collector.until(lambda: "receive" in named(collector.of(wanted), "xieban"))
    (receive,) = (span for span in collector.of(wanted) if span.name == "receive")
    assert receive.attributes["xieban.outcome"] == "refused"
    assert receive.attributes["xieban.problem"] == refused.value.reason


async def test_a_caller_in_a_trace_of_its_own_is_linked_and_its_traceparent_passed_on(
    hub: RunningHub, collector: Collector
) -> None:
    with TracerProvider(shutdown_on_exit=False).get_tracer("application").start_as_current_span("work") as span:
        application = f"{span.get_span_context().trace_id:032x}"
        assert tracing.outgoing()["traceparent"].startswith(f"00-{application}-")
        sent = await opened(HERE, "errand", "request", [THERE.id])
    collector.until(lambda: "prove" in named(collector.of(UUID(sent.id).hex), "xieban"))
    (receive,) = (span for span in collector.of(UUID(sent.id).hex) if span.name == "receive")
    assert (receive.parent, receive.links) == ("", (application,))
    assert trace.get_current_span().get_span_context().is_valid is False


@pytest.mark.parametrize(
    "header", ["", "00", "00-" + 32 * "0" + "-" + 16 * "1" + "-01", "ff-" + 32 * "1" + "-" + 16 * "1" + "-01", "00-é",
               "00-" + 32 * "G" + "-" + 16 * "1" + "-01", "-" * 5000],
)  # fmt: skip
def test_a_traceparent_that_is_none_does_no_harm(hub: RunningHub, header: str) -> None:
    request = urllib.request.Request(hub.url + "/readyz", headers={"traceparent": header.encode().decode("latin-1")})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def test_while_nothing_is_traced_nothing_of_it_is_loaded() -> None:
    code = "import sys, hub.worker, adapters.client; print([m for m in sys.modules if m.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
    assert tracing.begin("receive", "x", narrative="x") is tracing.NOWHERE and tracing.outgoing() == {}


async def test_a_collector_that_is_away_delays_nobody(tmp_path: Path, hub: RunningHub) -> None:
    with telemetry.traced(TelemetrySection("http://127.0.0.1:9"), "partner", "one"):
        async with HERE.client() as here:
            assert isinstance(here, Client)
        assert (await opened(HERE, "errand", "request", [THERE.id])).receipt.log.index >= 0


def test_of_so_many_traces_one_is_kept_the_same_at_every_station(collector: Collector) -> None:
    ids = [new_id() for _ in range(2000)]
    before = len(collector.spans)
    kept: list[set[str]] = []
    for station in ("one", "two"):
        with telemetry.traced(TelemetrySection(collector.url, sample=10), station, "x"):
            for id in ids:
                tracing.begin("receive", id).end("new")
        kept.append({span.trace for span in collector.spans[before:] if span.service == station})
    assert kept[0] == kept[1] and 100 < len(kept[0]) < 320
