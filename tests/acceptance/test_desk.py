"""Two bureaus at their desks in a real browser: from nothing to a case worked by both, while the hub comes and goes.

Nothing here knows what a message of the protocol holds: what is asked for on a page is filled in as it is asked for.
"""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.acceptance.browsing import browser, picture, screenshots
from tests.acceptance.bureaus import audited
from tests.acceptance.desks import HERE, NAMES, PASSWORD, THERE, Desk, fingerprints, set_up
from tests.conftest import RunningHub

AXE = Path(__file__).parent / "node/node_modules/axe-core/axe.min.js"
SECRET = "申请人王示例反映三个月工资未结清"
EVIDENCE = b"\xff\xd8\xff" + "工资条照片（示例）".encode() * 400_000


@pytest.fixture(scope="module")
def desks(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Desk]]:
    made = {name: Desk(hub, tmp_path_factory.mktemp(name), name).start() for name in NAMES}
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


async def guided(chromium: Browser, desk: Desk, hub: RunningHub, tmp_path: Path) -> Page:
    """A head who sets a new desk up by its pages alone, with what the operator handed over."""
    place, _, zh, en = NAMES[desk.organisation]
    page = await (await chromium.new_context(bypass_csp=True, accept_downloads=True)).new_page()
    await page.goto(desk.first)
    await page.get_by_label("账户（小写字母、数字）").fill("zhou")
    await page.get_by_label("姓名").fill("周明")
    await page.get_by_label("口令，至少 10 个字").fill(PASSWORD)
    await page.get_by_label("再输一次口令").fill(PASSWORD)
    await accessible(page)
    await page.get_by_role("button", name="建立账户").click()
    await page.get_by_label("地址，如 https://hub.example").fill(hub.url)
    await page.get_by_role("button", name="连接").click()
    await page.get_by_label("运行方书面交付的密钥指纹").fill("not-the-fingerprint-of-this-hub")
    await page.get_by_role("button", name="核对指纹").click()
    await page.get_by_text("指纹不符").wait_for()
    await page.get_by_label("运行方书面交付的密钥指纹").fill(fingerprints(hub))
    await page.get_by_role("button", name="核对指纹").click()
    await page.get_by_label("所在区划：名称或六位代码").fill(place)
    await page.get_by_label("机构全称").fill(zh)
    await page.get_by_label("英文名称（可空）").fill(en)
    await accessible(page)
    await picture(page, "desk-setup")
    await page.get_by_role("button", name="保存").click()
    await page.get_by_role("button", name="新做一对密钥").click()
    await page.get_by_text("枢纽的目录里还没有本机构").wait_for()
    async with page.expect_download() as waiting:
        await page.get_by_role("link", name=f"{desk.organisation}.json").click()
    record = tmp_path / "record.json"
    await (await waiting.value).save_as(record)
    hub.enrol(json.loads(record.read_text()))
    await page.get_by_role("link", name="再看一次").click()
    await page.get_by_text("已登记，可以办案了").wait_for()
    await page.get_by_label("备份口令，至少 8 个字").fill("apart from the paper")
    await page.get_by_label("再输一次", exact=True).fill("apart from the paper")
    await page.get_by_role("button", name="打印到纸上").click()
    await page.locator("figure.key svg").first.wait_for()
    await accessible(page)
    await page.goto(f"{desk.url}/setup")
    assert await page.locator(".mark", has_text="✓").count() == 5
    await page.get_by_role("link", name="开始办案").click()
    await page.get_by_role("heading", name="待办", exact=True).wait_for()
    return page


async def added(chromium: Browser, desk: Desk, head: Page, name: str, full_name: str) -> Page:
    """A clerk to whom the head gave an account, logged in."""
    await head.goto(f"{desk.url}/officers")
    form = head.locator("form[action='/officers']")
    await form.get_by_label("账户").fill(name)
    await form.get_by_label("姓名").fill(full_name)
    await form.get_by_label("口令").fill(PASSWORD)
    await form.get_by_label("角色").select_option("clerk")
    await form.get_by_role("button", name="添加").click()
    await head.get_by_role("heading", name=full_name).wait_for()
    return await again(chromium, desk, name)


async def again(chromium: Browser, desk: Desk, name: str) -> Page:
    """Somebody who has an account logs in."""
    page = await (await chromium.new_context(bypass_csp=True)).new_page()
    await page.goto(desk.url)
    await page.get_by_label("账户").fill(name)
    await page.get_by_label("口令").fill(PASSWORD)
    await page.get_by_role("button", name="登录").click()
    await page.get_by_role("heading", name="待办", exact=True).wait_for()
    return page


async def filled(page: Page) -> None:
    """Fill in what the page demands, as somebody would who reads its labels."""
    form = page.locator("form#draft")
    for box in await form.locator("fieldset:has(legend .must) > label > input[type=checkbox]").all():
        if not await box.is_checked():
            await box.check()
            break
    for select in await form.locator(".field:has(label .must) select").all():
        if not await select.input_value():
            values = [v for v in await select.locator("option").evaluate_all("all => all.map(one => one.value)") if v]
            await select.select_option("npc-70-2021" if "npc-70-2021" in values else values[0])
    for text in await form.locator(".field:has(label .must) textarea").all():
        if not await text.input_value():
            await text.fill(SECRET)
    for box in await form.locator(".field:has(label .must) input").all():
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
    hub: RunningHub, desks: dict[str, Desk], chromium: Browser, tmp_path: Path
) -> None:
    here, there = desks[HERE], desks[THERE]
    head = await guided(chromium, here, hub, tmp_path)
    await set_up(there, hub, "chen")
    clerk = await added(chromium, here, head, "li.na", "李娜")
    other = await again(chromium, there, "chen")

    # The clerk finds the authority by its pinyin and drafts; what is missing is said at its field.
    await clerk.goto(f"{here.url}/new?q=baoan")
    await accessible(clerk)
    await clerk.screenshot(path=screenshots() / "desk-new.png")
    await clerk.locator("input[value='case-assistance.request']").check()
    await clerk.get_by_role("button", name="起草").click()
    await clerk.get_by_role("button", name="送负责人签发").click()
    assert await clerk.locator(".field .problem").count() > 2
    assert await clerk.evaluate("document.activeElement.name") == "open.legal_basis.instrument"
    await accessible(clerk)
    await filled(clerk)
    # It keeps itself, and goes on from what was kept; a page that shows less than that says so and keeps nothing.
    old = await clerk.context.new_page()
    await old.goto(clerk.url)
    await clerk.get_by_text("已自动保存").wait_for()
    await old.locator("form#draft textarea").first.fill("旧页面")
    await old.get_by_text("这份草稿在别处改动过").wait_for()
    await old.get_by_role("button", name="发送前检查").click()
    await old.get_by_text("您填的没有保存").wait_for()
    assert "旧页面" in await old.locator("main").inner_text()
    await accessible(old)
    await old.close()
    await clerk.get_by_role("button", name="保存草稿").last.click()
    await clerk.locator("input[type=file]").set_input_files(
        {"name": "工资条.jpg", "mimeType": "image/jpeg", "buffer": EVIDENCE}
    )
    await clerk.get_by_role("button", name="附上").click()
    await clerk.get_by_text("工资条.jpg").wait_for()
    await picture(clerk, "desk-draft")
    await clerk.get_by_role("button", name="送负责人签发").click()
    assert "已送负责人签发" in await clerk.locator("main").inner_text(), await clerk.locator("main").inner_text()
    draft = clerk.url
    assert await clerk.get_by_role("button", name="签发", exact=True).count() == 0

    # The head signs while the hub is away: it goes out when the hub is back, once.
    await head.goto(draft)
    hub.stop()
    await head.get_by_role("button", name="签发", exact=True).click()
    await head.get_by_text("已签发，待发出").first.wait_for()
    await other.goto(there.url)
    here.stop()  # and the desk's machine is turned off meanwhile
    here.start()
    hub.start()
    head = await again(chromium, here, "zhou")
    await case_at(head, here, "已发起")

    # Who has a page open is told that something came in, and finds it.
    await other.locator("[data-news]", has_text="有新消息到达").wait_for(timeout=30_000)
    await other.goto(there.url)
    await picture(other, "desk-todo")
    await case_at(other, there, "已发起")
    text = await other.locator("main").inner_text()
    assert SECRET in text and NAMES[HERE][2] in text
    await accessible(other)
    await picture(other, "desk-case")
    async with other.expect_download() as waiting:
        await other.get_by_role("link", name="工资条.jpg").click()
    assert Path(await (await waiting.value).path()).read_bytes() == EVIDENCE

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
    await head.goto(f"{here.url}/cases")
    await head.locator("tbody a").first.click()
    await head.get_by_role("link", name="打印公文").click()
    await head.locator("figure.proof svg").first.wait_for()
    await head.screenshot(path=screenshots() / "desk-letter.png", full_page=True)
    await head.goto(f"{here.url}/cases")
    await head.get_by_role("link", name="English").click()
    assert "Closed" in await head.locator("main").inner_text()
    assert await head.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for path in ("/", "/officers", "/settings", "/packages", "/below"):
        await head.goto(f"{here.url}{path}")
        await accessible(head)
    await head.goto(f"{here.url}/settings")
    await head.get_by_role("link", name="中文").click()
    await head.locator("input[name=folder]").fill("摘要")
    await picture(head, "desk-settings")
    assert audited(hub) == ""
    for desk in desks.values():
        for file in [file for file in (desk.folder / "store").rglob("*") if file.is_file()]:
            assert SECRET.encode() not in file.read_bytes() and EVIDENCE[:1000] not in file.read_bytes()
