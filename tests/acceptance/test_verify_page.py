"""`/verify`: whoever holds a printed document learns whether its receipt is in the log, and nothing else."""

import asyncio
import base64
import json
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.store import embedded
from keys import jwk
from keys.jwk import VerifyingKey
from protocols import deadlines, receipt
from protocols.entries import Accepted
from protocols.receipt import Receipt
from tests import strategies
from tests.acceptance.browsing import browser, screenshots
from tests.acceptance.bureaus import Bureau, enrolled, opened
from tests.acceptance.test_console import accessible
from tests.conftest import RunningHub, running_hub

HERE, THERE = Bureau("411002-health"), Bureau("440306-health")
CONFIRMED = {"zh": "这条消息已由本枢纽受理并载入日志", "en": "This message was taken by this hub and is in the log"}
ABSENT = {"zh": "不在日志中", "en": "NOT in the log"}
ODD_NUMBERS = ("-1", "01", "1e3", "x", "%D9%A3", "+1", "9" * 19, "9" * 4000)
PACE = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub() as running:
        enrolled(running, HERE, THERE)
        yield running


@pytest.fixture(scope="module")
def given_receipt(hub: RunningHub) -> Receipt:
    """The receipt of a message that the hub took; another one stands behind it in the log."""

    async def sent() -> Receipt:
        first = await opened(HERE, "case-assistance", "request", [THERE.id])
        await opened(HERE, "case-assistance", "request", [THERE.id])
        return first.receipt

    return asyncio.run(sent())


@dataclass
class Answer:
    """What the page answered."""

    status: int
    text: str
    headers: Message

    @property
    def said(self) -> str:
        """The heading of the page, told apart from what it warns of."""
        found = re.search(r"<h1>(?:✓ )?(.*)</h1>", self.text)
        assert found is not None, self.text
        return found[1]


def printed(index: int | str, leaf: bytes, **more: str) -> str:
    """The address that a desk prints as a QR code."""
    entry = base64.urlsafe_b64encode(leaf).rstrip(b"=").decode()
    return "/verify?" + urllib.parse.urlencode({"index": index, "entry": entry, **more})


def get(hub: RunningHub, address: str, language: str = "zh") -> Answer:
    """The page as anybody gets it: no session, no token."""
    request = urllib.request.Request(hub.url + address, headers={"Accept-Language": language})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return Answer(response.status, response.read().decode(), response.headers)
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read().decode(), error.headers)


def raw(hub: RunningHub, target: bytes) -> int:
    """The status for a request target of any bytes."""
    with socket.create_connection(("127.0.0.1", hub.port), timeout=20) as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")
        answer = connection.recv(32)
    assert answer.startswith(b"HTTP/1."), answer
    return int(answer.split(b" ")[1])


def keys_of(hub: RunningHub) -> list[VerifyingKey]:
    found = jwk.parse_jwks(json.loads(get(hub, "/.well-known/jwks.json").text))
    return [key for key in found if isinstance(key, VerifyingKey)]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_printed_receipt_is_confirmed_with_what_is_to_be_compared(
    hub: RunningHub, given_receipt: Receipt, language: str
) -> None:
    entry = receipt.verify(given_receipt, keys_of(hub)).entry
    assert isinstance(entry, Accepted)
    answer = get(hub, printed(given_receipt.log.index, receipt.leaf(given_receipt.log)), language)
    assert answer.status == 200 and answer.said == CONFIRMED[language]
    size = get(hub, "/log/checkpoint").text.split("\n")[1]
    shown = re.findall(r"<td>(.*)</td>", answer.text)
    for fact in (entry.id, entry.digest, entry.subject, entry.due, str(given_receipt.log.index), size):
        assert fact in shown
    assert given_receipt.log.origin in shown
    assert deadlines.written(datetime.fromisoformat(entry.at)) in shown
    organisation = "411002-health（411002-health）" if language == "zh" else "411002-health (411002-health)"
    assert organisation in shown
    assert any("案件协查" in one if language == "zh" else "case-assistance.request" in one for one in shown)
    assert 'href="/log/checkpoint"' in answer.text


def test_nobody_is_asked_who_he_is_and_no_script_runs(hub: RunningHub, given_receipt: Receipt) -> None:
    there = printed(given_receipt.log.index, receipt.leaf(given_receipt.log))
    for address, status in ((there, 200), ("/verify", 200), (printed(0, b"{}"), 422), (there + "*", 400)):
        answer = get(hub, address)
        assert answer.status == status, address
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store" and "Set-Cookie" not in answer.headers
        assert not re.search(r"<script|\son\w+=|style=", answer.text), address


def test_the_receipt_of_the_page_verifies_without_the_hub(
    hub: RunningHub, given_receipt: Receipt, tmp_path: Path
) -> None:
    address = printed(given_receipt.log.index, receipt.leaf(given_receipt.log))
    (link,) = re.findall(r'href="(/verify\?[^"]*format=json)"', get(hub, address).text)
    answer = get(hub, link.replace("&amp;", "&"))
    assert answer.status == 200 and answer.headers.get_content_type() == "application/json"
    got = receipt.parse(answer.text.encode())
    proven = receipt.verify(got, keys_of(hub), origin=given_receipt.log.origin)
    assert proven.index == given_receipt.log.index
    assert (got.message, got.digest, got.accepted, got.log.entry) == (
        given_receipt.message, given_receipt.digest, given_receipt.accepted, given_receipt.log.entry
    )  # fmt: skip
    file, published = tmp_path / "receipt.json", tmp_path / "hub.jwks"
    file.write_text(answer.text)
    published.write_text(get(hub, "/.well-known/jwks.json").text)
    assert hub.run("verify", str(file), "--key", str(published)).returncode == 0


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_is_not_there_is_said_not_to_be_and_nothing_is_told_of_what_is(
    hub: RunningHub, given_receipt: Receipt, language: str
) -> None:
    index, leaf = given_receipt.log.index, receipt.leaf(given_receipt.log)
    digit = leaf.index(b"sha-256:") + 8
    changed = leaf[:digit] + (b"1" if leaf[digit : digit + 1] == b"0" else b"0") + leaf[digit + 1 :]
    outage = b'{"kind":"outage","from":"x","until":"y","days":[],"to":"z","at":"w"}'
    addresses = {
        "one changed byte": printed(index, changed),
        "a byte more": printed(index, leaf + b" "),
        "another index": printed(index + 1, leaf),
        "the index before": printed(index - 1, leaf),
        "beyond the log": printed(index + 10**6, leaf),
        "as far as an index goes": printed("9" * 18, leaf),
        "an entry of another kind": printed(index, outage),
    }
    for what, address in addresses.items():
        answer = get(hub, address, language)
        assert answer.status == 404 and answer.said == ABSENT[language], what
        told = answer.text.replace(address.partition("entry=")[2], "")
        assert given_receipt.message not in told and given_receipt.digest not in told, what
        assert ("印发" if language == "zh" else "ask the bureau") in told, what
        assert get(hub, address + "&format=json").status == 404, what


async def test_an_entry_of_the_log_that_took_no_message_confirms_none(hub: RunningHub) -> None:
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    try:
        first = bytes(await connection.fetchval("SELECT leaf FROM log_entry WHERE index = 0"))
    finally:
        await connection.close()
    assert b'"kind":"key-added"' in first
    answer = get(hub, printed(0, first))
    assert answer.status == 404 and answer.said == ABSENT["zh"]


def test_what_cannot_be_read_is_said_in_words(hub: RunningHub, given_receipt: Receipt) -> None:
    index, leaf = given_receipt.log.index, receipt.leaf(given_receipt.log)
    there = printed(index, leaf)
    entry = there.partition("entry=")[2]
    malformed = [
        "/verify?index=&entry=", f"/verify?index={index}", f"/verify?entry={entry}", "/verify?format=json",
        f"/verify?index={index}&index={index}&entry={entry}", there + f"&entry={entry}", there + "&format=xml",
        there + "&format=json&format=json", there + "=", there + "%20", there + "%0a", there + "+", there + "*",
        *(f"/verify?index={index}&entry={odd}" for odd in ("e31", "e", "e3", "%2B%2F%2B%2F")),
        f"/verify?index={index}&entry=%E4%B8%AD%E6%96%87",
        f"/verify?index={index}&entry=%3Cscript%3E", f"/verify?index={index}&entry=%ff%fe",
        *(f"/verify?index={odd}&entry={entry}" for odd in ODD_NUMBERS),
    ]  # fmt: skip
    for address in malformed:
        answer = get(hub, address)
        assert answer.status == 400, address
        assert "<script" not in answer.text
        if "format=json" not in address:
            assert answer.said == "读不出要核对的内容", address
    for odd in (b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"kind":"accepted"}', b'{"kind":"none"}', b"[" * 3000,
                b'{"kind":"accepted","id":"\\ud800"}', leaf[:-1], b"\x00" * 3000):  # fmt: skip
        assert get(hub, printed(index, odd)).status == 422, odd[:40]
        assert get(hub, printed(index, odd, format="json")).status == 400, odd[:40]
    assert get(hub, there.replace(entry, "A" * 100_000)).status == 400
    assert raw(hub, b"/verify?index=1&entry=\x00") == 400 and get(hub, "/verify?index=%00&entry=%00").status == 400
    assert get(hub, there + "&from=singlemessage").status == 200, "what a messenger adds to an address is left aside"


def test_who_comes_without_a_receipt_finds_a_form(hub: RunningHub, given_receipt: Receipt) -> None:
    answer = get(hub, "/verify")
    assert answer.status == 200 and answer.said == "核对纸面回执"
    assert re.findall(r'<input name="(\w+)"', answer.text) == ["index", "entry"]
    assert get(hub, "/verify", "en").said == "Check a printed receipt"
    # What was typed is there to be corrected.
    assert 'value="12x"' in get(hub, "/verify?index=12x&entry=abc").text
    assert get(hub, "/verify/more").status == 404
    request = urllib.request.Request(hub.url + "/verify", b"", {"Origin": "https://evil.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)
    assert refused.value.code in (403, 405)


@PACE
@given(query=st.binary(max_size=200).filter(lambda text: not set(text) & set(b" \r\n")))
def test_arbitrary_bytes_in_the_address_are_no_failure(hub: RunningHub, query: bytes) -> None:
    assert raw(hub, b"/verify?" + query) in (200, 400, 404, 422)


@PACE
@given(
    index=st.integers(-1, 10**20).map(str) | st.text(max_size=12),
    leaf=st.binary(max_size=120) | strategies.json_texts() | strategies.json_like,
    more=st.dictionaries(st.sampled_from(["index", "entry", "format", "x"]), st.text(max_size=20)),
)
def test_arbitrary_entries_are_no_failure(hub: RunningHub, index: str, leaf: bytes, more: dict[str, str]) -> None:
    address = printed(index.encode("utf-8", "replace").decode(), leaf)
    extra = urllib.parse.urlencode({k: v.encode("utf-8", "replace") for k, v in more.items()})
    assert get(hub, f"{address}&{extra}").status in (400, 404, 422)


async def test_it_is_read_on_a_phone_in_either_language_by_everybody(hub: RunningHub, given_receipt: Receipt) -> None:
    there = hub.url + printed(given_receipt.log.index, receipt.leaf(given_receipt.log))
    async with browser() as chromium:
        context = await chromium.new_context(viewport={"width": 390, "height": 900}, locale="zh-CN")
        page = await context.new_page()
        await page.goto(there)
        assert CONFIRMED["zh"] in await page.locator("h1").inner_text()
        await accessible(page)
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await page.screenshot(path=screenshots() / "verify-phone.png", full_page=True)
        await page.get_by_role("link", name="English").click()
        assert page.url == there
        assert CONFIRMED["en"] in await page.locator("h1").inner_text()
        await page.get_by_role("link", name="Check another").click()
        await page.get_by_label("Index of the entry (index)").fill(str(given_receipt.log.index + 1))
        await page.get_by_label("Entry (entry, base64url)").fill(there.partition("entry=")[2])
        await page.get_by_role("button", name="Check").click()
        assert await page.locator("h1").inner_text() == ABSENT["en"]
        await accessible(page)
        await page.screenshot(path=screenshots() / "verify-absent.png", full_page=True)
        await context.close()
