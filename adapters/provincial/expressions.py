"""Expressions of a mapping: JSONata, kept to what is pure, bounded in time and depth, and gives plain JSON.

Who writes a mapping is trusted; what it is applied to is not. So nothing whose cost the input decides beyond its own
size is offered: no regular expressions, no ranges, no padding, no evaluation of texts; no clock and no chance either.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, NoReturn

import jsonata
from jsonata.jexception import JException
from jsonata.utils import Utils

from keys.errors import Fault

MILLISECONDS: Final = 500
DEPTH: Final = 60
NESTED: Final = 64
REFUSED: Final = ("eval", "pad", "random", "shuffle", "now", "millis")
"""Functions of JSONata that are not offered."""
_EXACT: Final = 2.0**53

Function = Callable[..., Any]


class ExpressionInvalid(Fault):
    """The expression can't be read, or uses what mappings don't have."""

    code: ClassVar[str] = "expression-invalid"


class Unmapped(Fault):
    """The mapping does not fit this value: a code that no list has, a member of another kind, a result that is none."""

    code: ClassVar[str] = "unmapped"


class Expression:
    """One expression, compiled; `functions` are what it may call besides JSONata's own."""

    def __init__(self, text: str, functions: Mapping[str, Function] | None = None) -> None:
        """Raises ExpressionInvalid."""
        self.text = text
        try:
            self._compiled = jsonata.Jsonata(text, regex_engine=_no_regex, timeout=None, stack=None)
        except ExpressionInvalid:
            raise
        except (JException, RecursionError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise ExpressionInvalid(f"{_short(text)}: {error}") from None
        if _ranges(self._compiled.ast, set()):
            raise ExpressionInvalid(f"{_short(text)}: ranges [a..b] are not offered")
        for name in REFUSED:
            self._compiled.register_function(name, None)
        for name, function in (functions or {}).items():
            self._compiled.register_lambda(name, function)

    def of(self, value: Any) -> Any:
        """What the expression gives for `value`, as plain JSON; None for nothing. Raises Unmapped."""
        try:
            frame = self._compiled.create_frame()
            frame.set_runtime_bounds(MILLISECONDS, DEPTH)
            return plain(self._compiled.evaluate(value, frame))
        except Unmapped:
            raise
        except JException as error:
            raise Unmapped(f"{_short(self.text)}: {error.error} {str(error)[:200]}") from None
        except Exception as error:  # the library raises what Python does, for values that it did not expect
            raise Unmapped(f"{_short(self.text)}: {type(error).__name__}") from None


def plain(value: Any, depth: int = 0) -> Any:
    """The value as JSON has it. Raises Unmapped for what JSON does not have."""
    if depth > NESTED:
        raise Unmapped("nested too deeply")
    if value is None or value is Utils.NULL_VALUE:
        return None
    if isinstance(value, dict):
        return {str(name): plain(one, depth + 1) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one, depth + 1) for one in value]
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    raise Unmapped(f"a {type(value).__name__} is no JSON")


def without_nulls(value: Any) -> Any:
    """The same without members that are null: our schemas know absent members only."""
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [without_nulls(one) for one in value]
    return value


def _no_regex(pattern: str, flags: Any) -> NoReturn:
    raise ExpressionInvalid(f"/{_short(pattern)}/: regular expressions are not offered")


def _ranges(node: Any, seen: set[int]) -> bool:
    """Whether a range is anywhere in a syntax tree."""
    if id(node) in seen:
        return False
    seen.add(id(node))
    if isinstance(node, list | tuple):
        return any(_ranges(one, seen) for one in node)
    if isinstance(node, dict):
        return any(_ranges(one, seen) for one in node.values())
    held = getattr(node, "__dict__", None)
    if held is None or isinstance(node, type):
        return False
    if held.get("type") == "binary" and held.get("value") == "..":
        return True
    return any(_ranges(one, seen) for name, one in held.items() if not name.startswith("_"))


def _short(text: str) -> str:
    return " ".join(text.split())[:80]
