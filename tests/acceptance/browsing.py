"""A real browser without a window, and where its pictures are kept as artefacts of the run."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, FloatRect, Page, async_playwright

CHROMIUM = shutil.which("chromium")


def screenshots() -> Path:
    """The folder of the pictures, `build/screenshots` unless XIEBAN_SCREENSHOTS names another."""
    folder = Path(os.environ.get("XIEBAN_SCREENSHOTS", "build/screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
    if CHROMIUM is None:
        pytest.skip("no chromium; `make test` installs it where it may")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        await running.close()


async def picture(page: Page, name: str) -> None:
    """A picture for the documentation (`make pictures`), as wide as its pages and no taller than a screen."""
    before = page.viewport_size
    await page.set_viewport_size({"width": 860, "height": 700})
    tall = min(await page.evaluate("document.documentElement.scrollHeight"), 1000)
    part: FloatRect = {"x": 0, "y": 0, "width": 860, "height": tall}
    await page.screenshot(path=screenshots() / f"{name}.png", full_page=True, clip=part)
    if before is not None:
        await page.set_viewport_size(before)
