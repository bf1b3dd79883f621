"""The documentation site: built strictly, whole, and shown by a browser that has no network."""

import functools
import re
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.async_api import Page

from hub.api.app import CALLS
from hub.api.openapi import document
from protocols import documents, loading
from tests.acceptance.browsing import browser
from tests.acceptance.pages import ROOT, environment

CHECK = ROOT / ".ci/site_check.py"
PLANTED = {
    '<a href="docs/desks.html">x</a>': "docs/desks.html leads nowhere",
    '<a href="docs/keys.html#nothing">x</a>': "docs/keys.html#nothing names no anchor",
    '<img src="docs/none.png">': "docs/none.png is not there",
    '<img src="https://cdn.example/x.png">': "https://cdn.example/x.png comes from elsewhere",
    '<script src="https://cdn.example/x.js"></script>': "https://cdn.example/x.js comes from elsewhere",
    '<link rel="stylesheet" href="//cdn.example/x.css">': "//cdn.example/x.css comes from elsewhere",
    '<p style="src: url(https://cdn.example/f.woff)">': "https://cdn.example/f.woff comes from elsewhere",
    "<style>@import 'https://cdn.example/y.css';</style>": "https://cdn.example/y.css comes from elsewhere",
}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment(NO_MKDOCS_2_WARNING="1"),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    built = run("-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder))
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    return folder


def test_every_link_anchor_and_picture_is_there_and_nothing_comes_from_elsewhere(site: Path) -> None:
    checked = run(str(CHECK), str(site))
    assert checked.returncode == 0, checked.stderr


def test_what_does_not_hold_is_found_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/keys.html").write_text('<h1 id="a-key">Keys</h1><a href="../index.html">x</a>')
    whole = '<a href="docs/keys.html#a-key">x</a><a href="#top">x</a><i id="top"><a href="https://example.org">x</a>'
    (tmp_path / "index.html").write_text(whole)
    assert run(str(CHECK), str(tmp_path)).returncode == 0
    (tmp_path / "index.html").write_text(whole + "".join(PLANTED))
    found = run(str(CHECK), str(tmp_path))
    assert found.returncode == 1
    assert sorted(found.stderr.splitlines()) == sorted(f"index.html: {said}" for said in PLANTED.values())
    assert run(str(CHECK), str(tmp_path / "nothing")).returncode == 1


def test_every_page_of_the_repository_is_on_it(site: Path) -> None:
    kept = [path.relative_to(ROOT) for path in ROOT.glob("docs/**/*.md") if "node_modules" not in path.parts]
    for name in [*kept, *(Path("docs/protocols") / name for name, _ in documents.files(loading.catalogue()))]:
        page = name.with_name("index.html") if name.name == "README.md" else name.with_suffix(".html")
        assert (site / (page if name.suffix == ".md" else name)).is_file(), name


def test_the_reference_has_every_call_and_every_shape(site: Path) -> None:
    served = document(CALLS)
    calls, shapes = ((site / f"docs/reference/{name}.html").read_text("utf-8") for name in ("calls", "shapes"))
    for path, methods in served["paths"].items():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in calls and f"<code>{path}</code>" in calls
    assert all(f'id="{name.lower()}"' in shapes for name in served["components"]["schemas"])


def test_every_page_is_listed_by_its_own_heading(site: Path) -> None:
    catalogued = [path.relative_to(site).as_posix() for path in site.glob("docs/protocols/*/*/*.html")]
    assert len(catalogued) > 100
    for name in ("docs/keys.html", "docs/guides/officer.html", *catalogued):
        titled = re.search("<title>(.*?) - 协办 xieban</title>", (site / name).read_text("utf-8"))
        assert titled is not None and re.search("[一-鿿]", titled[1]), name


async def test_a_browser_shows_it_and_asks_nobody(site: Path) -> None:
    async with browser() as running:
        page = await running.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index.html", "docs/guides/partner.html", "docs/protocols/case-assistance/1.0/index.html"):
            await page.goto((site / name).as_uri(), wait_until="networkidle")
            assert await page.locator("h1").count() > 0
        await found(page, "openssl", "partner.html")
        assert (
            len(asked) > 3
            and {url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))} == set()
        )


async def test_words_of_both_languages_are_found_from_a_disk_and_from_a_server(site: Path) -> None:
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        async with browser() as running:
            for start in (site.as_uri(), f"http://127.0.0.1:{server.server_port}"):
                page = await running.new_page()
                await page.goto(f"{start}/docs/keys.html")
                await found(page, "倒查", "reverse-trace/1.0/index.html")
                await found(page, "passphrase", "docs/adapters/index.html")
                await sought(page, "倒查贔")
                await page.get_by_text("没有找到符合条件的结果").wait_for()
        server.shutdown()


async def sought(page: Page, words: str) -> None:
    """Type into the search; a browser's keyboard has no Chinese, and the theme looks when a key comes up."""
    field = page.locator(".md-search__input")
    await field.click()
    await page.locator(".md-search-result__meta", has_text=re.compile("键入|结果")).wait_for()
    await field.fill(words)
    await field.press("End")


async def found(page: Page, words: str, where: str) -> None:
    await sought(page, words)
    await page.locator(f".md-search-result__link[href*='{where}']").first.wait_for(state="attached")
