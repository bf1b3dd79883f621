"""The auditor of one's own log: every leaf, tile, message, mailbox position and checkpoint recomputed."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from hub.store import Connection
from hub.store.queries import SQL
from keys import checkpoint, merkle
from keys.errors import Fault
from keys.jwk import VerifyingKey
from keys.tiles import Edge, Tile
from protocols import entries
from protocols.entries import Accepted

PAGE = 1000


@dataclass(slots=True)
class Report:
    """What was looked at, and everything that does not hold."""

    entries: int = 0
    messages: int = 0
    positions: int = 0
    findings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Seen:
    accepted: dict[int, Accepted] = field(default_factory=dict)
    positions: dict[str, dict[int, int]] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)
    tiles: dict[tuple[int, int], Tile] = field(default_factory=dict)


async def audit(connection: Connection, key: VerifyingKey) -> Report:
    """Walk everything in one snapshot; the report's `findings` are empty only if everything holds."""
    report, seen = Report(), _Seen()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        head = await connection.fetchrow(SQL["head"])
        assert head is not None
        notes = {row["size"]: row["note"] for row in await connection.fetch(SQL["checkpoints_after"], 0, None)}
        edge = await _entries(connection, report, seen, head["size"], set(notes))
        if edge.size != head["size"] or (edge.size and edge.root() != head["root"]):
            report.findings.append(f"the log's head says size {head['size']}, its entries say {edge.size}")
        for size, note in notes.items():
            _checkpoint(report, seen, size, note, head["origin"], key)
        await _tiles(connection, report, seen)
        await _messages(connection, report, seen, head["size"])
        await _mailboxes(connection, report, seen)
    return report


async def _entries(connection: Connection, report: Report, seen: _Seen, size: int, sizes: set[int]) -> Edge:
    edge = Edge.empty()
    for first in range(0, size, PAGE):
        rows = await connection.fetch(SQL["entries_between"], first, min(first + PAGE, size))
        if [row["index"] for row in rows] != list(range(first, min(first + PAGE, size))):
            report.findings.append(f"log entries are missing between {first} and {first + PAGE}")
            return edge
        for row in rows:
            for tile in edge.append([merkle.leaf_hash(row["leaf"])]):
                seen.tiles[tile.level, tile.index] = tile
            report.entries += 1
            if edge.size in sizes:
                seen.roots[edge.size] = edge.root()
            _entry(report, seen, row["index"], row["leaf"])
    return edge


def _entry(report: Report, seen: _Seen, index: int, leaf: bytes) -> None:
    try:
        entry = entries.decode(leaf)
    except ValueError as error:
        report.findings.append(f"entry {index}: {error}")
        return
    if isinstance(entry, Accepted):
        seen.accepted[index] = entry
        for recipient, position in entry.recipients.items():
            if seen.positions.setdefault(recipient, {}).setdefault(position, index) != index:
                report.findings.append(f"entry {index}: position {position} of {recipient} was given twice")


def _checkpoint(report: Report, seen: _Seen, size: int, note: str, origin: str, key: VerifyingKey) -> None:
    try:
        signed = checkpoint.verify_checkpoint(note, [key], origin)
    except Fault as fault:
        report.findings.append(f"checkpoint {size}: {fault.detail}")
        return
    if signed.size != size or seen.roots.get(size) != signed.root:
        report.findings.append(f"checkpoint {size} does not fit the entries")


async def _tiles(connection: Connection, report: Report, seen: _Seen) -> None:
    stored = {}
    for level in range(8):
        for row in await connection.fetch(SQL["tiles_between"], level, 0, 2**62):
            stored[row["level"], row["index"]] = Tile(row["level"], row["index"], row["hashes"], row["root"])
    for place in sorted(stored.keys() | seen.tiles.keys()):
        if stored.get(place) != seen.tiles.get(place):
            report.findings.append(f"tile {place} does not fit the entries")


async def _messages(connection: Connection, report: Report, seen: _Seen, size: int) -> None:
    found = set()
    for first in range(0, size, PAGE):
        for row in await connection.fetch(SQL["all_messages"], first, first + PAGE):
            report.messages += 1
            index, entry = row["log_index"], seen.accepted.get(row["log_index"])
            found.add(index)
            if entry is None or (entry.source, entry.id) != (row["source"], str(row["id"])):
                report.findings.append(f"message at {index} has no entry")
            elif row["jws"] is None:
                report.findings.append(f"message at {index} is gone")
            elif not _fits(row["jws"], entry.digest, row):
                report.findings.append(f"message at {index} does not fit its digest")
    for index in sorted(seen.accepted.keys() - found):
        report.findings.append(f"entry {index} has no message")


def _fits(jws: bytes, digest: str, row: Any) -> bool:
    whole = hashlib.sha256(jws).digest()
    signing = hashlib.sha256(jws.rpartition(b".")[0]).digest()
    return digest == "sha-256:" + whole.hex() and whole == row["digest"] and signing == row["signing_input"]


async def _mailboxes(connection: Connection, report: Report, seen: _Seen) -> None:
    stored: dict[str, dict[int, int]] = {}
    for row in await connection.fetch(SQL["all_mailboxes"]):
        report.positions += 1
        stored.setdefault(row["recipient"], {})[row["position"]] = row["log_index"]
        entry = seen.accepted.get(row["log_index"])
        if entry is None or entry.digest != "sha-256:" + row["digest"].hex():
            report.findings.append(f"position {row['position']} of {row['recipient']} does not fit the log")
    if stored != seen.positions:
        names = [n for n in stored.keys() | seen.positions.keys() if stored.get(n) != seen.positions.get(n)]
        report.findings.append(f"mailboxes differ from the log: {sorted(names)[:5]}")
    counters = {row["recipient"]: row["last"] for row in await connection.fetch(SQL["all_counters"])}
    for recipient, last in counters.items():
        if sorted(seen.positions.get(recipient, {})) != list(range(1, last + 1)):
            report.findings.append(f"the mailbox of {recipient} has a gap")
