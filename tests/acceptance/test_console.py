"""The console in a real browser: a supervisor logs in, finds what is late, sees whose time it was, takes it along."""

import asyncio
import csv
import io
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pyotp
import pytest
from openpyxl import load_workbook
from playwright.async_api import ConsoleMessage, Page

from hub.store import embedded
from tests.acceptance.browsing import browser, screenshots
from tests.acceptance.bureaus import Bureau, enrolled, opened
from tests.conftest import RunningHub, running_hub

AXE = Path(__file__).parent / "node/node_modules/axe-core/axe.min.js"
PASSWORD = "correct horse battery"
PROVINCE = Bureau("410000-supervision", roles=("supervisor",))
OTHER = Bureau("320000-supervision", roles=("supervisor",))
HERE = Bureau("411002-health", superior=PROVINCE.id)
THERE = Bureau("440306-health")
FAR = Bureau("320583-health", superior=OTHER.id)


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub("--workers", "2") as running:
        enrolled(running, PROVINCE, OTHER, HERE, THERE, FAR)
        yield running


def invited(hub: RunningHub, name: str, organisation: str = PROVINCE.id, role: str = "viewer") -> str:
    done = hub.run("people", "invite", name, "--organisation", organisation, "--full-name", "张伟", "--role", role,
                   "--data", str(hub.data), "--url", hub.url)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def joined(page: Page, link: str) -> pyotp.TOTP:
    """Take up an invitation as its reader does; the generator of one-time codes."""
    await page.goto(link)
    totp = pyotp.parse_uri(await page.locator("code").inner_text())
    assert isinstance(totp, pyotp.TOTP)
    await page.get_by_label("口令").fill(PASSWORD)
    await page.get_by_label("动态码").fill(totp.now())
    await page.get_by_role("button", name="加入").click()
    await page.wait_for_url("**/console/")
    return totp


async def late_case(hub: RunningHub) -> str:
    """A case whose due date has passed, as the hub's own figures have it."""
    case = (await opened(HERE, "case-assistance", "request", [THERE.id])).case
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    try:
        for _ in range(200):
            if await connection.execute("UPDATE case_course SET due = due - 90 WHERE case_id = $1", case) == "UPDATE 1":
                break
            await connection.execute("SELECT pg_sleep(0.1)")
    finally:
        await connection.close()
    return case


def complained(to: list[str], said: ConsoleMessage) -> None:
    if said.type == "error":
        to.append(said.text)


async def accessible(page: Page) -> None:
    """No finding of axe that is serious or worse."""
    await page.evaluate(AXE.read_text("utf-8"))
    found = await page.evaluate("axe.run({resultTypes: ['violations']})")
    serious = [f for f in found["violations"] if f["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(serious, ensure_ascii=False)[:2000]


async def test_a_supervisor_finds_the_overdue_case_reads_its_clock_and_takes_it_along(hub: RunningHub) -> None:
    case = await late_case(hub)
    async with browser() as chromium:
        for width, kind in ((1280, "desktop"), (390, "phone")):
            context = await chromium.new_context(viewport={"width": width, "height": 900}, locale="zh-CN")
            page = await context.new_page()
            refused: list[str] = []
            page.on("console", partial(complained, refused))
            await joined(page, invited(hub, f"zhang.{kind}"))
            assert "超期 1 件" in await page.locator("h2").first.inner_text()
            await accessible(page)
            await page.screenshot(path=screenshots() / f"today-{kind}.png", full_page=True)
            await page.locator(f"a[href='/console/cases/{case}']").first.click()
            await page.wait_for_url(f"**/console/cases/{case}")
            await page.get_by_role("heading", name="经过").wait_for()
            assert THERE.id in await page.locator("main").inner_text()
            assert "在途" in await page.locator("main").inner_text()
            await page.locator("img.chart").evaluate("image => image.decode()")
            await accessible(page)
            await page.screenshot(path=screenshots() / f"case-{kind}.png", full_page=True)
            async with page.expect_download() as download:
                await page.locator("a[href*='export=csv'][href*='table=stages']").click()
            rows = list(csv.reader(io.StringIO((await (await download.value).path()).read_text("utf-8-sig"))))
            assert rows[0][0] == "时段" and rows[1][0] == "在途"
            await page.get_by_role("link", name="English").click()
            assert await page.locator("html").get_attribute("lang") == "en"
            await page.get_by_role("heading", name="Where the time went").wait_for()
            # Nothing is wider than the screen but what scrolls by itself.
            assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            assert refused == []
            await context.close()


async def test_an_auditor_opens_every_case_that_is_listed(hub: RunningHub) -> None:
    auditor = Bureau("411000-finance", roles=("auditor",))
    enrolled(hub, auditor)
    case = await late_case(hub)
    async with browser() as chromium:
        page = await (await chromium.new_context(locale="zh-CN")).new_page()
        await joined(page, invited(hub, "au.ditor", auditor.id))
        await page.goto(f"{hub.url}/console/cases")
        await page.locator(f"a[href='/console/cases/{case}']").first.click()
        await page.get_by_role("heading", name="经过").wait_for()
        await page.locator("img.chart").evaluate("image => image.decode()")


PATHS = (
    "/",
    "/cases",
    "/turnaround",
    "/matrix",
    "/scorecards",
    "/bulletins",
    "/traces",
    "/organisations",
    "/log",
    "/schedule",
    "/pack",
)


async def test_every_page_is_read_without_script_and_by_everybody(hub: RunningHub) -> None:
    await late_case(hub)
    async with browser() as chromium:
        context = await chromium.new_context(locale="en-GB", java_script_enabled=False)
        page = await context.new_page()
        await page.goto(invited(hub, "no.script"))
        totp = pyotp.parse_uri(await page.locator("code").inner_text())
        assert isinstance(totp, pyotp.TOTP)
        await page.get_by_label("New password").fill(PASSWORD)
        await page.get_by_label("One-time code").fill(totp.now())
        await page.get_by_role("button", name="Join").click()
        cookies = await context.cookies()
        heard = await chromium.new_context(locale="en-GB")
        await heard.add_cookies([{k: one[k] for k in ("name", "value", "domain", "path")} for one in cookies])  # type: ignore[misc]
        listener = await heard.new_page()
        for path in PATHS:
            answer = await page.goto(f"{hub.url}/console{path}")
            assert answer is not None and answer.status == 200, path
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert await page.locator("h1").count() == 1 and await page.locator("main").count() == 1
            assert not re.search(r"\son\w+=|style=", await page.content()), path
            await listener.goto(f"{hub.url}/console{path}")
            await accessible(listener)
        answer = await page.goto(f"{hub.url}/console/nowhere")
        assert answer is not None and answer.status == 404


async def test_each_sees_its_own_subtree(hub: RunningHub) -> None:
    mine = await late_case(hub)
    other = (await opened(THERE, "errand", "request", [FAR.id])).case
    async with browser() as chromium:
        for name, organisation, sees, not_sees in (
            ("in.henan", PROVINCE.id, mine, other),
            ("in.jiangsu", OTHER.id, other, mine),
        ):
            context = await chromium.new_context(locale="zh-CN")
            page = await context.new_page()
            await joined(page, invited(hub, name, organisation))
            await page.wait_for_timeout(1500)
            await page.goto(f"{hub.url}/console/cases")
            text = await page.content()
            assert sees in text and not_sees not in text
            answer = await page.goto(f"{hub.url}/console/cases/{not_sees}")
            assert answer is not None and "没有这件案件" in await page.locator("main").inner_text()
            chart = await context.request.get(f"{hub.url}/console/chart/case/{not_sees}.svg")
            assert chart.status == 404
            await context.close()


async def test_a_passkey_opens_the_door(hub: RunningHub) -> None:
    async with browser() as chromium:
        context = await chromium.new_context(locale="zh-CN")
        page = await context.new_page()
        session = await context.new_cdp_session(page)
        await session.send("WebAuthn.enable")
        options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
                   "isUserVerified": True, "automaticPresenceSimulation": True}  # fmt: skip
        await session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        url = hub.url.replace("127.0.0.1", "localhost")
        await joined(page, invited(hub, "key.holder").replace("127.0.0.1", "localhost"))
        await page.goto(f"{url}/console/account")
        async with page.expect_navigation(), page.expect_response("**/console/passkeys") as added:
            await page.get_by_role("button", name="添加通行密钥").click()
        assert (await added.value).status == 200
        await page.get_by_text("通行密钥 1 把").wait_for()
        await page.get_by_role("button", name="退出").click()
        await page.wait_for_url("**/console/login")
        await page.goto(f"{url}/console/cases")
        assert page.url.endswith("/console/login")
        # By an address in digits browsers take none, and the page says so.
        away = await context.new_page()
        await away.goto(f"{hub.url}/console/login")
        await away.get_by_role("button", name="用通行密钥登录").click()
        await away.get_by_text("它只认域名").wait_for()
        await page.get_by_role("button", name="用通行密钥登录").click()
        await page.wait_for_url("**/console/")
        assert "今日" in await page.locator("h1").inner_text()


# The doors, without a browser ---------------------------------------------------------------------------------


async def post(hub: RunningHub, path: str, data: dict[str, str], **headers: str) -> tuple[int, str, Any]:
    async with aiohttp.ClientSession() as session:
        own = {"Origin": hub.url} | {name.replace("_", "-"): value for name, value in headers.items()}
        async with session.post(hub.url + path, data=data, headers=own, allow_redirects=False) as answer:
            return answer.status, await answer.text(), answer


async def member(hub: RunningHub, name: str) -> pyotp.TOTP:
    link = invited(hub, name)
    async with aiohttp.ClientSession() as session, session.get(link) as answer:
        secret = re.search(r"secret=([A-Z2-7]+)", await answer.text())
    assert secret is not None
    totp = pyotp.TOTP(secret[1])
    path = urlsplit(link).path
    assert (await post(hub, path, {"password": "short", "code": totp.now()}))[0] == 422
    assert (await post(hub, path, {"password": PASSWORD, "code": "000000"}))[0] == 422
    status, _, answer = await post(hub, path, {"password": PASSWORD, "code": totp.now()})
    assert (
        status == 303
        and "HttpOnly" in answer.headers["Set-Cookie"]
        and "SameSite=Strict" in answer.headers["Set-Cookie"]
    )
    assert (await post(hub, path, {"password": PASSWORD, "code": totp.now()}))[0] == 410
    return totp


async def test_who_guesses_is_slowed_down_and_no_code_counts_twice(hub: RunningHub) -> None:
    totp = await member(hub, "guess.ed")
    right = {"name": "guess.ed", "password": PASSWORD}
    # The code that joined was used; that of the next half minute is good once.
    assert (await post(hub, "/console/login", right | {"code": totp.now()}))[0] == 403
    later = totp.at(datetime.now(UTC).timestamp().__int__() + 30)
    assert (await post(hub, "/console/login", right | {"code": later}))[0] == 303
    assert (await post(hub, "/console/login", right | {"code": later}))[0] == 403
    wrong = {"name": "guess.ed", "password": "wrong", "code": "123456"}
    seen = [(await post(hub, "/console/login", wrong))[0] for _ in range(12)]
    assert seen[0] == 403 and seen[-1] == 429
    assert (await post(hub, "/console/login", right | {"code": later}))[0] == 429
    assert (await post(hub, "/console/login", {"name": "nobody", "password": "x", "code": "é"}))[0] == 403


async def test_who_guesses_many_at_once_gets_no_more_guesses(hub: RunningHub) -> None:
    await member(hub, "crowd.ed")
    wrong = {"name": "crowd.ed", "password": "wrong", "code": "123456"}
    seen = Counter(
        answer[0] for answer in await asyncio.gather(*(post(hub, "/console/login", wrong) for _ in range(20)))
    )
    assert seen[403] <= 10 and seen[403] + seen[429] == 20


async def test_a_form_is_small_and_says_how_large_it_is(hub: RunningHub) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"name=a"

    async with aiohttp.ClientSession(headers={"Origin": hub.url}) as session:
        for body in (b"name=" + b"a" * (1 << 16), endless()):
            async with session.post(hub.url + "/console/login", data=body) as answer:
                assert answer.status == 413


async def test_a_page_hears_that_the_log_has_grown(hub: RunningHub) -> None:
    await member(hub, "live.one")
    made = hub.run("people", "link", "live.one", "--data", str(hub.data), "--url", hub.url)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get(f"{hub.url}/console/live") as answer:
            assert answer.url.path == "/console/login"
        async with session.post(made.stdout.strip(), headers={"Origin": hub.url}):
            pass
        async with asyncio.timeout(40), session.get(f"{hub.url}/console/live") as answer:
            assert answer.content_type == "text/event-stream"
            assert await answer.content.readline() == b": \n"
            await opened(HERE, "case-assistance", "request", [THERE.id])
            while not (line := await answer.content.readline()).startswith(b"event:"):
                pass
            assert line == b"event: grown\n"
            assert int((await answer.content.readline()).partition(b":")[2]) > 0
            # Who logs out on another page hears no more.
            async with session.post(f"{hub.url}/console/logout", headers={"Origin": hub.url}):
                pass
            while await answer.content.readline():
                pass


async def test_a_form_from_another_site_is_refused(hub: RunningHub) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}):
        assert (await post(hub, "/console/login", {"name": "a"}, **headers))[0] == 403


async def test_a_link_is_good_once_and_who_is_shut_out_is_out(hub: RunningHub) -> None:
    await member(hub, "link.ed")
    made = hub.run("people", "link", "link.ed", "--data", str(hub.data), "--url", hub.url)
    path = urlsplit(made.stdout.strip()).path
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        for _ in range(2):  # whoever looks at a link first uses nothing up
            async with session.get(hub.url + path) as answer:
                assert answer.status == 200
        async with session.post(hub.url + path, headers={"Origin": hub.url}) as answer:
            assert answer.status == 200 and answer.url.path == "/console/"
        assert (await post(hub, path, {}))[0] == 410
        assert hub.run("people", "shut-out", "link.ed", "--data", str(hub.data)).returncode == 0
        async with session.get(hub.url + "/console/cases") as answer:
            assert answer.url.path == "/console/login"
    for wrong in (("invite", "x", "--organisation", PROVINCE.id, "--full-name", "a"),
                  ("invite", "fine.name", "--organisation", HERE.id, "--full-name", "a"),
                  ("link", "no.body"), ("shut-out", "no.body")):  # fmt: skip
        done = hub.run("people", *wrong, "--data", str(hub.data))
        assert done.returncode == 1 and "person-invalid" in done.stderr and "Traceback" not in done.stderr


async def test_who_lost_password_or_telephone_starts_over(hub: RunningHub) -> None:
    old = await member(hub, "lost.it")
    made = hub.run("people", "link", "lost.it", "--data", str(hub.data), "--url", hub.url)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.post(made.stdout.strip(), headers={"Origin": hub.url}) as answer:
            assert answer.url.path == "/console/"
        again = hub.run("people", "renew", "lost.it", "--data", str(hub.data), "--url", hub.url).stdout.strip()
        async with session.get(hub.url + "/console/cases") as answer:
            assert answer.url.path == "/console/login"
        right = {"name": "lost.it", "password": PASSWORD, "code": old.at(datetime.now(UTC).timestamp().__int__() + 30)}
        assert (await post(hub, "/console/login", right))[0] == 403
        async with session.get(again) as answer:
            secret = re.search(r"secret=([A-Z2-7]+)", await answer.text())
    assert secret is not None and secret[1] != old.secret
    given = {"password": "another battery staple", "code": pyotp.TOTP(secret[1]).now()}
    assert (await post(hub, urlsplit(again).path, given))[0] == 303
    unknown = hub.run("people", "renew", "no.body", "--data", str(hub.data))
    assert unknown.returncode == 1 and "person-invalid" in unknown.stderr


async def test_what_is_asked_oddly_is_a_page_and_never_a_failure(hub: RunningHub) -> None:
    await member(hub, "odd.one")
    made = hub.run("people", "link", "odd.one", "--data", str(hub.data), "--url", hub.url)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.post(made.stdout.strip(), headers={"Origin": hub.url}):
            pass
        odd = ("cases?from=x&to=9999-99-99", "cases?after=2026-01-01/x", "cases?after=x", "cases?stage=no&overdue=7",
               "cases/x", "cases/019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7", "turnaround?from=2027-01-01&to=2026-01-01",
               "scorecards?regions=,,,", "bulletins?period=2026-99", "matrix?protocol='--",
               "language?to=xx&back=//evil.example", "language?to=en&back=https://evil.example/")  # fmt: skip
        for path in odd:
            async with session.get(f"{hub.url}/console/{path}") as answer:
                assert answer.status == 200 and answer.url.host == "127.0.0.1", path
        async with session.get(f"{hub.url}/console/cases?responder=%00%ff") as answer:
            assert answer.status == 400
        for path in ("cases?export=csv&table=none", "cases?export=exe&table=cases", "chart/case/x.svg"):
            async with session.get(f"{hub.url}/console/{path}") as answer:
                assert answer.status == 404, path
        async with session.get(f"{hub.url}/console/cases?export=xlsx&table=cases") as answer:
            book = load_workbook(io.BytesIO(await answer.read()))
            assert book.active is not None and book.active.cell(1, 1).value == "Case"
        for path in ("passkeys", "passkeys/enter"):
            for body in (b"", b"[]", b'{"response": {"clientDataJSON": "e30"}}'):
                headers = {"Origin": hub.url, "Content-Type": "application/json"}
                async with session.post(f"{hub.url}/console/{path}", data=body, headers=headers) as answer:
                    assert answer.status in (400, 403), path


async def test_what_a_partner_wrote_is_no_markup_and_no_formula() -> None:
    from hub.console.tables import Table, as_csv, as_xlsx
    from hub.console.words import T

    table = Table("t", T("题", "T"), ("a",), [["=1+1"], ["＝1+1"], ["@x"], ["<b>"], [None], [-3]])
    assert as_csv(table, "zh").decode("utf-8-sig").splitlines() == ["a", "'=1+1", "'＝1+1", "'@x", "<b>", '""', "-3"]
    book = load_workbook(io.BytesIO(as_xlsx(table, "zh")))
    assert book.active is not None and [cell.value for cell in book.active["A"]] == [
        "a",
        "'=1+1",
        "'＝1+1",
        "'@x",
        "<b>",
        None,
        -3,
    ]
