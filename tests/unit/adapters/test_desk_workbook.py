"""Workbooks of many requests: what was filled in is read back as it was meant, and whatever else is named."""

import io
import zipfile
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook
from openpyxl.comments import Comment

from adapters import workbook
from adapters.desk import forms
from adapters.desk.forms import Words
from adapters.workbook import Column, Row, Sheet, WorkbookInvalid
from protocols import legal_basis
from protocols.loading import catalogue
from protocols.schemas import Problem, Schema

BY_THE_DESK = ("sealed", "sealed_digest", "attachments", "messages")
BASES = [
    (one.id, Words(one.title["zh"], one.title["en"])) for one in legal_basis.register().values() if not one.repealed
]
ORGANISATIONS = [
    ("411002-health", Words("魏都区卫生健康委员会", "Weidu Health")),
    ("330106-health", Words("西湖区卫生健康局", "West Lake Health")),
    ("110101-health", Words("示例局", "Example One")),
    ("110102-health", Words("示例局", "Example Two")),
]
EXAMPLES = ("errand", "service-handover", "case-assistance")


def sheet_of(protocol: str, **more: Any) -> Sheet:
    known = catalogue().latest(protocol)
    assert known is not None
    kind = known.messages["request"]
    assert kind.sealed_schema is not None
    opened = forms.choosing(forms.form(kind.schema, BY_THE_DESK), "legal_basis.instrument", BASES)
    sealed = forms.form(kind.sealed_schema, BY_THE_DESK)
    title = Words(kind.declared.zh, kind.declared.en)
    return Sheet(protocol, known.version, "request", title, opened, sealed, ORGANISATIONS, daily=50, **more)


ERRAND = sheet_of("errand")
TEMPLATE = workbook.template(ERRAND)
HANDOVER = sheet_of("service-handover")
COLUMNS = {one.key: one for one in workbook.columns(ERRAND)}
GOOD: dict[str, Any] = {
    "to": "魏都区卫生健康委员会",
    "reason": "当事人现居住在贵辖区",
    "open.legal_basis.instrument": BASES[0][0],
    "open.urgency": "一般",
    "open.act": "送达文书",
    "sealed.narrative": "请送达。",
}


def saved(book: Any) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def filled(
    sheet: Sheet, *rows: Mapping[str, Any], template: bytes | None = None, edit: Callable[[Any], None] | None = None
) -> bytes:
    """A template filled in as a person does: each value under the title that stands over the column."""
    book = load_workbook(io.BytesIO(template or workbook.template(sheet)))
    page = book["填写"]
    at = {str(cell.value).removesuffix(" *"): cell.column for cell in page[1]}
    titles = {one.key: one.title.zh for one in workbook.columns(sheet)}
    for number, row in enumerate(rows, 4):
        for key, value in row.items():
            page.cell(number, at[titles[key]]).value = value
    if edit:
        edit(page)
    return saved(book)


def errand(*rows: Mapping[str, Any], **more: Any) -> bytes:
    return filled(ERRAND, *rows, template=TEMPLATE, **more)


def as_written(column: Column, value: Any) -> Any:
    """What a person writes for a value: titles from the list, days as days."""
    titles = {code: words.zh for code, words in column.field.options}
    match column.field.kind:
        case "choice":
            return titles[value]
        case "choices":
            return "、".join(titles[one] for one in value)
        case "date":
            return date.fromisoformat(value)
        case "yes-or-no":
            return "是" if value else "否"
    return value


def cells(sheet: Sheet, data: Any, content: Any) -> dict[str, Any]:
    found = {}
    for column in workbook.columns(sheet):
        held: Any = {"open": data, "sealed": content}
        for step in column.key.split("."):
            held = (held or [None])[int(step)] if step.isdigit() else (held or {}).get(step)
        if held is not None:
            found[column.key] = as_written(column, held)
    return found


@pytest.mark.parametrize("protocol", EXAMPLES)
def test_what_is_filled_in_comes_back_as_the_published_examples(protocol: str) -> None:
    sheet = sheet_of(protocol)
    kind = catalogue().protocols[protocol, sheet.version].messages["request"]
    assert kind.sealed_schema is not None
    opens = [{k: v for k, v in one.items() if k not in BY_THE_DESK} for one in kind.schema.document["examples"]]
    inside = [{k: v for k, v in one.items() if k not in BY_THE_DESK} for one in kind.sealed_schema.document["examples"]]
    pairs = [(data, content) for data in opens for content in inside]
    lines = [{"to": "330106-health", "reason": "示例理由"} | cells(sheet, *pair) for pair in pairs]
    rows = workbook.read(sheet, filled(sheet, *lines))
    assert [(row.data, row.content) for row in rows] == pairs
    assert all((row.to, row.reason, row.findings) == ("330106-health", "示例理由", ()) for row in rows)
    assert [row.number for row in rows] == list(range(4, 4 + len(pairs)))


def test_a_template_says_what_each_column_is_and_offers_what_there_is() -> None:
    book = load_workbook(io.BytesIO(TEMPLATE))
    page = book["填写"]
    assert [page.cell(1, n).value for n in (1, 2, 3)] == ["对方机构 *", "理由 *", "法律依据 · 法律依据编号 *"]
    assert page.cell(2, 1).value == "Other organisation *" and page.row_dimensions[3].hidden
    titles = {page.cell(1, n).value: n for n in range(1, page.max_column + 1)}
    assert "当事人 · 姓名" in titles and "具体要求 *" in titles and "希望完成日期" in titles
    assert page.freeze_panes == "B4"
    lists = {book.defined_names[one.formula1].attr_text: str(one.sqref) for one in page.data_validations.dataValidation}
    assert lists["'选项'!$A$1:$A$4"] == "A4:A203"
    assert [book["选项"].cell(n, 1).value for n in (1, 2, 3, 4)] == [
        "魏都区卫生健康委员会", "西湖区卫生健康局", "110101-health", "110102-health",
    ]  # fmt: skip
    assert book["选项"].sheet_state == "hidden"
    formats = [page.column_dimensions[page.cell(1, titles[of]).column_letter].number_format
               for of in ("理由 *", "希望完成日期", "至少尝试次数")]  # fmt: skip
    assert formats == ["@", "yyyy-mm-dd", "0"]
    guide = "\n".join(str(cell.value) for row in book["说明"].rows for cell in row)
    assert (
        "每日最多发出 50 件" in guide and "全部行都正确之前，一件也不会发出" in guide and "What is to be done" in guide
    )


def test_columns_may_be_moved_retitled_left_out_and_added() -> None:
    def edit(page: Any) -> None:
        page.delete_cols(next(cell.column for cell in page[1] if cell.value == "地点"))
        page.insert_cols(1)
        for row, text in ((1, "备注"), (4, "自己看的"), (7, "只有备注")):
            page.cell(row, 1).value = text
        page["B1"].value = "随便什么"

    (row,) = workbook.read(ERRAND, errand(GOOD, edit=edit))
    assert (row.number, row.to, row.findings) == (4, "411002-health", ())
    assert row.data == {"legal_basis": {"instrument": BASES[0][0]}, "urgency": "ordinary", "act": "serve-document"}
    assert row.content == {"narrative": "请送达。"}


def test_empty_rows_are_passed_over_and_numbers_are_those_that_excel_shows() -> None:
    rows = workbook.read(ERRAND, errand(GOOD, {}, {"reason": "  "}, GOOD))
    assert [row.number for row in rows] == [4, 7]
    assert workbook.read(ERRAND, TEMPLATE) == []
    few = sheet_of("errand", rows=2)
    assert len(workbook.read(few, errand(GOOD, GOOD))) == 2
    with pytest.raises(WorkbookInvalid, match="at most 2 rows"):
        workbook.read(few, errand(GOOD, GOOD, GOOD))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("to", "没有的局", "没有这个机构"),
        ("to", "示例局", "110101-health、110102-health"),
        ("to", None, "必须填写"),
        ("to", 4, "没有这个机构"),
        ("reason", None, "必须填写"),
        ("reason", "短", "至少 4 个字"),
        ("reason", "长" * 501, "最多 500 个字"),
        ("reason", "=A1", "公式"),
        ("open.urgency", "很急", "请从列表中选择"),
        ("open.urgency", True, "应填文字"),
        ("open.by_date", "明天", "应填日期"),
        ("open.by_date", "2026-02-30", "应填日期"),
        ("open.by_date", 46000, "应填日期"),
        ("open.by_date", datetime(2026, 10, 12, 8, 30), "应填日期"),
        ("open.by_date", time(8, 30), "应填日期"),
        ("open.attempts", "两次", "应填整数"),
        ("open.attempts", 1.5, "应填整数"),
        ("open.attempts", True, "应填数字"),
        ("open.attempts", "=1+1", "公式"),
        ("open.attempts", "#N/A", "错误值"),
        ("sealed.narrative", "字" * 10_001, "最多 10000 个字"),
        ("sealed.subjects.0.id_number", 411002199001010123, "超过 15 位"),
        ("sealed.bodies.0.address", datetime(2026, 3, 5), "变成日期"),
        ("sealed.bodies.0.address", timedelta(hours=30), "变成日期"),
    ],
)
def test_what_cannot_be_read_is_named_at_its_column(key: str, value: Any, said: str) -> None:
    bad, good = workbook.read(ERRAND, errand(GOOD | {key: value}, GOOD))
    (finding,) = bad.findings
    assert (finding.column_key, finding.column_title) == (key, COLUMNS[key].title)
    assert said in finding.words.zh and finding.words.en
    assert good.findings == () and (bad.to is None) == (key == "to")


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [
        ("to", "330106-health", "330106-health"),
        ("to", "West lake  health", "330106-health"),
        ("open.urgency", "urgent", "urgent"),
        ("open.urgency", " 紧急 ", "urgent"),
        ("open.urgency", "URGENT", "urgent"),
        ("open.by_date", "2026-10-12", "2026-10-12"),
        ("open.by_date", "2026/1/2", "2026-01-02"),
        ("open.by_date", "２０２６年１０月１２日", "2026-10-12"),
        ("open.by_date", datetime(2026, 10, 12), "2026-10-12"),
        ("open.attempts", "２", 2),
        ("open.attempts", 3.0, 3),
        ("sealed.contact.phone", "0371", "0371"),
        ("sealed.contact.phone", 13800000000, "13800000000"),
        ("sealed.contact.phone", 1.5, "1.5"),
        ("sealed.narrative", "xieban/1 errand/1.0/request to", "xieban/1 errand/1.0/request to"),
        ("sealed.narrative", "第一行_x000D_\n第二行", "第一行\n第二行"),
    ],
)
def test_what_is_written_otherwise_is_read_as_it_is_meant(key: str, value: Any, meant: Any) -> None:
    (row,) = workbook.read(ERRAND, errand(GOOD | {key: value}))
    held: Any = {"to": row.to, "open": row.data, "sealed": row.content}
    for step in key.split("."):
        held = held[step]
    assert (held, row.findings) == (meant, ())


@pytest.mark.parametrize(
    ("value", "meant"),
    [("是", True), ("no", False), ("TRUE", True), ("false", False), (True, True), (False, False), ("也许", None)],
)
def test_yes_or_no_is_read_in_both_languages(value: Any, meant: bool | None) -> None:
    line = {"to": "330106-health", "reason": "示例理由", "sealed.narrative": "请安排", "sealed.consent": value}
    (row,) = workbook.read(HANDOVER, filled(HANDOVER, line))
    assert row.content is not None and row.content.get("consent") is meant
    assert [one.words.zh for one in row.findings] == ([] if meant is not None else ["请从列表中选择"])


def test_several_choices_stand_in_one_cell() -> None:
    sheet = sheet_of("case-assistance")
    column = next(one for one in workbook.columns(sheet) if one.field.kind == "choices")
    (one, its), (two, other) = column.field.options[:2]
    line = {"to": "330106-health", "reason": "示例理由"}
    written = [f"{its.zh}、{other.zh}", f"{its.zh}；{two}", f"{one}，{other.en}", its.zh, f"{its.zh}、不在其中", "、"]
    rows = workbook.read(sheet, filled(sheet, *(line | {column.key: text} for text in written)))
    assert [row.data.get(column.key.removeprefix("open.")) for row in rows] == [[one, two]] * 3 + [[one], None, None]
    assert [len(row.findings) for row in rows] == [0, 0, 0, 0, 1, 1]


def test_a_text_that_looks_like_a_formula_is_a_text() -> None:
    def edit(page: Any) -> None:
        for cell in page[4]:
            if cell.value == "=1+1":
                cell.data_type = "s"

    content = errand(GOOD | {"sealed.narrative": "=1+1"}, edit=edit)
    (row,) = workbook.read(ERRAND, content)
    assert row.content == {"narrative": "=1+1"} and row.findings == ()
    page = load_workbook(io.BytesIO(workbook.marked(ERRAND, content, [row])))["填写"]
    assert [cell.data_type for cell in page[4] if cell.value == "=1+1"] == ["s"]


def problems_of(sheet: Sheet, row: Row) -> list[Problem]:
    kind = catalogue().protocols[sheet.protocol, sheet.version].messages["request"]
    assert kind.sealed_schema is not None
    parts: tuple[tuple[str, Schema, Any], ...] = (
        ("/open", kind.schema, row.data), ("/sealed", kind.sealed_schema, row.content or {}),
    )  # fmt: skip
    return [
        Problem(f"{part}{one.pointer}", one.keyword, one.limit)
        for part, schema, data in parts
        for one in schema.problems(data)
        if one.pointer not in ("/sealed", "/sealed_digest")
    ]


def test_what_a_schema_finds_stands_at_the_column_and_is_not_said_twice() -> None:
    bad = GOOD | {
        "open.legal_basis.instrument": None, "open.urgency": "很急", "open.attempts": 9, "sealed.subjects.0.name": "某",
    }  # fmt: skip
    (row,) = workbook.read(ERRAND, errand(bad))
    row = workbook.judged(ERRAND, row, [*problems_of(ERRAND, row), Problem("/open/nothing", "x"), Problem("", "type")])
    assert [(one.column_key, one.words.zh) for one in row.findings] == [
        ("open.urgency", "请从列表中选择"),
        ("open.legal_basis.instrument", "必须填写"),
        ("open.attempts", "不大于 5"),
        ("sealed.subjects.0.role", "必须填写"),
        ("", "填写有误"),
    ]
    assert row.findings[3].column_title == Words("当事人 · 身份", "Persons concerned · Part in the case")


def test_a_marked_copy_shows_what_is_wrong_and_is_read_as_before() -> None:
    def edit(page: Any) -> None:
        page["B5"].comment = Comment("我的批注", "周明")
        page.merge_cells("A8:B9")

    content = errand(GOOD, GOOD | {"to": "示例局", "reason": "短"}, edit=edit)
    rows = workbook.read(ERRAND, content)
    rows = [workbook.judged(ERRAND, rows[0], [Problem("/sealed", "type")]), rows[1]]
    copy = workbook.marked(ERRAND, content, rows)
    assert [row.data for row in workbook.read(ERRAND, copy)] == [row.data for row in rows]
    page = load_workbook(io.BytesIO(copy))["填写"]
    at = next(cell.column for cell in page[1] if cell.value == "问题")
    assert page.cell(4, at).value.startswith("本行：填写有误")
    assert "对方机构：有同名的" in page.cell(5, at).value and "Reason: at least 4" in page.cell(5, at).value
    assert page["A5"].fill.start_color.rgb == "00FFC7CE" != page["A4"].fill.start_color.rgb
    assert "110101-health" in page["A5"].comment.text and page["B5"].comment.text == "我的批注"
    page["A5"].value, page["B5"].value = "330106-health", "已经写明的理由"
    corrected = saved(page.parent)
    again = workbook.read(ERRAND, corrected)
    assert [row.findings for row in again] == [(), ()]
    page = load_workbook(io.BytesIO(workbook.marked(ERRAND, corrected, again)))["填写"]
    assert page.cell(5, at).value is None and page["A5"].comment is None and page["B5"].comment is not None
    assert page["A5"].fill.fill_type is None and [cell.value for cell in page[1]].count("问题") == 1


def test_a_workbook_made_for_something_else_is_refused() -> None:
    with pytest.raises(WorkbookInvalid, match="not made for the present form") as refused:
        workbook.read(HANDOVER, TEMPLATE)
    assert "衔接请求" in refused.value.words.zh
    other = Sheet("errand", "9.0", "request", ERRAND.title, ERRAND.open, ERRAND.sealed, ORGANISATIONS, 50)
    for sheet in (other, Sheet("errand", "1.0", "request", ERRAND.title, ERRAND.open, None, ORGANISATIONS, 50)):
        with pytest.raises(WorkbookInvalid, match="not made for the present form"):
            workbook.read(sheet, TEMPLATE)
    with pytest.raises(WorkbookInvalid, match="use the template"):
        workbook.read(ERRAND, saved(Workbook()))

    def twice(page: Any) -> None:
        page.cell(3, 40).value = page.cell(3, 1).value

    with pytest.raises(WorkbookInvalid, match="twice"):
        workbook.read(ERRAND, errand(GOOD, edit=twice))
    with pytest.raises(WorkbookInvalid, match="among the headings"):
        workbook.read(ERRAND, errand(GOOD, edit=lambda page: page.insert_rows(1)))
    content = errand(GOOD | {"reason": "短"}, edit=lambda page: page.delete_rows(2))
    rows = workbook.read(ERRAND, content)
    assert [(row.number, len(row.findings)) for row in rows] == [(3, 1)]
    assert workbook.read(ERRAND, workbook.marked(ERRAND, content, rows)) == rows


def repacked(replace: Callable[[str, bytes], bytes], more: Mapping[str, bytes] | None = None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(errand(GOOD))) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, replace(name, old.read(name)))
        for name, content in (more or {}).items():
            new.writestr(name, content)
    return out.getvalue()


def within(part: str, old: str, new: str) -> bytes:
    def change(name: str, content: bytes) -> bytes:
        if name != part:
            return content
        assert old.encode() in content
        return content.replace(old.encode(), new.encode(), 1)

    return repacked(change)


PAGE = "xl/worksheets/sheet1.xml"
NESTED = "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12))
LAUGHS = f"<!DOCTYPE x [<!ENTITY a0 'ha'>{NESTED}]>"


def utf16(name: str, content: bytes) -> bytes:
    text = content.decode()
    text = text[text.index("?>") + 2 :] if text.startswith("<?") else text
    return (LAUGHS + text).encode("utf-16") if name == PAGE else content


def inserted(rows: str) -> bytes:
    return within(PAGE, "<sheetData>", f"<sheetData>{rows}")


def same(_: str, content: bytes) -> bytes:
    return content


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "no Excel workbook"),
    "a text": (lambda: b"to,reason\n", "no Excel workbook"),
    "an archive of something else": (lambda: _archive({"a.txt": b"a"}), "no Excel workbook"),
    "a document": (lambda: _archive({"[Content_Types].xml": b"<Types/>"}), "no Excel workbook"),
    "an old .xls": (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "old .xls"),
    "an encrypted one": (
        lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512) + "EncryptedPackage".encode("utf-16-le"), "encrypted",
    ),
    "too large a file": (lambda: bytes((2 << 20) + 1), "larger than 2 MiB"),
    "one cut short": (lambda: TEMPLATE[: len(TEMPLATE) // 2], "damaged"),
    "macros": (lambda: repacked(same, {"xl/vbaProject.bin": b"x"}), "macros"),
    "macros by its type": (
        lambda: within("[Content_Types].xml", "</Types>", "<a>sheet.macroEnabled.main+xml</a></Types>"), "macros",
    ),
    "a link to another workbook": (lambda: repacked(same, {"xl/externalLinks/externalLink1.xml": b"<x/>"}), "links"),
    "an outer part": (
        lambda: within("_rels/.rels", "</Relationships>",
                       '<Relationship Id="z" Type="http://x/image" TargetMode="External" Target="http://x/"/>'
                       "</Relationships>"), "links",
    ),
    "much out of little": (lambda: repacked(same, {"xl/media/a.png": bytes(31 << 20)}), "too much"),
    "many parts": (lambda: repacked(same, {f"xl/media/{n}.png": b"" for n in range(600)}), "too much"),
    "many cells": (lambda: inserted("<row>" + "<c/>" * 500_001 + "</row>"), "too much"),
    "a merged page": (
        lambda: within(PAGE, "</sheetData>", '</sheetData><mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>'),
        "too much",
    ),
    "a linked page": (
        lambda: within(PAGE, "</sheetData>", '</sheetData><hyperlinks><hyperlink ref="A:A"/></hyperlinks>'), "too much",
    ),
    "a long formula": (
        lambda: inserted(f'<row r="1"><c r="A1"><f>{"1+" * 9000}1</f></c></row>'),
        "too much",
    ),
    "a billion laughs": (
        lambda: within(PAGE, "<worksheet", f"{LAUGHS}<worksheet"), "declarations",
    ),
    "laughs in UTF-16": (lambda: repacked(utf16), "declarations"),
    "laughs in a picture": (lambda: repacked(same, {"xl/media/a.png": LAUGHS.encode("utf-16-le")}), "declarations"),
    "a part that is no XML": (lambda: within(PAGE, "</worksheet>", ""), "damaged"),
    "a number of no end": (
        lambda: inserted(f'<row r="1"><c r="A1"><v>{"9" * 5000}</v></c></row>'), "damaged",
    ),
    "a string that is not there": (
        lambda: inserted('<row r="1"><c r="A1" t="s"><v>999999</v></c></row>'), "damaged",
    ),
}  # fmt: skip


def _archive(parts: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_harmless_workbook_is_refused_and_said_to_be_what_it_is(name: str) -> None:
    made, said = REFUSED[name]
    content = made()
    for use in (lambda: workbook.read(ERRAND, content), lambda: workbook.marked(ERRAND, content, [])):
        with pytest.raises(WorkbookInvalid, match=said) as refused:
            use()
        assert refused.value.words.zh and refused.value.code == "workbook-invalid"


def test_an_address_that_excel_made_a_link_of_does_no_harm() -> None:
    def edit(page: Any) -> None:
        page["H4"].hyperlink = "mailto:somebody@example.org"

    assert len(workbook.read(ERRAND, errand(GOOD, edit=edit))) == 1


def test_numbers_that_excel_does_not_know_are_found() -> None:
    line = GOOD | {"open.attempts": 77.5}
    content = errand(line)

    def change(name: str, part: bytes) -> bytes:
        return part.replace(b"<v>77.5</v>", b"<v>1e999</v>")

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    (row,) = workbook.read(ERRAND, out.getvalue())
    assert [one.column_key for one in row.findings] == ["open.attempts"]


def test_a_table_holds_texts_days_and_numbers_and_no_formula() -> None:
    harmful = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x")']
    rows: list[list[str | int | date | None]] = [[text, 3, date(2026, 10, 12), None] for text in harmful]
    rows += [["控制\x00字符\ud800\ufffe", 10**17, date(1800, 1, 1), datetime(2026, 10, 12, 8, 30)]]
    titles = [Words("案件", "Case"), Words("件数", "Count"), Words("期限", "Due"), Words("=说明", "=Note")]
    for language, head in (("zh", ["案件", "件数", "期限", "=说明"]), ("en", ["Case", "Count", "Due", "=Note"])):
        content = workbook.table(Words("待办: 全部/超期", "To do?"), titles, rows, "en" if language == "en" else "zh")
        page = load_workbook(io.BytesIO(content)).active
        assert [cell.value for cell in page[1]] == head and page.freeze_panes == "A2"
        assert [page.cell(n, 1).value for n in range(2, 8)] == harmful
        assert all(cell.data_type != "f" for row in page.rows for cell in row)
        assert page["A2"].quotePrefix and page["C2"].value == datetime(2026, 10, 12) and page["B2"].value == 3
        assert [cell.value for cell in page[8]] == ["控制字符", str(10**17), "1800-01-01", "2026-10-12 08:30"]


def test_titles_from_a_register_become_no_formula_in_a_template() -> None:
    harmful = [("x-1", Words("=cmd|'/c calc'!A0", "@x")), ("x-2", Words("+1", "-1"))]
    sheet = Sheet("errand", "1.0", "request", Words("=1", "=1"), ERRAND.open, ERRAND.sealed, harmful, 50)
    book = load_workbook(io.BytesIO(workbook.template(sheet)))
    assert all(cell.data_type != "f" for page in book for row in page.rows for cell in row)
    assert book["选项"]["A1"].value == "=cmd|'/c calc'!A0"


LARGEST = 9.99999999999999e307
"""What a cell holds at most (Excel specifications and limits)."""
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(-LARGEST, LARGEST),
    st.dates(date(1900, 1, 1)), st.datetimes(datetime(1900, 1, 1)), st.times(),
    st.timedeltas(timedelta(0), timedelta(9999)),
    st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=20),
    st.sampled_from(["=1", "#REF!", "是", "、；", "２０２６年１月", "_x000D_", "{=1}", "紧急"]),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(line=st.dictionaries(st.sampled_from(sorted(COLUMNS)), VALUES, max_size=12))
def test_whatever_stands_in_the_cells_is_read_and_marked(line: dict[str, Any]) -> None:
    content = errand(line)
    rows = [workbook.judged(ERRAND, row, problems_of(ERRAND, row)) for row in workbook.read(ERRAND, content)]
    for row in rows:
        assert all(one.words.zh and one.words.en for one in row.findings)
    again = workbook.read(ERRAND, workbook.marked(ERRAND, content, rows))
    assert [(row.number, row.to, row.reason, row.data, row.content) for row in again] == [
        (row.number, row.to, row.reason, row.data, row.content) for row in rows
    ]


@settings(max_examples=150, deadline=None)
@given(content=st.one_of(st.binary(max_size=300), st.binary(max_size=200).map(lambda tail: b"PK\x03\x04" + tail)))
def test_arbitrary_bytes_are_refused_in_words(content: bytes) -> None:
    with pytest.raises(WorkbookInvalid):
        workbook.read(ERRAND, content)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_workbook_with_a_part_altered_is_read_or_refused(data: st.DataObject) -> None:
    with zipfile.ZipFile(io.BytesIO(TEMPLATE)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = data.draw(st.sampled_from(sorted(parts)))
    at = data.draw(st.integers(0, len(parts[name]) - 1))
    parts[name] = parts[name][:at] + data.draw(st.binary(max_size=4)) + parts[name][at + 1 :]
    for use in (lambda: workbook.read(ERRAND, _archive(parts)), lambda: workbook.marked(ERRAND, _archive(parts), [])):
        try:
            use()
        except WorkbookInvalid as refused:
            assert refused.words.zh
