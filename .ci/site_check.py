"""Holds a built site together: links and anchors lead somewhere, files are there, nothing comes from elsewhere."""

import os
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADS = {
    "script": "src",
    "img": "src",
    "source": "src",
    "iframe": "src",
    "link": "href",
    "image": "href",
    "use": "href",
}
_SHEET = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")
_NO_LOAD = {"canonical", "next", "prev"}


class _Read(HTMLParser):
    """What a page names: its anchors, where it links to, what a browser fetches to show it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self._in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.anchors |= {said[name] for name in ("id", "name") if name in said}
        if tag == "a" and "href" in said:
            self.links.append(said["href"])
        if tag in _LOADS and _LOADS[tag] in said and said.get("rel") not in _NO_LOAD:
            self.loads.append(said[_LOADS[tag]])
        self.loads += _sheet(said.get("style", ""))
        self._in_style = tag == "style"

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.loads += _sheet(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False


def faults(site: Path) -> list[str]:
    """What does not hold, one sentence each; empty when the site is whole."""
    pages = {path: _Read(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"{site}: no page"]
    for page, read in pages.items():
        found += [f"{page.relative_to(site)}: {text}" for text in _page(page, read, pages, site)]
    for sheet in sorted(site.rglob("*.css")):
        loads = _sheet(sheet.read_text("utf-8"))
        found += [f"{sheet.relative_to(site)}: {text}" for text in _fetched(sheet, loads, site)]
    return found


def _page(page: Path, read: _Read, pages: dict[Path, _Read], site: Path) -> Iterator[str]:
    yield from _fetched(page, read.loads, site)
    for link in read.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = _place(page, parts.path, site)
        if not target.is_file():
            yield f"{link} leads nowhere"
        elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
            yield f"{link} names no anchor"


def _fetched(of: Path, loads: list[str], site: Path) -> Iterator[str]:
    for load in loads:
        parts = urlsplit(load)
        if parts.scheme == "data":
            continue
        if parts.scheme or parts.netloc:
            yield f"{load} comes from elsewhere"
        elif parts.path and not _place(of, parts.path, site).is_file():
            yield f"{load} is not there"


def _place(page: Path, path: str, site: Path) -> Path:
    """The file that a path of a page means; the page itself for none."""
    if not path:
        return page
    target = site / path.lstrip("/") if path.startswith("/") else page.parent / path
    return Path(os.path.normpath(unquote(str(target))))


def _sheet(text: str) -> list[str]:
    return [one or other for one, other in _SHEET.findall(text)]


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]).resolve())
    print("\n".join(wrong) or "✓ 网站完整，全在本机 · the site is whole, and all of it is here", file=sys.stderr)
    sys.exit(bool(wrong))
