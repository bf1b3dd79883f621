"""The transparency log by C2SP tlog-tiles and tlog-checkpoint, read by an outsider with hashlib alone."""

import base64
import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from jwcrypto import jwk, jws

from tests.acceptance.outsider import Outsider
from tests.acceptance.verifier import leaf_hash, path_root, read_note, tree_root, verify_receipt
from tests.conftest import RunningHub


@pytest.fixture(scope="module")
def bureaus(hub: RunningHub) -> list[Outsider]:
    found = [
        Outsider("411002-health", hub.url),
        Outsider("440306-health", hub.url, "P-256"),
        Outsider("410000-supervision", hub.url, roles=("auditor",)),
    ]
    hub.enrol([bureau.record() for bureau in found])
    case, _, _ = found[0].open_case(found[1])
    events = [found[0].event("update", case, found[1], found[0].example("update")) for _ in range(300)]
    lines = b"\n".join(found[0].sign(json.dumps(event).encode()) for event in events)
    status, _ = found[0].call("POST", "/v1/messages/batch", lines, "application/x-ndjson")
    assert status == 200
    return found


def get(hub: RunningHub, path: str) -> bytes:
    """Without any token."""
    with urllib.request.urlopen(hub.url + path, timeout=10) as response:
        return bytes(response.read())


def test_tiles_bundles_and_checkpoint_are_one_tree(bureaus: list[Outsider], hub: RunningHub) -> None:
    jwks = json.loads(get(hub, "/.well-known/jwks.json"))
    head = read_note(get(hub, "/log/checkpoint").decode(), jwks)
    assert head.size > 256
    rest = head.size % 256
    lower = get(hub, "/log/tile/0/000") + get(hub, f"/log/tile/0/001.p/{rest}")
    hashes = [lower[at : at + 32] for at in range(0, len(lower), 32)]
    assert tree_root(hashes) == head.root
    assert get(hub, "/log/tile/1/000.p/1") == tree_root(hashes[:256])
    leaves: list[bytes] = []
    for path in ("000", f"001.p/{rest}"):
        body = bureaus[2].call("GET", f"/log/tile/entries/{path}")[1]
        while body:
            length = int.from_bytes(body[:2], "big")
            leaves.append(body[2 : 2 + length])
            body = body[2 + length :]
    assert [leaf_hash(leaf) for leaf in leaves] == hashes
    kinds = [json.loads(leaf)["kind"] for leaf in leaves]
    assert kinds.count("accepted") == 301
    assert kinds.count("key-added") == 6


@pytest.mark.parametrize(
    "path", ["0/002", "0/1", "0/000.p/0", "0/000.p/256", "9/000", "64/000", "x/000", "0/../../v1/hub", "0/001.p/255"]
)
def test_a_tile_that_is_not_there_is_not_found(bureaus: list[Outsider], hub: RunningHub, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as missing:
        get(hub, f"/log/tile/{path}")
    assert missing.value.code == 404
    assert json.loads(missing.value.read())["type"] == "/problems/not-found"


def test_tiles_may_be_cached_for_ever_and_the_checkpoint_never(bureaus: list[Outsider], hub: RunningHub) -> None:
    with urllib.request.urlopen(hub.url + "/log/tile/0/000", timeout=10) as response:
        assert "immutable" in response.headers["Cache-Control"]
    with urllib.request.urlopen(hub.url + "/log/checkpoint", timeout=10) as response:
        assert response.headers["Cache-Control"] == "no-store"


def test_a_party_reads_its_messages_entries_each_with_its_proof(bureaus: list[Outsider], hub: RunningHub) -> None:
    here, there = bureaus[:2]
    jwks = json.loads(get(hub, "/.well-known/jwks.json"))
    _, event, receipt = here.open_case(there)
    verify_receipt(receipt, jwks)
    item = read_all(there)[-1]
    assert there.acknowledge(item)[0] == 200
    status, answer = here.call("GET", f"/v1/messages/{here.id}/{event['id']}/events")
    assert status == 200
    assert [found["entry"]["kind"] for found in answer["events"]] == ["accepted", "fetched", "acknowledged"]
    for found in answer["events"]:
        leaf = base64.b64decode(found["log"]["entry"])
        assert json.loads(leaf) == found["entry"]
        head = read_note(found["log"]["checkpoint"], jwks)
        proof = [base64.b64decode(step) for step in found["log"]["proof"]]
        assert path_root(leaf_hash(leaf), found["log"]["index"], head.size, proof) == head.root
    acknowledged = answer["events"][2]["entry"]
    signed = jws.JWS()
    signed.allowed_algs = ["ES256"]
    signed.deserialize(acknowledged["jws"])
    signed.verify(there.signing)
    assert json.loads(signed.payload)["digest"] == item["receipt"]["digest"]


def read_all(bureau: Outsider) -> list[dict[str, Any]]:
    """The whole mailbox."""
    items: list[dict[str, Any]] = []
    while True:
        page = bureau.call("GET", f"/v1/mailbox?after={len(items)}&limit=200")[1]
        items += page["items"]
        assert page["next"] == len(items)
        if not page["behind"]:
            assert page["oldest"] is None
            return items
        assert page["oldest"] is not None


def test_the_hub_signs_where_a_mailbox_ends(bureaus: list[Outsider], hub: RunningHub) -> None:
    there = bureaus[1]
    last = read_all(there)[-1]["position"]
    status, page = there.call("GET", "/v1/mailbox?after=0&limit=1&proof=1")
    assert status == 200
    jwks = json.loads(get(hub, "/.well-known/jwks.json"))
    word = jws.JWS()
    word.allowed_algs = ["Ed25519", "EdDSA"]
    word.deserialize(page["proof"])
    word.verify(jwk.JWK(**jwks["keys"][0]))
    said = json.loads(word.payload)
    assert said.keys() == {"recipient", "position", "checkpoint", "iat"}
    assert (said["recipient"], said["position"]) == (there.id, last)
    assert read_note(said["checkpoint"], jwks).size >= last
