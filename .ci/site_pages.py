"""Which pages the site has: the repository's own as they stand, and a reference made from what is served.

Hooks of MkDocs. Pages keep their places in the repository, so that their links hold in both.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from site_reference import calls, shapes

from hub.api.app import CALLS
from hub.api.openapi import document
from protocols import documents, loading

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
INDEX = "README.md"
SEARCH = "assets/iframe-worker.js"
"""Where mkdocs.yml names it; by its name the theme's offline plugin knows that it need not fetch one."""
_NOT_OURS = {"node_modules", "classes", "bureau"}
_PROTOCOLS = "docs/protocols"
_BEFORE = re.compile(r"\A<!--.*?-->\s*", re.S)
_TARGET = re.compile(r'(?:\]\(|src=")([^)#"\s]+)')


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Navigation names a folder where it means every page in it."""
    made = _made()
    config.nav = [_unfolded(entry, sorted({*made, *_pages()})) for entry in config.nav or ()]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """The theme's files, our pages, what these show or offer, and what is made here."""
    made = _made()
    kept = [file for file in files if file.src_dir != config.docs_dir]
    written = [name for name in _pages() if name not in made]
    found = [File.generated(config, name, content=text) for name, text in made.items()]
    found += [File(name, str(ROOT), config.site_dir, use_directory_urls=False) for name in [*written, *_shown(written)]]
    search = (ROOT / ".ci/site_search.js").read_text("utf-8")
    return Files([*kept, *found, File.generated(config, SEARCH, content=search)])


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A link to a folder leads to its index; what comes before the heading would keep the page from its title."""
    here = Path(page.file.src_uri).parent

    def whole(link: re.Match[str]) -> str:
        index = os.path.normpath(here / link[1] / INDEX)
        return f"{link[0]}/{INDEX}" if index in files.src_uris else link[0]

    return _TARGET.sub(whole, _BEFORE.sub("", markdown))


def _pages() -> list[str]:
    """Every page that is kept by hand."""
    found = (path.relative_to(ROOT) for path in sorted(ROOT.glob("docs/**/*.md")))
    return [*PAGES, *(path.as_posix() for path in found if _NOT_OURS.isdisjoint(path.parts))]


def _shown(pages: list[str]) -> list[str]:
    """The files that pages show or offer and that are no pages themselves."""
    found = set()
    for name in pages:
        for target in _TARGET.findall((ROOT / name).read_text("utf-8")):
            path = os.path.normpath(Path(name).parent / target)
            if not path.endswith(".md") and (ROOT / path).is_file():
                found.add(path)
    return sorted(found)


def _made() -> dict[str, str]:
    """What is made from the catalogue, from the calls and from the decisions."""
    served = document(CALLS)
    made = {f"{_PROTOCOLS}/{name}": text for name, text in documents.files(loading.catalogue())}
    decided = "\n".join(f"- [{_title(path)}]({path.name})" for path in sorted(ROOT.glob("docs/decisions/0*.md")))
    return made | {
        "docs/reference/calls.md": calls(served),
        "docs/reference/shapes.md": shapes(served),
        f"docs/decisions/{INDEX}": f"# 决定 · Decisions\n\n为什么这样做 · Why things are as they are:\n\n{decided}\n",
    }


def _title(path: Path) -> str:
    return path.read_text("utf-8").partition("\n")[0].removeprefix("# ")


def _unfolded(entry: object, names: list[str]) -> object:
    """An entry of the navigation with its folders replaced by the pages in them, a folder's index first."""
    if isinstance(entry, str):
        return list(_below(entry, names)) if (ROOT / entry).is_dir() else entry
    if isinstance(entry, list):
        return [_unfolded(one, names) for one in entry]
    assert isinstance(entry, dict)
    return {title: _unfolded(one, names) for title, one in entry.items()}


def _below(folder: str, names: list[str]) -> Iterator[object]:
    inside = [name for name in names if name.startswith(f"{folder}/") and name.endswith(".md")]
    if f"{folder}/{INDEX}" in inside:
        yield f"{folder}/{INDEX}"
    yield from (name for name in inside if name != f"{folder}/{INDEX}")
