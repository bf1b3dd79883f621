"""What the hub tells organisations of deadlines: a list to read on from a cursor, beside the mailbox.

A notice proves nothing and moves nothing: what it speaks of is in the log. It is there so that nobody has to look.
"""

from collections.abc import Sequence
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

from hub.store import Connection
from hub.store.queries import SQL
from protocols import envelope

Kind = Literal["due-soon", "overdue", "escalated", "due-changed", "bulletin-missing", "erased"]
TITLES: dict[str, tuple[str, str]] = {
    "due-soon": ("即将到期，待你办理", "due soon, and yours to act on"),
    "overdue": ("已超期", "overdue"),
    "escalated": ("下级机构超期，报告上级", "an organisation below you is late"),
    "due-changed": ("期限已变更", "the due date was moved"),
    "erased": ("案件内容已依法删除", "what was said in the case was erased by law"),
    "bulletin-missing": ("信息通报未报", "an information bulletin is missing"),
}


class Notice(msgspec.Struct, frozen=True, omit_defaults=True):
    """A notice: what about, of which case, due by when.

    `days` are the working days before the due date that it was for; `about` is who is late, or whom a bulletin is for.
    """

    id: int
    recipient: str
    kind: Kind
    title: dict[str, str]
    made: str
    case: UUID | None = None
    due: date | None = None
    days: int | None = None
    about: Sequence[str] = ()


class Notices(msgspec.Struct, frozen=True):
    """A page of notices in the order they were made; `next` continues it as `after`."""

    items: Sequence[Notice]
    next: int


async def read(connection: Connection, recipients: Sequence[str], after: int, limit: int) -> Notices:
    """The notices of `recipients` after a cursor."""
    rows = await connection.fetch(SQL["notices"], recipients, after, limit)
    items = [
        Notice(
            id=row["id"],
            recipient=row["recipient"],
            kind=row["kind"],
            title=dict(zip(("zh", "en"), TITLES[row["kind"]], strict=True)),
            made=envelope.rfc3339(row["made"]),
            case=row["case_id"],
            due=row["due"],
            days=row["step"] if row["kind"] == "due-soon" else None,
            about=tuple(row["about"].split()),
        )
        for row in rows
    ]
    return Notices(items, items[-1].id if items else after)
