"""The names of the standards: XML namespaces, and the algorithms that are taken."""

from typing import Final

from lxml import etree

SOAP: Final = "http://www.w3.org/2003/05/soap-envelope"
EB: Final = "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/"
EBBP: Final = "http://docs.oasis-open.org/ebxml-bp/ebbp-signals-2.0"
WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSSE11: Final = "http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd"
WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
DS: Final = "http://www.w3.org/2000/09/xmldsig#"
XENC: Final = "http://www.w3.org/2001/04/xmlenc#"
XENC11: Final = "http://www.w3.org/2009/xmlenc11#"
PREFIXES: Final = {
    "soap": SOAP, "eb": EB, "ebbp": EBBP, "wsse": WSSE, "wsse11": WSSE11, "wsu": WSU, "ds": DS, "xenc": XENC,
    "xenc11": XENC11,
}  # fmt: skip

EXCLUSIVE: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
INCLUSIVE_PREFIXES: Final = f"{{{EXCLUSIVE}}}InclusiveNamespaces"
SHA256: Final = "http://www.w3.org/2001/04/xmlenc#sha256"
RSA_SHA256: Final = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
ECDSA_SHA256: Final = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
AES128_GCM: Final = "http://www.w3.org/2009/xmlenc11#aes128-gcm"
AES256_GCM: Final = "http://www.w3.org/2009/xmlenc11#aes256-gcm"
RSA_OAEP: Final = "http://www.w3.org/2009/xmlenc11#rsa-oaep"
MGF1_SHA256: Final = "http://www.w3.org/2009/xmlenc11#mgf1sha256"

_TOKENS: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
BASE64: Final = f"{_TOKENS}soap-message-security-1.0#Base64Binary"
X509V3: Final = f"{_TOKENS}x509-token-profile-1.0#X509v3"
ENCRYPTED_KEY: Final = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#EncryptedKey"
_ATTACHED: Final = "http://docs.oasis-open.org/wss/oasis-wss-SwAProfile-1.1#Attachment-"
CONTENT_SIGNED: Final = f"{_ATTACHED}Content-Signature-Transform"
CONTENT_ONLY: Final = f"{_ATTACHED}Content-Only"
CIPHERTEXT: Final = f"{_ATTACHED}Ciphertext-Transform"

INITIATOR: Final = f"{EB}initiator"
RESPONDER: Final = f"{EB}responder"
DEFAULT_MPC: Final = f"{EB}defaultMPC"

GZIP: Final = "application/gzip"
SOAP_TYPE: Final = "application/soap+xml"


def tag(name: str) -> str:
    """`prefix:Name` in the notation of lxml."""
    prefix, _, local = name.partition(":")
    return f"{{{PREFIXES[prefix]}}}{local}"


def element(name: str, text: str | None = None, /, **attributes: str | None) -> etree._Element:
    """An element `prefix:Name`; an attribute that is None is left out."""
    made = etree.Element(tag(name), nsmap=PREFIXES)
    return _filled(made, text, attributes)


def under(parent: etree._Element, name: str, text: str | None = None, /, **attributes: str | None) -> etree._Element:
    """The same, as the last child of `parent`."""
    return _filled(etree.SubElement(parent, tag(name)), text, attributes)


def _filled(made: etree._Element, text: str | None, attributes: dict[str, str | None]) -> etree._Element:
    made.text = text
    for key, value in attributes.items():
        if value is not None:
            made.set(key, value)
    return made
