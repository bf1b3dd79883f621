"""What the snapshot says: a file for each province, with its organisations and every key they ever had."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from hub.organisations import Directory, Key, Organisation
from protocols import envelope

PROVINCE = 2
"""Digits of a division's code that name its province (GB/T 2260)."""


def files(hub: str, directory: Directory) -> dict[str, bytes]:
    """The files by their path, `directory/41.json`; the same bytes for the same organisations."""
    provinces: dict[str, list[Organisation]] = {}
    for id, organisation in sorted(directory.organisations.items()):
        provinces.setdefault(id[:PROVINCE], []).append(organisation)
    return {
        f"directory/{code}.json": msgspec.json.encode(
            {"hub": hub, "organisations": [_organisation(o) for o in members]}
        )
        for code, members in provinces.items()
    }


def _organisation(organisation: Organisation) -> dict[str, Any]:
    return {
        "id": organisation.id,
        "name": dict(organisation.name),
        "superior": organisation.superior,
        "successor": organisation.successor,
        "roles": sorted(organisation.roles),
        "algorithms": sorted(organisation.algorithms),
        "keys": [_key(key) for key in organisation.keys],
    }


def _key(key: Key) -> Mapping[str, Any]:
    marks = {"added": key.added, "removed": key.removed, "compromised": key.compromised}
    return {"jwk": dict(key.jwk)} | {name: _moment(at) for name, at in marks.items() if at is not None}


def _moment(at: datetime) -> str:
    return envelope.rfc3339(at)
