"""Which adapters there are, each loaded when it is wanted: its libraries are nobody else's business."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import ClassVar, Final, NamedTuple

from adapters.running.configuration import Section
from adapters.running.partner import Offer, Partner
from keys.errors import Fault

Offering = Callable[[Offer], bool]
"""By which a partner that speaks by itself hands in what it has; see `Station.offer`."""


class AdapterUnknown(Fault):
    """There is no adapter of this kind."""

    code: ClassVar[str] = "adapter-unknown"


class Kind(NamedTuple):
    """An adapter: where its `partner(section, offer)` is, and what it is for."""

    module: str
    zh: str
    en: str
    opens: bool = True
    """Whether it opens what was sealed, where its section does not say."""


KINDS: Final[Mapping[str, Kind]] = {
    "provincial": Kind("adapters.provincial", "省级平台：REST 拉取与推送", "a platform over REST, pull and push"),
    "out_of_province": Kind("adapters.out_of_province", "外省枢纽之间互转", "hub to hub, across provinces"),
    "exchange": Kind("adapters.exchange", "文件交换：目录或 SFTP，含 Excel", "files: a directory, SFTP, Excel"),
    "as4": Kind("adapters.as4", "AS4 接入点", "an AS4 access point (ebMS 3.0)"),
    "bus": Kind("adapters.bus", "事件总线：CloudEvents", "case events to a message bus, as CloudEvents", False),
}


def partner(section: Section, offer: Offering) -> Partner:
    """The far side that a section describes. Raises AdapterUnknown, AdapterConfigInvalid."""
    made: Partner = _module(section).partner(section, offer)
    return made


def check(section: Section) -> list[str]:
    """What is wrong with a section, by its module's own `check(section)` where it has one; nothing is called.

    Raises AdapterUnknown.
    """
    looks = getattr(_module(section), "check", None)
    found: list[str] = looks(section) if looks is not None else []
    return found


def _module(section: Section) -> ModuleType:
    known = KINDS.get(section.kind)
    if known is None or importlib.util.find_spec(known.module) is None:
        named = ", ".join(sorted(KINDS))
        raise AdapterUnknown(f"[adapters.{section.name}] there is no adapter {section.kind!r}; there are {named}")
    try:
        return importlib.import_module(known.module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("adapters", "keys", "protocols"):
            raise
        needs = f"needs {error.name}: pip install 'xieban[{section.kind}]'"
        raise AdapterUnknown(f"[adapters.{section.name}] {section.kind} {needs}", check="extra") from None
