"""A case as an official letter (公函): its words in their order, for a page to be printed and a Word document (`word`).

The form is that of GB/T 9704-2012 (党政机关公文格式): §5.2 for the page, §7 for the parts, §10.1 for letters. With
each message stands its receipt as a QR code, so that paper too can be held against the log.
"""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import pybase64
import segno
from markupsafe import Markup

from keys import base64url

CAUTION = "内含密封内容，注意保管"
"""Contains sealed content: keep it safe."""
QR_SIDE, QR_MODULE = 28.0, 0.25
"""Least side of a printed code and least size of its modules, in mm: finer print is not read by every phone."""
_QUIET = 4
_NO_XML = re.compile("[^\t\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DIGITS = ("", *"一二三四五六七八九")

Part = Literal[
    "number", "title", "addressee", "heading", "part", "body", "attachments", "attachment", "signature", "date", "note"
]
Mark = Literal["short", "medium", "long"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What of a receipt is printed. `entry` is `log.entry` as the receipt has it: the leaf in standard base64."""

    index: int
    entry: str
    digest: str
    message: str
    accepted: str


@dataclass(frozen=True, slots=True)
class Section:
    """One message: what it is, whose, when, and what it says, each line a name with its text."""

    heading: str
    author: str
    moment: str
    open_lines: tuple[tuple[str, str], ...] = ()
    sealed_lines: tuple[tuple[str, str], ...] = ()
    attachments: tuple[str, ...] = ()
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class Hub:
    """The hub in whose log the receipts are; `url` is where a phone reaches it."""

    id: str
    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A case as `authority` writes it to `addressee` on `date`; all texts as people read them."""

    authority: str
    addressee: str
    title: str
    case_number: str
    protocol: str
    state: str
    due: str | None
    sections: tuple[Section, ...]
    date: date
    hub: Hub
    notes: tuple[str, ...] = ()

    @property
    def sealed(self) -> bool:
        """Whether something stands in it that was sealed."""
        return any(section.sealed_lines for section in self.sections)


@dataclass(frozen=True, slots=True)
class Line:
    """A paragraph, and which part of a letter it is."""

    kind: Part
    text: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A receipt: its verification address as a code, None where that is too long for one, and the words beside it."""

    words: tuple[str, ...]
    code: segno.QRCode | None
    kind: Literal["proof"] = "proof"

    @property
    def side(self) -> float:
        """How large the code is printed, in mm, with its margin."""
        return 0.0 if self.code is None else max(QR_SIDE, QR_MODULE * self.code.symbol_size(border=_QUIET)[0])

    @property
    def svg(self) -> Markup:
        """The code as an element of a page, without style attributes: a policy of `style-src 'self'` lets it be."""
        if self.code is None:
            return Markup()
        scale = self.side / self.code.symbol_size(border=_QUIET)[0]
        return Markup(self.code.svg_inline(scale=scale, border=_QUIET, unit="mm", svgclass="qr", light="#fff"))

    def png(self) -> io.BytesIO:
        """The code as an image. Raises ValueError where there is none."""
        if self.code is None:
            raise ValueError("no code")
        image = io.BytesIO()
        self.code.save(image, kind="png", scale=8, border=_QUIET)
        return image


@dataclass(frozen=True, slots=True)
class Sheet:
    """A letter as it is laid out, every text fit for XML; `mark` says how long the authority's name is."""

    authority: str
    mark: Mark
    title: str
    caution: str | None
    blocks: tuple[Line | Proof, ...]


def verification_address(hub_url: str, receipt: Receipt) -> str:
    """Where the hub says whether this receipt is in its log. Raises ValueError for an entry that is not base64."""
    leaf = pybase64.b64decode(receipt.entry, validate=True)
    return f"{hub_url.rstrip('/')}/verify?index={receipt.index}&entry={base64url.encode(leaf)}"


def written_date(day: date) -> str:
    """`2026年11月28日`: Arabic numerals, no zero before a single one (§7.3.5.4)."""
    return f"{day.year}年{day.month}月{day.day}日"


def numeral(n: int) -> str:
    """A heading's number, 一 to 九十九 (§7.3.3); in Arabic beyond."""
    tens, ones = divmod(n, 10)
    return str(n) if tens > 9 else f"{_DIGITS[tens] if tens > 1 else ''}{'十' if tens else ''}{_DIGITS[ones]}"


def sheet(letter: Letter) -> Sheet:
    """The letter's parts in the order of §7.3 and §10.1. Raises ValueError for a receipt that is not base64."""
    authority = one_line(letter.authority)
    mark: Mark = "short" if len(authority) <= 10 else "medium" if len(authority) <= 16 else "long"
    title = "\n".join(_lines(letter.title))
    return Sheet(authority, mark, title, CAUTION if letter.sealed else None, tuple(_blocks(letter, title)))


def _blocks(letter: Letter, title: str) -> Iterator[Line | Proof]:
    yield Line("number", f"案号：{one_line(letter.case_number)}")
    yield Line("title", title)
    yield Line("addressee", f"{one_line(letter.addressee)}：")
    due = f"，期限为{one_line(letter.due)}" if letter.due else ""
    rest = "往来情况如下：" if letter.sections else "尚无往来消息。"
    yield Line(
        "body", f"据枢纽所告，本案为{one_line(letter.protocol)}，现状态为“{one_line(letter.state)}”{due}。{rest}"
    )
    names: list[str] = []
    for n, section in enumerate(letter.sections, 1):
        yield from _section(n, section, letter.hub, len(names))
        names += map(one_line, section.attachments)
    for n, name in enumerate(names, 1):
        yield Line("attachments" if n == 1 else "attachment", f"{'附件：' if n == 1 else ''}{n}. {name}")
    yield Line("signature", one_line(letter.authority))
    yield Line("date", written_date(letter.date))
    if any(section.receipt for section in letter.sections):
        hub = f"{one_line(letter.hub.name)}（{one_line(letter.hub.id)}）"
        yield Line("note", f"（消息均由{hub}收转并记入日志，可扫各节所附二维码核对。）")
    yield from (Line("note", f"（{one_line(note)}）") for note in letter.notes)


def _section(n: int, section: Section, hub: Hub, attached: int) -> Iterator[Line | Proof]:
    """A message's part of the letter, after parts with `attached` attachments."""
    yield Line("heading", f"{numeral(n)}、{one_line(section.heading)}")
    yield Line("body", f"{one_line(section.author)}，{one_line(section.moment)}。")
    parts = [part for part in (("公开内容", section.open_lines), ("密封内容", section.sealed_lines)) if part[1]]
    for m, (name, lines) in enumerate(parts, 1):
        yield Line("part", f"（{numeral(m)}）{name}")
        for title, text in lines:
            opening, *more = _lines(text)
            yield Line("body", f"{one_line(title)}：{opening}")
            yield from (Line("body", line) for line in more)
    if section.attachments:
        numbers = "、".join(str(attached + k) for k in range(1, len(section.attachments) + 1))
        yield Line("body", f"（见附件{numbers}）")
    if section.receipt is not None:
        yield _proof(section.receipt, hub)


def _proof(receipt: Receipt, hub: Hub) -> Proof:
    try:
        # The lowest level of correction there is: on clean paper coarse modules help more. segno raises it for as long
        # as the code stays as small.
        code = segno.make_qr(verification_address(hub.url, receipt), error="l")
    except segno.DataOverflowError:
        code = None
    words = (
        "扫码核对回执" if code is not None else "回执过长，请凭日志序号向枢纽核对",
        f"日志第 {receipt.index} 项",
        f"摘要 {one_line(receipt.digest).rpartition(':')[2][:16]}",
        f"消息 {one_line(receipt.message)}",
        f"受理 {one_line(receipt.accepted)}",
    )
    return Proof(words, code)


def _lines(text: str) -> Sequence[str]:
    """The lines that have something in them, at least one; a character that XML has none for becomes U+FFFD."""
    lines = (_NO_XML.sub("\ufffd", line).strip() for line in text.splitlines())
    return [line for line in lines if line] or [""]


def one_line(text: str) -> str:
    """The text in one line, fit for XML."""
    return " ".join(_lines(text))
