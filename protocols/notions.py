"""Forbidden notions: a walk over a document's every word against the stems in `catalogue/forbidden.toml`."""

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Notion:
    """A forbidden notion found: where (a JSON Pointer, RFC 6901), which stem, and of which group."""

    pointer: str
    stem: str
    group: str


def walk(document: Any, pointer: str = "") -> Iterator[Notion]:
    """Every forbidden notion in `document`: in the names of its members and in its texts, at any depth."""
    if isinstance(document, str):
        for stem, group in _stems_in(document):
            yield Notion(pointer, stem, group)
    elif isinstance(document, Mapping):
        for name, value in document.items():
            below = f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"
            for stem, group in _stems_in(str(name)):
                yield Notion(below, stem, group)
            yield from walk(value, below)
    elif isinstance(document, (list, tuple)):
        for number, value in enumerate(document):
            yield from walk(value, f"{pointer}/{number}")


def _stems_in(text: str) -> Iterator[tuple[str, str]]:
    plain = unicodedata.normalize("NFKC", text)
    spelled = re.sub(r"([a-z])([A-Z])", r"\1 \2", plain)
    words = re.sub(r"[^a-z]+", " ", spelled.casefold())
    unspaced = re.sub(r"\s+", "", plain)
    for group, chinese, english in _groups():
        for match in chinese.finditer(unspaced):
            yield match[0], group
        for match in english.finditer(words):
            yield match[0], group


@cache
def _groups() -> tuple[tuple[str, re.Pattern[str], re.Pattern[str]], ...]:
    text = resources.files("protocols").joinpath("catalogue/forbidden.toml").read_text("utf-8")
    return tuple(
        (group, _any_of(listed["zh"], ""), _any_of(listed["en"], r"\b"))
        for group, listed in tomllib.loads(text).items()
    )


def _any_of(stems: list[str], begin: str) -> re.Pattern[str]:
    longest_first = sorted(stems, key=len, reverse=True)
    return re.compile(begin + "(?:" + "|".join(map(re.escape, longest_first)) + ")")
