"""The Python SDK: one organisation speaking to one hub by its public API, with keys that never leave it."""

from adapters.client.answers import Acknowledged, Notice, Notices, Verdict
from adapters.client.client import Client
from adapters.client.cursor import Cursor
from adapters.client.faults import (
    AddressInvalid,
    AnswerInvalid,
    CertificateUnusable,
    ClientClosed,
    CursorInvalid,
    DeliveryInvalid,
    Refused,
    Undecided,
)
from adapters.client.handover import Handed
from adapters.client.messages import Draft, Item, Page, Sent
from adapters.client.patience import Patience
from adapters.client.pinned import PinInvalid, Pinned, SnapshotInvalid, SnapshotUnreachable
from adapters.client.statements import Revoked

__all__ = [
    "Acknowledged",
    "AddressInvalid",
    "AnswerInvalid",
    "CertificateUnusable",
    "Client",
    "ClientClosed",
    "Cursor",
    "CursorInvalid",
    "DeliveryInvalid",
    "Draft",
    "Handed",
    "Item",
    "Notice",
    "Notices",
    "Page",
    "Patience",
    "PinInvalid",
    "Pinned",
    "Refused",
    "Revoked",
    "Sent",
    "SnapshotInvalid",
    "SnapshotUnreachable",
    "Undecided",
    "Verdict",
]
