"""The documentation site: built strictly, whole, and shown by a browser that has no network."""

import subprocess
import sys
from pathlib import Path

import pytest

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


async def test_a_browser_shows_it_and_asks_nobody(site: Path) -> None:
    async with browser() as running:
        page = await running.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index.html", "docs/guides/partner.html", "docs/protocols/case-assistance/1.0/index.html"):
            await page.goto((site / name).as_uri(), wait_until="networkidle")
            assert await page.locator("h1").count() > 0
        assert len(asked) > 3 and {url for url in asked if not url.startswith(("file:", "data:", "blob:"))} == set()
