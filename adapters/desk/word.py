"""A letter as a Word document, for Word and WPS: styles, margins, red lines and page numbers of GB/T 9704-2012."""

import io
import zipfile
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from docx import Document
from docx.document import Document as Docx
from docx.enum.table import WD_ALIGN_VERTICAL
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls, qn
from docx.section import Section as Pages
from docx.shared import Mm, Pt
from docx.text.paragraph import Paragraph

from adapters.desk.letter import Letter, Mark, Proof, Sheet, one_line, sheet, written_date

_LINE = 579
"""A line, in twentieths of a point like all that follow: 22 of them fill 225 mm (§5.2.3)."""
_CHARACTER = 320
_INDENTED = 'w:firstLineChars="200" w:firstLine="640"'
_OUTSIDE = 'w:left="-454" w:right="-340"'
"""The red lines of 170 mm stand out by 8 and 6 mm, which puts them in the middle of the page (§10.1)."""
_CLOSER = '<w:spacing w:val="-5"/>'
"""28 characters of 16 pt are a little more than 156 mm (§5.2.3)."""
_MOST = 255
"""Characters in a property of a document."""


@dataclass(frozen=True, slots=True)
class _Look:
    """A paragraph style: `size` in points; a `line` of None is as high as it must be; the texts below are XML."""

    name: str
    font: str = "仿宋"
    size: float = 16
    align: str = "both"
    before: int = 0
    after: int = 0
    line: int | None = _LINE
    indent: str = ""
    border: str = ""
    level: int | None = None
    run: str = _CLOSER


_LOOKS = {
    "authority": _Look("发文机关标志", "宋体", 42, "center", line=None, indent=_OUTSIDE,
                       run='<w:b/><w:color w:val="FF0000"/>',
                       border='<w:bottom w:val="thickThinMediumGap" w:sz="24" w:space="11" w:color="FF0000"/>'),
    "caution": _Look("保管提示", "黑体", align="right", after=272),
    "number": _Look("案号", align="right", before=100),
    "title": _Look("公文标题", "宋体", 22, "center", 2 * _LINE, line=700, level=0, run="<w:b/>"),
    "addressee": _Look("主送机关", align="left", before=_LINE),
    "heading": _Look("一级标题", "黑体", indent=_INDENTED, level=1),
    "part": _Look("二级标题", "楷体", indent=_INDENTED, level=2),
    "body": _Look("公文正文", indent=_INDENTED),
    "attachments": _Look("附件说明", align="left", before=_LINE, indent='w:left="2080" w:hanging="1440"'),
    "attachment": _Look("附件说明续", align="left", indent='w:left="2080" w:hanging="480"'),
    "signature": _Look("发文机关署名", align="right", before=2 * _LINE),
    "date": _Look("成文日期", align="right"),
    "note": _Look("附注", indent=_INDENTED),
    "code": _Look("回执二维码", align="left", before=80, after=80, line=None),
    "words": _Look("回执说明", size=10.5, align="left", line=320, run=""),
    "odd": _Look("单页码", "宋体", 14, "right", after=113, line=320, indent='w:right="280"', run=""),
    "even": _Look("双页码", "宋体", 14, "left", after=113, line=320, indent='w:left="280"', run=""),
    "foot": _Look("首页下双线", size=1, line=20, indent=_OUTSIDE, run="",
                  border='<w:bottom w:val="thinThickMediumGap" w:sz="24" w:space="1" w:color="FF0000"/>'),
}  # fmt: skip
_KEPT_WITH_NEXT = ("title", "heading", "part", "signature")
_MARK_SIZES: dict[Mark, float] = {"short": 42, "medium": 26, "long": 22}


def docx(letter: Letter) -> bytes:
    """The letter for Word and WPS; the same bytes for the same letter. Raises ValueError as `sheet` does."""
    laid_out, document = sheet(letter), Document()
    free = _free_at_right(laid_out, letter.date)
    _furnish(document)
    _lay_out(document, document.sections[0], laid_out)
    for block in laid_out.blocks:
        if isinstance(block, Proof):
            _add_proof(document, block)
            continue
        paragraph = _styled(document.add_paragraph(block.text), block.kind)
        if block.kind in free:
            paragraph.paragraph_format.right_indent = Pt(16 * free[block.kind])
    _describe(document, letter, laid_out)
    saved = io.BytesIO()
    document.save(saved)
    return _dated(saved, letter.date)


def _furnish(document: Docx) -> None:
    """The styles, and Chinese as the language of everything."""
    styles: Any = document.styles.element
    styles.remove(styles.find(qn("w:docDefaults")))
    language = '<w:lang w:val="zh-CN" w:eastAsia="zh-CN" w:bidi="ar-SA"/>'
    defaults = f"<w:rPrDefault><w:rPr>{_font('仿宋', 16)}{language}</w:rPr></w:rPrDefault>"
    styles.insert(0, parse_xml(f"<w:docDefaults {nsdecls('w')}>{defaults}</w:docDefaults>"))
    theme: Any = document.settings.element.find(qn("w:themeFontLang"))
    theme.set(qn("w:eastAsia"), "zh-CN")
    for kind, look in _LOOKS.items():
        styles.append(parse_xml(_style(kind, look)))


def _font(font: str, size: float, more: str = "") -> str:
    names = " ".join(f'w:{use}="{font}"' for use in ("ascii", "eastAsia", "hAnsi", "cs"))
    return f'<w:rFonts w:hint="eastAsia" {names}/>{more}<w:sz w:val="{size * 2:.0f}"/><w:szCs w:val="{size * 2:.0f}"/>'


def _style(kind: str, look: _Look) -> str:
    keep = "<w:keepNext/>" if kind in _KEPT_WITH_NEXT else ""
    line = 'w:line="240" w:lineRule="auto"' if look.line is None else f'w:line="{look.line}" w:lineRule="exact"'
    outline = "" if look.level is None else f'<w:outlineLvl w:val="{look.level}"/>'
    return (
        f'<w:style {nsdecls("w")} w:type="paragraph" w:customStyle="1" w:styleId="{kind}"><w:name w:val="{look.name}"/>'
        f'<w:basedOn w:val="Normal"/><w:qFormat/><w:pPr>{keep}<w:pBdr>{look.border}</w:pBdr>'
        '<w:autoSpaceDE w:val="0"/><w:autoSpaceDN w:val="0"/><w:snapToGrid w:val="0"/>'
        f'<w:spacing w:before="{look.before}" w:after="{look.after}" {line}/><w:ind {look.indent}/>'
        f'<w:jc w:val="{look.align}"/>{outline}</w:pPr><w:rPr>{_font(look.font, look.size, look.run)}</w:rPr></w:style>'
    )


def _styled(paragraph: Paragraph, kind: str) -> Paragraph:
    paragraph.style = _LOOKS[kind].name
    return paragraph


def _lay_out(document: Docx, pages: Pages, laid_out: Sheet) -> None:
    """A4 with 22 lines of 28 characters (§5.2), the letterhead (§10.1), page numbers from the second page on (§7.5)."""
    pages.page_width, pages.page_height = Mm(210), Mm(297)
    pages.top_margin, pages.bottom_margin, pages.left_margin, pages.right_margin = Mm(37), Mm(35), Mm(28), Mm(26)
    pages.header_distance, pages.footer_distance = Mm(15), Mm(20)
    pages.different_first_page_header_footer = document.settings.odd_and_even_pages_header_footer = True
    grid = pages._sectPr.find(qn("w:docGrid"))
    grid.set(qn("w:type"), "lines")
    grid.set(qn("w:linePitch"), str(_LINE))
    for header in (pages.first_page_header, pages.header, pages.even_page_header):
        _styled(header.paragraphs[0], "caution").text = laid_out.caution or ""
    mark = _styled(pages.first_page_header.add_paragraph(), "authority").add_run(laid_out.authority)
    mark.font.size = Pt(_MARK_SIZES[laid_out.mark])
    _styled(pages.first_page_footer.paragraphs[0], "foot")
    for footer, kind in ((pages.footer, "odd"), (pages.even_page_footer, "even")):
        number = _styled(footer.paragraphs[0], kind)
        number.add_run("— ")
        number._p.append(parse_xml(f'<w:fldSimple {nsdecls("w")} w:instr="PAGE"><w:r><w:t>2</w:t></w:r></w:fldSimple>'))
        number.add_run(" —")


def _add_proof(document: Docx, proof: Proof) -> None:
    """The code with its words beside it, never on two pages."""
    table = document.add_table(1, 2)
    table.autofit = False
    indent = parse_xml(f'<w:tblInd {nsdecls("w")} w:w="{2 * _CHARACTER}" w:type="dxa"/>')
    table._tblPr.find(qn("w:tblW")).addnext(indent)
    table.rows[0]._tr.get_or_add_trPr().append(parse_xml(f"<w:cantSplit {nsdecls('w')}/>"))
    for column, width in zip(table.columns, (proof.side + 5, 140 - proof.side), strict=True):
        column.width = column.cells[0].width = Mm(width)
    picture, words = table.rows[0].cells
    _styled(picture.paragraphs[0], "code")
    if proof.code is not None:
        drawn = picture.paragraphs[0].add_run().add_picture(proof.png(), Mm(proof.side))
        drawn._inline.docPr.set("descr", " ".join(proof.words[:2]))
    words.vertical_alignment = WD_ALIGN_VERTICAL.CENTER
    for n, text in enumerate(proof.words):
        _styled(words.add_paragraph() if n else words.paragraphs[0], "words").add_run(text)


def _free_at_right(laid_out: Sheet, day: date) -> dict[str, float]:
    """Characters left free: four after the date, so that the authority's name stands centred over it (§7.3.5.1)."""
    name, under = (sum(0.5 if c.isascii() else 1.0 for c in text) for text in (laid_out.authority, written_date(day)))
    beyond = (name - under) / 2
    return {"signature": max(4 - beyond, 0), "date": min(max(4, beyond), 20)}


def _describe(document: Docx, letter: Letter, laid_out: Sheet) -> None:
    """Title, author and day, and nothing that the library's template says of itself."""
    about = document.core_properties
    about.title, about.subject = laid_out.title.replace("\n", "")[:_MOST], one_line(letter.case_number)[:_MOST]
    about.author = about.last_modified_by = laid_out.authority[:_MOST]
    about.created = about.modified = datetime.combine(letter.date, time())
    about.comments, about.language, about.revision = "", "zh-CN", 1
    rels, foreign = document.part.package.rels, (RELATIONSHIP_TYPE.THUMBNAIL, RELATIONSHIP_TYPE.EXTENDED_PROPERTIES)
    for id in [id for id, one in rels.items() if one.reltype in foreign]:
        rels.pop(id)


def _dated(saved: io.BytesIO, day: date) -> bytes:
    """The file with `day` on all its parts, where the library put the moment it wrote them; ZIP begins in 1980."""
    dated = io.BytesIO()
    with zipfile.ZipFile(saved) as parts, zipfile.ZipFile(dated, "w") as written:
        for name in parts.namelist():
            stamp = zipfile.ZipInfo(name, (min(max(day.year, 1980), 2107), day.month, day.day, 0, 0, 0))
            written.writestr(stamp, parts.read(name), zipfile.ZIP_DEFLATED)
    return dated.getvalue()
