"""Encrypted attachments: AES-128-GCM under RSA-OAEP with SHA-256 (XML Encryption 1.1; WSS SwA 1.1 §6)."""

import base64
import binascii
import os
from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from adapters.as4.envelope import Envelope, only, text
from adapters.as4.errors import FailedDecryption, InvalidHeader
from adapters.as4.names import (
    AES128_GCM,
    AES256_GCM,
    BASE64,
    CIPHERTEXT,
    CONTENT_ONLY,
    ENCRYPTED_KEY,
    GZIP,
    MGF1_SHA256,
    RSA_OAEP,
    SHA256,
    WSSE11,
    WSU,
    X509V3,
    element,
    tag,
    under,
)

KEY_SIZES: Final = {AES128_GCM: 16, AES256_GCM: 32}
NONCE: Final = 12
OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def is_encrypted(envelope: Envelope) -> bool:
    """Whether the security header speaks of encryption."""
    return envelope.security is not None and any(
        envelope.security.find(tag(name)) is not None for name in ("xenc:EncryptedKey", "xenc:EncryptedData")
    )


def encrypt(envelope: Envelope, attachments: Mapping[str, bytes], certificate: x509.Certificate) -> dict[str, bytes]:
    """The attachments for the owner of an RSA certificate; the header says how. To be done after signing."""
    public = certificate.public_key()
    assert isinstance(public, RSAPublicKey) and envelope.security is not None
    session = AESGCM.generate_key(128)
    token = element("wsse:BinarySecurityToken", base64.b64encode(certificate.public_bytes(Encoding.DER)).decode(),
                    EncodingType=BASE64, ValueType=X509V3)  # fmt: skip
    token.set(f"{{{WSU}}}Id", "_recipient")
    key = element("xenc:EncryptedKey", Id="_key")
    method = under(key, "xenc:EncryptionMethod", Algorithm=RSA_OAEP)
    under(method, "ds:DigestMethod", Algorithm=SHA256)
    under(method, "xenc11:MGF", Algorithm=MGF1_SHA256)
    named = under(under(key, "ds:KeyInfo"), "wsse:SecurityTokenReference")
    under(named, "wsse:Reference", URI="#_recipient", ValueType=X509V3)
    wrapped = base64.b64encode(public.encrypt(session, OAEP)).decode()
    under(under(key, "xenc:CipherData"), "xenc:CipherValue", wrapped)
    listed = under(key, "xenc:ReferenceList")
    held, secret = [token, key], {}
    for number, (cid, content) in enumerate(attachments.items()):
        under(listed, "xenc:DataReference", URI=f"#_data-{number}")
        held.append(_data(f"_data-{number}", cid))
        nonce = os.urandom(NONCE)
        secret[cid] = nonce + AESGCM(session).encrypt(nonce, content, None)
    for number, one in enumerate(held):
        envelope.security.insert(number, one)
    return secret


def decrypted(envelope: Envelope, attachments: Mapping[str, bytes], key: object) -> dict[str, bytes]:
    """The attachments as they were signed. Raises FailedDecryption, whatever is wrong."""
    try:
        return _decrypted(envelope, attachments, key)
    except (InvalidHeader, InvalidTag, ValueError, KeyError, binascii.Error):
        raise FailedDecryption() from None


def _decrypted(envelope: Envelope, attachments: Mapping[str, bytes], key: object) -> dict[str, bytes]:
    assert envelope.security is not None
    held = only(envelope.security, "xenc:EncryptedKey")
    method = only(held, "xenc:EncryptionMethod")
    wanted = {"ds:DigestMethod": SHA256, "xenc11:MGF": MGF1_SHA256}
    if method.get("Algorithm") != RSA_OAEP or not isinstance(key, RSAPrivateKey):
        raise ValueError("the key is not wrapped by RSA-OAEP")
    if any(only(method, name).get("Algorithm") != algorithm for name, algorithm in wanted.items()):
        raise ValueError("RSA-OAEP is not with SHA-256 and MGF1 with SHA-256")
    value = text(only(only(held, "xenc:CipherData"), "xenc:CipherValue"), 4096)
    session = key.decrypt(base64.b64decode("".join(value.split()), validate=True), OAEP)
    plain: dict[str, bytes] = {}
    for one in envelope.security.findall(tag("xenc:EncryptedData")):
        algorithm = str(only(one, "xenc:EncryptionMethod").get("Algorithm"))
        uri = str(only(only(one, "xenc:CipherData"), "xenc:CipherReference").get("URI"))
        cid = uri.removeprefix("cid:")
        if len(session) != KEY_SIZES[algorithm] or cid in plain:
            raise ValueError("a key of another size, or an attachment that was decrypted before")
        content = attachments[cid]
        plain[cid] = AESGCM(session).decrypt(content[:NONCE], content[NONCE:], None)
    return {cid: plain[cid] for cid in attachments}


def _data(id: str, cid: str) -> etree._Element:
    data = element("xenc:EncryptedData", Id=id, MimeType=GZIP, Type=CONTENT_ONLY)
    under(data, "xenc:EncryptionMethod", Algorithm=AES128_GCM)
    named = under(under(data, "ds:KeyInfo"), "wsse:SecurityTokenReference")
    named.set(f"{{{WSSE11}}}TokenType", ENCRYPTED_KEY)
    under(named, "wsse:Reference", URI="#_key")
    reference = under(under(data, "xenc:CipherData"), "xenc:CipherReference", URI=f"cid:{cid}")
    under(under(reference, "xenc:Transforms"), "ds:Transform", Algorithm=CIPHERTEXT)
    return data
