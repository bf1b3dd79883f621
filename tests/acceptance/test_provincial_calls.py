"""Every call between the adapter and a platform: paging, proofs, signatures, limits, and where calls may go."""

import asyncio
import base64
import hashlib
import json
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

import adapters.provincial
from adapters.client import Item
from adapters.provincial.guarding import Guard
from adapters.running.configuration import AdapterConfigInvalid, section
from adapters.running.partner import Collected, Delivery, Offer, Outcome, Partner, PartnerRejected, PartnerUnreachable
from keys import sm2
from protocols.envelope import Event
from protocols.receipt import LogProof, Receipt
from tests.acceptance.province import EXAMPLE, Province, errand, open_province

CASE, MESSAGE = "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7", "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d8"
PAGE = 'paging = { by = "page", parameter = "pageNum", size = 20 }'


def adapter(folder: Path, province: Province, extra: str = "", pull: str = PAGE, **top: str) -> Partner:
    """The adapter of a platform, as its section makes it; what it offers is kept in `offered`."""
    said = {"allow_private": '["127.0.0.0/8", "::1/128"]', "allow_http": "true", "timeout": "1.0"} | top
    file = folder / "config.toml"
    file.write_text(
        '[adapters.provincial]\nhub = "http://hub.invalid"\norganisations = ["411002-health"]\nkeys = "keys"\n'
        f'store = "store"\nmapping = "{EXAMPLE}"\n' + "".join(f"{name} = {value}\n" for name, value in said.items())
        + f'[adapters.provincial.pull]\nurl = "{province.url}/api/records"\nitems = "data.list"\nkind = "lx"\n{pull}\n'
        + ("" if "[adapters.provincial.push]" in extra else
           f'[adapters.provincial.push]\nurl = "{province.url}/api/messages/{{type}}"\n') + extra
    )  # fmt: skip
    return adapters.provincial.partner(section(file, "provincial"), lambda offer: offered(offer))


KNOWN: dict[str, Offer] = {}


def offered(offer: Offer) -> bool:
    fresh = offer.key not in KNOWN
    KNOWN[offer.key] = offer
    return fresh


def delivery(type: str = "errand.accept", data: Mapping[str, Any] | None = None, **changed: Any) -> Delivery:
    event = Event(id=MESSAGE, source="440306-health", type=type, dataschema="", subject=CASE, time=datetime.now(UTC),
                  recipients=("411002-health",), hub="410000-hub", data=dict(data or {}))  # fmt: skip
    receipt = Receipt(MESSAGE, "sha-256:0", "2026-11-20T09:00:01+08:00", LogProof("o", 0, "", [], ""))
    return Delivery("411002-health", Item(1, b"", event, receipt), None, **changed)


async def everything(partner: Partner, cursor: str | None = None) -> tuple[list[Offer], str | None]:
    """One round of pulling."""
    found: list[Offer] = []
    while True:
        page: Collected = await partner.collect(cursor)
        found, cursor = found + list(page.offers), page.cursor
        if not page.more:
            return found, cursor


@pytest.mark.parametrize(
    ("style", "said"),
    [
        ("page", PAGE),
        ("offset", 'paging = { by = "offset", parameter = "offset", size_parameter = "limit", size = 20 }'),
        ("cursor", 'paging = { by = "cursor", parameter = "after", next = "data.next" }'),
        ("link", 'paging = { by = "link" }'),
    ],
)
async def test_every_style_of_paging_brings_every_record_once(tmp_path: Path, style: str, said: str) -> None:
    async with open_province(paging=style, size=20, records=[errand(n) for n in range(45)]) as province:
        since = '\nsince = { parameter = "updatedFrom", mark = "gxsj" }'
        async with adapter(tmp_path, province, pull=said + (since if style == "page" else "")) as partner:
            found, cursor = await everything(partner)
            assert [one.key for one in found] == [f"XBSQ/{n}-1" for n in range(45)]
            assert all(one.problem is None for one in found)
            if style == "page":  # and the next round begins where this one ended
                province.records.append(errand(59))
                again, _ = await everything(partner, cursor)
                assert [one.key for one in again] == ["XBSQ/44-1", "XBSQ/59-1"]
                assert province.asked[-1]["updatedFrom"] == "2026-11-20 09:44:00"


@pytest.mark.parametrize(
    ("fault", "why"),
    [("429", "429"), ("503", "503"), ("500", "500"), ("404", "404"), ("slow", "Timeout"), ("garbage", "not JSON"),
     ("odd", "no array"), ("huge", "more than"), ("302", "redirect")],
)  # fmt: skip
async def test_a_platform_that_does_not_answer_as_it_should_is_left_alone_and_asked_again(
    tmp_path: Path, fault: str, why: str
) -> None:
    async with (
        open_province(faults=deque([fault]), records=[errand(1)]) as province,
        adapter(tmp_path, province) as partner,
    ):
        with pytest.raises(PartnerUnreachable, match=why) as raised:
            await partner.collect(None)
        assert raised.value.data.get("after") == (7 if fault in ("429", "503") else None)
        assert len((await partner.collect(None)).offers) == 1


async def test_odd_records_are_offers_with_a_problem_and_hold_up_no_other(tmp_path: Path) -> None:
    odd: list[Any] = [None, 7, [], {}, {"lx": "XBSQ"}, {"lx": "??"}, errand(1, sx="99"), errand(2, sqdw="443060010"),
                      errand(3, qwrq="soon"), errand(4, wssl=10**30), errand(5, nr=None)]  # fmt: skip
    async with open_province(records=[*odd, errand(6)]) as province, adapter(tmp_path, province) as partner:
        found, _ = await everything(partner)
    assert [one.problem is None for one in found] == [False] * len(odd) + [True]
    assert "code list act has no '99'" in str(found[6].problem)
    assert "does not speak for 440306-health" in str(found[7].problem)
    assert len({one.key for one in found}) == len(found)
    assert "李某某" not in " ".join(str(one.problem) for one in found)


@pytest.mark.parametrize(
    ("status", "fault"),
    [("400", PartnerRejected), ("403", PartnerRejected), ("409", PartnerRejected), ("422", PartnerRejected),
     ("401", PartnerUnreachable), ("408", PartnerUnreachable), ("425", PartnerUnreachable), ("429", PartnerUnreachable),
     ("302", PartnerUnreachable), ("500", PartnerUnreachable), ("slow", PartnerUnreachable)],
)  # fmt: skip
async def test_a_push_is_rejected_or_tried_again(tmp_path: Path, status: str, fault: type[Exception]) -> None:
    async with open_province(faults=deque([status])) as province, adapter(tmp_path, province) as partner:
        with pytest.raises(fault):
            await partner.deliver(delivery())
        await partner.deliver(delivery())
        await partner.deliver(delivery())
        assert list(province.messages) == [f'"{MESSAGE}"']


async def test_what_a_platform_says_in_a_200_counts(tmp_path: Path) -> None:
    async with open_province() as province:
        push = (f'[adapters.provincial.push]\nurl = "{province.url}/api/messages/{{type}}"\n'
                'taken = "code = 0"\nagain = "code in [\\"busy\\", 7]"\n')  # fmt: skip
        async with adapter(tmp_path, province, push) as partner:
            province.faults += ["busy", "refused", "garbage", "ok"]
            for fault in (PartnerUnreachable, PartnerRejected, PartnerUnreachable):
                with pytest.raises(fault):
                    await partner.deliver(delivery())
            await partner.deliver(delivery())


async def test_a_round_whose_cursor_the_platform_forgot_begins_again(tmp_path: Path) -> None:
    async with open_province(faults=deque(["400"])) as province, adapter(tmp_path, province) as partner:
        page = await partner.collect('{"since":"2026-01-01","page":3,"seen":"2026-05-05"}')
        assert page.offers == [] and not page.more and page.cursor == '{"since":"2026-01-01"}'


@pytest.mark.parametrize(
    ("what", "why"),
    [({"type": "errand.ask"}, "has no message"), ({"unopened": "no key"}, "can't be opened"),
     ({"type": "errand.decline", "data": {"reason": "odd"}}, "code list reason")],
)  # fmt: skip
async def test_what_the_mapping_can_not_say_is_rejected(tmp_path: Path, what: dict[str, Any], why: str) -> None:
    async with open_province() as province, adapter(tmp_path, province) as partner:
        with pytest.raises(PartnerRejected, match=why):
            await partner.deliver(delivery(**what))
        await partner.deliver(delivery("errand.progress"))  # which the mapping ignores
        assert province.messages == {}


def keyed(folder: Path) -> ed25519.Ed25519PrivateKey:
    key = ed25519.Ed25519PrivateKey.generate()
    (folder / "push.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open"),
        )
    )
    (folder / "push.pub").write_bytes(key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))  # fmt: skip
    (folder / "pass").write_text("open\n")
    return key


async def test_a_push_is_signed_as_rfc_9421_says(tmp_path: Path) -> None:
    key = keyed(tmp_path)
    async with open_province() as province:
        push = (f'[adapters.provincial.push]\nurl = "{province.url}/api/messages/{{type}}?v=1"\nkey_id = "ours"\n'
                'signing_key = "push.pem"\npassphrase = { file = "pass" }\n')  # fmt: skip
        async with adapter(tmp_path, province, push) as partner:
            await partner.deliver(delivery())
        request, body = province.requests[-1]
    # Rebuilt here by hand from RFC 9421 §2.5 and RFC 9530 §2.
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    assert request.headers["Content-Digest"] == digest
    label, _, parameters = request.headers["Signature-Input"].partition("=")
    assert label == "xieban" and ';keyid="ours"' in parameters and ';alg="ed25519"' in parameters
    created = int(parameters.partition("created=")[2].partition(";")[0])
    assert abs(created - datetime.now(UTC).timestamp()) < 60
    covered = [name.strip('"') for name in parameters[1 : parameters.index(")")].split(" ")]
    assert set(covered) == {"@method", "@target-uri", "content-digest", "idempotency-key"}
    values = {"@method": "POST", "@target-uri": f"{province.url}/api/messages/errand.accept?v=1",
              "content-digest": digest, "idempotency-key": request.headers["Idempotency-Key"]}  # fmt: skip
    base = "\n".join([*(f'"{name}": {values[name]}' for name in covered), f'"@signature-params": {parameters}'])
    signature = base64.b64decode(request.headers["Signature"].removeprefix("xieban=:").removesuffix(":"))
    key.public_key().verify(signature, base.encode())


async def test_tokens_are_kept_and_renewed_once_after_a_401(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s:cret\n")
    async with open_province(oauth=True, records=[errand(1)]) as province:
        said = (f'[adapters.provincial.authentication]\ntype = "oauth"\ntoken_url = "{province.url}/oauth/token"\n'
                'client_id = "xieban"\nsecret = { file = "secret" }\n')  # fmt: skip
        async with adapter(tmp_path, province, said) as partner:
            await partner.collect(None)
            await partner.collect(None)
            assert province.calls["token"] == 1
            province.tokens = set()  # revoked before its time
            await partner.collect(None)
            assert province.calls["token"] == 2
            province.lifetime, province.tokens = 1, set()
            await partner.collect(None)
            await asyncio.sleep(1.0)
            await partner.collect(None)
            assert province.calls["token"] == 4
            (tmp_path / "secret").write_text("another")
            province.tokens = set()
            with pytest.raises(PartnerUnreachable, match="no token") as raised:
                await partner.collect(None)
            assert "another" not in str(raised.value)


async def test_an_api_key_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = '[adapters.provincial.authentication]\ntype = "key"\nsecret = { env = "PLATFORM_KEY" }\n'
    async with open_province(key="k-1", records=[errand(1)]) as province:
        with pytest.raises(AdapterConfigInvalid, match="PLATFORM_KEY"):
            adapter(tmp_path, province, said)
        monkeypatch.setenv("PLATFORM_KEY", "k-1")
        async with adapter(tmp_path, province, said) as partner:
            assert len((await partner.collect(None)).offers) == 1
            province.key = "k-2"
            with pytest.raises(PartnerUnreachable, match="401"):
                await partner.collect(None)


async def test_a_request_is_signed_with_sm2(tmp_path: Path) -> None:
    pytest.importorskip("tongsuopy")
    pair = sm2.new()
    (tmp_path / "sm2.jwk").write_text(json.dumps(pair))
    said = ('[adapters.provincial.authentication]\ntype = "sm2"\nappid = "xb"\nkey_file = "sm2.jwk"\nencoding = "hex"\n'
            'text = "{appid}&{timestamp}&{nonce}&{method}&{path}&{query}&{body_sm3}"\n')  # fmt: skip
    async with open_province() as province, adapter(tmp_path, province, said) as partner:
        await partner.collect(None)
        await partner.deliver(delivery())
        nonces = set()
        for request, body in province.requests:
            given = request.headers
            nonces.add(given["X-Nonce"])
            text = "&".join(["xb", given["X-Timestamp"], given["X-Nonce"], request.method, request.path,
                             request.query_string, hashlib.new("sm3", body).hexdigest()])  # fmt: skip
            sm2.verifier(pair)(bytes.fromhex(given["X-Signature"]), text.encode())
    assert len(nonces) == 2


def certified(name: str, by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None, folder: Path) -> Any:
    """A certificate with its key, both also as files."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    signer = by[1] if by else key
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    made = (x509.CertificateBuilder().subject_name(who).issuer_name(by[0].subject if by else who)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(by is None, None), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
            .add_extension(x509.SubjectAlternativeName(names), False)
            .sign(signer, hashes.SHA256()))  # fmt: skip
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))  # fmt: skip
    return made, key


async def test_certificates_of_both_sides_are_verified(tmp_path: Path) -> None:
    root = certified("root", None, tmp_path)
    for name in ("server", "client"):
        certified(name, root, tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "root.pem"))
    tls.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    tls.verify_mode = ssl.CERT_REQUIRED
    ours = '[adapters.provincial.tls]\ncertificate = "client.pem"\nkey = "client.key"\n'
    async with open_province(tls, records=[errand(1)]) as province:
        async with adapter(tmp_path, province, ours, ca_file='"root.pem"', allow_http="false") as partner:
            assert len((await partner.collect(None)).offers) == 1
        for extra, top in (("", {"ca_file": '"root.pem"'}), (ours, {})):
            async with adapter(tmp_path, province, extra, **top) as partner:
                with pytest.raises(PartnerUnreachable, match=r"(?i)ssl|certificate|connect"):
                    await partner.collect(None)


PRIVATE = ["127.0.0.1", "[::1]", "169.254.169.254", "10.1.2.3", "172.16.0.1", "192.168.1.1", "0.0.0.0", "2130706433",
           "0177.0.0.1", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]", "[fd00::1]",
           "[2002:7f00:1::]", "[fe80::1]", "100.64.0.1", "224.0.0.1", "255.255.255.255", "[::]"]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
async def test_addresses_that_are_not_public_are_refused_when_loaded_and_when_called(host: str) -> None:
    guard = Guard((), allow_http=True)
    with pytest.raises(AdapterConfigInvalid, match="public"):
        guard.url(f"http://{host}:8080/x")
    async with aiohttp.ClientSession(connector=guard.connector()) as session:
        with pytest.raises(aiohttp.ClientError, match=r"neither public|canonical"):
            await session.get(f"http://{host}:1/", timeout=aiohttp.ClientTimeout(total=3))


@pytest.mark.parametrize(
    "url", ["ftp://platform.example/", "http://platform.example/", "https://user:pass@platform.example/",
            "https:///x",
            "https://{type}.example/", "https://platform.example/{odd}",
            "https://platform.example:99999/", "//platform.example", "https://a%40b/x"],
)  # fmt: skip
def test_addresses_are_https_to_a_plain_host(url: str) -> None:
    with pytest.raises(AdapterConfigInvalid):
        Guard((), allow_http=False).url(url)


def test_public_and_allowed_addresses_pass() -> None:
    assert str(Guard((), allow_http=False).url("https://platform.example/{type}", ["type"]).host) == "platform.example"
    assert Guard((), False).allows("8.8.8.8") and Guard((), False).allows("2606:4700::1111")


async def test_a_name_is_judged_by_the_address_that_is_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever a look-up before the call would have said, this is what the connector is told.
    async def rebinding(self: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, Any]]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    monkeypatch.setattr("aiohttp.resolver.ThreadedResolver.resolve", rebinding)
    monkeypatch.setattr("aiohttp.resolver.AsyncResolver.resolve", rebinding)
    async with open_province(records=[errand(1)]) as province:
        away = Province(url=province.url.replace("127.0.0.1", "platform.example"))
        async with adapter(tmp_path, away, allow_private="[]") as partner:
            with pytest.raises(PartnerUnreachable, match="neither public"):
                await partner.collect(None)
        assert province.calls.total() == 0
        async with adapter(tmp_path, away, allow_private='["127.0.0.1/32"]') as partner:
            assert len((await partner.collect(None)).offers) == 1


async def test_a_link_to_another_host_is_not_followed(tmp_path: Path) -> None:
    async with (
        open_province(paging="link") as province,
        adapter(tmp_path, province, pull='paging = { by = "link" }') as partner,
    ):
        cursor = json.dumps({"page": 1, "next": "http://127.0.0.1:9/api/records"})
        with pytest.raises(PartnerUnreachable, match="another host"):
            await partner.collect(cursor)


async def test_calls_are_no_more_than_so_many_a_minute(tmp_path: Path) -> None:
    async with open_province() as province, adapter(tmp_path, province, per_minute="300") as partner:
        begun = asyncio.get_running_loop().time()
        for _ in range(4):
            await partner.collect(None)
        assert asyncio.get_running_loop().time() - begun >= 0.59


async def test_receipts_go_back_with_what_the_platform_knows(tmp_path: Path) -> None:
    async with open_province() as province:
        said = f'[adapters.provincial.settle]\nurl = "{province.url}/api/receipts/{{record}}/{{key}}"\n'
        async with adapter(tmp_path, province, said) as partner:
            offer = Offer(key="XBSQ/1-1", raw={"record": "XBSQ", "key": "1/../1", "item": {}})
            await partner.settle(offer, Outcome(problem="no such office"))
            await partner.settle(Offer(key="x", raw={"record": "XBSQ", "key": None}), Outcome(problem="no key"))
        assert province.receipts == {"1/../1": {"record": "XBSQ", "key": "1/../1", "taken": False,
                                                "problem": "no such office"}}  # fmt: skip


# What the platform sends by itself ------------------------------------------------------------------------


async def test_what_is_sent_to_us_is_proved_bounded_and_known_again(tmp_path: Path) -> None:
    KNOWN.clear()
    keyed(tmp_path)
    (tmp_path / "hook").write_text("h-1")
    said = ('[adapters.provincial.webhook]\nsecret = { file = "hook" }\nlargest = 2000\nurl = "https://us.example/"\n'
            'keys = { theirs = "push.pub" }\n')  # fmt: skip
    async with open_province() as province, adapter(tmp_path, province, said) as partner:
        app = web.Application()
        app.add_routes(partner.routes())
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        base = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
        signing = (f'[adapters.provincial.push]\nurl = "{base}/"\nkey_id = "theirs"\n'
                   'signing_key = "push.pem"\npassphrase = { file = "pass" }\n')  # fmt: skip
        signer = adapter(tmp_path, province, signing)._parts.signer  # type: ignore[attr-defined]

        async def post(record: str, body: bytes, key: str = "h-1", signed: bytes | None = None) -> tuple[int, Any]:
            path = f"/provincial/{record}"
            headers = signer.headers("POST", f"https://us.example{path}", {}, body if signed is None else signed)
            async with (
                aiohttp.ClientSession(headers=headers | {"X-API-Key": key}) as session,
                session.post(base + path, data=body) as answer,
            ):
                return answer.status, await answer.json(content_type=None)

        try:
            record = json.dumps(errand(7)).encode()
            assert await post("XBSQ", record) == (202, {"key": "XBSQ/7-1", "known": False})
            assert await post("XBSQ", record) == (202, {"key": "XBSQ/7-1", "known": True})
            assert (await post("XBSQ", record, key="h-2"))[0] == 401
            assert (await post("XBSQ", record, key="密"))[0] == 401
            assert (await post("XBSQ", record, signed=b"{}"))[0] == 401
            assert (await post("nothing", record))[0] == 404
            assert (await post("XBSQ", b"{"))[0] == 400
            assert (await post("XBSQ", b'"' + b"x" * 2000 + b'"'))[0] == 413
            status, told = await post("XBSQ", json.dumps(errand(8, sx="77")).encode())
            assert status == 202 and "code list act" in told["problem"]
        finally:
            await runner.cleanup()
    with pytest.raises(AdapterConfigInvalid, match="proves itself"):
        adapter(tmp_path, province, "[adapters.provincial.webhook]\n")
