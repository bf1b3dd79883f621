"""A case's messages erased on a legal request, for a reason that stands in the log, signed."""

import re
from collections.abc import Sequence
from typing import ClassVar

import msgspec
from asyncpg import Record

from hub import entering
from hub.errors import NotFound
from hub.identity import Identity
from hub.store import Connection
from hub.store.queries import SQL
from keys import jws
from keys.errors import Fault
from protocols import envelope, legal_basis
from protocols.entries import Erased
from protocols.flow import Case
from protocols.loading import Catalogue

TYP = "xieban-erasure+jws"
"""The type of the hub's signed word why (RFC 7515 §4.1.9)."""
REASONS: dict[str, tuple[str, str]] = {
    "erasure-request": ("依当事人的删除请求", "at the request of the person concerned"),
    "court-order": ("依法院裁判", "by a court's order"),
    "authority-order": ("依主管机关决定", "by order of the authority in charge"),
    "unlawful": ("内容本不应收集", "should never have been collected"),
    "retention": ("保存期限届满", "kept for as long as it had to be"),
}
"""Why: a code, for whatever is written in a log can't be erased."""
_REFERENCE = re.compile(r"[0-9A-Za-z〔〕（）()\[\]\-/. 第号字年\u4e00-\u9fff]{1,80}\Z")


class ErasureRefused(Fault):
    """Nothing was erased."""

    code: ClassVar[str] = "erasure-refused"


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which case, and why: a code of REASONS, the provision `instrument:article`, the file number of the order."""

    case: str
    reason: str
    basis: str
    reference: str
    although_open: bool = False


class Erasing(msgspec.Struct, frozen=True):
    """What is, or would be, erased: `elsewhere` are other hubs that have copies, which are theirs to erase."""

    case: str
    state: str
    messages: int
    bytes: int
    attachments: int
    parties: list[str]
    elsewhere: list[str]
    entry: int | None = None


async def look(connection: Connection, catalogue: Catalogue, request: Request) -> Erasing:
    """What would be erased; nothing is. Raises ErasureRefused, NotFound."""
    _require_reason(request)
    return await _found(connection, catalogue, request)


async def erase(connection: Connection, identity: Identity, catalogue: Catalogue, request: Request) -> Erasing:
    """Erase all that was said in the case so far, in one transaction with the entry that says so.

    Raises ErasureRefused, NotFound.
    """
    _require_reason(request)
    async with connection.transaction():
        ledger = await entering.opened(connection)
        found = await _found(connection, catalogue, request)
        word = {"iss": identity.hub, "case": request.case, "reason": request.reason, "legal_basis": request.basis,
                "reference": request.reference, "iat": int(ledger.now.timestamp())}  # fmt: skip
        statement = jws.sign(msgspec.json.encode(word), identity.key, typ=TYP).decode()
        entry = ledger.append(Erased(ledger.at, request.reason, case=request.case, statement=statement))
        await entering.store_alone(connection, identity, ledger)
        await connection.execute(SQL["erase_case"], request.case)
        await connection.execute(SQL["add_erasure"], entry, request.case, None, None, ledger.now)
        await release(connection, await connection.fetch(SQL["erase_uses"], request.case))
        await connection.execute(SQL["tell_erased"], request.case, found.parties, entry)
    return msgspec.structs.replace(found, entry=entry)


async def _found(connection: Connection, catalogue: Catalogue, request: Request) -> Erasing:
    row = await connection.fetchrow(SQL["erasable"], request.case) if envelope.is_id(request.case) else None
    if row is None:
        raise NotFound(f"no case {request.case}")
    case = msgspec.json.decode(row["record"], type=Case)
    final = catalogue.protocols[case.protocol, case.version].flow.states[case.state].final
    if not final and not request.although_open:
        raise ErasureRefused(f"the case is {case.state}, not ended: let it end, or say --although-open")
    if row["messages"] == 0:
        raise ErasureRefused("nothing of the case is left to erase", empty=True)
    homes = [row["home"] for row in await connection.fetch(SQL["homes_among"], list(case.involved()))]
    return Erasing(case.id, case.state, row["messages"], row["bytes"], row["attachments"], sorted(case.involved()),
                   homes)  # fmt: skip


async def release(connection: Connection, uses: Sequence[Record]) -> None:
    """Attachments that no message names any more go with the next collection; who read them by it reads no more."""
    digests = list({row["digest"] for row in uses})
    if digests:
        await connection.execute(SQL["release_attachments"], digests)
        await connection.execute(SQL["unname_attachments"], digests)
        await connection.execute(SQL["take_back_attachments"], digests)


def _require_reason(request: Request) -> None:
    """A reason that may stand in a log for ever. Raises ErasureRefused."""
    if request.reason not in REASONS or request.reason == "retention":
        raise ErasureRefused(f"--reason is one of {', '.join(name for name in REASONS if name != 'retention')}")
    instrument, _, article = request.basis.partition(":")
    if instrument not in legal_basis.register() or not (article.isascii() and article.isdigit()):
        raise ErasureRefused("--legal-basis is INSTRUMENT:ARTICLE of the register; see protocols/legal_basis.toml")
    if _REFERENCE.match(request.reference) is None:
        raise ErasureRefused("--reference is the file number of the order: at most 80 letters, digits and signs of one")
