"""Code lists: what each of our codes is called on the platform, in TOML, used both ways; nothing is ever guessed.

[urgency]
ordinary = "1"
urgent = ["2", "3"]     # the first is written, all are read
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from adapters.provincial.expressions import Function, Unmapped

Code: TypeAlias = str | int
Written: TypeAlias = dict[str, dict[str, Code | list[Code]]]


class CodeList:
    """One list; codes of theirs are the same whether written as a number or as a text."""

    def __init__(self, name: str, held: Mapping[str, Code | list[Code]]) -> None:
        """Raises ValueError where one of their codes stands for two of ours."""
        self.name = name
        self._theirs: dict[str, Code] = {}
        self._ours: dict[str, str] = {}
        for ours, said in held.items():
            listed = said if isinstance(said, list) else [said]
            if not listed:
                raise ValueError(f"code list {name}: {ours} has no code of theirs")
            self._theirs[ours] = listed[0]
            for one in listed:
                if self._ours.setdefault(str(one), ours) != ours:
                    raise ValueError(f"code list {name}: {one} stands for {self._ours[str(one)]} and for {ours}")

    def ours(self, theirs: Any) -> str:
        """Our code for one of theirs. Raises Unmapped."""
        known = isinstance(theirs, str | int) and not isinstance(theirs, bool)
        found = self._ours.get(str(theirs).strip()) if known else None
        if found is None:
            raise Unmapped(f"the code list {self.name} has no {_shown(theirs)} of theirs", list=self.name)
        return found

    def theirs(self, ours: Any) -> Code:
        """Their code for one of ours. Raises Unmapped."""
        found = self._theirs.get(ours) if isinstance(ours, str) else None
        if found is None:
            raise Unmapped(f"the code list {self.name} has no {_shown(ours)} of ours", list=self.name)
        return found


class CodeLists:
    """All lists of a mapping."""

    def __init__(self, written: Written) -> None:
        """Raises ValueError."""
        self._lists = {name: CodeList(name, held) for name, held in written.items()}

    def functions(self) -> dict[str, Function]:
        """What expressions call: `$ours("list", code)` and `$theirs("list", code)`; nothing gives nothing."""
        return {"ours": self._ours, "theirs": self._theirs}

    def _ours(self, name: Any, code: Any) -> str | None:
        return None if _nothing(code) else self._list(name).ours(code)

    def _theirs(self, name: Any, code: Any) -> Code | None:
        return None if _nothing(code) else self._list(name).theirs(code)

    def _list(self, name: Any) -> CodeList:
        found = self._lists.get(name) if isinstance(name, str) else None
        if found is None:
            raise Unmapped(f"the mapping has no code list {_shown(name)}")
        return found


def read(text: str) -> CodeLists:
    """The lists of a TOML document. Raises ValueError."""
    try:
        return CodeLists(msgspec.toml.decode(text, type=Written))
    except msgspec.ValidationError as error:
        raise ValueError(f"code lists: {error}") from None


def _nothing(code: Any) -> bool:
    return code is None or type(code).__name__ == "NullValue"


def _shown(code: Any) -> str:
    return repr(code)[:40] if isinstance(code, str | int | float) else f"value ({type(code).__name__})"
