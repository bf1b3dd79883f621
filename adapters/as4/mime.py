"""SOAP with attachments: the envelope first, then each payload with its Content-ID (multipart/related, RFC 2387)."""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final
from uuid import uuid4

from aiohttp import BodyPartReader, MultipartReader, StreamReader
from aiohttp.base_protocol import BaseProtocol
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.as4.errors import FeatureNotSupported, MimeInconsistency
from adapters.as4.names import SOAP_TYPE

LARGEST: Final = 8 << 20
"""Most bytes of a message as it comes over the wire."""
MOST_PARTS: Final = 8
LARGEST_ENVELOPE: Final = 512 << 10


@dataclass(frozen=True, slots=True)
class Package:
    """A message as it travels: the envelope's bytes, and the attachments by Content-ID."""

    envelope: bytes
    attachments: Mapping[str, bytes]


def packed(package: Package) -> tuple[str, bytes]:
    """The content type and the bytes of a message; without attachments the envelope alone (AS4 §3)."""
    if not package.attachments:
        return f"{SOAP_TYPE}; charset=UTF-8", package.envelope
    boundary = f"xieban-{uuid4().hex}"
    parts = [_part(f"{SOAP_TYPE}; charset=UTF-8", "envelope@xieban", "8bit", package.envelope)]
    parts += [_part("application/octet-stream", cid, "binary", held) for cid, held in package.attachments.items()]
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    kind = f'multipart/related; boundary="{boundary}"; type="{SOAP_TYPE}"; start="<envelope@xieban>"'
    return kind, body + b"--" + boundary.encode() + b"--\r\n"


async def unpacked(content_type: str, body: bytes) -> Package:
    """The package in `body`. Raises MimeInconsistency, FeatureNotSupported."""
    kind = _kind(content_type)
    if kind.get_content_type() == SOAP_TYPE:
        return Package(_envelope(body), {})
    if kind.get_content_type() != "multipart/related":
        raise FeatureNotSupported(f"an AS4 message is multipart/related or {SOAP_TYPE}")
    try:
        parts = await _parts(content_type, body)
    except MimeInconsistency:
        raise
    except Exception as error:  # whatever a reader of MIME makes of arbitrary bytes
        raise MimeInconsistency(f"the MIME package can't be read: {type(error).__name__}") from None
    if not parts:
        raise MimeInconsistency("the package is empty")
    (first, envelope), *others = parts
    start = kind.get_param("start")
    if isinstance(start, str) and start.strip("<>") != first:
        raise MimeInconsistency("the part named by start is not the first")
    attachments = dict(others)
    if len(attachments) != len(others) or "" in attachments or first in attachments:
        raise MimeInconsistency("each attachment has a Content-ID of its own")
    return Package(_envelope(envelope), attachments)


async def _parts(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    loop = asyncio.get_running_loop()
    stream = StreamReader(BaseProtocol(loop), 2 * LARGEST, loop=loop)
    stream.feed_data(body)
    stream.feed_eof()
    reader = MultipartReader(CIMultiDictProxy(CIMultiDict({"Content-Type": content_type})), stream)
    parts: list[tuple[str, bytes]] = []
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader):
            raise MimeInconsistency("a part is a multipart itself")
        if len(parts) > MOST_PARTS:
            raise MimeInconsistency(f"a message has at most {MOST_PARTS} attachments")
        if not parts and _kind(part.headers.get("Content-Type", "")).get_content_type() != SOAP_TYPE:
            raise MimeInconsistency(f"the first part is not {SOAP_TYPE}")
        held = bytes(await part.read())
        cid = part.headers.get("Content-ID", "").strip().removeprefix("<").removesuffix(">")
        parts.append((cid, _decoded(held, part.headers.get("Content-Transfer-Encoding", "binary"))))
    return parts


def _decoded(held: bytes, encoding: str) -> bytes:
    match encoding.strip().lower():
        case "binary" | "8bit" | "7bit":
            return held
        case "base64":
            try:
                return base64.b64decode(b"".join(held.split()), validate=True)
            except binascii.Error:
                raise MimeInconsistency("a part is not base64") from None
        case _:
            raise MimeInconsistency("a part has a transfer encoding that is not taken")


def _part(kind: str, cid: str, encoding: str, held: bytes) -> bytes:
    head = f"Content-Type: {kind}\r\nContent-ID: <{cid}>\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + held


def _envelope(held: bytes) -> bytes:
    if len(held) > LARGEST_ENVELOPE:
        raise MimeInconsistency(f"an envelope has at most {LARGEST_ENVELOPE} bytes")
    return held


def _kind(content_type: str) -> EmailMessage:
    message = EmailMessage()
    try:
        message["Content-Type"] = content_type
    except (ValueError, IndexError):
        message["Content-Type"] = "application/octet-stream"
    return message
