"""The SOAP 1.2 envelope: parsed without surprises, each of its parts in its one place."""

from dataclasses import dataclass
from typing import Final

from lxml import etree

from adapters.as4.errors import InvalidHeader
from adapters.as4.names import WSU, element, tag, under

MOST_ELEMENTS: Final = 2_000
DEEPEST: Final = 40
IDS: Final = frozenset({"id"})


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope with its one ebMS header, at most one security header, and its body; ids are unique in it."""

    root: etree._Element
    messaging: etree._Element
    security: etree._Element | None
    body: etree._Element


def parsed(held: bytes) -> etree._Element:
    """The root of an XML document in UTF-8 without DTD, entities or instructions. Raises InvalidHeader."""
    if b"<!DOCTYPE" in held or b"<!ENTITY" in held:
        raise InvalidHeader("a SOAP envelope has no DTD (SOAP 1.2 §5)")
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False,
        remove_comments=True, collect_ids=False,
    )  # fmt: skip
    try:
        root = etree.fromstring(held, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise InvalidHeader("the envelope is not well-formed XML") from None
    if root.getroottree().docinfo.doctype:
        raise InvalidHeader("a SOAP envelope has no DTD (SOAP 1.2 §5)")
    _bounded(root)
    return root


def opened(held: bytes) -> Envelope:
    """The envelope in `held`, its parts each exactly where they belong. Raises InvalidHeader."""
    root = parsed(held)
    if root.tag != tag("soap:Envelope"):
        raise InvalidHeader("this is not a SOAP 1.2 envelope")
    parts = list(root)
    if [part.tag for part in parts] != [tag("soap:Header"), tag("soap:Body")]:
        raise InvalidHeader("a SOAP envelope has one header and one body")
    header, body = parts
    messaging = [one for one in header if one.tag == tag("eb:Messaging")]
    security = [one for one in header if one.tag == tag("wsse:Security")]
    if len(messaging) != 1 or len(security) > 1 or len(header) != 1 + len(security):
        raise InvalidHeader("the header holds one eb:Messaging, one wsse:Security and nothing else")
    _unique(root)
    return Envelope(root, messaging[0], security[0] if security else None, body)


def built(messaging: etree._Element) -> Envelope:
    """A new envelope around an ebMS header, ready to be signed."""
    root = element("soap:Envelope")
    header = under(root, "soap:Header")
    security = under(header, "wsse:Security")
    security.set(tag("soap:mustUnderstand"), "true")
    messaging.set(tag("soap:mustUnderstand"), "true")
    header.append(messaging)
    body = under(root, "soap:Body")
    for part, name in ((messaging, "messaging"), (body, "body")):
        part.set(f"{{{WSU}}}Id", f"_{name}")
    return Envelope(root, messaging, security, body)


def written(envelope: Envelope) -> bytes:
    """The bytes of an envelope."""
    return bytes(etree.tostring(envelope.root, xml_declaration=True, encoding="UTF-8"))


def only(parent: etree._Element, name: str) -> etree._Element:
    """The one child `prefix:Name`. Raises InvalidHeader."""
    found = parent.findall(tag(name))
    if len(found) != 1:
        raise InvalidHeader(f"{etree.QName(parent).localname} holds exactly one {name}")
    return found[0]


def maybe(parent: etree._Element, name: str) -> etree._Element | None:
    """The child `prefix:Name`, if there is one. Raises InvalidHeader where there are more."""
    return only(parent, name) if parent.find(tag(name)) is not None else None


def text(parent: etree._Element, longest: int = 1024) -> str:
    """The text of an element that holds nothing else, without white space around. Raises InvalidHeader."""
    held = (parent.text or "").strip()
    if len(parent) or not held or len(held) > longest:
        raise InvalidHeader(f"{etree.QName(parent).localname} is a text of at most {longest} characters")
    return held


def _bounded(root: etree._Element) -> None:
    reached = [(root, 1)]
    seen = 0
    while reached:
        one, depth = reached.pop()
        seen += 1
        if not isinstance(one.tag, str):
            raise InvalidHeader("a SOAP envelope has no processing instructions (SOAP 1.2 §5)")
        if depth > DEEPEST or seen > MOST_ELEMENTS:
            raise InvalidHeader(f"an envelope has at most {MOST_ELEMENTS} elements, {DEEPEST} deep")
        reached.extend((child, depth + 1) for child in one)


def _unique(root: etree._Element) -> None:
    known: set[str] = set()
    for one in root.iter():
        for key, value in one.attrib.items():
            if etree.QName(str(key)).localname.lower() in IDS:
                if value in known:
                    raise InvalidHeader("an id is given to two elements")
                known.add(str(value))
