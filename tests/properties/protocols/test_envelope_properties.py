"""What holds for every payload: an event or a refusal that says what does not fit, and never anything else."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keys.errors import Fault
from protocols import envelope
from protocols.envelope import Event
from protocols.refusals import EnvelopeInvalid, PayloadMalformed

VALID: dict[str, Any] = {
    "specversion": "1.0",
    "id": "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7",
    "source": "411002-health",
    "type": "case-assistance.request",
    "dataschema": "https://xieban.example/v1/protocols/case-assistance/1.0/request",
    "subject": "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d8",
    "time": "2026-06-01T12:00:00+08:00",
    "recipients": "440306-health",
    "hub": "410000-hub",
    "data": {},
}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)
NAMES = st.sampled_from([*VALID, "causationid", "expirytime", "datacontenttype", "traceparent"])


def judged(payload: bytes) -> Event | Fault:
    try:
        return envelope.event(envelope.read(payload))
    except Fault as fault:
        return fault


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_payload_is_an_event_or_a_refusal(payload: bytes) -> None:
    assert isinstance(judged(payload), (PayloadMalformed, EnvelopeInvalid))


@settings(max_examples=400)
@given(st.dictionaries(NAMES, JSON | st.none(), max_size=4), st.lists(NAMES, max_size=2))
def test_a_changed_envelope_is_an_event_or_says_where_it_does_not_fit(changes: dict[str, Any], gone: list[str]) -> None:
    attributes = {name: value for name, value in (VALID | changes).items() if name not in gone}
    outcome = judged(json.dumps(attributes).encode())
    if isinstance(outcome, Event):
        assert envelope.findings(attributes) == []
        return
    assert isinstance(outcome, EnvelopeInvalid)
    errors: Any = outcome.data["errors"]
    assert errors
    touched = {*changes, *gone}
    assert {error["pointer"].split("/")[1] for error in errors} <= touched


@given(
    st.datetimes(timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))),
    st.text("0123456789", max_size=9),
    st.booleans(),
)
@example(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), "", False)
@example(datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-12))), "999999999", True)
def test_any_moment_is_read_as_it_was_meant_or_refused(moment: datetime, digits: str, lower: bool) -> None:
    whole = moment.replace(microsecond=0)
    text = whole.isoformat()
    text = text[:19] + (f".{digits}" if digits else "") + text[19:]
    outcome = judged(json.dumps(VALID | {"time": text.lower() if lower else text}).encode())
    meant = timedelta(microseconds=int(digits.ljust(6, "0")[:6]))
    if isinstance(outcome, Event):
        assert outcome.time == whole + meant
        assert outcome.time.utcoffset() == timedelta(0)
    else:
        assert [error["pointer"] for error in outcome.data["errors"]] == ["/time"]  # type: ignore[attr-defined]
        assert whole.year in (1, 9999)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-01t04:00:00z", datetime(2026, 6, 1, 4, tzinfo=UTC)),
        ("2026-06-01T04:00:00.123456789Z", datetime(2026, 6, 1, 4, 0, 0, 123456, UTC)),
        ("2026-06-01T04:00:00-00:00", datetime(2026, 6, 1, 4, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2017-01-01T07:59:60.5+08:00", datetime(2017, 1, 1, 0, 0, 0, 500000, UTC)),
    ],
)
def test_every_spelling_of_a_moment_is_read(text: str, moment: datetime) -> None:
    outcome = judged(json.dumps(VALID | {"time": text, "expirytime": text}).encode())
    assert isinstance(outcome, Event)
    assert (outcome.time, outcome.expirytime) == (moment, moment)


@pytest.mark.parametrize("name", ["time", "expirytime"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-06-01",
        "2026-06-01T04:00:00",
        "2026-06-01 04:00:00Z",
        "2026-06-01T24:00:00Z",
        "2026-06-31T04:00:00Z",
        "2026-06-01T04:00:60Z",
        "2026-06-01T04:00:61Z",
        "2026-06-01T04:00Z",
        "2026-06-01T04:00:00.Z",
        "2026-06-01T04:00:00.1234567890Z",
        "2026-06-01T04:00:00+0800",
        "2026-06-01T04:00:00+24:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:60Z",
        "２026-06-01T04:00:00Z",
        "2026-W23-1T04:00:00Z",
        "2026-06-01T04:00:00Z\n",
        "+2026-06-01T04:00:00Z",
    ],
)
def test_what_is_no_moment_is_refused_at_its_place(name: str, text: str) -> None:
    outcome = judged(json.dumps(VALID | {name: text}).encode())
    assert isinstance(outcome, EnvelopeInvalid)
    errors: Any = outcome.data["errors"]
    assert {error["pointer"] for error in errors} == {f"/{name}"}


@pytest.mark.parametrize("name", ["id", "subject", "causationid"])
@pytest.mark.parametrize(
    "id",
    [
        "019aa5b0-7c3e-4d41-9b52-3f0c6a8e21d7",
        "019aa5b0-7c3e-7d41-cb52-3f0c6a8e21d7",
        "019aa5b0-7c3e-7d41-1b52-3f0c6a8e21d7",
        "019AA5B0-7C3E-7D41-9B52-3F0C6A8E21D7",
        "019aa5b07c3e7d419b523f0c6a8e21d7",
        "{019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7}",
        "urn:uuid:019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7",
        "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7\n",
        "",
        "00000000-0000-0000-0000-000000000000",
        "٠19aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7",
    ],
)
def test_an_id_is_a_uuid_of_version_7_and_nothing_else(name: str, id: str) -> None:
    assert not envelope.is_id(id)
    assert isinstance(judged(json.dumps(VALID | {name: id}).encode()), EnvelopeInvalid)


@given(st.binary(min_size=16, max_size=16))
def test_is_id_and_the_schema_agree_on_every_uuid(raw: bytes) -> None:
    text = raw.hex()
    id = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    assert envelope.is_id(id) == (text[12] == "7" and text[16] in "89ab")
    assert envelope.is_id(id) == isinstance(judged(json.dumps(VALID | {"id": id}).encode()), Event)


def test_new_ids_are_ids_and_grow() -> None:
    ids = [envelope.new_id() for _ in range(100)]
    assert all(map(envelope.is_id, ids))
    assert sorted(set(ids)) == ids


@pytest.mark.parametrize(
    "organisation", ["411002-health", "411002001-civil-affairs", "710000-hub", "110105-development-reform"]
)
def test_counties_townships_and_hubs_are_senders_and_recipients(organisation: str) -> None:
    assert isinstance(
        judged(json.dumps(VALID | {"recipients": organisation, "source": "440306-health"}).encode()), Event
    )
    assert isinstance(
        judged(json.dumps(VALID | {"source": organisation, "recipients": "440306-health"}).encode()), Event
    )
    assert isinstance(judged(json.dumps(VALID | {"hub": organisation}).encode()), Event)


@pytest.mark.parametrize(
    "organisation",
    [
        "41100-health",
        "4110020-health",
        "41100200-health",
        "4110020011-health",
        "411002-",
        "411002_health",
        "411002-Health",
        "411002-health ",
        " 411002-health",
        "411002-health\n",
        "411002--",
        "４11002-health",
        "411002-h",
        "411002-" + "h" * 42,
    ],
)
@pytest.mark.parametrize("name", ["source", "recipients", "hub"])
def test_what_is_no_organisation_is_neither_sender_nor_recipient(name: str, organisation: str) -> None:
    assert isinstance(judged(json.dumps(VALID | {name: organisation}).encode()), EnvelopeInvalid)


def test_at_most_32_recipients_each_once_and_never_the_source() -> None:
    many = [f"{440000 + n}-health" for n in range(33)]
    assert isinstance(judged(json.dumps(VALID | {"recipients": " ".join(many[:32])}).encode()), Event)
    for recipients in (
        " ".join(many),
        "440306-health 440306-health",
        "440306-health 411002-health",
        "411002-health",
        "a  b",
    ):
        assert isinstance(judged(json.dumps(VALID | {"recipients": recipients}).encode()), EnvelopeInvalid)


@given(
    st.dictionaries(TEXTS, JSON, max_size=4),
    st.datetimes(datetime(1971, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)),
)
def test_what_is_composed_and_encoded_is_read_again(data: dict[str, Any], time: datetime) -> None:
    attributes = envelope.compose(
        source="411002-health",
        type="errand.request",
        dataschema="https://xieban.example/x",
        subject=envelope.new_id(),
        recipients=["440306-health"],
        hub="410000-hub",
        time=time,
        data=data,
        expirytime=time,
    )
    outcome = judged(envelope.encode(attributes))
    assert isinstance(outcome, Event)
    assert (outcome.id, outcome.data, outcome.time, outcome.expirytime) == (attributes["id"], data, time, time)
    assert (outcome.protocol, outcome.message) == ("errand", "request")
