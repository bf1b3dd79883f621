"""Anything at all that a system publishes becomes an offer: one to be sent, or one that says what is wrong with it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.bus import wanted
from adapters.running.partner import Offer
from keys import jwe, jwk

OWN, OTHER = jwk.generate_encryption(), jwk.generate_encryption()
HERE = "411002-health"
SECRET = "王小明"


def asked(**changed: Any) -> dict[str, Any]:
    event = {"specversion": "1.0", "source": "erp", "id": "1", "type": "errand.request",
             "data": {"message": {"urgency": "normal"}, "to": ["440306-health"]}}  # fmt: skip
    return event | changed


def offered(event: object) -> Offer:
    return wanted.offer(json.dumps(event).encode(), HERE, "S/1/2", [OWN])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["specversion", "source", "id", "type", "subject", "data"])
DATA = st.dictionaries(st.sampled_from(["message", "content", "to", "causationid", "jws", "more"]), JSON, max_size=4)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_bytes_are_an_offer_with_a_problem(body: bytes) -> None:
    offer = wanted.offer(body, HERE, "S/7/8", [OWN])
    assert offer.problem is not None and offer.wanted is None and offer.compact is None
    assert offer.key.startswith(f"{HERE}/")


@given(st.dictionaries(NAMES, JSON, max_size=6), DATA)
def test_events_changed_at_random_never_fail(changed: dict[str, Any], data: dict[str, Any]) -> None:
    for event in (asked(**changed), asked(data=data), asked(**changed) | {"data": data}):
        offer = wanted.offer(json.dumps(event).encode(), HERE, "S/7/8", [OWN])
        assert (offer.problem is None) == (offer.wanted is not None or offer.compact is not None)
        assert offer.wanted is None or offer.wanted.source == HERE


def test_an_event_is_a_message_of_the_organisation_that_its_subject_names() -> None:
    offer = offered(asked())
    assert offer.wanted is not None and offer.problem is None
    assert (offer.wanted.source, offer.wanted.type, offer.wanted.to) == (HERE, "errand.request", ("440306-health",))
    assert offer.key == offered(asked(data={"message": {}, "to": ["440306-health"]})).key
    assert offer.key != offered(asked(id="2")).key != offered(asked(source="erp/1", id="")).key


def test_content_is_taken_only_sealed_to_this_organisation() -> None:
    sealed = jwe.seal(json.dumps({"narrative": SECRET}).encode(), [OTHER.public, OWN.public])
    taken = offered(asked(data={"message": {}, "to": ["440306-health"], "content": sealed}))
    assert taken.wanted is not None and taken.wanted.content == {"narrative": SECRET}
    assert SECRET not in json.dumps(taken.raw, ensure_ascii=False)
    for content in ({"narrative": SECRET}, jwe.seal(b"{}", [OTHER.public]), jwe.seal(SECRET.encode(), [OWN.public]),
                    jwe.seal(b"[]", [OWN.public]), sealed | {"tag": "A" * 22}):  # fmt: skip
        refused = offered(asked(data={"message": {}, "to": ["440306-health"], "content": content}))
        assert refused.problem is not None and SECRET not in repr(refused)


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ([], "CloudEvent"),
        (asked(specversion="0.3"), "CloudEvent"),
        (asked(id=7), "id is"),
        (asked(source="x" * 301), "source is"),
        (asked(subject=""), "subject"),
        (asked(data=None), "data"),
        (asked(data={"message": {}, "jws": "a.b.c"}), "either"),
        (asked(data={}), "either"),
        (asked(data={"jws": "a.b.c", "to": ["440306-health"]}), "beside"),
        (asked(data={"message": {}}), "subject names"),
        (asked(subject="c", data={"message": {}, "to": ["440306-health"]}), "subject names"),
        (asked(data={"message": {}, "narrative": SECRET}), "narrative"),
    ],
)
def test_what_is_wrong_is_said(event: object, why: str) -> None:
    offer = offered(event)
    assert offer.problem is not None and why in offer.problem
    assert SECRET not in repr(offer)


def test_bytes_that_a_system_signed_itself_go_as_they_are() -> None:
    assert offered(asked(data={"jws": "e30.e30.AA"})).compact == b"e30.e30.AA"
