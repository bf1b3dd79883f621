"""Signatures over a message: eb:Messaging, the body and every attachment (AS4 §5.1.4, §5.1.5; WSS SwA 1.1 §5).

What is verified is what is used afterwards: `verified` hands back the header as it was signed, read anew from the
canonical bytes, and refuses whatever a signature could be moved away from.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from adapters.as4.envelope import Envelope, only
from adapters.as4.errors import FailedAuthentication, InvalidHeader, PolicyNoncompliance
from adapters.as4.names import (
    BASE64,
    CONTENT_SIGNED,
    ECDSA_SHA256,
    EXCLUSIVE,
    INCLUSIVE_PREFIXES,
    RSA_SHA256,
    SHA256,
    WSU,
    X509V3,
    tag,
    under,
)

SigningKey = RSAPrivateKey | EllipticCurvePrivateKey
METHODS: Final = frozenset({
    SignatureMethod.RSA_SHA256, SignatureMethod.RSA_SHA384, SignatureMethod.RSA_SHA512,
    SignatureMethod.ECDSA_SHA256, SignatureMethod.ECDSA_SHA384, SignatureMethod.ECDSA_SHA512,
})  # fmt: skip
DIGESTS: Final = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})
MOST_REFERENCES: Final = 16
ID: Final = f"{{{WSU}}}Id"


@dataclass(frozen=True, slots=True)
class Signed:
    """What a verified signature covers."""

    messaging: etree._Element
    """The ebMS header, read from the bytes that were signed."""
    references: Sequence[etree._Element]
    """The ds:Reference elements, which a receipt repeats."""


def sign(envelope: Envelope, attachments: Mapping[str, bytes], key: SigningKey, certificate: x509.Certificate) -> None:
    """Sign an envelope that we built, with its attachments as they are before encryption."""
    assert envelope.security is not None
    token = under(envelope.security, "wsse:BinarySecurityToken",
                  base64.b64encode(certificate.public_bytes(Encoding.DER)).decode(),
                  EncodingType=BASE64, ValueType=X509V3)  # fmt: skip
    token.set(ID, "_token")
    signature = under(envelope.security, "ds:Signature")
    info = under(signature, "ds:SignedInfo")
    under(info, "ds:CanonicalizationMethod", Algorithm=EXCLUSIVE)
    under(info, "ds:SignatureMethod", Algorithm=RSA_SHA256 if isinstance(key, RSAPrivateKey) else ECDSA_SHA256)
    for part in (envelope.messaging, envelope.body):
        _refer(info, f"#{part.get(ID)}", EXCLUSIVE, canonical(part))
    for cid, held in attachments.items():
        _refer(info, f"cid:{cid}", CONTENT_SIGNED, held)
    under(signature, "ds:SignatureValue", base64.b64encode(_signature(key, canonical(info))).decode())
    named = under(under(signature, "ds:KeyInfo"), "wsse:SecurityTokenReference")
    under(named, "wsse:Reference", URI="#_token", ValueType=X509V3)


def canonical(part: etree._Element) -> bytes:
    """Exclusive canonical XML without comments."""
    return bytes(etree.tostring(part, method="c14n", exclusive=True, with_comments=False))


def verified(envelope: Envelope, attachments: Mapping[str, bytes], certificate: x509.Certificate) -> Signed:
    """What the owner of `certificate` signed, if that is this message, all of it and nothing else.

    Raises PolicyNoncompliance where there is no signature, FailedAuthentication where it does not hold.
    """
    if envelope.security is None or envelope.security.find(tag("ds:Signature")) is None:
        raise PolicyNoncompliance("the message is not signed")
    if len(list(envelope.root.iter(tag("ds:Signature")))) != 1:
        raise FailedAuthentication("a message has one signature, in its security header")
    try:
        references = _references(envelope, attachments)
        results = _Verifier().verify(
            envelope.root,
            x509_cert=certificate,
            uri_resolver=lambda uri: attachments[uri.removeprefix("cid:")],
            validate_schema=False,  # its schema refuses the InclusiveNamespaces of WSS4J; `_shaped` is stricter
            expect_config=SignatureConfiguration(
                location=f"./{tag('soap:Header')}/{tag('wsse:Security')}/", expect_references=len(references),
                signature_methods=METHODS, digest_algorithms=DIGESTS,
            ),
        )  # fmt: skip
    except (SignXMLException, InvalidHeader) as error:
        raise FailedAuthentication(f"the signature does not hold: {_first_line(error)}") from None
    except Exception as error:  # the library lets errors of its parts through: base64, numbers, the schema
        raise FailedAuthentication(f"the signature can't be read: {type(error).__name__}") from None
    listed = results if isinstance(results, list) else [results]
    for reference, result in zip(references, listed, strict=True):
        if reference.get("URI") == f"#{_id(envelope.messaging)}" and result.signed_xml is not None:
            if result.signed_xml.tag != tag("eb:Messaging"):
                break
            return Signed(result.signed_xml, references)
    raise FailedAuthentication("the signature does not cover eb:Messaging")


class _Verifier(XMLVerifier):
    """The library's, that takes an InclusiveNamespaces without a prefix, as WSS4J writes it, for none."""

    def _get_inclusive_ns_prefixes(self, transform_node: etree._Element) -> list[str] | None:
        listed = transform_node.find(INCLUSIVE_PREFIXES)
        return (None if listed is None else str(listed.get("PrefixList") or "").split()) or None


def _references(envelope: Envelope, attachments: Mapping[str, bytes]) -> list[etree._Element]:
    """The references of the one signature, each to a part in its place, all parts among them."""
    assert envelope.security is not None
    signature = only(envelope.security, "ds:Signature")
    named_key = ["ds:KeyInfo"] if signature.find(tag("ds:KeyInfo")) is not None else []
    _shaped(signature, "ds:SignedInfo", "ds:SignatureValue", *named_key)
    info = only(signature, "ds:SignedInfo")
    references: list[etree._Element] = info.findall(tag("ds:Reference"))
    _shaped(info, "ds:CanonicalizationMethod", "ds:SignatureMethod", *["ds:Reference"] * len(references))
    if only(info, "ds:CanonicalizationMethod").get("Algorithm") != EXCLUSIVE:
        raise InvalidHeader("SignedInfo is canonicalised exclusively")
    _without_parameters(only(info, "ds:CanonicalizationMethod"))
    if len(references) > MOST_REFERENCES:
        raise InvalidHeader(f"a signature has at most {MOST_REFERENCES} references")
    required = {f"#{_id(part)}" for part in (envelope.messaging, envelope.body)}
    required |= {f"cid:{cid}" for cid in attachments}
    besides = {f"#{_id(part)}" for part in envelope.security if _id(part)}
    named = [str(reference.get("URI")) for reference in references]
    if len(set(named)) != len(named) or not required <= set(named) <= required | besides:
        raise InvalidHeader("it covers eb:Messaging, the body and every attachment, once each, and nothing elsewhere")
    for uri, reference in zip(named, references, strict=True):
        _shaped(reference, "ds:Transforms", "ds:DigestMethod", "ds:DigestValue")
        transforms = list(only(reference, "ds:Transforms"))
        wanted = CONTENT_SIGNED if uri.startswith("cid:") else EXCLUSIVE
        if len(transforms) != 1 or transforms[0].get("Algorithm") != wanted:
            raise InvalidHeader(f"{uri} is transformed by {wanted} alone")
        _without_parameters(transforms[0])
    return references


def _shaped(parent: etree._Element, *names: str) -> None:
    """Whether an element's children are these and no others, in this order."""
    if [child.tag for child in parent] != [tag(name) for name in names]:
        raise InvalidHeader(f"{etree.QName(parent).localname} holds {', '.join(dict.fromkeys(names))} in this order")


def _without_parameters(method: etree._Element) -> None:
    if any(inner.tag != INCLUSIVE_PREFIXES for inner in method):
        raise InvalidHeader("canonicalisation has no parameters but InclusiveNamespaces")


def _id(part: etree._Element) -> str | None:
    """The id by which a signature names an element (WSS 1.0 §4.2), or the plain one that ds, xenc and ebMS know."""
    found = part.get(ID) or part.get("Id") or part.get("id")
    return str(found) if found else None


def _refer(info: etree._Element, uri: str, transform: str, held: bytes) -> None:
    reference = under(info, "ds:Reference", URI=uri)
    under(under(reference, "ds:Transforms"), "ds:Transform", Algorithm=transform)
    under(reference, "ds:DigestMethod", Algorithm=SHA256)
    under(reference, "ds:DigestValue", base64.b64encode(sha256(held).digest()).decode())


def _signature(key: SigningKey, held: bytes) -> bytes:
    if isinstance(key, RSAPrivateKey):
        return key.sign(held, padding.PKCS1v15(), hashes.SHA256())
    r, s = utils.decode_dss_signature(key.sign(held, ec.ECDSA(hashes.SHA256())))
    size = (key.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
