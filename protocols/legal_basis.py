"""The register of legal bases: real instruments with their dates, those repealed being in it as repealed."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from protocols.errors import BasisNotInForce, BasisRepealed, BasisUnknown


@dataclass(frozen=True, slots=True)
class Use:
    """What an instrument supports: `article` is the one to cite, None for the instrument as a whole."""

    article: int | None
    text: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Instrument:
    """A law, regulation or decree; texts by language (`zh`, `en`).

    It is in force from `effective` on, up to but not including `repealed`. `repealed_by` names what repealed
    it; `replaced_by` is the id of the instrument to cite instead, where there is one.
    """

    id: str
    title: Mapping[str, str]
    number: str
    issuer: str
    effective: date
    repealed: date | None
    repealed_by: str | None
    replaced_by: str | None
    source: str
    uses: tuple[Use, ...]

    def in_force_on(self, day: date) -> bool:
        """Whether it is in force on `day` (Asia/Shanghai)."""
        return self.effective <= day and (self.repealed is None or day < self.repealed)


@cache
def register() -> Mapping[str, Instrument]:
    """All instruments by id."""
    text = resources.files("protocols").joinpath("legal_basis.toml").read_text("utf-8")
    found = [_instrument(entry) for entry in tomllib.loads(text)["instrument"]]
    by_id = {instrument.id: instrument for instrument in found}
    if len(by_id) != len(found):
        raise ValueError("an id stands twice in legal_basis.toml")
    return MappingProxyType(by_id)


def in_force(instrument_id: str, on: date) -> Instrument:
    """The instrument, if it is in force on the day `on`.

    Raises BasisUnknown; BasisRepealed with `since` and `replaced_by`; BasisNotInForce with `effective`.
    """
    found = register().get(instrument_id)
    if found is None:
        raise BasisUnknown(f"no legal basis {instrument_id[:40]!r} in the register", basis=instrument_id[:40])
    if found.repealed is not None and found.repealed <= on:
        raise BasisRepealed(
            _repealed(found, found.repealed),
            basis=found.id,
            since=found.repealed.isoformat(),
            repealed_by=found.repealed_by,
            replaced_by=found.replaced_by,
        )
    if on < found.effective:
        raise BasisNotInForce(
            f"《{found.title['zh']}》({found.number}) is in force from {found.effective.isoformat()}",
            basis=found.id,
            effective=found.effective.isoformat(),
        )
    return found


def _repealed(found: Instrument, since: date) -> str:
    what = f"《{found.title['zh']}》({found.number})"
    text = f"{what} is repealed since {since.isoformat()} by {found.repealed_by}"
    return f"{text}; cite {found.replaced_by} instead" if found.replaced_by else text


def _instrument(entry: Mapping[str, Any]) -> Instrument:
    return Instrument(
        id=entry["id"],
        title=MappingProxyType(dict(entry["title"])),
        number=entry["number"],
        issuer=entry["issuer"],
        effective=entry["effective"],
        repealed=entry.get("repealed"),
        repealed_by=entry.get("repealed_by"),
        replaced_by=entry.get("replaced_by"),
        source=entry["source"],
        uses=tuple(
            Use(use.get("article"), MappingProxyType({"zh": use["zh"], "en": use["en"]}))
            for use in entry.get("uses", ())
        ),
    )
