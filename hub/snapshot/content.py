"""What the snapshot says: a file for each province, with its organisations and every key they ever had."""

import operator
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from hub.organisations import Directory, Key, Organisation
from protocols import envelope

PROVINCE = 2
"""Digits of a division's code that name its province (GB/T 2260)."""


class Files:
    """The files of a directory, remembered: when an organisation changes, its province alone is written anew."""

    def __init__(self, hub: str) -> None:
        self._hub = hub
        self._written: dict[str, tuple[Sequence[Organisation], bytes]] = {}
        self.directory: Directory | None = None
        """The directory that they are of."""

    def of(self, directory: Directory) -> dict[str, bytes]:
        """The files by their path, `directory/41.json`; the same bytes for the same organisations."""
        provinces: dict[str, list[Organisation]] = {}
        for id, organisation in sorted(directory.organisations.items()):
            provinces.setdefault(id[:PROVINCE], []).append(organisation)
        self._written = {code: self._file(code, members) for code, members in provinces.items()}
        self.directory = directory
        return {f"directory/{code}.json": written for code, (_, written) in self._written.items()}

    def _file(self, code: str, members: Sequence[Organisation]) -> tuple[Sequence[Organisation], bytes]:
        before = self._written.get(code)
        if before is not None and len(before[0]) == len(members) and all(map(operator.is_, before[0], members)):
            return before
        told = {"hub": self._hub, "organisations": [_organisation(one) for one in members]}
        return members, msgspec.json.encode(told)


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
