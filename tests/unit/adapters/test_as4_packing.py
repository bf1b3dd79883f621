"""A message as AS4 has it: what was signed comes back, and nothing that was moved, changed, added or blown up."""

import base64
import copy
import dataclasses
import gzip
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from adapters.as4 import envelope, messaging, mime, packing, receipts, signing
from adapters.as4.errors import (
    DecompressionFailure,
    EbmsError,
    ExternalPayload,
    FailedAuthentication,
    FailedDecryption,
    FeatureNotSupported,
    InvalidHeader,
    InvalidReceipt,
    MimeInconsistency,
    PolicyNoncompliance,
    ValueInconsistent,
)
from adapters.as4.messaging import ErrorSignal, Party, ReceiptSignal, UserMessage
from adapters.as4.mime import Package
from adapters.as4.names import EB, INCLUSIVE_PREFIXES, SOAP, WSU, tag
from adapters.as4.packing import Opened, Payload, Sealed
from tests.acceptance.as4.parties import identity, keys

NOW = datetime.now(UTC)
PAYLOADS = [Payload("application/jose", b"a.b.c", "message"), Payload("application/json", b'{"k": 1}' * 300, "receipt")]
MESSAGE = UserMessage(
    id="one@here", at=NOW, sender=Party("here"), receiver=Party("there", "urn:type"), service=Party("errand"),
    action="errand.request", conversation="case", agreement="agreed", properties={"originalSender": "411002-health"},
)  # fmt: skip


def sealed(encrypt: bool = False, kind: str = "rsa", payloads: list[Payload] | None = None) -> Sealed:
    """A message from here to there."""
    parts, attachments = packing.attached(PAYLOADS if payloads is None else payloads)
    return packing.sealed(identity("here", "there", encrypt, kind), messaging.user_message(MESSAGE, parts), attachments)


async def opened(message: Sealed, encrypt: bool = False, kind: str = "rsa", now: datetime = NOW) -> Opened:
    """What is there when it has come."""
    return await packing.opened(identity("there", "here", encrypt, kind), message.content_type, message.body, now)


async def changed(message: Sealed, change: Callable[[etree._Element, dict[str, bytes]], None]) -> Sealed:
    """The message with its envelope and attachments changed on the way."""
    package = await mime.unpacked(message.content_type, message.body)
    root, attachments = etree.fromstring(package.envelope), dict(package.attachments)
    change(root, attachments)
    kind, body = mime.packed(Package(etree.tostring(root), attachments))
    return dataclasses.replace(message, content_type=kind, body=body)


@pytest.mark.parametrize(("encrypt", "kind"), [(False, "rsa"), (True, "rsa"), (False, "ec")])
async def test_what_was_signed_comes_back(encrypt: bool, kind: str) -> None:
    message = sealed(encrypt, kind)
    found = await opened(message, encrypt, kind)
    assert found.unit == dataclasses.replace(MESSAGE, at=NOW.replace(microsecond=NOW.microsecond // 1000 * 1000),
                                             parts=found.unit.parts)  # type: ignore[union-attr]  # fmt: skip
    assert list(found.payloads) == PAYLOADS
    assert receipts.digests(found.references) == message.digests and len(message.digests) == 4
    assert (b"a.b.c" in message.body) is False


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(held=st.dictionaries(st.text("abcdef0123456789", min_size=1, max_size=8), st.binary(max_size=300), max_size=4))
async def test_attachments_keep_every_byte(held: Mapping[str, bytes]) -> None:
    kind, body = mime.packed(Package(b"<e/>", held))
    found = await mime.unpacked(kind, body)
    assert found.envelope == b"<e/>" and dict(found.attachments) == dict(held)


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(["multipart/related; boundary=b", "multipart/related", "application/soap+xml", ""])
       | st.text(max_size=30),
       body=st.binary(max_size=400) | st.binary(max_size=200).map(lambda held: b"--b\r\n\r\n" + held + b"\r\n--b--\r\n")
       | st.text("<>/=\"' aeS:&;!?[]", max_size=80).map(str.encode))  # fmt: skip
async def test_arbitrary_bytes_are_an_ebms_error(kind: str, body: bytes) -> None:
    with pytest.raises(EbmsError):
        await packing.opened(identity("there", "here"), kind, body, NOW)


def _first(root: etree._Element, name: str) -> etree._Element:
    return next(root.iter(tag(name)))


def _text(name: str, value: str) -> Callable[[etree._Element, dict[str, bytes]], None]:
    def change(root: etree._Element, _: dict[str, bytes]) -> None:
        _first(root, name).text = value

    return change


def _payload(_: etree._Element, held: dict[str, bytes]) -> None:
    first = next(iter(held))
    held[first] = gzip.compress(b"other.message.signed")


def _added(_: etree._Element, held: dict[str, bytes]) -> None:
    held["more@x"] = b"more"


def _taken(_: etree._Element, held: dict[str, bytes]) -> None:
    held.pop(next(iter(held)))


def _unsigned(root: etree._Element, _: dict[str, bytes]) -> None:
    signature = _first(root, "ds:Signature")
    signature.getparent().remove(signature)


def _wrapped_in_header(root: etree._Element, _: dict[str, bytes]) -> None:
    """The signed header moved aside, a forged one in its place with another id."""
    header, signed = _first(root, "soap:Header"), _first(root, "eb:Messaging")
    forged = copy.deepcopy(signed)
    forged.set(f"{{{WSU}}}Id", "_other")
    _first(forged, "eb:Action").text = "errand.withdraw"
    header.replace(signed, forged)
    etree.SubElement(_first(root, "wsse:Security"), "Wrapper").append(signed)


def _wrapped_same_id(root: etree._Element, held: dict[str, bytes]) -> None:
    """The same, the forged one keeping the id."""
    _wrapped_in_header(root, held)
    _first(root, "soap:Header").find(tag("eb:Messaging")).set(f"{{{WSU}}}Id", "_messaging")


def _wrapped_in_body(root: etree._Element, _: dict[str, bytes]) -> None:
    """The signed header hidden in the body, which is signed no more, but by a second reference of the same id."""
    header, signed = _first(root, "soap:Header"), _first(root, "eb:Messaging")
    forged = copy.deepcopy(signed)
    forged.attrib.pop(f"{{{WSU}}}Id")
    forged.set("ID", "_messaging2")
    header.replace(signed, forged)
    _first(root, "soap:Body").append(signed)


def _second_header(root: etree._Element, _: dict[str, bytes]) -> None:
    forged = copy.deepcopy(_first(root, "eb:Messaging"))
    forged.attrib.pop(f"{{{WSU}}}Id")
    _first(root, "soap:Header").insert(0, forged)


def _second_signature(root: etree._Element, _: dict[str, bytes]) -> None:
    security = _first(root, "wsse:Security")
    security.append(copy.deepcopy(_first(root, "ds:Signature")))


def _reference_gone(root: etree._Element, _: dict[str, bytes]) -> None:
    info = _first(root, "ds:SignedInfo")
    info.remove(info.findall(tag("ds:Reference"))[-1])


def _other_transform(root: etree._Element, _: dict[str, bytes]) -> None:
    _first(root, "ds:Transform").set("Algorithm", "http://www.w3.org/TR/1999/REC-xpath-19991116")


def _object(root: etree._Element, _: dict[str, bytes]) -> None:
    etree.SubElement(_first(root, "ds:Signature"), tag("ds:Object"))


def _two_values(root: etree._Element, _: dict[str, bytes]) -> None:
    value = _first(root, "ds:DigestValue")
    value.addprevious(copy.deepcopy(value))


def _hmac(root: etree._Element, _: dict[str, bytes]) -> None:
    _first(root, "ds:SignatureMethod").set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")


def _sha1(root: etree._Element, _: dict[str, bytes]) -> None:
    _first(root, "ds:DigestMethod").set("Algorithm", "http://www.w3.org/2000/09/xmldsig#sha1")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_text("eb:Action", "errand.withdraw"), FailedAuthentication),
        (_text("ds:DigestValue", "AAAA"), FailedAuthentication),
        (_text("ds:SignatureValue", "AAAA"), FailedAuthentication),
        (_text("ds:SignatureValue", "*"), FailedAuthentication),
        (_text("soap:Body", "more"), FailedAuthentication),
        (_payload, FailedAuthentication),
        (_added, FailedAuthentication),
        (_taken, FailedAuthentication),
        (_unsigned, PolicyNoncompliance),
        (_wrapped_in_header, FailedAuthentication),
        (_wrapped_same_id, InvalidHeader),
        (_wrapped_in_body, FailedAuthentication),
        (_second_header, InvalidHeader),
        (_second_signature, (InvalidHeader, FailedAuthentication)),
        (_reference_gone, FailedAuthentication),
        (_other_transform, FailedAuthentication),
        (_object, FailedAuthentication),
        (_two_values, FailedAuthentication),
        (_hmac, FailedAuthentication),
        (_sha1, FailedAuthentication),
    ],
)  # fmt: skip
async def test_a_message_that_was_changed_is_refused(change: Any, error: type[EbmsError]) -> None:
    with pytest.raises(error) as found:
        await opened(await changed(sealed(), change))
    assert found.value.number in ("EBMS:0101", "EBMS:0103", "EBMS:0009")


@pytest.mark.parametrize("prefixes", ["soap", "soap  eb", "", "#default"])
async def test_canonicalisation_with_inclusive_prefixes_is_taken_as_java_writes_it(prefixes: str) -> None:
    who = identity("here", "there")
    made = envelope.built(messaging.user_message(MESSAGE, []))
    signing.sign(made, {}, who.key, who.certificate)
    info = _first(made.root, "ds:SignedInfo")
    named = [one for one in prefixes.split() if not one.startswith("#")] or None

    def canonical(part: etree._Element) -> bytes:
        return bytes(etree.tostring(part, method="c14n", exclusive=True, inclusive_ns_prefixes=named))

    for method in (_first(info, "ds:CanonicalizationMethod"), _first(info, "ds:Transform")):
        etree.SubElement(method, INCLUSIVE_PREFIXES).set("PrefixList", prefixes)
    _first(info, "ds:DigestValue").text = base64.b64encode(sha256(canonical(made.messaging)).digest()).decode()
    value = who.key.sign(canonical(info), padding.PKCS1v15(), hashes.SHA256())  # type: ignore[call-arg, arg-type]
    _first(made.root, "ds:SignatureValue").text = base64.b64encode(value).decode()
    found = await packing.opened(identity("there", "here"), "application/soap+xml", envelope.written(made), NOW)
    assert isinstance(found.unit, UserMessage) and found.unit.id == MESSAGE.id


async def test_only_the_pinned_certificate_counts_and_only_while_it_is_valid() -> None:
    message, right = sealed(), identity("there", "here")
    stranger = identity("there", "stranger")
    with pytest.raises(FailedAuthentication):
        await packing.opened(stranger, message.content_type, message.body, NOW)
    old = _expired()
    header = messaging.user_message(MESSAGE, [])
    expired = packing.sealed(old[0], header)
    with pytest.raises(FailedAuthentication, match="expired"):
        await packing.opened(old[1], expired.content_type, expired.body, NOW)
    assert (await packing.opened(right, message.content_type, message.body, NOW)).unit is not None


def _expired() -> tuple[packing.Identity, packing.Identity]:
    """Two sides of which the first one's certificate has expired."""
    old = keys("old", "rsa", -1)
    us = dataclasses.replace(identity("here", "there"), key=old.key, certificate=old.certificate)
    return us, dataclasses.replace(identity("there", "here"), partner=old.certificate)


@pytest.mark.parametrize(
    ("held", "error"),
    [
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', InvalidHeader),
        ('<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a><a/>'.encode("utf-16"), InvalidHeader),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', InvalidHeader),
        (b"<a>" * 100 + b"</a>" * 100, InvalidHeader),
        (b"<a>" + b"<b/>" * 3000 + b"</a>", InvalidHeader),
        (b"<a><?php x?></a>", InvalidHeader),
        (b"<a", InvalidHeader),
        (b"", InvalidHeader),
        (f'<S:Envelope xmlns:S="{SOAP}"><S:Header/><S:Body/></S:Envelope>'.encode(), InvalidHeader),
        (f'<S:Envelope xmlns:S="{SOAP}"><S:Body/><S:Header/></S:Envelope>'.encode(), InvalidHeader),
        (f'<S:Envelope xmlns:S="{SOAP}" xmlns:e="{EB}"><S:Header><e:Messaging/><x/></S:Header><S:Body/></S:Envelope>'
         .encode(), InvalidHeader),
        (b"x" * (mime.LARGEST_ENVELOPE + 1), MimeInconsistency),
    ],
)  # fmt: skip
async def test_xml_that_is_more_than_an_envelope_is_refused(held: bytes, error: type[EbmsError]) -> None:
    with pytest.raises(error):
        await packing.opened(identity("there", "here"), "application/soap+xml", held, NOW)


def _mixed(*parts: bytes) -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


SOAP_PART = b"Content-Type: application/soap+xml\r\n\r\n<a/>"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"--b\r\n", b"--b--\r\n", b"--b\r\nno header", _mixed(b"Content-Type: text/plain\r\n\r\nx"),
        _mixed(SOAP_PART, b"\r\nno id"), _mixed(SOAP_PART, b"Content-ID: <a>\r\n\r\n1", b"Content-ID: <a>\r\n\r\n2"),
        _mixed(SOAP_PART, *[b"Content-ID: <%d>\r\n\r\nx" % number for number in range(12)]),
        _mixed(SOAP_PART, b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c--"),
        _mixed(SOAP_PART, b"Content-ID: <a>\r\nContent-Transfer-Encoding: base64\r\n\r\n***"),
        _mixed(SOAP_PART, b"Content-ID: <a>\r\nContent-Transfer-Encoding: x-gzip\r\n\r\nx"),
    ],
)  # fmt: skip
async def test_mime_that_is_not_a_package_is_refused(body: bytes) -> None:
    with pytest.raises(MimeInconsistency):
        await mime.unpacked("multipart/related; boundary=b; type=x", body)


async def test_base64_parts_are_taken_and_other_kinds_are_not() -> None:
    part = b"Content-ID: <a>\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.b64encode(b"\0bytes")
    found = await mime.unpacked("multipart/related; boundary=b", _mixed(SOAP_PART, part))
    assert found.attachments == {"a": b"\0bytes"}
    for kind in ("multipart/mixed; boundary=b", "text/xml", ""):
        with pytest.raises(FeatureNotSupported):
            await mime.unpacked(kind, b"")
    with pytest.raises(MimeInconsistency, match="start"):
        await mime.unpacked('multipart/related; boundary=b; start="<other>"', _mixed(SOAP_PART))


@pytest.mark.parametrize(
    "held", [gzip.compress(b"\0" * (packing.LARGEST_PAYLOAD + 1)), b"plain", gzip.compress(b"x")[:-3],
             gzip.compress(b"x") + gzip.compress(b"y")],
    ids=["bomb", "plain", "cut", "two"],
)  # fmt: skip
async def test_payloads_that_do_not_decompress_are_refused(held: bytes) -> None:
    parts, _ = packing.attached([Payload("application/jose", b"")])
    message = packing.sealed(
        identity("here", "there"), messaging.user_message(MESSAGE, parts), {parts[0].cid: held}
    )  # fmt: skip
    with pytest.raises(DecompressionFailure) as found:
        await opened(message)
    assert found.value.number == "EBMS:0303" and found.value.message_id == "one@here"


async def test_payloads_are_those_that_the_header_names() -> None:
    parts, attachments = packing.attached(PAYLOADS)
    message = packing.sealed(identity("here", "there"), messaging.user_message(MESSAGE, parts[:1]), attachments)
    with pytest.raises(ExternalPayload):
        await opened(message)


@pytest.mark.parametrize("ago", [timedelta(days=31), timedelta(minutes=-6)])
async def test_a_message_is_of_its_time(ago: timedelta) -> None:
    with pytest.raises(ValueInconsistent):
        await opened(sealed(), now=NOW + ago)


def _swap(root: etree._Element, held: dict[str, bytes]) -> None:
    one, two = held
    held[one], held[two] = held[two], held[one]


def _twice(root: etree._Element, _: dict[str, bytes]) -> None:
    references = list(root.iter(tag("xenc:CipherReference")))
    references[1].set("URI", str(references[0].get("URI")))


def _sha1_oaep(root: etree._Element, _: dict[str, bytes]) -> None:
    _first(root, "xenc11:MGF").set("Algorithm", "http://www.w3.org/2009/xmlenc11#mgf1sha1")


def _cbc(root: etree._Element, _: dict[str, bytes]) -> None:
    method = _first(_first(root, "xenc:EncryptedData"), "xenc:EncryptionMethod")
    method.set("Algorithm", "http://www.w3.org/2001/04/xmlenc#aes128-cbc")


def _flipped(_: etree._Element, held: dict[str, bytes]) -> None:
    first = next(iter(held))
    held[first] = held[first][:-1] + bytes([held[first][-1] ^ 1])


@pytest.mark.parametrize(
    "change", [_text("xenc:CipherValue", "AAAA"), _text("xenc:CipherValue", "*"), _twice, _sha1_oaep, _cbc, _flipped],
)  # fmt: skip
async def test_what_does_not_decrypt_is_refused_in_one_way(change: Any) -> None:
    with pytest.raises(FailedDecryption) as found:
        await opened(await changed(sealed(encrypt=True), change), encrypt=True)
    assert found.value.detail == FailedDecryption().detail and found.value.number == "EBMS:0102"


async def test_where_encryption_is_agreed_plain_payloads_are_refused_and_swapped_ones_are_not_signed() -> None:
    with pytest.raises(PolicyNoncompliance):
        await opened(sealed(), encrypt=True)
    with pytest.raises(FailedAuthentication):
        await opened(await changed(sealed(encrypt=True), _swap), encrypt=True)


async def test_a_receipt_is_for_exactly_what_was_sent() -> None:
    message, there = sealed(), identity("there", "here")
    references = (await opened(message)).references
    signal = packing.sealed(there, messaging.receipt_signal("there", "one@here", NOW, receipts.evidence(references)))
    found = (await packing.opened(identity("here", "there"), signal.content_type, signal.body, NOW)).unit
    assert isinstance(found, ReceiptSignal) and found.ref == "one@here"
    receipts.checked(found, message.digests)
    with pytest.raises(InvalidReceipt):
        receipts.checked(found, sealed().digests)
    for evidence in ([], list(found.evidence) * 2):
        with pytest.raises(InvalidReceipt):
            receipts.checked(dataclasses.replace(found, evidence=evidence), message.digests)
    fewer = receipts.evidence(references[:-1])
    with pytest.raises(InvalidReceipt):
        receipts.checked(dataclasses.replace(found, evidence=[fewer]), message.digests)


async def test_an_error_says_what_is_wrong_and_with_which_message() -> None:
    error = FailedAuthentication("the signature does not hold").about("one@here")
    signal = packing.sealed(identity("there", "here"), messaging.error_signal("there", NOW, error))
    found = (await packing.opened(identity("here", "there"), signal.content_type, signal.body, NOW)).unit
    assert isinstance(found, ErrorSignal) and found.ref == "one@here"
    assert found.errors == [("EBMS:0101", "FailedAuthentication · the signature does not hold")]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("", FeatureNotSupported),
        ("<eb:UserMessage/><eb:UserMessage/>", FeatureNotSupported),
        ("<eb:Other/>", InvalidHeader),
        ("<eb:UserMessage/>", InvalidHeader),
        ("<eb:SignalMessage>INFO</eb:SignalMessage>", InvalidHeader),
        ("<eb:SignalMessage>INFO<eb:Receipt/></eb:SignalMessage>", InvalidHeader),
        ("<eb:SignalMessage>INFO<eb:Receipt/><eb:PullRequest/></eb:SignalMessage>", InvalidHeader),
        ("<eb:UserMessage>INFO<eb:PartyInfo/></eb:UserMessage>", InvalidHeader),
    ],
)
def test_a_header_is_one_whole_unit(body: str, error: type[EbmsError]) -> None:
    info = "<eb:Timestamp>2026-01-01T00:00:00Z</eb:Timestamp><eb:MessageId>a</eb:MessageId>"
    info = f"<eb:MessageInfo>{info}</eb:MessageInfo>"
    with pytest.raises(error):
        messaging.read(
            envelope.parsed(f'<eb:Messaging xmlns:eb="{EB}">{body.replace("INFO", info)}</eb:Messaging>'.encode())
        )
