"""JSON of a platform, read as it comes: what one odd value holds must not keep all the others from being read."""

import json
from typing import Any, ClassVar

from keys.errors import Fault

MIN_INTEGER, MAX_INTEGER = -(2**63), 2**63 - 1


class AnswerUnreadable(Fault):
    """What the platform sent is not JSON."""

    code: ClassVar[str] = "answer-unreadable"


def loads(body: bytes) -> Any:
    """The value. Numbers beyond 64 bits, NaN and infinity are texts then: no message takes them as numbers.

    Of a member named twice the last counts, half a surrogate pair becomes a question mark. Raises AnswerUnreadable.
    """
    try:
        text = body.decode("utf-8-sig")
        return _whole(json.loads(text, parse_int=_integer, parse_constant=str, parse_float=_number))
    except UnicodeDecodeError:
        raise AnswerUnreadable("the platform's answer is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise AnswerUnreadable(f"the platform's answer is not JSON ({type(error).__name__})") from None


def _integer(digits: str) -> int | str:
    if len(digits) <= 20 and MIN_INTEGER <= (value := int(digits)) <= MAX_INTEGER:
        return value
    return digits[:400]


def _number(digits: str) -> float | str:
    value = float(digits)
    return digits[:400] if value in (float("inf"), float("-inf")) else value


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(one) for name, one in value.items()}
    return value
