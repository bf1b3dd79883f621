"""What adapters and the desk read from partners and people: AS4, workbooks, files, events of a bus, evidence."""

import asyncio
import io
import tempfile
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from openpyxl import load_workbook

from adapters import workbook
from adapters.as4 import envelope, messaging, mime, packing
from adapters.as4.errors import EbmsError
from adapters.as4.messaging import Party, UserMessage
from adapters.as4.packing import Payload
from adapters.bus import wanted
from adapters.client.answers import CasePage
from adapters.client.answers import read as read_answer
from adapters.client.connection import read_problem
from adapters.conformance import badge, report
from adapters.desk import forms
from adapters.desk.desk import unpack
from adapters.desk.forms import Words
from adapters.evidence import file as evidence
from adapters.evidence.file import Evidence, Piece
from adapters.exchange import asked, names, signing
from adapters.exchange.words import Unfit
from adapters.provincial import reading
from adapters.workbook import Sheet, WorkbookInvalid
from keys.errors import Fault
from protocols import legal_basis
from protocols.loading import catalogue
from tests.fuzzing.fixed import HUB, NOW, ORIGIN, identity, opening
from tests.fuzzing.fixed import signing as key
from tests.fuzzing.probing import Target
from tests.fuzzing.wire import CASE, ID, JOSE_WORDS, JSON_WORDS, THEM, US, as_json, signed

_LOOP = asyncio.new_event_loop()
XML_WORDS = (b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<!--", b"-->", b"<![CDATA[", b"&#0;", b"&b;", b"<?a?>", b"xmlns:x=''",
             b"eb:Messaging", b"eb:UserMessage", b"wsse:Security", b"ds:Signature", b"wsu:Id='_body'")  # fmt: skip
ZIP_WORDS = (b"PK\3\4", b"PK\1\2", b"PK\5\6", b"../", b"xl/", b"[Content_Types].xml", b"\xff\xff\xff\xff")
KIND = b'multipart/related; boundary="b"; type="application/soap+xml"; start="<e>"'


def _split(data: bytes) -> tuple[str, bytes]:
    """A message over HTTP: the content type on the first line, then the body."""
    first, _, rest = data.partition(b"\n")
    return first.decode("latin-1"), rest


def _as4(data: bytes) -> object:
    kind, body = _split(data)
    return _LOOP.run_until_complete(packing.opened(identity("there", "here"), kind, body, NOW))


def _mime(data: bytes) -> object:
    kind, body = _split(data)
    return _LOOP.run_until_complete(mime.unpacked(kind, body))


@cache
def _as4_message() -> tuple[str, bytes]:
    parts, attachments = packing.attached([Payload("application/jose", b"a.b.c", "message")])
    said = UserMessage(id="one@here", at=NOW, sender=Party("here"), receiver=Party("there"), service=Party("errand"),
                       action="errand.request", conversation=CASE, agreement="agreed")  # fmt: skip
    sealed = packing.sealed(identity("here", "there"), messaging.user_message(said, parts), attachments)
    return sealed.content_type, sealed.body


def _as4_seeds() -> Sequence[bytes]:
    kind, body = _as4_message()
    return [kind.encode() + b"\n" + body]


def _envelopes() -> Sequence[bytes]:
    return [_LOOP.run_until_complete(mime.unpacked(*_as4_message())).envelope]


def _packages() -> Sequence[bytes]:
    head = b"Content-Type: application/soap+xml\r\nContent-ID: <e>\r\n\r\n<e/>\r\n"
    part = b"--b\r\nContent-ID: <p@x>\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n"
    return [KIND + b"\n--b\r\n" + head + part + b"--b--\r\n", b"application/soap+xml\n<e/>"]


@cache
def sheet() -> Sheet:
    """The sheet of an errand's request."""
    known = catalogue().latest("errand")
    assert known is not None
    kind = known.messages["request"]
    assert kind.sealed_schema is not None
    bases = [(one.id, Words(one.title["zh"], one.title["en"])) for one in legal_basis.register().values()]
    opened = forms.choosing(forms.form(kind.schema, ("sealed", "sealed_digest")), "legal_basis.instrument", bases)
    title = Words(kind.declared.zh, kind.declared.en)
    return Sheet("errand", known.version, "request", title, opened, forms.form(kind.sealed_schema, ()),
                 [(US, Words("魏都", "Weidu"))], daily=50)  # fmt: skip


@cache
def a_workbook() -> bytes:
    """A workbook with one row filled in, stored so that a fuzzer reaches its parts."""
    book = load_workbook(io.BytesIO(workbook.template(sheet())))
    book["填写"].cell(4, 1).value = "魏都"
    out = io.BytesIO()
    book.save(out)
    return restored(out.getvalue())


def restored(content: bytes, **changed: bytes) -> bytes:
    """The archive with its parts uncompressed, some of them changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as held, zipfile.ZipFile(out, "w") as made:
        for name in held.namelist():
            made.writestr(zipfile.ZipInfo(name), changed.get(name, held.read(name)))
    return out.getvalue()


def _sheet_xml(data: bytes) -> object:
    """The one part of a workbook with the cells: any bytes come to the reader of XML."""
    return workbook.read(sheet(), restored(a_workbook(), **{_sheet_name(): data}))


@cache
def _sheet_name() -> str:
    with zipfile.ZipFile(io.BytesIO(a_workbook())) as held:
        return next(name for name in held.namelist() if b"xieban/1" in held.read(name) and "sheet" in name.lower())


def _cells() -> Sequence[bytes]:
    with zipfile.ZipFile(io.BytesIO(a_workbook())) as held:
        return [held.read(_sheet_name())]


@cache
def some_evidence() -> bytes:
    """A file of evidence."""
    piece = Piece(b"a.b.c", {"message": ID}, [{"entry": {}}], b"{}")
    return restored(evidence.write(Evidence(HUB, ORIGIN, CASE, "2026-11-02T09:00:00+08:00", US, [key("hub").public.jwk],
                                            [piece], {US: [{}]})))  # fmt: skip


def _backup(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        archive.write_bytes(data)
        unpack(archive, Path(folder) / "unpacked")
        return None


@cache
def a_backup() -> bytes:
    """A back-up of a desk, as an archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name in ("desk.db", "enclosures/ab12.sealed"):
            made.writestr(zipfile.ZipInfo(name), b"content")
    return out.getvalue()


def _handed_in(data: bytes) -> object:
    signing.check(data, "a.json", b"{}", [key(US).public])
    return None


def _wanted(data: bytes) -> object:
    return wanted.offer(data, US, "1", [opening(US)])


def _name(data: bytes) -> object:
    name = data.decode("utf-8", "surrogateescape")
    shown = names.shown(name)
    assert names.plain(shown) and "/" not in shown and shown not in (".", ".."), shown
    return shown


def _bus_events() -> Sequence[bytes]:
    event: dict[str, Any] = {"specversion": "1.0", "source": "oa", "id": "1", "type": "errand.request",
                             "data": {"message": {"act": "serve"}, "to": [THEM]}}  # fmt: skip
    return [as_json(event), as_json(event | {"data": {"jws": "a.b.c"}, "subject": CASE})]


def _asked() -> Sequence[bytes]:
    return [as_json({"type": "errand.request", "to": [THEM], "data": {}, "content": {}, "reference": "7"})]


def _a_report() -> Sequence[bytes]:
    made = report.Result("one", "must", report.Outcome.PASSED, 1.0, "", (), ())
    return [msgspec.json.encode(report.Report("1", US, "0.1.0", NOW, NOW, False, (made,)))]


def _a_badge() -> Sequence[bytes]:
    said = badge.Badge(HUB, US, "1", "sha-256:" + "0" * 64, False, 1, 0, 0, int(NOW.timestamp()), 2**31)
    return [msgspec.json.encode(said)]


REFUSED = (Fault,)
TARGETS = (
    Target("as4", _as4, (EbmsError,), _as4_seeds, XML_WORDS, seconds=4),
    Target("as4-mime", _mime, (EbmsError,), _packages,
           (b"--b\r\n", b"--b--", b"Content-ID: <", b"base64", b"multipart/mixed; boundary=c", b"\r\n\r\n")),
    Target("as4-envelope", lambda data: messaging.read(envelope.opened(data).messaging), (EbmsError,), _envelopes,
           XML_WORDS),
    Target("workbook", lambda data: workbook.read(sheet(), data), (WorkbookInvalid,), lambda: [a_workbook()],
           (*ZIP_WORDS, *XML_WORDS), seconds=6),
    Target("workbook-sheet", _sheet_xml, (WorkbookInvalid,), _cells,
           (b'<c r="A9" t="s">', b"<f>1+1</f>", b'ref="A1:XFD1048576"', b"<v>1e999</v>", b't="inlineStr"', *XML_WORDS),
           seconds=6),
    Target("evidence", evidence.read, REFUSED, lambda: [some_evidence()], (*ZIP_WORDS, *JSON_WORDS)),
    Target("desk-backup", _backup, REFUSED, lambda: [a_backup()], (*ZIP_WORDS, b"enclosures/", b".sealed", b"desk.db")),
    Target("bus-event", _wanted, REFUSED, _bus_events, JSON_WORDS),
    Target("exchange-file", lambda data: asked.wanted(data, [US]), (Unfit,), _asked, (b"\xef\xbb\xbf", *JSON_WORDS)),
    Target("exchange-name", _name, (), lambda: [b"request.json", "协查.xlsx".encode()],
           (b"../", b"\\", b"\0", b"CON", b"~$", b".", b" ", b"\xff", "\u202e".encode())),
    Target("exchange-signature", signed("xieban-file+jws", _handed_in), (Unfit,), lambda: [
        as_json({"file": "a.json", "sha256": "0" * 64, "size": 2})], (*JSON_WORDS, *JOSE_WORDS)),
    Target("provincial-answer", reading.loads, REFUSED, lambda: [b'{"code":0,"data":[{"id":"1"}]}'], JSON_WORDS),
    Target("hub-answer", lambda data: (read_problem(data), read_answer(data, CasePage)), REFUSED, lambda: [
        as_json({"type": "/problems/x", "title": "x", "detail": "y"}), b'{"id":"1"}'], JSON_WORDS),
    Target("conformance-report", report.read, REFUSED, _a_report, JSON_WORDS),
    Target("badge", signed(badge.TYP, lambda data: badge.verify(data, [key(US).public], NOW)), REFUSED, _a_badge,
           JSON_WORDS),
)  # fmt: skip
