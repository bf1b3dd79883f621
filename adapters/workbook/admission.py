"""What is let in as a workbook: an .xlsx within its limits, with nothing in it that acts or unfolds.

openpyxl parses with expat and, where lxml is installed, with lxml; neither is asked before every part was seen here.
There is no document type in any of them, so that no entity can unfold, and nothing that openpyxl would spread over
millions of cells.
"""

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar, Final
from xml.parsers import expat

from adapters.desk.forms import Words
from keys.errors import Fault

MAX_FILE: Final = 2 << 20
"""Bytes of a workbook as it is uploaded."""
MAX_UNPACKED: Final = 30 << 20
"""Bytes of all its parts together."""
MAX_PARTS, MAX_ELEMENTS, MAX_AREA, MAX_FORMULA, MAX_FORMAT = 500, 500_000, 20_000, 8192, 255
_BINARY = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".emf", ".wmf", ".tiff", ".bin")
_ACTING = ("vbaproject", "vbadata", "macrosheets/", "activex/", "ctrlprops/")
_LEADING_OUT = ("externallinks/", "connections.xml", "querytables/", "embeddings/", "webextensions/", "model/")
_SPREAD = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})(?::\$?([A-Z]{1,3})\$?([0-9]{1,7}))?")

NO_WORKBOOK = Words("不是 Excel 工作簿（.xlsx）", "this is no Excel workbook (.xlsx)")
OLD = Words("这是旧格式的 .xls，请另存为 .xlsx", "this is an old .xls; save it as .xlsx")
ENCRYPTED = Words("工作簿加了密码，请去掉密码后再上传", "the workbook is encrypted; take its password away")
MACROS = Words(
    "工作簿含有宏或控件，请另存为不含宏的 .xlsx", "the workbook has macros or controls; save it as .xlsx without"
)
LINKS = Words("工作簿引用了外部文件或数据，请断开链接", "the workbook refers to other files or data; break the links")
DAMAGED = Words("工作簿已损坏，无法读取", "the workbook is damaged and can't be read")
ENTITIES = Words("工作簿含有不允许的 XML 声明", "the workbook has XML declarations that are not allowed")
TOO_MUCH = Words(
    "工作簿内容过多，请删去多余的行、格式和合并单元格",
    "there is too much in the workbook; delete rows, formats and merged cells that are not needed",
)


class WorkbookInvalid(Fault):
    """The workbook can't be read: it is none, is too large, holds what acts, or was made for something else.

    `anothers` where it may be all right for another message, or as an earlier version had it.
    """

    code: ClassVar[str] = "workbook-invalid"

    def __init__(self, words: Words, anothers: bool = False) -> None:
        super().__init__(words.en)
        self.words, self.anothers = words, anothers


def admit(content: bytes) -> bytes:
    """Look at the whole of a workbook before anything else does; the workbook of what was seen. Raises WorkbookInvalid.

    Its parts are not compressed any more: a length that an archive states wrongly is nobody's to stumble over again.
    """
    if len(content) > MAX_FILE:
        size = MAX_FILE >> 20
        raise WorkbookInvalid(Words(f"文件超过 {size} MiB", f"the file is larger than {size} MiB"))
    if content.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        raise WorkbookInvalid(ENCRYPTED if "EncryptedPackage".encode("utf-16-le") in content else OLD)
    if not content.startswith(b"PK\x03\x04"):
        raise WorkbookInvalid(NO_WORKBOOK)
    seen = io.BytesIO()
    with parsing(), zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(seen, "w") as made:
        entries = archive.infolist()
        _listed(entries)
        census = _Census()
        for entry in entries:
            with archive.open(entry) as part:
                # By one more than it says: read without a number, zipfile unfolds all there is and cuts it then.
                held = part.read(entry.file_size + 1)
            _look(entry.filename.lower(), held, census)
            made.writestr(zipfile.ZipInfo(entry.filename), held)
    return seen.getvalue()


@contextmanager
def parsing() -> Iterator[None]:
    """Whatever a library stumbles over in a workbook is the workbook's fault. Raises WorkbookInvalid."""
    try:
        yield
    except Fault:
        raise
    except Exception:
        # What openpyxl raises is not bounded, and its texts may quote a cell: they are not passed on.
        raise WorkbookInvalid(DAMAGED) from None


def _listed(entries: list[zipfile.ZipInfo]) -> None:
    """Refuse by what the archive's directory says."""
    names = [entry.filename.lower() for entry in entries]
    if len(entries) > MAX_PARTS or sum(entry.file_size for entry in entries) > MAX_UNPACKED:
        raise WorkbookInvalid(TOO_MUCH)
    if any(entry.flag_bits & 1 for entry in entries):
        raise WorkbookInvalid(ENCRYPTED)
    plain = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if len(set(names)) != len(names) or any(entry.compress_type not in plain for entry in entries):
        raise WorkbookInvalid(DAMAGED)
    if "[content_types].xml" not in names:
        raise WorkbookInvalid(NO_WORKBOOK)
    if any(mark in name for name in names for mark in _ACTING):
        raise WorkbookInvalid(MACROS)
    if any(name.startswith("xl/") and mark in name for name in names for mark in _LEADING_OUT):
        raise WorkbookInvalid(LINKS)


def _look(name: str, content: bytes, census: "_Census") -> None:
    # Zeros are taken out for UTF-16; this is for parts that no parser of ours, but one of openpyxl's may see.
    plain = content.replace(b"\0", b"")
    if b"<!DOCTYPE" in plain:
        raise WorkbookInvalid(ENTITIES)
    if name == "[content_types].xml":
        if b"macroEnabled" in plain:
            raise WorkbookInvalid(MACROS)
        if b"spreadsheetml.sheet.main+xml" not in plain:
            raise WorkbookInvalid(NO_WORKBOOK)
    if not name.endswith((*_BINARY, "/")):
        census.take(content)


class _Census:
    """Counts what is in the parts of a workbook while they are parsed."""

    def __init__(self) -> None:
        self._elements = self._area = self._formula = 0
        self._in_formula = False

    def take(self, content: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._begins
        parser.EndElementHandler = self._ends
        parser.CharacterDataHandler = self._text
        parser.Parse(content, True)

    def _doctype(self, *_: object) -> None:
        raise WorkbookInvalid(ENTITIES)

    def _begins(self, name: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        local = name.rpartition(" ")[2]
        self._in_formula, self._formula = local == "f", 0
        match local:
            case "mergeCell" | "hyperlink":
                self._area += _cells(attributes.get("ref", ""))
            case "Relationship" if attributes.get("TargetMode") == "External":
                # A hyperlink is followed by nobody but the one who clicks it: Excel makes one of an e-mail address.
                if not attributes.get("Type", "").endswith("/hyperlink"):
                    raise WorkbookInvalid(LINKS)
            case "numFmt" if len(attributes.get("formatCode", "")) > MAX_FORMAT:
                raise WorkbookInvalid(TOO_MUCH)
        if self._elements > MAX_ELEMENTS or self._area > MAX_AREA:
            raise WorkbookInvalid(TOO_MUCH)

    def _ends(self, _: str) -> None:
        self._in_formula = False

    def _text(self, text: str) -> None:
        if self._in_formula:
            self._formula += len(text)
            if self._formula > MAX_FORMULA:
                raise WorkbookInvalid(TOO_MUCH)


def _cells(reference: str) -> int:
    """How many cells `A1:B2` stands for; all that there can be where it is written otherwise."""
    found = _SPREAD.fullmatch(reference)
    if found is None:
        return MAX_AREA + 1
    left, top, right, bottom = found.groups()
    wide = abs(_number(right or left) - _number(left)) + 1
    return wide * (abs(int(bottom or top) - int(top)) + 1)


def _number(letters: str) -> int:
    total = 0
    for letter in letters:
        total = total * 26 + ord(letter) - ord("A") + 1
    return total
