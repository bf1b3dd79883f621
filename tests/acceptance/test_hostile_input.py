"""Properly signed nonsense, and bytes of every kind: a problem that names it, nothing stored, nothing broken."""

import gzip
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwcrypto import jwk, jws

from hub.api.app import CALLS
from hub.errors import CATALOGUE
from tests.acceptance.hostile import CLIMBING, ODD_HEADERS, ODD_JSON, answered, bombs, memory, processor
from tests.acceptance.outsider import Outsider, uuid7
from tests.conftest import RunningHub

Bureaus = tuple[Outsider, Outsider]
PACE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def bureaus(hub: RunningHub) -> Bureaus:
    here, there = Outsider("411002-health", hub.url), Outsider("440306-health", hub.url, "P-256")
    hub.enrol([here.record(), there.record()])
    here.open_case(there)
    return here, there


def size(hub: RunningHub) -> int:
    """How many entries the log has."""
    with urllib.request.urlopen(hub.url + "/log/checkpoint", timeout=10) as response:
        return int(response.read().decode().split("\n")[1])


def check_refused(hub: RunningHub, before: int, answer: tuple[int, Any], code: str | None = None) -> None:
    """It is a problem of the catalogue, the caller's fault, and nothing was stored."""
    status, problem = answer
    assert 400 <= status < 500, problem
    found = problem["type"].removeprefix("/problems/")
    assert CATALOGUE[found].status == status
    assert code in (None, found), problem
    assert size(hub) == before


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@PACE
@given(data=st.data())
def test_a_signed_message_changed_anywhere_is_a_problem(bureaus: Bureaus, hub: RunningHub, data: st.DataObject) -> None:
    here, there = bureaus
    event = here.event("request", uuid7(), there, here.example("request"))
    where: dict[str, Any] = event if data.draw(st.booleans()) else event["data"]
    name = data.draw(st.sampled_from(sorted(where)) | st.text(max_size=12))
    harmless = name in ("datacontenttype", "time")
    if name in where and not harmless and data.draw(st.booleans()):
        if name in ("expected_by", "case_number", "facts", "urgency"):
            return
        del where[name]
    else:
        where[name] = data.draw(JSON_VALUES)
    before = size(hub)
    status, answer = here.send(event)
    if status == 201:
        assert size(hub) == before + 1
    else:
        check_refused(hub, before, (status, answer))


@PACE
@given(body=st.binary(max_size=300) | st.text("ey.J01aZ_-", max_size=80).map(str.encode))
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/mailbox/acknowledge", "/v1/delegations", "/v1/revocations"])
def test_arbitrary_bytes_are_a_problem(bureaus: Bureaus, hub: RunningHub, path: str, body: bytes) -> None:
    before = size(hub)
    check_refused(hub, before, bureaus[0].call("POST", path, body))


@PACE
@given(payload=st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_signed_payload_is_a_problem(bureaus: Bureaus, hub: RunningHub, payload: bytes) -> None:
    here, before = bureaus[0], size(hub)
    check_refused(hub, before, here.call("POST", "/v1/messages", here.sign(payload)))
    acknowledgement = here.sign(payload, "xieban-ack+jws", None)
    check_refused(hub, before, here.call("POST", "/v1/mailbox/acknowledge", acknowledgement))


@pytest.mark.parametrize("name", ODD_JSON)
def test_json_that_parsers_disagree_on_is_refused(bureaus: Bureaus, hub: RunningHub, name: str) -> None:
    here, before = bureaus[0], size(hub)
    answer = here.call("POST", "/v1/messages", here.sign(ODD_JSON[name]))
    check_refused(hub, before, answer)
    assert answer[1]["type"] in ("/problems/payload-malformed", "/problems/jws-malformed", "/problems/sender-unknown")


def forged(here: Outsider, there: Outsider, header: dict[str, Any], key: jwk.JWK, algorithms: list[str]) -> bytes:
    """A request signed with any key under any header."""
    event = here.event("request", uuid7(), there, here.example("request"))
    token = jws.JWS(json.dumps(event).encode())
    token.allowed_algs = algorithms
    token.add_signature(key, None, json.dumps(header))
    return str(token.serialize(compact=True)).encode()


def header_of(here: Outsider) -> dict[str, Any]:
    """The protected header of the contract."""
    kid = here.signing.thumbprint()
    return {"alg": here.alg, "kid": kid, "typ": "xieban+jws", "cty": "application/cloudevents+json"}


Forgery = Callable[[Outsider, Outsider], bytes]
FORGERIES: dict[str, tuple[Forgery, str]] = {
    "another's key under one's own name": (
        lambda here, there: forged(here, there, header_of(here), jwk.JWK.generate(kty="OKP", crv="Ed25519"), ["EdDSA"]),
        "signature-invalid",
    ),
    "a key that nobody registered": (
        lambda here, there: forged(
            here,
            there,
            header_of(here) | {"kid": Outsider("411002-health", "").signing.thumbprint()},
            here.signing,
            ["EdDSA"],
        ),
        "key-unknown",
    ),
    "another organisation's key": (
        lambda here, there: forged(here, there, header_of(there), there.signing, ["ES256"]),
        "key-unknown",
    ),
    "HMAC with the public key": (
        lambda here, there: forged(
            here,
            there,
            header_of(here) | {"alg": "HS256"},
            jwk.JWK(kty="oct", k=here.signing.export_public(as_dict=True)["x"]),
            ["HS256"],
        ),
        "algorithm-not-allowed",
    ),
    "ES256 in the name of an Ed25519 key": (
        lambda here, there: forged(
            here, there, header_of(here) | {"alg": "ES256"}, jwk.JWK.generate(kty="EC", crv="P-256"), ["ES256"]
        ),
        "algorithm-not-allowed",
    ),
    "a kid that is a path": (
        lambda here, there: forged(here, there, header_of(here) | {"kid": "../../etc/passwd"}, here.signing, ["EdDSA"]),
        "jws-malformed",
    ),
    "a key brought along": (
        lambda here, there: forged(
            here,
            there,
            header_of(here) | {"jwk": here.signing.export_public(as_dict=True)},
            here.signing,
            ["EdDSA"],
        ),
        "jws-malformed",
    ),
    "another type of token": (
        lambda here, there: forged(here, there, header_of(here) | {"typ": "JWT"}, here.signing, ["EdDSA"]),
        "jws-malformed",
    ),
    "no signature": (
        lambda here, there: here.sign(b"{}").rpartition(b".")[0] + b".",
        "",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_signature_is_refused(bureaus: Bureaus, hub: RunningHub, name: str) -> None:
    (here, there), (forge, code) = bureaus, FORGERIES[name]
    before = size(hub)
    check_refused(hub, before, here.call("POST", "/v1/messages", forge(here, there)), code or None)


def test_a_message_changed_on_the_way_is_refused(bureaus: Bureaus, hub: RunningHub) -> None:
    here, there = bureaus
    header, payload, signature = here.sign(
        json.dumps(here.event("request", uuid7(), there, here.example("request"))).encode()
    ).split(b".")
    before = size(hub)
    for changed in (
        payload[:50] + bytes([payload[50] ^ 1]) + payload[51:],
        payload + b"A",
        payload + b"==",
    ):
        check_refused(hub, before, here.call("POST", "/v1/messages", b".".join((header, changed, signature))))
    flipped = signature[:20] + (b"A" if signature[20:21] != b"A" else b"B") + signature[21:]
    answer = here.call("POST", "/v1/messages", b".".join((header, payload, flipped)))
    check_refused(hub, before, answer, "signature-invalid")
    assert here.call("POST", "/v1/messages", b".".join((header, payload, signature)))[0] == 201


def test_sizes_are_bounded(bureaus: Bureaus, hub: RunningHub) -> None:
    here, there = bureaus
    before = size(hub)
    check_refused(hub, before, here.call("POST", "/v1/messages", b"a" * (1 << 20) + b"b"), "too-large")
    lines = b"\n".join([b"x"] * 1001)
    check_refused(hub, before, here.call("POST", "/v1/messages/batch", lines, "application/x-ndjson"), "too-large")
    status, answers = here.call("POST", "/v1/messages/batch", b"x\n\ny", "application/x-ndjson")
    assert status == 200
    assert [json.loads(line)["type"] for line in answers.splitlines()] == ["/problems/jws-malformed"] * 3
    event = here.event("request", uuid7(), there, here.example("request"), recipients=" ".join([there.id] * 33))
    check_refused(hub, before, here.send(event), "envelope-invalid")


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "after=1e3", "limit=x", "wait=-1", "wait=1.5", "proof=2", "after=" + "9" * 30]
)
def test_numbers_in_the_query_are_whole(bureaus: Bureaus, query: str) -> None:
    status, problem = bureaus[0].call("GET", "/v1/mailbox?" + query)
    assert (status, problem["type"]) == (400, "/problems/request-malformed")


def test_an_acknowledgement_is_only_ever_the_recipients_own(bureaus: Bureaus, hub: RunningHub) -> None:
    here, there = bureaus
    here.open_case(there)
    item = there.call("GET", "/v1/mailbox?limit=500")[1]["items"][-1]

    def acknowledge(who: Outsider, **changed: Any) -> tuple[int, Any]:
        said = {
            "hub": "410000-hub",
            "recipient": there.id,
            "through": item["position"],
            "digest": item["receipt"]["digest"],
            "time": "2026-11-24T08:00:00+08:00",
        } | changed
        return who.call("POST", "/v1/mailbox/acknowledge", who.sign(json.dumps(said).encode(), "xieban-ack+jws", None))

    before = size(hub)
    check_refused(hub, before, acknowledge(here), "key-unknown")
    check_refused(hub, before, acknowledge(there, hub="440000-hub"), "acknowledgement-invalid")
    check_refused(hub, before, acknowledge(there, digest="sha-256:" + "0" * 64), "acknowledgement-invalid")
    check_refused(hub, before, acknowledge(there, through=0), "acknowledgement-invalid")
    check_refused(hub, before, acknowledge(there, through=2**70), "json-malformed")
    check_refused(hub, before, acknowledge(there, through="1"), "acknowledgement-invalid")
    check_refused(hub, before, acknowledge(there, time="yesterday"), "acknowledgement-invalid")
    check_refused(hub, before, acknowledge(there, time="2026-11-24T08:00:00"), "acknowledgement-invalid")
    check_refused(hub, before, acknowledge(there, extra=1), "acknowledgement-invalid")
    check_refused(hub, before, acknowledge(there, recipient="999999-health"), "acknowledgement-invalid")
    status, taken = acknowledge(there)
    assert (status, taken["new"]) == (200, True)
    after = size(hub)
    status, again = acknowledge(there)
    assert (status, again["new"]) == (200, False)
    assert size(hub) == after


@pytest.mark.parametrize(
    "address", ["/v1/cases?state=%00", "/v1/messages/411002%00/01a20cba-6339-71cf-beb6-59770e8d9d83", "/v1/cases/%00"]
)
def test_an_address_with_nul_is_malformed(bureaus: Bureaus, address: str) -> None:
    status, problem = bureaus[0].call("GET", address)
    assert (status, problem["type"]) == (400, "/problems/request-malformed")


def test_a_body_that_is_not_in_its_encoding_is_malformed(hub: RunningHub) -> None:
    headers = {"Content-Type": "application/jose", "Content-Encoding": "gzip"}
    request = urllib.request.Request(f"{hub.url}/v1/messages", b"not gzip", headers, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)
    assert refused.value.code == 400
    assert json.loads(refused.value.read())["type"] == "/problems/request-malformed"


def test_a_body_announced_as_too_large_is_refused_before_it_comes(hub: RunningHub) -> None:
    with socket.create_connection(("127.0.0.1", hub.port), timeout=20) as connection:
        connection.sendall(
            b"POST /v1/messages HTTP/1.1\r\nHost: hub\r\nContent-Type: application/jose\r\n"
            b"Content-Length: 99999999999\r\n\r\nabc"
        )
        assert connection.recv(64).startswith(b"HTTP/1.1 413")


SIGNED = {
    "/v1/mailbox/acknowledge": ("xieban-ack+jws", None),
    "/v1/delegations": ("xieban-delegation+jws", None),
    "/v1/revocations": ("xieban-revocation+jws", None),
    "/v1/preflight": ("xieban+jws", "application/cloudevents+json"),
    "/v1/relay": ("xieban+jws", "application/cloudevents+json"),
}
PLAIN = {"/v1/relay": "application/json", "/v1/preflight": "application/cloudevents+json"}


@pytest.mark.parametrize("name", ODD_JSON)
def test_json_that_parsers_disagree_on_is_refused_at_every_entrance(
    bureaus: Bureaus, hub: RunningHub, name: str
) -> None:
    here, before = bureaus[0], size(hub)
    for path, (typ, cty) in SIGNED.items():
        check_refused(hub, before, here.call("POST", path, here.sign(ODD_JSON[name], typ, cty)))
    for path, media in PLAIN.items():
        check_refused(hub, before, here.call("POST", path, ODD_JSON[name], media))
    batch = here.call("POST", "/v1/messages/batch", here.sign(ODD_JSON[name]), "application/x-ndjson")
    assert batch[0] == 200 and b'"/problems/' in json.dumps(batch[1]).encode()
    token = here.sign(ODD_JSON[name], "JWT", None).decode()
    assert answered(hub, "GET", "/v1/cases", {"Authorization": f"Bearer {token}"})[0] in (400, 401)
    assert size(hub) == before


ROOM = 160 << 20
"""Bytes that four bombs of 80 MiB each may take at once."""


@pytest.mark.parametrize("name", bombs())
def test_a_body_that_unfolds_is_refused_where_it_is_too_long(bureaus: Bureaus, hub: RunningHub, name: str) -> None:
    coding, body = bombs()[name]
    entrances = {(call.method, call.path, call.body[0]) for call in CALLS if call.body and not call.streams}
    assert len(entrances) > 7
    before, spent = memory(hub, "VmRSS"), processor(hub)
    token = bureaus[0].token()
    for method, path, media in sorted(entrances):
        headers = {"Content-Type": media, "Content-Encoding": coding, "Authorization": f"Bearer {token}"}
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(answered, hub, method, path.format(id="x"), headers, body) for _ in range(4)]
            assert {one.result()[0] for one in asked} <= {403, 413, 415}, path
    assert memory(hub, "VmHWM") - before < ROOM
    # Unfolding all of them takes six seconds and more: what was refused is not unfolded to its end.
    assert processor(hub) - spent < 3
    assert answered(hub, "GET", "/healthz", {})[0] == 200


FOLDERS = ("/log/tile/", "/snapshot/", "/problems/", "/v1/attachments/", "/v1/organisations/", "/v1/protocols/",
           "/console/static/", "/console/chart/case/", "/verify/", "/")  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_address_leads_nowhere_else(bureaus: Bureaus, hub: RunningHub, folder: str) -> None:
    headers = {"Authorization": f"Bearer {bureaus[0].token()}"}
    for end in CLIMBING:
        status, body = answered(hub, "GET", folder + end, headers)
        assert 300 <= status < 500, (folder + end, status, body[:200])
        assert b"root:" not in body


@pytest.mark.parametrize(
    "body",
    [*ODD_JSON.values(), b"5", b"null", b'"x"', b'{"response":5}', b'{"response":{"clientDataJSON":5}}',
     b'{"rawId":[],"response":{"clientDataJSON":"eyJjaGFsbGVuZ2UiOjV9"}}',
     b'{"rawId":{},"response":{"clientDataJSON":"eyJjaGFsbGVuZ2UiOiJBQSJ9"}}'],
)  # fmt: skip
def test_what_no_passkey_answers_is_refused(hub: RunningHub, body: bytes) -> None:
    for path in ("/console/passkeys/enter", "/console/passkeys"):
        status, _ = answered(hub, "POST", path, {"Content-Type": "application/json"}, body)
        assert 400 <= status < 500, (path, status)


@pytest.mark.parametrize(
    "body", [b"a" * (1 << 20), b"&a=" * (1 << 20), b"name=" + b"%00" * 9, b"name=%ff&password=%ed%a0%80"]
)
def test_a_form_is_short_and_is_text(hub: RunningHub, body: bytes) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, _ = answered(hub, "POST", "/console/login", form, body)
    assert 400 <= status < 500, status
    packed = gzip.compress(b"&a=" * (20 << 20))
    assert answered(hub, "POST", "/console/login", form | {"Content-Encoding": "gzip"}, packed)[0] in (400, 413)


@pytest.mark.parametrize("name", ODD_HEADERS)
def test_odd_headers_are_refused_or_passed_over(hub: RunningHub, name: str) -> None:
    for method, path in (("POST", "/v1/messages"), ("GET", "/v1/cases"), ("GET", "/console/login")):
        assert answered(hub, method, path, ODD_HEADERS[name], b"x" if method == "POST" else None)[0] < 500
