"""A bureau on npm `jose` and node works a case with a bureau on jwcrypto, both knowing the wire contract alone."""

import copy
import json
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jwcrypto import jwe as other_jwe
from jwcrypto import jwk as other_jwk
from jwcrypto import jws as other_jws

from tests.acceptance.outsider import Outsider, uuid7
from tests.conftest import RunningHub

FOLDER = Path(__file__).parent / "node"
CONTENT = {"narrative": "请协助查明现居住地址。"}


def installed() -> str | None:
    """Why there is no node with `jose` here; None if there is."""
    if shutil.which("node") is None:
        return "没有 node · node is not installed"
    if not (FOLDER / "node_modules" / "jose").is_dir():
        return "没有 npm jose, 请运行 make node · npm's jose is not installed: make node"
    return None


pytestmark = pytest.mark.skipif(installed() is not None, reason=installed() or "")


def node(command: str, **options: object) -> Any:
    """One command of the bureau on node."""
    done = subprocess.run(
        ["node", "bureau.mjs", command],
        input=json.dumps(options),
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class NodeBureau:
    """An organisation whose keys, tokens, signatures and seals are all made by node."""

    def __init__(self, id: str, hub: RunningHub, alg: str, crv: str) -> None:
        made = node("make", id=id, alg=alg, crv=crv)
        self.id, self.record = id, made["record"]
        self.jwks: dict[str, Any] = self.record["jwks"]
        self.bureau = made["bureau"]
        self._options = {"bureau": self.bureau, "url": hub.url, "audience": "410000-hub"}

    def do(self, command: str, **options: object) -> Any:
        return node(command, **(self._options | options))


@pytest.fixture(scope="module")
def there(hub: RunningHub) -> Outsider:
    bureau = Outsider("440306-health", hub.url, "P-256")
    hub.enrol([bureau.record()])
    return bureau


@pytest.fixture(scope="module", params=[("EdDSA", "X25519"), ("Ed25519", "P-256"), ("ES256", "X25519")], ids="-".join)
def here(hub: RunningHub, there: Outsider, request: pytest.FixtureRequest) -> NodeBureau:
    alg, crv = request.param
    id = {"EdDSA": "411002-health", "Ed25519": "411003-health", "ES256": "411023-health"}[alg]
    bureau = NodeBureau(id, hub, alg, crv)
    hub.enrol([bureau.record])
    return bureau


def example(there: Outsider, message: str) -> Any:
    status, schema = there.call("GET", f"/v1/protocols/case-assistance/1.0/{message}")
    assert status == 200
    return schema["examples"][0]


@pytest.fixture
def sent(here: NodeBureau, there: Outsider) -> Any:
    """What came back for a request that node sealed, signed and sent."""
    to = {"id": there.id, "jwks": there.record()["jwks"]}
    answer = here.do("send", message="request", to=to, data=example(there, "request"), content=CONTENT)
    assert answer["status"] == 201, answer["body"]
    return answer


@pytest.fixture(scope="module")
def hub_keys(there: Outsider) -> Any:
    status, jwks = there.call("GET", "/.well-known/jwks.json")
    assert status == 200
    return jwks


def test_what_node_seals_and_signs_the_other_side_verifies_and_opens(
    here: NodeBureau, there: Outsider, sent: Any
) -> None:
    status, page = there.call("GET", "/v1/mailbox?after=0&limit=500")
    assert status == 200
    item = page["items"][-1]
    assert item["message"] == sent["token"]
    token = other_jws.JWS()
    token.allowed_algs = ["EdDSA", "Ed25519", "ES256"]
    signing = next(key for key in here.jwks["keys"] if key["use"] == "sig")
    token.deserialize(item["message"], public_key(signing))
    sealed = other_jwe.JWE()
    sealed.deserialize(json.dumps(json.loads(token.payload)["data"]["sealed"]), there.sealing)
    opened = json.loads(sealed.payload)
    assert (opened["content"], opened["id"]) == (CONTENT, sent["event"]["id"])
    assert there.acknowledge(item)[0] == 200


def public_key(jwk: dict[str, Any]) -> Any:
    """A published key as jwcrypto takes it."""
    return other_jwk.JWK(**{name: value for name, value in jwk.items() if name in ("kty", "crv", "x", "y")})


def test_node_polls_verifies_opens_and_acknowledges_what_the_other_side_sealed(
    here: NodeBureau, there: Outsider
) -> None:
    sealing = next(key for key in here.jwks["keys"] if key["use"] == "enc")
    event = event_to(there, here, public_key(sealing))
    assert there.send(event)[0] == 201
    page = here.do("poll", after=0)
    assert page["status"] == 200, page["body"]
    item = page["body"]["items"][-1]
    opened = here.do("open", message=item["message"], jwks=there.record()["jwks"])
    assert (opened["fits"], opened["typ"], opened["event"]["id"]) == (True, "xieban+jws", event["id"])
    assert opened["content"] == {}
    done = here.do("acknowledge", item=item)
    assert done["status"] == 200, done["body"]
    status, events = there.call("GET", f"/v1/messages/{there.id}/{event['id']}/events")
    assert status == 200
    assert [entry["entry"]["kind"] for entry in events["events"]] == ["accepted", "fetched", "acknowledged"]


def event_to(there: Outsider, here: NodeBureau, sealing: Any) -> dict[str, Any]:
    """A request of the outsider's to the bureau on node, of which it knows id and published key only."""
    recipient = Outsider(here.id, there.url)
    recipient.sealing = sealing
    return there.event("request", uuid7(), recipient, example(there, "request"))


def test_a_receipt_is_verified_with_nothing_but_node_crypto(here: NodeBureau, sent: Any, hub_keys: Any) -> None:
    verdict = here.do("verify", receipt=sent["body"], message=sent["token"], jwks=hub_keys)
    assert verdict["holds"], verdict
    assert verdict["entry"]["source"] == here.id


def flipped(text: str) -> str:
    """Base64 of other bytes."""
    value = b64decode(text)
    return b64encode(bytes([value[0] ^ 1]) + value[1:]).decode()


def other_leaf(receipt: Any) -> None:
    entry = json.loads(b64decode(receipt["log"]["entry"]))
    receipt["log"]["entry"] = b64encode(json.dumps(entry | {"at": "2020-01-01T00:00:00Z"}).encode()).decode()


def other_checkpoint(receipt: Any) -> None:
    lines = receipt["log"]["checkpoint"].split("\n")
    lines[2] = flipped(lines[2])
    receipt["log"]["checkpoint"] = "\n".join(lines)


ALTERED: list[tuple[Callable[[Any], object], str]] = [
    (lambda receipt: receipt.update(accepted="2020-01-01T00:00:00Z"), "entry"),
    (lambda receipt: receipt.update(message=uuid7()), "entry"),
    (lambda receipt: receipt["log"].update(index=receipt["log"]["index"] + 10**6), "index"),
    (lambda receipt: receipt["log"]["proof"].append(receipt["log"]["proof"][0]), "proof"),
    (lambda receipt: receipt["log"]["proof"].__setitem__(0, flipped(receipt["log"]["proof"][0])), "root"),
    (other_leaf, "root"),
    (other_checkpoint, "checkpoint"),
]


@pytest.mark.parametrize(("alter", "why"), ALTERED)
def test_an_altered_receipt_does_not_hold(
    here: NodeBureau, sent: Any, hub_keys: Any, alter: Callable[[Any], object], why: str
) -> None:
    receipt = copy.deepcopy(sent["body"])
    alter(receipt)
    assert here.do("verify", receipt=receipt, message=sent["token"], jwks=hub_keys) == {"holds": False, "why": why}


def test_a_receipt_is_for_the_bytes_it_names(here: NodeBureau, sent: Any, hub_keys: Any) -> None:
    verdict = here.do("verify", receipt=sent["body"], message=sent["token"] + "A", jwks=hub_keys)
    assert verdict == {"holds": False, "why": "message"}


def test_a_token_by_node_for_another_hub_or_by_other_keys_is_refused(here: NodeBureau, hub: RunningHub) -> None:
    answer = here.do("poll", after=0, audience="440000-hub")
    assert (answer["status"], answer["body"]["type"]) == (401, "/problems/token-invalid")
    stranger = NodeBureau(here.id, hub, "ES256", "P-256")
    answer = stranger.do("poll", after=0)
    assert (answer["status"], answer["body"]["type"]) == (401, "/problems/token-invalid")
