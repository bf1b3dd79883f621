"""The auditor of one's own log: walks every entry and holds everything stored against it.

The log is the truth: what each entry names (tile, checkpoint, message, mailbox position, key, case) is looked
up by the entry and compared, and at the end nothing may be stored that no entry speaks of.
"""

from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from hub.audit.attachments import Attachments
from hub.audit.cases import Cases
from hub.audit.erasures import Erasures
from hub.audit.mailboxes import Mailboxes, positions_in
from hub.audit.messages import Messages
from hub.audit.neighbours import Neighbours
from hub.audit.page import Page
from hub.audit.signers import Signers
from hub.audit.tree import Tree
from hub.store import Connection
from hub.store.queries import SQL
from keys import jws
from keys.errors import Fault
from keys.jwk import VerifyingKey
from protocols import entries, envelope, loading
from protocols.loading import Catalogue

PAGE = 500
MOST_FINDINGS = 1000


@dataclass(slots=True)
class Report:
    """What was looked at, and everything that does not hold."""

    entries: int = 0
    messages: int = 0
    positions: int = 0
    findings: list[str] = field(default_factory=list)


class Check(Protocol):
    """One kind of thing that is held against the log."""

    async def page(self, connection: Connection, page: Page) -> list[str]:
        """What does not hold in a stretch of the log."""
        ...

    async def finish(self, connection: Connection) -> list[str]:
        """What does not hold now that the whole log was seen."""
        ...


async def audit(connection: Connection, key: VerifyingKey, catalogue: Catalogue | None = None) -> Report:
    """Walk everything in one snapshot; the report's `findings` are empty only if everything holds.

    `key` is the hub's public key; the cases follow `catalogue`, by default the one that is shipped.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await walk(connection, key, catalogue)


async def walk(seen: Connection, key: VerifyingKey, catalogue: Catalogue | None = None) -> Report:
    """The same in the transaction under way, which sees one moment (`hub.store.moment`, beside a cluster's work)."""
    report = Report()
    head = await seen.fetchrow(SQL["head"])
    assert head is not None
    signers = Signers(head["hub"], key)
    mailboxes = Mailboxes(signers)
    erasures = Erasures()
    await erasures.prepare(seen)
    checks: list[Check] = [
        Tree(head, key),
        signers,
        Messages(signers, erasures),
        mailboxes,
        Cases(head["hub"], catalogue or loading.catalogue(), erasures),
        erasures,
        Attachments(),
        Neighbours(signers),
    ]
    for first in range(0, head["size"], PAGE):
        page = await _read(seen, report, first, min(first + PAGE, head["size"]))
        for check in checks:
            report.findings += await check.page(seen, page)
        if len(report.findings) > MOST_FINDINGS:
            report.findings.append("more than can be listed; the audit stops here")
            return report
    for check in checks:
        report.findings += await check.finish(seen)
    return report


async def _read(connection: Connection, report: Report, first: int, end: int) -> Page:
    """A stretch of the log with the messages it names."""
    rows = await connection.fetch(SQL["entries_between"], first, end)
    leaves = {row["index"]: row["leaf"] for row in rows}
    page = Page(first, end, leaves)
    for index in range(first, end):
        if index not in leaves:
            report.findings.append(f"log entry {index} is missing")
            continue
        try:
            page.entries[index] = entries.decode(leaves[index])
        except ValueError as error:
            report.findings.append(f"entry {index}: {error}")
    carried = page.carried()
    columns = (
        [entry.subject for entry in carried.values()],
        list(carried),
        [page.moment(index) for index in carried],
    )
    page.bodies = {row["log_index"]: row["jws"] for row in await connection.fetch(SQL["messages"], *columns)}
    for index, body in page.bodies.items():
        try:
            compact = jws.decode(body, typ=envelope.TYP)
            page.messages[index] = compact, envelope.event(envelope.read(compact.payload))
        except Fault as fault:
            report.findings.append(f"message at {index} can't be read: {fault.detail}")
    report.entries += len(leaves)
    report.messages += len(carried)
    report.positions += sum(len(positions_in(entry)) for entry in carried.values())
    return page


def as_json(report: Report) -> bytes:
    """The report for a machine."""
    return msgspec.json.encode(report)
