"""Receipts that nobody can deny: the digests of what was signed, signed again by who has it (AS4 §5.1.8)."""

from collections.abc import Sequence

from lxml import etree

from adapters.as4.envelope import only, text
from adapters.as4.errors import InvalidHeader, InvalidReceipt
from adapters.as4.messaging import ReceiptSignal
from adapters.as4.names import element, tag, under

Digest = tuple[str, str, str]
"""Of a part of a message: its URI, the algorithm, and the digest in base64."""


def evidence(references: Sequence[etree._Element]) -> etree._Element:
    """The NonRepudiationInformation for a message, from the references of its signature."""
    root = element("ebbp:NonRepudiationInformation")
    for reference in references:
        under(root, "ebbp:MessagePartNRInformation").append(etree.fromstring(etree.tostring(reference)))
    return root


def digests(references: Sequence[etree._Element]) -> frozenset[Digest]:
    """What references say of their parts."""
    return frozenset(_digest(one) for one in references)


def checked(receipt: ReceiptSignal, sent: frozenset[Digest]) -> None:
    """Whether a receipt is for exactly what was sent. Raises InvalidReceipt."""
    held = [one for one in receipt.evidence if one.tag == tag("ebbp:NonRepudiationInformation")]
    if len(held) != 1 or len(receipt.evidence) != 1:
        raise InvalidReceipt("the receipt holds no NonRepudiationInformation")
    try:
        said = digests(list(held[0].iter(tag("ds:Reference"))))
    except InvalidHeader as error:
        raise InvalidReceipt(f"the receipt can't be read: {error.detail}") from None
    if said != sent:
        raise InvalidReceipt("the digests of the receipt are not those of what was sent")


def _digest(reference: etree._Element) -> Digest:
    algorithm = str(only(reference, "ds:DigestMethod").get("Algorithm"))
    value = "".join(text(only(reference, "ds:DigestValue"), 200).split())
    return str(reference.get("URI") or ""), algorithm, value
