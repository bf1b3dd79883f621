"""Forbidden notions: a walk over a document's every word against the stems in `catalogue/forbidden.toml`."""

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

_UNSEEN = {"Zs", "Zl", "Zp", "Cc", "Cf", "Mn", "Me"}


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


@lru_cache(maxsize=50_000)
def _stems_in(text: str) -> tuple[tuple[str, str], ...]:
    plain = unicodedata.normalize("NFKC", text)
    # Spaces, soft hyphens, zero-width characters and combining marks hide a word from a search, not from a reader.
    closed_up = "".join(character for character in plain if unicodedata.category(character) not in _UNSEEN)
    latin = _without_accents(plain)
    spelled = re.sub(r"([a-z])([A-Z])", r"\1 \2", latin)
    words = re.sub(r"[^a-z]+", " ", spelled.casefold())
    forms = {"zh": closed_up, "en": words, "pinyin": words, "within": re.sub(r"[^a-z]+", " ", latin.casefold())}
    found = {(match[0], group) for group, kind, stems in _groups() for match in stems.finditer(forms[kind])}
    return tuple(sorted(found))


def _without_accents(text: str) -> str:
    """The text with its letters bare (ü is u) and its hidden characters gone."""
    apart = unicodedata.normalize("NFKD", text)
    return "".join(character for character in apart if unicodedata.category(character) not in {"Cf", "Mn", "Me"})


@cache
def _groups() -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    """Each group's patterns, with the form of a text that each is to be looked for in."""
    text = resources.files("protocols").joinpath("catalogue/forbidden.toml").read_text("utf-8")
    compile_stems = {"zh": _anywhere, "en": _beginning, "within": _anywhere, "pinyin": _syllables}
    return tuple(
        (group, kind, compile_stems[kind](stems))
        for group, listed in tomllib.loads(text).items()
        for kind, stems in listed.items()
        if kind != "why"
    )


def _anywhere(stems: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, _longest_first(stems))))


def _beginning(stems: list[str]) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(map(re.escape, _longest_first(stems))) + ")")


def _syllables(stems: list[str]) -> re.Pattern[str]:
    spelled = [" ?".join(map(re.escape, _without_accents(stem).split())) for stem in _longest_first(stems)]
    return re.compile(r"\b(?:" + "|".join(spelled) + r")\b")


def _longest_first(stems: list[str]) -> list[str]:
    return sorted(stems, key=len, reverse=True)
