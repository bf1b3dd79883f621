"""Attachments: a sealed file beside a message; its manifest is in the sealed part, its digest alone in the open one.

What is stored under a digest are the sealed chunks (`keys.chunks`), one a line, each line ended by a line feed.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from keys import base64url, chunks
from keys.errors import BadSeal
from protocols.refusals import Invalid

ATTACHMENTS = "attachments"
"""The member of both parts of a message: manifests in the sealed one, digests in the open one."""
MEDIA = "application/octet-stream"
DIGEST = re.compile(r"sha-256:([0-9a-f]{64})")


class AttachmentUnknown(Invalid):
    """An attachment that the message names is not at the hub, or is not the sender's to hand on."""

    code = "attachment-unknown"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a recipient needs to fetch, open and check one file. Whoever has it can open the file: never in the open."""

    name: str
    media_type: str
    size: int
    digest: str
    """`sha-256:` of the file's own bytes."""
    attachment: str
    """`sha-256:` of what is stored, under which it is fetched."""
    chunks: int
    key: str
    """The content key, base64url."""

    def secret(self) -> bytes:
        """The content key. Raises BadSeal."""
        try:
            key = base64url.decode(self.key)
        except ValueError:
            raise BadSeal("the manifest's key is not base64url", check="form") from None
        if len(key) != 32 or self.chunks != chunks.count(self.size):
            raise BadSeal("the manifest's key, size or number of chunks can't be right", check="form")
        return key


def named(data: Mapping[str, Any]) -> list[str]:
    """The digests that the open part of a message names, of any data at all."""
    listed = data.get(ATTACHMENTS)
    return [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []


def manifests(content: object) -> list[Manifest]:
    """The manifests in the sealed content of a message. Raises BadSeal where they are none."""
    listed = content.get(ATTACHMENTS, []) if isinstance(content, Mapping) else []
    try:
        found = msgspec.convert(listed, list[Manifest])
    except msgspec.ValidationError as error:
        raise BadSeal(f"the attachments' manifests: {error}", check="form") from None
    if not all(DIGEST.fullmatch(one.attachment) and DIGEST.fullmatch(one.digest) for one in found):
        raise BadSeal("an attachment's manifest names no digest", check="form")
    return found


def attached(
    data: Mapping[str, Any], content: Mapping[str, Any], files: Sequence[Manifest]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both parts of a message with these files attached; the parts as they are without any."""
    if not files:
        return dict(data), dict(content)
    digests = dict.fromkeys([*named(data), *(file.attachment for file in files)])
    described = [*content.get(ATTACHMENTS, []), *(msgspec.to_builtins(file) for file in files)]
    return {**data, ATTACHMENTS: list(digests)}, {**content, ATTACHMENTS: described}
