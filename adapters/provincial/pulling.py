"""Pulling: page after page of what the platform has, where each round begins being kept from one run to the next."""

import asyncio
from typing import Any, Final

import msgspec
from yarl import URL

from adapters.provincial import mapping, reading
from adapters.provincial.calling import Answer, Caller
from adapters.provincial.expressions import Expression, Unmapped
from adapters.provincial.reading import AnswerUnreadable
from adapters.provincial.settings import Pull
from adapters.running.configuration import AdapterConfigInvalid
from adapters.running.partner import PartnerRejected, PartnerUnreachable

MOST: Final = 10_000
"""Items of a page at most."""
ROUND: Final = 10_000
"""Pages of a round at most: a platform whose pages never end is asked from the start again."""

Mark = str | int | float


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the next call begins: since which mark, at which page of this round; the greatest mark seen in it."""

    since: Mark | None = None
    page: int = 0
    next: str | None = None
    seen: Mark | None = None


class Page(msgspec.Struct, frozen=True):
    """What one call brought: records with their kinds, and where the next call begins."""

    items: list[tuple[str, Any]]
    cursor: str
    more: bool


class Puller:
    """What is asked of one platform."""

    def __init__(self, said: Pull, caller: Caller) -> None:
        """Raises AdapterConfigInvalid."""
        self._said, self._caller = said, caller
        self._url = caller.guard.url(said.url)
        self._items = mapping.compiled(said.items, "pull.items")
        self._kind = mapping.compiled(said.kind, "pull.kind")
        self._mark = mapping.compiled(said.since.mark, "pull.since.mark") if said.since else None
        self._next = mapping.compiled(said.paging.next, "pull.paging.next") if said.paging.next else None
        if said.paging.by == "cursor" and self._next is None:
            raise AdapterConfigInvalid("pull.paging: by = 'cursor' needs next, an expression")
        if not 1 <= said.paging.size <= MOST:
            raise AdapterConfigInvalid(f"pull.paging: size is 1 to {MOST}")

    async def page(self, kept: str | None) -> Page:
        """The next page. Raises PartnerUnreachable, also where what came is no page of items."""
        cursor = _read(kept)
        try:
            answer = await self._caller.call("GET", self._address(cursor))
            body = reading.loads(answer.body)
            found = self._items.of(body)
        except PartnerRejected as fault:
            if cursor.page:  # a cursor does not live for ever: the round begins again, and what came is known
                return Page([], _written(Cursor(since=cursor.since)), False)
            raise PartnerUnreachable(fault.detail) from None
        except (AnswerUnreadable, Unmapped) as fault:
            raise PartnerUnreachable(fault.detail) from None
        items = found if isinstance(found, list) else None
        if items is None and body in ({}, []):
            items = []
        if items is None or len(items) > MOST:
            raise PartnerUnreachable(f"the answer holds no array of at most {MOST} items where pull.items says")
        seen = cursor.seen
        for item in items:
            seen = _greater(seen, _of(self._mark, item))
            await asyncio.sleep(0)
        kinds = [(kind if isinstance(kind := _of(self._kind, item), str) else "", item) for item in items]
        following = self._following(cursor, answer, body, len(items))
        if following is None or cursor.page >= ROUND:
            return Page(kinds, _written(Cursor(since=seen if seen is not None else cursor.since)), False)
        page, next = following
        return Page(kinds, _written(Cursor(cursor.since, page, next, seen)), True)

    def _address(self, cursor: Cursor) -> URL:
        paging, since = self._said.paging, self._said.since
        if paging.by == "link" and cursor.next is not None:
            return self._linked(cursor.next)
        query = dict(self._said.query)
        if since is not None and (mark := cursor.since if cursor.since is not None else since.start) is not None:
            query[since.parameter] = str(mark)
        if paging.size_parameter is not None:
            query[paging.size_parameter] = str(paging.size)
        if paging.by == "page":
            query[paging.parameter] = str(paging.first + cursor.page)
        elif paging.by == "offset":
            query[paging.parameter] = str(cursor.page * paging.size)
        elif paging.by == "cursor" and cursor.next is not None:
            query[paging.parameter] = cursor.next
        return self._url.update_query(query)

    def _following(self, cursor: Cursor, answer: Answer, body: Any, count: int) -> tuple[int, str | None] | None:
        """Page number and cursor of the next page of this round, None where this was the last."""
        by = self._said.paging.by
        if by == "link":
            return None if answer.link is None else (cursor.page + 1, str(self._linked(answer.link)))
        if by == "cursor":
            found = _of(self._next, body)
            ends = found is None or found == "" or str(found) == cursor.next
            return None if ends else (cursor.page + 1, str(found))
        full = by in ("page", "offset") and count >= self._said.paging.size
        return (cursor.page + 1, None) if full else None

    def _linked(self, text: str) -> URL:
        """A link of the platform's, followed on its own host alone: our proof goes with it."""
        try:
            url = URL(text)
            same = url.origin() == self._url.origin() and url.raw_user is None
        except ValueError:
            same = False
        if not same:
            raise PartnerUnreachable("the platform's link to the next page leads to another host")
        return url


def _of(expression: Expression | None, value: Any) -> Any:
    try:
        return None if expression is None else expression.of(value)
    except Unmapped:
        return None


def _greater(one: Mark | None, other: Any) -> Mark | None:
    """The greater mark; numbers by value, texts by their letters. What is neither, or of another kind, is passed."""
    if isinstance(other, bool) or not isinstance(other, str | int | float) or other == "":
        return one
    if one is None:
        return other
    if isinstance(one, str) and isinstance(other, str):
        return max(one, other)
    return one if isinstance(one, str) or isinstance(other, str) else max(one, other)


def _read(kept: str | None) -> Cursor:
    try:
        return Cursor() if kept is None else msgspec.json.decode(kept, type=Cursor)
    except msgspec.MsgspecError:
        return Cursor()


def _written(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()
