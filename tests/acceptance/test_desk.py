"""Two bureaus at their desks in a real browser: a clerk drafts, the head signs, the other answers, the hub is away.

Nothing here knows what a message of the protocol holds: what is asked for on a page is filled in as it is asked for.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from tests.acceptance.browsing import browser, screenshots
from tests.acceptance.bureaus import audited
from tests.conftest import XIEBAN, RunningHub

AXE = Path(__file__).parent / "node/node_modules/axe-core/axe.min.js"
PASSPHRASE, PASSWORD = "correct horse battery", "staple-staple"
NAMES = {
    "411002-health": ("魏都区卫生健康委员会", "Weidu Health"),
    "440306-health": ("宝安区卫生健康局", "Bao'an Health"),
}
HERE, THERE = NAMES
SECRET = "申请人王示例反映三个月工资未结清"
pytestmark = pytest.mark.xdist_group("desk")


class Desk:
    """A desk's process, and where its page is."""

    def __init__(self, hub: RunningHub, folder: Path, organisation: str) -> None:
        self.hub, self.folder, self.organisation = hub, folder, organisation
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.first = ""

    def start(self) -> None:
        """Start it; `first` is where its first account is made."""
        log = self.folder / "desk.log"
        where = ("--keys", str(self.folder / "keys"), "--store", str(self.folder / "store"), "--port", str(self.port))
        command = [*XIEBAN, "desk", "--hub", self.hub.url, "--as", self.organisation, *where]
        with log.open("w") as out:
            self.process = subprocess.Popen(
                command,
                stdout=out,
                stderr=out,
                env=os.environ | {"XIEBAN_PASSPHRASE": PASSPHRASE, "PYTHONUNBUFFERED": "1"},
            )
        until = time.monotonic() + 30
        while "the desk is ready" not in log.read_text():
            assert self.process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        time.sleep(0.1)
        found = re.search(r"http\S+/setup/\S+", log.read_text())
        self.first = found.group(0) if found else ""

    def stop(self) -> None:
        """Stop it as its user does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)


@pytest.fixture(scope="module")
def desks(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Desk]]:
    made = {}
    for organisation, (zh, en) in NAMES.items():
        folder = tmp_path_factory.mktemp(organisation)
        command = [*XIEBAN, "keys", "new", "--keys", str(folder / "keys"), "--organisation", organisation,
                   "--name-zh", zh, "--name-en", en]  # fmt: skip
        known = os.environ | {"XIEBAN_PASSPHRASE": PASSPHRASE}
        done = subprocess.run(command, capture_output=True, text=True, env=known, check=True)
        (folder / "record.json").write_text(done.stdout)
        taken = hub.run("organisations", "import", str(folder / "record.json"), "--data", str(hub.data))
        assert taken.returncode == 0, taken.stderr
        made[organisation] = Desk(hub, folder, organisation)
        made[organisation].start()
    yield made
    for one in made.values():
        one.stop()


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as one:
        yield one


async def accessible(page: Page) -> None:
    await page.add_script_tag(content=AXE.read_text("utf-8"))
    serious = "r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact))"
    found = await page.evaluate(f"axe.run().then({serious})")
    assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found] == []


async def account(chromium: Browser, desk: Desk, name: str, role: str, head: Page | None) -> Page:
    """Somebody with an account, logged in."""
    context = await chromium.new_context(bypass_csp=True)
    page = await context.new_page()
    if head is None:
        await page.goto(desk.first)
        await page.get_by_label("账户").fill(name)
        await page.get_by_label("姓名").fill("周明")
        await page.get_by_label("口令").fill(PASSWORD)
        await page.get_by_role("button", name="建立").click()
    else:
        await head.goto(f"{desk.url}/officers")
        await head.get_by_label("账户").fill(name)
        await head.get_by_label("姓名").fill("李娜")
        await head.get_by_label("口令").fill(PASSWORD)
        await head.get_by_label("角色").select_option(role)
        await head.get_by_role("button", name="添加").click()
        await page.goto(desk.url)
        await page.get_by_label("账户").fill(name)
        await page.get_by_label("口令").fill(PASSWORD)
        await page.get_by_role("button", name="登录").click()
    await page.get_by_role("heading", name="待办", exact=True).wait_for()
    return page


async def filled(page: Page) -> None:
    """Fill in what the page demands, as somebody would who reads its labels."""
    for box in await page.locator("fieldset:has(legend .must) > label > input[type=checkbox]").all():
        if not await box.is_checked():
            await box.check()
            break
    for select in await page.locator(".field:has(label .must) select").all():
        if not await select.input_value():
            values = [v for v in await select.locator("option").evaluate_all("all => all.map(one => one.value)") if v]
            await select.select_option("npc-70-2021" if "npc-70-2021" in values else values[0])
    for text in await page.locator(".field:has(label .must) textarea").all():
        if not await text.input_value():
            await text.fill(SECRET)
    for box in await page.locator(".field:has(label .must) input").all():
        if not await box.input_value():
            kind = await box.get_attribute("type")
            phone = "phone" in str(await box.get_attribute("name"))
            number = await box.get_attribute("inputmode")
            await box.fill("2026-06-03" if kind == "date" else "1" if number else "0374-0000101" if phone else "周明")


async def case_at(page: Page, desk: Desk, state: str) -> None:
    """The one case of the desk, once it stands in a state."""
    for _ in range(150):
        await page.goto(f"{desk.url}/cases")
        rows = page.locator("tbody tr", has_text=state)
        if await rows.count():
            await rows.first.locator("a").click()
            await page.locator("article.message").first.wait_for()
            return
        await page.wait_for_timeout(200)
    raise AssertionError(await page.locator("main").inner_text())


async def step(page: Page, button: str, do: str) -> None:
    """One of the allowed steps: its form filled in, and signed or handed over."""
    await page.get_by_role("button", name=button, exact=True).first.click()
    await filled(page)
    await page.get_by_role("button", name=do).click()
    for _ in range(150):
        text = await page.locator("main").inner_text()
        if "已发出" in text:
            return
        assert await page.locator(".problem").count() == 0 and "被退回" not in text, text
        await page.wait_for_timeout(200)
        await page.reload()
    raise AssertionError(text)


async def test_a_case_goes_from_desk_to_desk_while_the_hub_comes_and_goes(
    hub: RunningHub, desks: dict[str, Desk], chromium: Browser
) -> None:
    here, there = desks[HERE], desks[THERE]
    head = await account(chromium, here, "zhou", "head", None)
    clerk = await account(chromium, here, "li.na", "clerk", head)
    other = await account(chromium, there, "chen", "head", None)

    # The clerk finds the authority by its pinyin and drafts; what is missing is said at its field.
    await clerk.goto(f"{here.url}/new?q=baoan")
    await accessible(clerk)
    await clerk.screenshot(path=screenshots() / "desk-new.png")
    await clerk.locator("input[value='case-assistance.request']").check()
    await clerk.get_by_role("button", name="起草").click()
    await clerk.get_by_role("button", name="送负责人签发").click()
    assert await clerk.locator(".field .problem, fieldset > .problem").count() > 2
    await accessible(clerk)
    await filled(clerk)
    await clerk.screenshot(path=screenshots() / "desk-draft.png", full_page=True)
    await clerk.get_by_role("button", name="送负责人签发").click()
    assert "已送负责人签发" in await clerk.locator("main").inner_text(), await clerk.locator("main").inner_text()
    draft = clerk.url
    assert await clerk.get_by_role("button", name="签发", exact=True).count() == 0

    # The head checks it and signs while the hub is away: it goes out when the hub is back, once.
    await head.goto(draft)
    await head.get_by_role("button", name="发送前检查").click()
    await head.get_by_text("检查通过").wait_for()
    hub.stop()
    await head.get_by_role("button", name="签发", exact=True).click()
    await head.get_by_text("已签发，待发出").first.wait_for()
    await other.goto(there.url)
    here.stop()  # and the desk's machine is turned off meanwhile
    here.start()
    hub.start()
    head = await again(chromium, here, "zhou")
    await case_at(head, here, "已发起")
    await case_at(other, there, "已发起")
    text = await other.locator("main").inner_text()
    assert SECRET in text and NAMES[HERE][0] in text
    await accessible(other)
    await other.screenshot(path=screenshots() / "desk-case.png", full_page=True)

    await step(other, "受理", "签发")
    await case_at(other, there, "办理中")
    await step(other, "请求说明", "签发")
    await case_at(head, here, "待说明")
    await step(head, "答复", "签发")
    await case_at(other, there, "办理中")
    await step(other, "答复", "签发")
    await case_at(head, here, "已答复")
    await step(head, "办结", "签发")
    for page, desk in ((head, here), (other, there)):
        await case_at(page, desk, "已办结")
        assert await page.locator("article.message").count() == 6
        assert await page.get_by_role("button", name="答复", exact=True).count() == 0
    await head.get_by_role("link", name="English").click()
    await head.goto(f"{here.url}/cases")
    assert "Closed" in await head.locator("main").inner_text()
    assert await head.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert audited(hub) == ""
    for desk in desks.values():
        for file in (desk.folder / "store").iterdir():
            assert SECRET.encode() not in file.read_bytes()


async def again(chromium: Browser, desk: Desk, name: str) -> Page:
    """Somebody who has an account logs in."""
    page = await (await chromium.new_context(bypass_csp=True)).new_page()
    await page.goto(desk.url)
    await page.get_by_label("账户").fill(name)
    await page.get_by_label("口令").fill(PASSWORD)
    await page.get_by_role("button", name="登录").click()
    await page.get_by_role("heading", name="待办", exact=True).wait_for()
    return page


def status(url: str, **options: Any) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, **options), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_nobody_gets_in_without_an_account(desks: dict[str, Desk]) -> None:
    desk = desks[THERE]
    with urllib.request.urlopen(f"{desk.url}/cases", timeout=10) as answer:
        assert answer.url.endswith("/enter")
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert status(f"{desk.url}/setup/guess") == 404
    assert status(f"{desk.url}/enter", data=b"name=zhou&password=wrong-wrong") == 403
    assert status(f"{desk.url}/enter", data=b"name=a", headers={"Origin": "https://evil.example"}) == 403
    assert status(f"{desk.url}/nowhere") == 404


def test_another_passphrase_opens_no_desk(desks: dict[str, Desk]) -> None:
    desk = desks[THERE]
    command = [*XIEBAN, "desk", "--hub", desk.hub.url, "--as", THERE, "--keys", str(desk.folder / "keys"),
               "--store", str(desk.folder / "store"), "--port", "1"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                          env=os.environ | {"XIEBAN_PASSPHRASE": "another passphrase"})  # fmt: skip
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert sys.version_info >= (3, 11)
