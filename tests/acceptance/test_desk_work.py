"""A desk's daily work by its forms: found, exported, handed over, many at once, backed up, locked, lost."""

import asyncio
import io
import json
import re
import socket
import time
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from signal import SIGKILL
from typing import Any
from urllib.parse import quote

import openpyxl
import pytest
from aiosmtpd.controller import Controller
from docx import Document

from adapters.client import attachments as attaching
from adapters.desk.letter import Receipt, verification_address
from adapters.desk.pages.app import PAGES
from protocols import attachments, deadlines, legal_basis, vouching
from protocols.deadlines import SHANGHAI
from protocols.envelope import new_id
from protocols.vouching import Described
from tests.acceptance.bureaus import Bureau, audited, content, enrolled, example, opened, said
from tests.acceptance.desks import HERE, NAMES, PASSWORD, THERE, Answer, Desk, Person, revision, set_up, wanted
from tests.conftest import RunningHub

SECRET = "王示例"
SHEET = "填写"
OTHER = "440305-health"


@pytest.fixture(scope="module")
def there(hub: RunningHub) -> Bureau:
    """The other side, with a program of its own."""
    bureau = Bureau(THERE)
    enrolled(hub, bureau, Bureau(OTHER))
    return bureau


@pytest.fixture(scope="module")
def desk(hub: RunningHub, there: Bureau, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(hub, tmp_path_factory.mktemp("desk"), HERE).start()
    asyncio.run(set_up(made, hub, "zhou"))
    asyncio.run(clerk_added(made))
    yield made
    made.stop()


async def clerk_added(desk: Desk) -> None:
    async with Person(desk) as head:
        await head.enter("zhou")
        for name, full_name in (("li.na", "李娜"), ("chen", "陈静")):
            account = {"name": name, "full_name": full_name, "role": "clerk", "password": PASSWORD}
            assert (await head.post("/officers", account)).status == 200


@pytest.fixture
async def head(desk: Desk) -> AsyncIterator[Person]:
    async with Person(desk) as one:
        await one.enter("zhou")
        yield one


@pytest.fixture
async def clerk(desk: Desk) -> AsyncIterator[Person]:
    async with Person(desk) as one:
        await one.enter("li.na")
        yield one


async def drafted(person: Person, **sealed: str) -> str:
    """The page of a new draft of an errand to the other side, filled in and kept."""
    page = await person.post("/new", {"to": THERE, "opening": "errand.request"})
    assert page.path.startswith("/drafts/"), page.words
    form = {"open.legal_basis.instrument": "npc-70-2021", "open.urgency": "ordinary", "open.act": "notify",
            "sealed.narrative": f"请告知{SECRET}领取材料"} | {f"sealed.{k}": v for k, v in sealed.items()}  # fmt: skip
    kept = await person.fill(page.path, {**form, "do": "keep"})
    assert "已保存" in kept.words, kept.words
    return page.path


async def resubmitted(person: Person, path: str, do: str) -> Answer:
    """The form as it stands on the page, sent with another button."""
    form = {"open.legal_basis.instrument": "npc-70-2021", "open.urgency": "ordinary", "open.act": "notify",
            "sealed.narrative": f"请告知{SECRET}领取材料", "do": do}  # fmt: skip
    return await person.fill(path, form)


async def sent(person: Person) -> str:
    """A case opened from this desk; its id."""
    path = await drafted(person)
    await resubmitted(person, path, "sign")
    page = await person.until(path, "枢纽已受理，回执如下")
    return page.text.split('href="/cases/')[1].split('"')[0]


async def test_a_clerk_drafts_and_only_a_head_signs(head: Person, clerk: Person) -> None:
    path = await drafted(clerk)
    assert (await resubmitted(clerk, path, "sign")).status == 403
    assert "草稿" in (await head.get(path)).words
    assert "已送负责人签发" in (await resubmitted(clerk, path, "submit")).words
    assert "待签发" in (await head.get("/")).words
    assert "检查通过" in (await resubmitted(head, path, "preflight")).words
    await resubmitted(head, path, "sign")
    page = await head.until(path, "枢纽已受理，回执如下")
    case = page.text.split('href="/cases/')[1].split('"')[0]
    said = (await head.get(f"/cases/{case}")).words
    assert "周明（zhou）签发" in said and "李娜（li.na）起草" in said and SECRET in said
    # What was sent is changed by nobody any more.
    assert "枢纽已受理" in (await resubmitted(head, path, "discard")).words


async def test_an_authority_is_found_by_its_place_and_only_what_is_in_force_is_offered(head: Person) -> None:
    for words in ("宝安", "深圳 440306", "440306"):
        page = await head.get(f"/new?q={quote(words)}")
        assert THERE in page.words and re.search("尚无办理记录|通常", page.words), page.words
    page = await head.post("/new", {"to": THERE, "opening": "errand.request"})
    choices = page.text.partition('name="open.legal_basis.instrument"')[2].partition("</select>")[0]
    bases = re.findall(r'<option value="([^"]+)"', choices)
    in_force = [one.id for one in legal_basis.register().values() if one.in_force_on(date.today())]
    assert set(bases) == set(in_force) and len(in_force) < len(legal_basis.register())


async def test_a_case_shows_its_course_what_is_due_and_where_its_time_went(head: Person, there: Bureau) -> None:
    async with there.client() as client:
        part = dict(content("case-assistance", "request") or {}, attachments=[])
        case = (await client.open_case(HERE, example("case-assistance", "request"), part)).case
    day = deadlines.postponed(datetime.now(SHANGHAI).date() + timedelta(days=20)).date.isoformat()
    for message, form in (("accept", {}), ("propose-date", {"open.date": day})):
        await head.until(f"/cases/{case}", f'value="{message}"', shown=False)
        page = await head.post(f"/cases/{case}/begin", {"message": message})
        done = await head.fill(page.path, {**wanted(page), **form, "do": "sign"})
        await head.until(done.path, "枢纽已受理，回执如下")
    await said(there, case, "case-assistance", "agree-date", agreed=True)
    page = await head.until(f"/cases/{case}", "时间花在")
    while day not in page.words.partition("经过")[2]:
        page = await head.get(f"/cases/{case}")
    assert case in (await head.get("/")).text.partition("等本机构办理")[2]


async def test_cases_are_found_by_name_at_the_desk_alone(head: Person) -> None:
    case = await sent(head)
    found = await head.get("/cases?q=王示例+领取")
    assert case in found.text and "请告知王示例领取材料" in found.words
    assert case in (await head.get(f"/cases?q={case[:13]}")).text
    assert "没有。" in (await head.get("/cases?q=李四光")).words
    book = openpyxl.load_workbook(io.BytesIO((await head.get("/cases.xlsx?q=王示例")).body))
    values = [cell.value for row in book.active.iter_rows() for cell in row]
    assert case in values and "宝安区卫生健康局" not in values and "案号" in values


async def test_a_case_is_a_document_whose_codes_lead_to_its_receipts(hub: RunningHub, head: Person) -> None:
    case = await sent(head)
    document = Document(io.BytesIO((await head.get(f"/cases/{case}/letter.docx")).body))
    text = "\n".join(one.text for one in document.element.iter() if one.text)
    assert case in text and "魏都区卫生健康委员会" in text and SECRET in text
    page = await head.get(f"/cases/{case}/letter")
    assert page.status == 200 and "<svg" in page.text and SECRET in page.text
    # The address in the code, as a phone that scanned the paper asks for it; the letter's own tests decode the code.
    link = re.search(rf"/cases/{case}/receipts/{HERE}/[0-9a-f-]+", (await head.get(f"/cases/{case}")).text)
    assert link is not None
    given = json.loads((await head.get(link.group())).body)
    printed = Receipt(
        given["log"]["index"], given["log"]["entry"], given["digest"], given["message"], given["accepted"]
    )
    verified = await head.get(verification_address(hub.url, printed))
    assert verified.status == 200 and given["message"] in verified.text
    forged = replace(printed, index=printed.index + 1)
    assert (await head.get(verification_address(hub.url, forged))).status == 404


async def test_cases_are_given_handed_over_and_stood_in_for(desk: Desk, head: Person, clerk: Person) -> None:
    case = await sent(head)
    async with Person(desk) as chen:
        await chen.enter("chen")
        assert (await chen.post(f"/cases/{case}/give", {"to": "chen"})).status == 403  # it is the head's
        await head.post(f"/cases/{case}/give", {"to": "li.na"})
        assert case in (await clerk.get("/cases?mine=1")).text
        today = date.today().isoformat()
        away = {"first": today, "last": (date.today() + timedelta(days=2)).isoformat(), "stand_in": "chen"}
        assert (await clerk.post("/officers/chen/away", away)).status == 403
        assert (await clerk.post("/officers/li.na/away", away | {"stand_in": "li.na"})).status == 422
        assert "代班 chen" in (await clerk.post("/officers/li.na/away", away)).words
        assert case in (await chen.get("/cases?mine=1")).text
        assert case not in (await clerk.get("/cases?mine=1")).text
        await clerk.post("/officers/li.na/away", {"first": "", "last": ""})
        assert case in (await clerk.get("/cases?mine=1")).text
        assert (await chen.post("/officers/li.na/hand-over", {"taker": "chen"})).status == 403
        await head.post("/officers/li.na/hand-over", {"taker": "chen"})
        assert case in (await chen.get("/cases?mine=1")).text
    assert "li.na 移交" in (await head.get(f"/cases/{case}")).words
    assert "移交案件：li.na" in (await head.get("/officers/journal")).words
    assert (await clerk.get("/officers/journal")).status == 403


async def test_who_leaves_is_shut_out_and_the_cases_stay(desk: Desk, head: Person) -> None:
    case = await sent(head)
    account = {"name": "wu", "full_name": "吴刚", "role": "clerk", "password": PASSWORD}
    await head.post("/officers", account)
    await head.post(f"/cases/{case}/give", {"to": "wu"})
    async with Person(desk) as leaver:
        await leaver.enter("wu")
        new = {"old": "not the password", "new": "another-password"}
        assert "原口令不对" in (await leaver.post("/officers/wu/password", new)).words
        assert (await leaver.post("/officers/wu/password", new | {"old": PASSWORD})).status == 200
        assert (await leaver.get("/cases")).path == "/cases"
        assert (await head.post("/officers/wu/dismiss", {"taker": "wu"})).status == 422
        assert (await leaver.get("/cases")).path == "/cases"
        assert (await head.post("/officers/wu/dismiss", {"taker": "li.na"})).status == 200
        assert (await leaver.get("/cases")).path == "/enter"
        assert (await leaver.enter("wu", "another-password")).status == 403
    assert "李娜" in (await head.get("/cases")).words
    assert (await head.post("/officers/zhou/dismiss", {"taker": "li.na"})).status == 422


# What others do to a desk ---------------------------------------------------------------------------------


async def test_what_the_hub_has_against_a_message_stands_at_its_fields_in_words(head: Person, there: Bureau) -> None:
    case = (await opened(there, "errand", "request", [HERE])).case
    await head.until(f"/cases/{case}", 'value="propose-date"', shown=False)
    page = await head.post(f"/cases/{case}/begin", {"message": "propose-date"})
    form = {**wanted(page), "open.date": "2026-01-05", "sealed.explanation": "请办理"}
    asked = await head.fill(page.path, {**form, "do": "preflight"})
    assert "枢纽不会受理：消息内容不合规" in asked.words
    await head.fill(page.path, {**form, "do": "sign"})
    sent = await head.until(page.path, 'name="open.date"', shown=False)
    for shown in (asked, sent):
        assert "消息内容不合规" in shown.words and "/data" not in shown.words, shown.words
        assert "须在今天之后" in at(shown, "open.date") and 'name="open.date" autofocus' in shown.text
    form["open.date"] = (datetime.now(SHANGHAI).date() + timedelta(days=20)).isoformat()
    assert "检查通过" in (await head.fill(page.path, {**form, "do": "preflight"})).words
    assert "须在今天之后" not in (await head.get(page.path)).words
    page = await head.post(f"/cases/{case}/begin", {"message": "forward"})
    form = {**wanted(page), "open.to": THERE, "do": "preflight"}
    shown = await head.fill(page.path, form)
    assert "这家机构已是发起方或协办方" in at(shown, "open.to")


def at(page: Answer, field: str) -> str:
    """What stands over a field of a form."""
    return page.text.split(f'name="{field}"')[0].rpartition('class="field"')[2]


async def test_a_file_that_is_not_what_its_name_says_is_told_of(head: Person) -> None:
    path = await drafted(head)
    png, jpeg = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"
    files = (("notes.pdf", b"%PDF-1.7", False), ("notes.pdf", b"<html>", True), ("photo.JPG", png, True),
             ("photo.jpg", jpeg, False), ("table.xlsx", b"PK\x03\x04", False), ("table.xlsx", b"a,b", True),
             ("record.txt", b"x", False))  # fmt: skip
    for name, held, told in files:
        page = await head.upload(path, name, held, revision=revision(await head.get(path)), do="attach")
        assert ("打不开" in page.words) == told, (name, page.words)
        assert name in page.words


async def test_a_counterpart_neither_stops_a_desk_nor_unsays_what_it_said(
    desk: Desk, head: Person, there: Bureau
) -> None:
    case = await sent(head)
    found = re.search(rf"/receipts/{HERE}/([0-9a-f-]+)", (await head.get(f"/cases/{case}")).text)
    assert found is not None
    async with there.client() as client:
        items = [item for item in (await client.poll(0, limit=500)).items if item.event.subject == case]
        ask = content("errand", "ask") or {}
        data = example("errand", "ask")
        update = {**(content("errand", "update") or {}), "narrative": "收到的补充"}
        poison = [{"jws": items[0].compact.decode()}]
        await client.reply(items[0], "accept", {})
        # A list of messages where none belongs, our own message among it, and our own id used again.
        await client.reply(items[0], "progress", example("errand", "progress"), {**ask, "messages": [1]})
        await client.reply(items[0], "ask", data, {**ask, "messages": poison})
        taken = await client.prepare_reply(case, "update", example("errand", "update"), update,
                                           id=found.group(1))  # fmt: skip
        await client.resend(taken)
    page = await head.until(f"/cases/{case}", "收到的补充")
    assert SECRET in page.text and f"/receipts/{HERE}/{found.group(1)}" in page.text
    assert f"/receipts/{THERE}/{found.group(1)}" in page.text
    assert await sent(head)  # it goes on working


async def test_checking_signs_nothing_and_old_forms_undo_nothing(
    hub: RunningHub, desk: Desk, head: Person, clerk: Person, there: Bureau
) -> None:
    path = await drafted(clerk)
    assert "检查通过" in (await resubmitted(clerk, path, "preflight")).words
    async with Person(desk) as chen:  # another clerk's draft is not theirs to change
        await chen.enter("chen")
        assert (await resubmitted(chen, path, "discard")).status == 403
    # A form that was begun before the head signed, and ends after it.
    slow = asyncio.create_task(slowly(clerk, desk, path, "discard"))
    await asyncio.sleep(0.5)
    await resubmitted(head, path, "sign")
    page = await head.until(path, "枢纽已受理，回执如下")
    assert await slow == 409
    assert (await head.get(path)).words == page.words
    # A file that somebody attached after the head looked.
    other = await drafted(clerk)
    looked = await head.get(other)
    now = revision(await clerk.get(other))
    assert "late.txt" in (await clerk.upload(other, "late.txt", b"late", revision=now, do="attach", **ERRAND)).words
    assert (await head.fill(other, {**ERRAND, "do": "sign"}, looked)).status == 409
    assert "草稿" in (await head.get(other)).words


async def test_a_page_that_shows_an_older_draft_changes_nothing(head: Person, clerk: Person) -> None:
    path = await drafted(clerk)
    old = await clerk.get(path)
    assert "已保存" in (await head.fill(path, {**ERRAND, "sealed.narrative": "负责人改定", "do": "keep"})).words
    for do in ("keep", "submit", "preflight", "discard", "attach"):
        stale = await clerk.fill(path, {**ERRAND, "sealed.narrative": "旧页面上的文字", "do": do}, old)
        assert stale.status == 409 and "负责人改定" in stale.text, stale.words
        # What was typed is shown, so that nobody types it again; and no form without its revision is taken.
        assert "没有保存的" in stale.words and "旧页面上的文字" in stale.words
    assert (await clerk.post(path, {**ERRAND, "do": "keep"})).status == 409
    upload = await clerk.upload(path, "old.txt", b"old", revision=revision(old), do="attach", **ERRAND)
    assert upload.status == 409 and "old.txt" not in (await clerk.get(path)).words
    # Taken back and rewritten after the head looked: the head signs what was on the page, or nothing.
    assert "已送负责人签发" in (await clerk.fill(path, {**ERRAND, "do": "submit"})).words
    looked = await head.get(path)
    await clerk.post(path, {"do": "back"})
    await clerk.fill(path, {**ERRAND, "sealed.narrative": "重新写过", "do": "keep"})
    signed = await head.fill(path, {**ERRAND, "do": "sign"}, looked)
    assert signed.status == 409 and "重新写过" in signed.words
    assert "草稿" in (await head.get(path)).words


ERRAND = {"open.legal_basis.instrument": "npc-70-2021", "open.urgency": "ordinary", "open.act": "notify",
          "sealed.narrative": f"请告知{SECRET}领取材料"}  # fmt: skip


async def slowly(person: Person, desk: Desk, path: str, do: str) -> int:
    """The status of a form that takes its time to come in."""

    now = revision(await person.get(path))

    async def body() -> AsyncIterator[bytes]:
        yield f"revision={now}&do={do}&open.urgency=urgent".encode()
        await asyncio.sleep(4)
        yield b"&open.act=notify"

    headers = {"Origin": desk.url, "Content-Type": "application/x-www-form-urlencoded"}
    async with person._session.post(f"{desk.url}{path}", data=body(), headers=headers) as answer:
        return answer.status


async def test_who_was_dismissed_while_a_form_came_in_signs_nothing(desk: Desk, head: Person) -> None:
    await head.post("/officers", {"name": "qian", "full_name": "钱", "role": "head", "password": PASSWORD})
    async with Person(desk) as leaver:
        await leaver.enter("qian")
        path = await drafted(leaver)
        slow = asyncio.create_task(slowly(leaver, desk, path, "sign"))
        await asyncio.sleep(0.5)
        assert (await head.post("/officers/qian/dismiss", {"taker": "zhou"})).status == 200
        assert await slow == 200  # at the door
    assert "草稿" in (await head.get(path)).words


# Many at once ---------------------------------------------------------------------------------------------


def filled(template: bytes, rows: list[dict[str, str]]) -> bytes:
    """A template with rows in it, by the Chinese titles of its columns."""
    book = openpyxl.load_workbook(io.BytesIO(template))
    page = book[SHEET]
    titles = {str(cell.value).rstrip(" *"): cell.column for cell in page[1] if cell.value}
    for number, row in enumerate(rows, 4):
        for title, value in row.items():
            page.cell(number, titles[title], value)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def errand(n: int, **changed: str) -> dict[str, str]:
    """A row."""
    return {"对方机构": THERE, "理由": f"第{n}号送达任务", "法律依据 · 法律依据编号": "npc-70-2021", "紧急程度": "一般",
            "事项": "告知当事人", "具体要求": f"请告知当事人{n}到场"} | changed  # fmt: skip


def seen(page: Answer) -> str:
    """What a head saw of a package."""
    return page.text.split('name="seen" value="')[1].split('"')[0]


async def test_many_errands_go_out_together_or_not_at_all(head: Person, clerk: Person, there: Bureau) -> None:
    template = (await clerk.get("/packages/template?of=errand.request")).body
    for of in ("case-assistance.request", "document-verification.request", "nothing", ""):
        assert (await clerk.get(f"/packages/template?of={of}")).status == 404
    # One bad row: nothing is kept, each fault is named, and the marked copy comes back.
    bad = filled(template, [errand(1), errand(2, **{"紧急程度": "十万火急", "理由": ""})])
    page = await clerk.upload("/packages", "协办.xlsx", bad, of="errand.request", do="preview")
    assert page.status == 422 and "2 行中有 1 行要改正" in page.words and "紧急程度" in page.words
    marked = await clerk.upload("/packages", "协办.xlsx", bad, of="errand.request", do="marked")
    values = [cell.value for row in openpyxl.load_workbook(io.BytesIO(marked.body))[SHEET].iter_rows() for cell in row]
    assert any("必须填写" in str(value) for value in values)
    assert "/packages/0" not in (await clerk.get("/packages")).text
    twice = filled(template, [errand(1), errand(1)])
    assert "与第 4 行相同" in (await clerk.upload("/packages", "x.xlsx", twice, of="errand.request")).words
    many = filled(template, [errand(n) for n in range(51)])
    assert "每天至多" in (await clerk.upload("/packages", "x.xlsx", many, of="errand.request")).words
    for broken in (b"", b"PK\x03\x04", b"%PDF", template[:200]):
        answer = await clerk.upload("/packages", "x.xlsx", broken, of="errand.request")
        assert answer.status == 422, answer.words
    # All rows right: a preview, the head signs, all of them are taken.
    good = filled(template, [errand(n) for n in range(3)])
    preview = await clerk.upload("/packages", "协办.xlsx", good, of="errand.request", do="preview")
    assert preview.path.startswith("/packages/") and "请告知当事人2到场" in preview.words
    assert (await clerk.post(preview.path, {"do": "sign"})).status == 403
    await clerk.post(preview.path, {"do": "submit"})
    assert "内容刚刚被改过" in (await head.post(preview.path, {"do": "sign", "seen": "another"})).words
    await head.post(preview.path, {"do": "sign", "seen": seen(await head.get(preview.path))})
    done = await head.until(preview.path, "已发出 3")
    assert "待签发" not in done.words
    async with there.client() as client:
        items = (await client.poll(0, limit=500)).items
    read = [client.unseal(item)["narrative"] for item in items if item.event.type == "errand.request"]
    assert [text for text in read if text.startswith("理由：第2号送达任务\n请告知当事人2")] != []


async def test_a_day_has_its_cap_whenever_the_rows_were_drafted(head: Person, clerk: Person) -> None:
    template = (await clerk.get("/packages/template?of=errand.request")).body
    packages = []
    for first in (200, 230):
        rows = filled(template, [errand(n, 对方机构=OTHER) for n in range(first, first + 30)])
        preview = await clerk.upload("/packages", "x.xlsx", rows, of="errand.request", do="preview")
        packages.append(preview.path)
    done, refused = [await head.post(path, {"do": "sign", "seen": seen(await head.get(path))}) for path in packages]
    assert done.status == 200, done.words
    assert refused.status == 422 and "批量签发 30 件" in refused.words and "明天" in refused.words
    assert "草稿 30" in (await head.get(packages[1])).words
    # One of them alone is not let through by its own page either.
    (one, *_) = re.findall(r'href="(/drafts/[0-9a-f-]+)"', (await head.get(packages[1])).text)
    assert (await head.fill(one, {**ERRAND, "do": "sign"})).path == packages[1]
    more = filled(template, [errand(n, 对方机构=OTHER) for n in range(300, 321)])
    assert "每天至多" in (await clerk.upload("/packages", "x.xlsx", more, of="errand.request")).words
    await head.until(packages[0], "已发出 30")


async def test_a_package_with_one_request_that_is_refused_sends_none(
    hub: RunningHub, head: Person, there: Bureau
) -> None:
    keyless = Bureau("440307-health")
    enrolled(hub, keyless)
    await head.get("/new?q=440307-health")
    template = (await head.get("/packages/template?of=errand.request")).body
    rows = filled(template, [errand(100), errand(101, 对方机构="440307-health")])
    preview = await head.upload("/packages", "x.xlsx", rows, of="errand.request", do="preview")
    hub.enrol([keyless.record() | {"jwks": {"keys": []}}])
    await head.post(preview.path, {"do": "sign", "seen": seen(await head.get(preview.path))})
    page = await head.until(preview.path, "被退回 2")
    assert "密封内容" in page.words
    async with there.client() as client:
        read = [client.unseal(item) for item in (await client.poll(0, limit=500)).items
                if item.event.type == "errand.request"]  # fmt: skip
    assert not any("请告知当事人100到场" in str(one) for one in read)


# What is kept ---------------------------------------------------------------------------------------------


async def test_a_desk_that_is_killed_while_it_sends_sends_once(hub: RunningHub, desk: Desk, there: Bureau) -> None:
    async with Person(desk) as head:
        await head.enter("zhou")
        before = await head.get("/cases")
        paths = [await drafted(head) for _ in range(5)]
        for path in paths:
            await resubmitted(head, path, "sign")
        desk.stop(SIGKILL)
        desk.start()
    async with Person(desk) as head:
        await head.enter("zhou")
        for path in paths:
            await head.until(path, "枢纽已受理，回执如下")
        await head.until("/cases", f"{counted(before) + 5} 件")
    assert audited(hub) == ""


def counted(page: Answer) -> int:
    """How many cases a list says there are."""
    found = re.search(r"(\d+) 件", page.words.split("只在本机已打开的案件里查找")[1])
    assert found is not None
    return int(found.group(1))


async def test_files_are_read_while_the_hub_is_away(hub: RunningHub, desk: Desk, there: Bureau, tmp_path: Path) -> None:
    own, theirs = "自己发出的".encode() * 9000, "对方发来的".encode() * 9000
    (tmp_path / "theirs.txt").write_bytes(theirs)
    async with there.client() as client:
        sealed = attaching.seal(tmp_path / "theirs.txt", tmp_path / "sealed")
        manifest = await client.attach(sealed)
        part = dict(content("case-assistance", "request") or {}, attachments=[])
        data, part = attachments.attached(example("case-assistance", "request"), part, [manifest])
        received = (await client.send("case-assistance.request", new_id(), [HERE], data, part, check=True)).case
    async with Person(desk) as head:
        await head.enter("zhou")
        path = await drafted(head)
        now = revision(await head.get(path))
        await head.upload(path, "own.txt", own, revision=now, do="attach", **ERRAND)
        await resubmitted(head, path, "sign")
        done = await head.until(path, "枢纽已受理，回执如下")
        case = done.text.split('href="/cases/')[1].split('"')[0]
        await head.until(f"/cases/{received}", "theirs.txt")
        kept = [re.findall(r"/cases/[^/]+/attachments/[0-9a-f]{64}", (await head.get(f"/cases/{one}")).text)[0]
                for one in (case, received)]  # fmt: skip
        blob = desk.folder / "store" / "enclosures" / f"{kept[1].rpartition('/')[2]}.kept"
        until = time.monotonic() + 20
        while not blob.exists():  # it comes by itself
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
        hub.stop()
        try:
            assert [(await head.get(one)).body for one in kept] == [own, theirs]
            backup = await head.post("/settings/backup")
        finally:
            hub.start()
        names = zipfile.ZipFile(io.BytesIO(backup.body)).namelist()
        assert {f"enclosures/{one.rpartition('/')[2]}.kept" for one in kept} <= set(names)
        assert own[:30] not in backup.body and theirs[:30] not in backup.body
        # Spoilt on this disk: it is fetched again, and what is served is whole.
        blob.write_bytes(blob.read_bytes()[:-40])
        assert (await head.get(kept[1])).body == theirs


async def test_a_backup_opens_elsewhere_and_sends_nothing_again(
    hub: RunningHub, desk: Desk, tmp_path: Path, there: Bureau
) -> None:
    async with Person(desk) as head:
        await head.enter("zhou")
        hub.stop()
        path = await drafted(head)
        await resubmitted(head, path, "sign")
        await head.until(path, "已签发，待发出")
        backup = await head.post("/settings/backup")
        assert backup.headers["Content-Type"] == "application/zip"
        assert SECRET.encode() not in backup.body
        hub.start()
        done = await head.until(path, "枢纽已受理，回执如下")
        case = done.text.split('href="/cases/')[1].split('"')[0]
    (tmp_path / "other").mkdir()
    elsewhere = Desk(hub, tmp_path / "other", HERE).start()
    try:
        async with Person(elsewhere) as head:
            restore = f"{elsewhere.first}/restore"
            for name, password, body in (
                ("zhou", "wrong password", backup.body),
                ("nobody", PASSWORD, backup.body),
                ("zhou", PASSWORD, b"PK nothing"),
                ("zhou", PASSWORD, zipped({"desk.db": b"nothing"})),
                ("zhou", PASSWORD, zipped({"../desk.db": b"nothing"})),
                ("zhou", PASSWORD, zipped({"other": b"x"})),
            ):
                refused = await head.upload(restore, "b.zip", body, "backup", name=name, password=password)
                assert (refused.status == 422 and "不能恢复" in refused.words) or "账户或口令不对" in refused.words
            taken = await head.upload(restore, "b.zip", backup.body, "backup", name="zhou", password=PASSWORD)
            assert taken.status == 200 and taken.path == "/", taken.words
            # What the copy holds as signed and not sent went out since: it is recognised, and not sent again.
            await head.until(path, "枢纽已受理，回执如下")
            assert SECRET in (await head.get(f"/cases/{case}")).words
        async with there.client() as client:
            items = [one for one in (await client.poll(0, limit=500)).items if one.event.subject == case]
        assert len(items) == 1
        assert audited(hub) == ""
    finally:
        elsewhere.stop()


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return out.getvalue()


async def test_keys_come_back_from_paper_a_file_or_a_key_store(hub: RunningHub, desk: Desk, tmp_path: Path) -> None:
    async with Person(desk) as head:
        await head.enter("zhou")
        assert "至少 8 个字" in (await head.post("/setup/copy", {"passphrase": "short", "again": "short"})).words
        copy = {"passphrase": "apart from it", "again": "apart from it"}
        lines = (await head.post("/setup/copy", copy | {"as": "file"})).text
        paper = await head.post("/setup/copy", copy | {"as": "paper"})
    assert len(lines.split()) == paper.text.count("<svg") == 2
    (tmp_path / "other").mkdir()
    other = Desk(hub, tmp_path / "other", HERE).start()
    try:
        async with Person(other) as head:
            account = {"name": "zhou", "full_name": "周明", "password": PASSWORD, "again": PASSWORD}
            await head.post(other.first, account)
            for text, passphrase in (
                (lines, "another one"),
                ("nothing", "apart from it"),
                (lines[:300], "apart from it"),
            ):
                answer = await head.post("/setup/import", {"lines": text, "passphrase": passphrase})
                assert answer.status == 422 and "没有导入" in answer.words
            written = [code for code in paper.text.split("<code>")[1:]]
            typed = "\n".join(code.split("</code>")[0] for code in written)
            assert (await head.post("/setup/import", {"lines": typed, "passphrase": "apart from it"})).status == 200
            made = hub.run("keys", "list", "--keys", str(hub.data / "keys"), "--json")
            assert made.returncode == 0
    finally:
        other.stop()


async def test_an_idle_desk_forgets_its_keys(desk: Desk) -> None:
    async with Person(desk) as head:
        await head.enter("zhou")
        await head.post("/settings/lock")
        assert "已锁定" in (await head.get("/")).words
        assert (await head.get("/cases")).path == "/enter"
        assert (await head.get("/events")).status == 403
        assert (await head.enter("zhou")).path == "/"


# The digest -----------------------------------------------------------------------------------------------


class Inbox:
    """A mail server's handler that keeps what came in."""

    def __init__(self) -> None:
        self.mails: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        body = mail.get_body()
        assert body is not None
        self.mails.append(f"{mail['Subject']}\n{body.get_content()}")
        return "250 OK"


async def test_the_digest_tells_what_is_due_and_nothing_that_is_sealed(
    hub: RunningHub, desk: Desk, head: Person, clerk: Person, there: Bureau, tmp_path: Path
) -> None:
    sealed = {**(content("errand", "request") or {}), "narrative": f"请告知{SECRET}"}
    async with there.client() as client:
        case = (await client.open_case(HERE, example("errand", "request"), sealed, protocol="errand")).case
    await head.until("/", case[:13])
    form = {"lock_after": "30", "digest": "file", "digest_at": "23:59", "folder": str(tmp_path), "security": "none",
            "port": "25"}  # fmt: skip
    assert (await clerk.post("/settings", form)).status == 403
    assert "已保存" in (await head.post("/settings", form)).words
    inbox = Inbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = Controller(inbox, hostname="127.0.0.1", port=port)
    server.start()
    try:
        mail = form | {"digest": "mail", "host": "127.0.0.1", "port": str(port), "sender": "desk@weidu.example",
                       "to": "head@weidu.example clerk@weidu.example"}  # fmt: skip
        assert "没有保存" in (await head.post("/settings", mail | {"to": "not an address"})).words
        assert "没有保存" in (await head.post("/settings", mail | {"lock_after": "9999"})).words
        assert "没有保存" in (await head.post("/settings", mail | {"account": "a", "password": "b"})).words
        # Now is the time for it: it comes by itself.
        assert "已保存" in (await head.post("/settings", mail | {"digest_at": "00:00"})).words
        while not inbox.mails:
            await asyncio.sleep(0.1)
        assert case in inbox.mails[0] and SECRET not in "".join(inbox.mails) and "新到" in inbox.mails[0]
    finally:
        server.stop()
    assert "摘要没有送出" in (await head.post("/settings/digest")).words
    assert "已保存" in (await head.post("/settings", form)).words
    assert "摘要已送出" in (await head.post("/settings/digest")).words
    (written,) = tmp_path.glob("xieban-*.txt")
    assert case in written.read_text() and SECRET not in written.read_text()
    await head.post("/settings", form | {"digest": "nobody"})


# The bureaus below ----------------------------------------------------------------------------------------


async def test_a_superior_vouches_and_revokes_at_its_desk(hub: RunningHub, tmp_path: Path) -> None:
    NAMES["411000-health"] = ("许昌市", "health", "许昌市卫生健康委员会", "Xuchang Health")
    (tmp_path / "above").mkdir()
    above = Desk(hub, tmp_path / "above", "411000-health").start()
    try:
        await set_up(above, hub, "sun")
        below = Bureau("411003-health", superior="411000-health")
        enrolled(hub, below)
        described = Described(vouching.Name("一", "one"), ["bureau"])
        own = below.signing
        asked = vouching.apply("411004-health", described, above.organisation, [own.public], own, datetime.now(UTC))
        async with Person(above) as head:
            await head.enter("sun")
            compared = await head.post("/below/vouch", {"application": asked})
            assert below.signing.kid in compared.words
            chain = await head.post("/below/vouch", {"application": asked, "do": "vouch"})
            assert chain.text.split()[0] == asked and len(chain.text.split()) == 2
            assert (await head.post("/below/vouch", {"application": "nothing"})).status == 422
            listed = await head.until("/below", below.signing.kid)
            assert listed.status == 200
            assert below.sealing.kid in listed.text  # who has the machine opens with it
            gone = {"organisation": below.id, "kid": below.signing.kid}
            assert "已停用" in (await head.post("/below/revoke", gone)).words
            opens = {"organisation": below.id, "kid": below.sealing.kid}
            assert below.sealing.kid not in (await head.post("/below/revoke", opens)).text
            assert (await head.post("/below/revoke", {"organisation": HERE, "kid": below.signing.kid})).status == 422
        async with below.client() as client:
            with pytest.raises(Exception, match="key"):
                await client.poll(0)
    finally:
        above.stop()
        NAMES.pop("411000-health")


# Nobody gets in -------------------------------------------------------------------------------------------


async def test_nobody_gets_in_without_an_account(desk: Desk) -> None:
    async with Person(desk) as stranger:
        for body, kind in ((b"name=\xff\xfe", "application/x-www-form-urlencoded; charset=klingon"),
                           (b"\xff\xfe", "multipart/form-data"), (b"--x\r\n\r\n", "multipart/form-data; boundary=x"),
                           (b"name=\xff", "application/x-www-form-urlencoded")):  # fmt: skip
            raw = stranger._session.post(f"{desk.url}/enter", data=body, headers={"Content-Type": kind})
            async with raw as answer:
                assert answer.status < 500, (kind, answer.status)
        for host in ("a:b:c", "127.0.0.1:99999999", "[", "%"):
            async with stranger._session.get(f"{desk.url}/enter", headers={"Host": host}) as answer:
                assert answer.status in (400, 403)
        page = await stranger.get("/cases")
        assert page.path == "/enter" and "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert (await stranger.get("/first/guess")).status == 404
        assert (await stranger.post("/first/guess", {"name": "thief"})).status == 404
        assert (await stranger.enter("zhou", "wrong-wrong")).status == 403
        assert (await stranger.get("/nowhere")).status == 404
        other = stranger._session.post(
            f"{desk.url}/enter", data={"name": "a"}, headers={"Origin": "https://evil.example"}
        )
        async with other as answer:
            assert answer.status == 403
        async with stranger._session.get(f"{desk.url}/enter", headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403  # a name that somebody gave to this machine's address (DNS rebinding)


async def test_every_page_has_its_way_of_saying_no(desk: Desk, head: Person) -> None:
    for method, path, _ in PAGES:
        asked = (
            path.replace("{id}", "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7")
            .replace("{digest}", "0" * 64)
            .replace("{message}", "x")
            .replace("{source}", "x")
        )
        asked = asked.replace("{name}", "nobody")
        if asked in ("/leave", "/settings/lock"):
            continue
        for form in ({}, {"do": "sign", "to": "x\0y", "message": "\ud800".encode("utf-8", "replace").decode()}):
            answer = await (head.get(asked) if method == "GET" else head.post(asked, form))
            assert answer.status < 500, (method, path, answer.words)
    async with Person(desk) as stranger:
        for method, path, _ in PAGES:
            asked = (
                path.replace("{id}", "x")
                .replace("{digest}", "x")
                .replace("{message}", "x")
                .replace("{source}", "x")
                .replace("{name}", "zhou")
            )
            answer = await (stranger.get(asked) if method == "GET" else stranger.post(asked, {"do": "sign"}))
            assert answer.path == "/enter" and answer.status == 200, (method, path)
