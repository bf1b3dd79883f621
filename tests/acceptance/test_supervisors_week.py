"""The supervisor's guide with a browser: its commands, its figures on their pages, one of them disputed to its end."""

import asyncio
import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pyotp
import pytest
from openpyxl import load_workbook
from playwright.async_api import Browser, Page

from hub.console import people
from hub.console.words import INDICATORS, STAGES
from hub.store import embedded
from protocols import deadlines
from tests.acceptance.browsing import browser, picture
from tests.acceptance.desks import HERE, PASSWORD, Desk, set_up
from tests.acceptance.pages import ROOT, blocks, in_shell
from tests.conftest import RunningHub

GUIDE = (ROOT / "docs/guides/supervisor.md").read_text("utf-8")
SUPERVISOR = "411000-supervision"
OWN = "correct horse battery"
SECRET = "export XIEBAN_PASSPHRASE=change-me-please\n"
YESTERDAY = deadlines.local_date(datetime.now(UTC)) - timedelta(days=1)
PERIOD = ("--from", str(YESTERDAY - timedelta(days=30)), "--to", str(YESTERDAY))


def named(section: str) -> list[str]:
    """What the guide's table in a section names, in Chinese."""
    part = GUIDE.split(f"\n## {section}")[1].split("\n## ")[0]
    return [re.sub(r" [a-z].*", "", row) for row in re.findall(r"(?m)^\| (?!---)([^|]+?) \|", part)][1:]


def test_every_figure_of_the_guide_is_one_of_the_console_and_none_is_left_out() -> None:
    assert named("周三") == [text.zh for text in (*STAGES.values(), *INDICATORS.values())]
    assert len(named("每天")) == 5
    hours, wrong = people.SESSION // timedelta(hours=1), people.MOST_FAILURES["name"]
    for said in (f"至少 {people.SHORTEST} 个字符", f"登录 {hours} 小时", f"连错 {wrong} 次"):
        assert said in GUIDE


@pytest.fixture
def desk(hub: RunningHub, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(hub, tmp_path / "weidu-desk", HERE)
    made.folder.mkdir()
    yield made.start()
    made.stop()


@pytest.mark.timeout(600)
async def test_a_supervisor_goes_through_the_week(
    hub: RunningHub, desk: Desk, tmp_path: Path, all_guides: None
) -> None:
    _, keys, operator, opening, *_ = blocks((ROOT / "README.md").read_text("utf-8"), "sh")
    enrolling, renewing, recomputing, auditing, issuing = blocks(GUIDE, "sh")
    (tmp_path / "hub-data").symlink_to(hub.data)
    readme = "\n".join([keys, *operator.strip().splitlines()[1:], opening])
    invitation = in_shell(f"{readme}\n{enrolling}", tmp_path, hub).strip().splitlines()[-1]
    assert in_shell(SECRET + recomputing + auditing + issuing, tmp_path, hub).count("440306-health") >= 3
    await late(hub)
    async with browser() as chromium:
        page, totp = await joined(chromium, invitation)
        await looked_at(page, hub)
        await exported(page, hub)
        await disputed(page, hub, desk, chromium)
        await logged_in_again(page, totp)
        renewed = in_shell(renewing, tmp_path, hub).strip()
        await page.goto(f"{hub.url}/console/cases")
        await page.wait_for_url("**/console/login")
        await page.goto(renewed)
        await page.get_by_role("heading", name="加入督导台").wait_for()


async def late(hub: RunningHub) -> None:
    """The case of the README is three months late, by the hub's figures."""
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    async with asyncio.timeout(20):
        while await connection.execute("UPDATE case_course SET due = due - 90") != "UPDATE 1":
            await asyncio.sleep(0.1)
    await connection.close()


async def joined(chromium: Browser, invitation: str) -> tuple[Page, pyotp.TOTP]:
    """The invitation taken up on a telephone, where it fits; then at a desk."""
    context = await chromium.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN")
    page = await context.new_page()
    await page.goto(invitation)
    await page.locator("figure.code svg").wait_for()
    totp = pyotp.parse_uri(await page.locator("a[href^='otpauth:']").inner_text())
    assert isinstance(totp, pyotp.TOTP)
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    await page.get_by_label("新口令").fill(OWN)
    await page.get_by_label("动态码").fill(totp.now())
    await page.get_by_role("button", name="加入").click()
    await page.wait_for_url("**/console/")
    await page.set_viewport_size({"width": 1280, "height": 900})
    return page, totp


async def looked_at(page: Page, hub: RunningHub) -> None:
    """Today, the figures, and the case behind them."""
    await page.goto(f"{hub.url}/console/")
    today = await page.locator("main").inner_text()
    assert all(section in today for section in named("每天")) and "超期 1 件" in today
    await picture(page, "supervisor-today")
    await page.goto(f"{hub.url}/console/scorecards")
    figures = await page.locator("main").inner_text()
    assert all(figure in figures for figure in named("周三")) and "绿：≥80%" in figures
    await page.get_by_role("link", name="列出").first.click()
    await page.locator("tbody a[href^='/console/cases/']").click()
    await page.get_by_role("heading", name="时间花在哪里").wait_for()
    await page.locator("img.chart").evaluate("image => image.decode()")
    assert "《" not in await page.locator("h2").first.inner_text()
    assert "法律依据 中华人民共和国" in await page.locator("main").inner_text()
    await picture(page, "supervisor-case")
    await page.goto(f"{hub.url}/console/matrix")
    assert "44 广东省" in await page.locator("main").inner_text()
    await page.get_by_role("link", name="联席会议材料").click()
    await page.get_by_role("heading", name="地区考核表").wait_for()


async def exported(page: Page, hub: RunningHub) -> None:
    await page.goto(f"{hub.url}/console/scorecards")
    files = []
    for kind in ("csv", "xlsx"):
        async with page.expect_download() as waiting:
            await page.locator(f"a[href*='export={kind}'][href*='table=scorecards']").click()
        files.append((await (await waiting.value).path()).read_bytes())
    rows = list(csv.reader(io.StringIO(files[0].decode("utf-8-sig"))))
    sheet = load_workbook(io.BytesIO(files[1])).active
    assert sheet is not None and rows[0] == [cell.value for cell in sheet[1]] and "按时签收" in rows[0]


async def disputed(page: Page, hub: RunningHub, desk: Desk, chromium: Browser) -> None:
    """One side disputes a figure at its desk; the supervisor sees it, with what the hub answered."""
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    await connection.execute("UPDATE case_step SET accepted = accepted - interval '20 days', due = due - 20")
    await connection.execute("UPDATE case_file SET opened = opened - interval '20 days', due = due - 20")
    await connection.close()
    await set_up(desk, hub, "zhou")
    assert hub.run("bulletins", "issue", "progress", *PERIOD, "--data", str(hub.data)).returncode == 0
    officer = await (await chromium.new_context(locale="zh-CN")).new_page()
    await officer.goto(desk.url)
    await officer.get_by_label("账户").fill("zhou")
    await officer.get_by_label("口令").fill(PASSWORD)
    await officer.get_by_role("button", name="登录").click()
    await listed(officer, f"{desk.url}/cases", "进展通报")
    await officer.get_by_role("button", name="异议", exact=True).click()
    await officer.get_by_label("项目序号").fill("1")
    await officer.get_by_label("理由").select_option("missing-case")
    await officer.get_by_role("button", name="签发", exact=True).click()
    await listed(page, f"{hub.url}/console/cases?protocol=progress-bulletin", "已定稿")
    table = page.locator("section", has=page.get_by_role("heading", name="通报的数字与异议")).locator("tbody tr")
    assert re.search("本期发起.*漏计案件.*维持", re.sub(r"\s+", " ", await table.first.inner_text()))
    assert await table.filter(has_text="维持").count() == 1
    assert "河南省协办枢纽" in await page.locator("main").inner_text()


async def listed(page: Page, address: str, words: str) -> None:
    """Open the case of a list in whose line something stands, once it does."""
    async with asyncio.timeout(30):
        while True:
            await page.goto(address)
            line = page.locator("tbody tr", has_text=words)
            if await line.count():
                break
            await asyncio.sleep(0.3)
    await line.first.locator("a").first.click()
    await page.wait_for_url(re.compile(r"/cases/[0-9a-f-]{36}"))


async def logged_in_again(page: Page, totp: pyotp.TOTP) -> None:
    """Out, five wrong codes, and in again by the right one."""
    await page.get_by_role("link", name="账户").click()
    assert "张伟（zhang.wei）· 许昌市督导室 · 查看" in await page.locator("main").inner_text()
    await page.get_by_role("button", name="退出").click()
    await page.wait_for_url("**/console/login")
    later = totp.at(datetime.now(UTC) + timedelta(seconds=30))
    for code in [*("000000" if later != "000000" else "111111" for _ in range(5)), later]:
        assert await page.get_by_role("heading", name="今日").count() == 0
        await page.get_by_label("账户").fill("zhang.wei")
        await page.get_by_label("口令").fill(OWN)
        await page.get_by_label("动态码").fill(code)
        await page.get_by_role("button", name="登录", exact=True).click()
        await page.wait_for_load_state()
    await page.get_by_role("heading", name="今日").wait_for()
