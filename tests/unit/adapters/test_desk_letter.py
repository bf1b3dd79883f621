"""A case as an official letter: its parts in their order, in the form of GB/T 9704-2012, its codes read by a reader."""

import base64
import io
import zipfile
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from typing import Any

import pytest
import zxingcpp
from docx import Document
from docx.document import Document as Docx
from docx.oxml.ns import qn
from docx.text.paragraph import Paragraph
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from PIL import Image

from adapters.desk import letter
from adapters.desk.letter import CAUTION, Hub, Letter, Receipt, Section, sheet, verification_address
from adapters.desk.word import docx
from keys import base64url
from protocols import entries

DIGEST = "sha-256:" + "8f3a51c2" * 8
LEAF = entries.encode(
    entries.Accepted(
        id="01936f1e-7a2b-7c3d-9e4f-123456789012", digest=DIGEST, source="411002-health", causationid=None,
        type="case-assistance.request", subject="01936f1e-7a2b-7c3d-9e4f-1234567890ab",
        recipients={"440306-health": 17}, at="2026-11-26T01:30:00.123Z", due="2026-12-28",
    )
)  # fmt: skip
RECEIPT = Receipt(1234, base64.b64encode(LEAF).decode(), DIGEST, "01936f1e-7a2b-7c3d", "2026-11-26T01:30:00.123Z")
HUB = Hub("410000-hub", "河南省协办枢纽", "https://xieban.example.cn/")
ASKED = Section(
    "协查请求", "许昌市魏都区卫生健康委员会", "2026年11月26日 09:30", (("紧急程度", "普通"),),
    (("协查说明", "请核实许可证。\n如有其他情况，请一并函复。"),), ("现场检查笔录.pdf", "许可证.pdf"), RECEIPT,
)  # fmt: skip
ANSWERED = Section(
    "协查结果", "深圳市宝安区卫生健康局", "2026年11月28日 10:12", (("结果", "已核实"),), (), ("报告.docx",)
)
LETTER = Letter(
    "许昌市魏都区卫生健康委员会", "深圳市宝安区卫生健康局", "关于某案\n办理情况的函", "01936f1e-7a2b", "案件协查",
    "已答复", "2026年12月28日", (ASKED, ANSWERED), date(2026, 11, 28), HUB, ("联系人：李四",),
)  # fmt: skip
PAGES = Environment(
    loader=PackageLoader("adapters.desk"), autoescape=select_autoescape(), undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip


def opened(value: Letter) -> Docx:
    return Document(io.BytesIO(docx(value)))


def page(value: Letter) -> str:
    return PAGES.get_template("letter.html").render(sheet=sheet(value))


def words(document: Docx) -> list[str]:
    """What stands in the document, in order: paragraphs, and tables by the words of their last cell."""
    return [
        part.text if isinstance(part, Paragraph) else part.rows[0].cells[-1].text
        for part in document.iter_inner_content()
    ]


def read_code(image: Image.Image) -> list[str]:
    return [code.text for code in zxingcpp.read_barcodes(image)]


def style(document: Docx, name: str) -> Any:
    return document.styles[name].element


def fonts(document: Docx, name: str) -> tuple[str, float]:
    """The font for Chinese and the size, in points, of a style."""
    run = style(document, name).rPr
    return run.find(qn("w:rFonts")).get(qn("w:eastAsia")), int(run.find(qn("w:sz")).get(qn("w:val"))) / 2


class Read(HTMLParser):
    """A page's elements with their attributes, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_document_has_the_parts_of_a_letter_in_their_order() -> None:
    assert words(opened(LETTER)) == [
        "案号：01936f1e-7a2b",
        "关于某案\n办理情况的函",
        "深圳市宝安区卫生健康局：",
        "据枢纽所告，本案为案件协查，现状态为“已答复”，期限为2026年12月28日。往来情况如下：",
        "一、协查请求",
        "许昌市魏都区卫生健康委员会，2026年11月26日 09:30。",
        "（一）公开内容",
        "紧急程度：普通",
        "（二）密封内容",
        "协查说明：请核实许可证。",
        "如有其他情况，请一并函复。",
        "（见附件1、2）",
        "扫码核对回执\n日志第 1234 项\n摘要 8f3a51c28f3a51c2\n消息 01936f1e-7a2b-7c3d\n受理 2026-11-26T01:30:00.123Z",
        "二、协查结果",
        "深圳市宝安区卫生健康局，2026年11月28日 10:12。",
        "（一）公开内容",
        "结果：已核实",
        "（见附件3）",
        "附件：1. 现场检查笔录.pdf",
        "2. 许可证.pdf",
        "3. 报告.docx",
        "许昌市魏都区卫生健康委员会",
        "2026年11月28日",
        "（消息均由河南省协办枢纽（410000-hub）收转并记入日志，可扫各节所附二维码核对。）",
        "（联系人：李四）",
    ]


def test_the_page_is_that_of_the_standard() -> None:
    """§5.2.1: A4, a text of 156 mm × 225 mm, 37 mm above it and 28 mm left of it."""
    (pages,) = opened(LETTER).sections
    width, height, top, left = pages.page_width, pages.page_height, pages.top_margin, pages.left_margin
    right, bottom = pages.right_margin, pages.bottom_margin
    assert width and height and top and left and right and bottom
    assert [round(length.mm) for length in (width, height, top, left)] == [210, 297, 37, 28]
    assert round((width - left - right) / 36000) == 156 and round((height - top - bottom) / 36000) == 225


@pytest.mark.parametrize(
    ("name", "font", "size"),
    [
        ("公文标题", "宋体", 22), ("公文正文", "仿宋", 16), ("一级标题", "黑体", 16), ("二级标题", "楷体", 16),
        ("主送机关", "仿宋", 16), ("单页码", "宋体", 14), ("双页码", "宋体", 14), ("保管提示", "黑体", 16),
    ],
)  # fmt: skip
def test_each_part_has_its_font_and_size(name: str, font: str, size: float) -> None:
    assert fonts(opened(LETTER), name) == (font, size)


def test_the_body_is_indented_by_two_characters_and_has_22_lines_to_a_page() -> None:
    body = style(opened(LETTER), "公文正文").pPr
    assert body.find(qn("w:ind")).get(qn("w:firstLineChars")) == "200"
    spacing = body.find(qn("w:spacing"))
    assert spacing.get(qn("w:lineRule")) == "exact"
    assert 22 * int(spacing.get(qn("w:line"))) / 20 <= 225 / 25.4 * 72 < 23 * int(spacing.get(qn("w:line"))) / 20


def test_the_letterhead_is_red_over_a_red_double_line() -> None:
    document = opened(LETTER)
    caution, authority = document.sections[0].first_page_header.paragraphs
    assert (caution.text, authority.text) == (CAUTION, "许昌市魏都区卫生健康委员会")
    look = style(document, "发文机关标志")
    assert look.rPr.find(qn("w:color")).get(qn("w:val")) == "FF0000"
    line = look.pPr.find(qn("w:pBdr")).find(qn("w:bottom"))
    assert (line.get(qn("w:val")), line.get(qn("w:color"))) == ("thickThinMediumGap", "FF0000")


@pytest.mark.parametrize(("length", "size"), [(10, 42), (11, 26), (16, 26), (17, 22)])
def test_a_long_name_is_written_smaller(length: int, size: int) -> None:
    document = opened(replace(LETTER, authority="局" * length))
    found = document.sections[0].first_page_header.paragraphs[1].runs[0].font.size
    assert found is not None and found.pt == size


def test_pages_are_numbered_outside_from_the_second_on() -> None:
    document = opened(LETTER)
    (pages,) = document.sections
    assert document.settings.odd_and_even_pages_header_footer and pages.different_first_page_header_footer
    for footer, name in ((pages.footer, "单页码"), (pages.even_page_footer, "双页码")):
        (number,) = footer.paragraphs
        assert number.style is not None and number.style.name == name
        assert [text.text for text in number._p.iter(qn("w:t"))] == ["— ", "2", " —"]
        assert [field.get(qn("w:instr")) for field in number._p.iter(qn("w:fldSimple"))] == ["PAGE"]
    assert pages.first_page_footer.paragraphs[0].text == ""


@pytest.mark.parametrize(
    "authority", ["局", "许昌市魏都区卫生健康委员会", "许昌市魏都区文化广电和旅游市场监督管理局" * 2]
)
def test_the_authority_stands_centred_over_the_date(authority: str) -> None:
    """§7.3.5.1: four characters are free after the date, unless the name needs them."""
    by_style = {part.style.name: part for part in opened(replace(LETTER, authority=authority)).paragraphs if part.style}
    name, day = by_style["发文机关署名"], by_style["成文日期"]
    free, under = name.paragraph_format.right_indent, day.paragraph_format.right_indent
    assert free is not None and under is not None
    assert under.pt >= 64 and free.pt >= 0
    if len(authority) < 30:
        assert free.pt + len(authority) * 8 == pytest.approx(under.pt + 7 * 8, abs=0.1)


def test_the_code_in_the_document_is_read_as_the_verification_address() -> None:
    document = opened(LETTER)
    (drawn,) = document.inline_shapes
    assert round(drawn.width.mm, 1) >= letter.QR_SIDE and drawn.width == drawn.height
    (image,) = (part.blob for part in document.part.package.iter_parts() if part.partname.endswith(".png"))
    assert read_code(Image.open(io.BytesIO(image))) == [verification_address(HUB.url, RECEIPT)]


def test_the_address_brings_the_leaf_as_it_is_in_the_log() -> None:
    address = verification_address(HUB.url, RECEIPT)
    start, _, entry = address.partition("&entry=")
    assert start == "https://xieban.example.cn/verify?index=1234"
    assert base64url.decode(entry) == LEAF


def test_an_entry_that_is_no_base64_is_refused() -> None:
    with pytest.raises(ValueError):
        verification_address(HUB.url, replace(RECEIPT, entry="?"))


def test_a_receipt_too_long_for_a_code_says_so() -> None:
    long = replace(RECEIPT, entry=base64.b64encode(b"x" * 3000).decode())
    value = replace(LETTER, sections=(replace(ASKED, receipt=long),))
    assert any("回执过长" in text for text in words(opened(value)))
    assert "<svg" not in page(value)


@pytest.mark.parametrize("length", [1, 400, 2000])
def test_a_codes_modules_stay_large_enough_to_be_read(length: int) -> None:
    receipt = replace(RECEIPT, entry=base64.b64encode(b"x" * length).decode())
    (proof,) = (one for one in sheet(replace(LETTER, sections=(replace(ASKED, receipt=receipt),))).blocks
                if isinstance(one, letter.Proof))  # fmt: skip
    assert proof.code is not None
    assert proof.side >= 28 and proof.side / proof.code.symbol_size(border=4)[0] >= 0.25


def test_only_a_letter_with_sealed_content_asks_to_be_kept_safe() -> None:
    plain = replace(LETTER, sections=(ANSWERED,))
    for value, expected in ((LETTER, CAUTION), (plain, "")):
        (pages,) = opened(value).sections
        headers = (pages.first_page_header, pages.header, pages.even_page_header)
        assert [header.paragraphs[0].text for header in headers] == [expected] * 3
        assert (CAUTION in page(value)) is bool(expected)


def test_the_document_says_who_wrote_it_when_and_in_what_language() -> None:
    about = opened(LETTER).core_properties
    assert (about.title, about.author) == ("关于某案办理情况的函", LETTER.authority)
    for moment in (about.created, about.modified):
        assert moment is not None and moment.date() == LETTER.date
    assert (about.language, about.comments, about.last_modified_by) == ("zh-CN", "", LETTER.authority)
    with zipfile.ZipFile(io.BytesIO(docx(LETTER))) as parts:
        assert b"python-docx" not in b"".join(parts.read(name) for name in parts.namelist())
        assert {part.date_time for part in parts.infolist()} == {(2026, 11, 28, 0, 0, 0)}
        assert [name for name in parts.namelist() if name.startswith("docProps/")] == ["docProps/core.xml"]
        assert b'<w:lang w:val="zh-CN" w:eastAsia="zh-CN"' in parts.read("word/styles.xml")
        assert b"ja-JP" not in parts.read("word/settings.xml")


def test_the_same_letter_is_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    first = docx(LETTER)
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    assert docx(LETTER) == first


def test_the_page_has_the_parts_and_escapes_what_users_wrote() -> None:
    nasty = "<script>alert(1)</script>"
    read = Read(page(replace(LETTER, title=nasty, sections=(replace(ASKED, open_lines=((nasty, nasty),)),))))
    assert "script" not in {tag for tag, _ in read.elements}
    assert read.words.count(nasty) == 4
    assert [attributes["class"] for tag, attributes in read.elements if tag in ("h1", "h2", "h3")] == [
        "title", "heading", "part", "part",
    ]  # fmt: skip


def test_the_page_holds_under_the_desks_policy() -> None:
    """`default-src 'none'; style-src 'self'`: no style in the page, nothing fetched but the one style sheet."""
    read = Read(page(LETTER))
    assert not [tag for tag, attributes in read.elements if "style" in attributes or tag in ("style", "script", "img")]
    assert [a["href"] for _, a in read.elements if "href" in a] == ["/static/letter.css"]
    assert not [a for _, a in read.elements if "src" in a]
    (code,) = (attributes for tag, attributes in read.elements if tag == "svg")
    assert code["width"] == code["height"] and str(code["width"]).endswith("mm")


@pytest.mark.parametrize(
    ("n", "text"), [(1, "一"), (10, "十"), (11, "十一"), (20, "二十"), (99, "九十九"), (100, "100")]
)
def test_headings_are_numbered_in_chinese(n: int, text: str) -> None:
    assert letter.numeral(n) == text


def test_an_empty_case_still_makes_a_letter() -> None:
    bare = replace(LETTER, sections=(), notes=(), due=None)
    assert words(opened(bare))[3:] == [
        "据枢纽所告，本案为案件协查，现状态为“已答复”。尚无往来消息。", LETTER.authority, "2026年11月28日",
    ]  # fmt: skip


# What XML and HTML make trouble with, more often than chance would bring it.
TEXTS = st.text(st.characters() | st.sampled_from("\x00\x0b\x1f\r\n\t\ufffe\ud800<>&'\"{%\u2028\u202e"), max_size=40)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), max_size=2).map(tuple)
RECEIPTS = st.builds(
    Receipt, st.integers(0, 10**18), st.binary(max_size=30).map(lambda leaf: base64.b64encode(leaf).decode()),
    TEXTS, TEXTS, TEXTS,
)  # fmt: skip
SECTIONS = st.builds(
    Section, TEXTS, TEXTS, TEXTS, PAIRS, PAIRS, st.lists(TEXTS, max_size=2).map(tuple), st.none() | RECEIPTS
)
LETTERS = st.builds(
    Letter, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, st.none() | TEXTS, st.lists(SECTIONS, max_size=2).map(tuple),
    st.dates(), st.builds(Hub, TEXTS, TEXTS, st.just("https://hub.example")), st.lists(TEXTS, max_size=2).map(tuple),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(LETTERS)
def test_any_texts_make_a_document_and_a_page(value: Letter) -> None:
    assert len(words(opened(value))) == len(sheet(value).blocks)
    assert page(value).encode()


def test_a_very_long_text_makes_a_letter() -> None:
    said = replace(ASKED, sealed_lines=(("说明", "经核查，" * 50_000 + "\n" * 5000 + "完"),))
    value = replace(LETTER, title="长" * 5000, authority="局" * 500, sections=(said,))
    assert "完" in words(opened(value)) and "完" in page(value)
