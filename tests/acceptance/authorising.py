"""The table of who may make which call, as data; `python -m tests.acceptance.authorising` writes it for people."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("authorisation.toml")
PAGE = Path(__file__).parents[2] / "docs" / "authorisation.md"
HEAD = """# 谁可以调用什么 · Who may make which call

由 [authorisation.toml](../tests/acceptance/authorisation.toml) 生成；测试在真实的枢纽上逐格核对。
`·` 为拒绝：无有效令牌或签名 401，无权 403。
*Made from that file. The tests hold every cell against a real hub, and fail for a call that is not in it.
`·` is a refusal: 401 without a valid token or signature, 403 where it is not theirs.*

**对所有人开放 · open to all**：{open}

{tables}"""


class Caller(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of caller; one that is `unknown` has no valid token of an organisation."""

    zh: str
    en: str
    unknown: bool = False


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked, and who gets what; of lists, who finds something in it (`holds`)."""

    ask: str = ""
    open: bool = False
    answers: int = 200
    send: str = ""
    gets: dict[str, int] = {}
    others: int = 403
    unsigned: int = 401
    holds: list[str] | None = None

    def of(self, name: str, caller: Caller) -> int:
        """The status that a caller gets."""
        if self.open:
            return self.answers
        return self.gets.get(name, self.unsigned if caller.unknown else self.others)


class Matrix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole table; calls by `METHOD /path`."""

    callers: dict[str, Caller]
    calls: dict[str, Expected]


@cache
def matrix() -> Matrix:
    """The table in the file."""
    return msgspec.convert(tomllib.loads(FILE.read_text("utf-8")), Matrix)


def page() -> str:
    """The table for people."""
    found = matrix()
    opened = "、".join(f"`{name}`" for name, call in found.calls.items() if call.open)
    asked = {name: call for name, call in found.calls.items() if not call.open}
    signed = {name: call for name, call in asked.items() if name in SIGNED}
    tokens = {name: call for name, call in asked.items() if name not in SIGNED}
    tables = [
        _table("凭令牌 · with a token", tokens),
        _table("凭所发内容的签名 · by the signature on what is sent", signed),
    ]
    return HEAD.format(open=opened, tables="\n\n".join(tables)) + "\n"


SIGNED = frozenset({
    "POST /v1/messages", "POST /v1/messages/batch", "POST /v1/mailbox/acknowledge", "POST /v1/delegations",
    "POST /v1/revocations", "POST /v1/relay", "POST /log/cosignatures",
})  # fmt: skip
"""The calls that ask for no token."""


def _table(title: str, calls: Mapping[str, Expected]) -> str:
    callers = matrix().callers
    lines = [f"## {title}", "", f"| 调用 · call | {' | '.join(f'{one.zh}<br>{one.en}' for one in callers.values())} |"]
    lines.append("| --- |" + " --- |" * len(callers))
    for name, call in calls.items():
        cells = [call.of(caller, one) for caller, one in callers.items()]
        lines.append(f"| `{name}` | {' | '.join('·' if cell in (401, 403) else str(cell) for cell in cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
