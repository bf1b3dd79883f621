"""A file read as a message: JSON as a partner writes it, or the bytes that it signed itself."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from adapters.client import messages
from adapters.desk.forms import Words
from adapters.exchange import words
from adapters.exchange.words import Unfit
from adapters.running.partner import Wanted
from keys import strict_json
from keys.errors import Fault
from protocols import envelope
from protocols.departments import parse_organisation_id

_TYPE: Final = re.compile(r"[a-z][a-z0-9-]{0,40}\.[a-z][a-z0-9-]{0,40}")
_BOM: Final = b"\xef\xbb\xbf"


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the JSON of a partner holds; `reference` is its own, and comes back with the receipt."""

    type: str
    to: Annotated[tuple[str, ...], Meta(max_length=envelope.MAX_RECIPIENTS)] = ()
    data: dict[str, Any] = {}
    content: dict[str, Any] | None = None
    case: str | None = None
    causationid: str | None = None
    source: str | None = None
    reference: Annotated[str, Meta(max_length=200)] | None = None


def wanted(content: bytes, organisations: Sequence[str]) -> tuple[Wanted, str | None]:
    """The message that is wanted, and the partner's reference. Raises Unfit."""
    _encoded(content)
    try:
        asked = msgspec.convert(strict_json.loads(content.removeprefix(_BOM)), Asked)
        for one in asked.to:
            parse_organisation_id(one)
    except Fault as fault:
        raise _unfit(fault.detail) from None
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise _unfit(str(error)) from None
    source = asked.source or organisations[0]
    if source not in organisations:
        raise Unfit(Words(f"本适配器不代表 {source[:60]}", f"this adapter does not speak for {source[:60]}"))
    if not _TYPE.fullmatch(asked.type):
        raise Unfit(Words("type 应如 errand.request", "type is like errand.request"))
    if not asked.to and asked.case is None:
        raise Unfit(Words("缺少 to 或 case", "there is neither to nor case"))
    for name, id in (("case", asked.case), ("causationid", asked.causationid)):
        if id is not None and not envelope.is_id(id):
            raise Unfit(Words(f"{name} 不是编号（UUIDv7）", f"{name} is no id (UUIDv7)"))
    made = Wanted(source=source, type=asked.type, data=asked.data, content=asked.content, case=asked.case,
                  to=asked.to, causationid=asked.causationid)  # fmt: skip
    return made, asked.reference


def signed(content: bytes) -> bytes:
    """The message that a partner signed. Raises Unfit where it can't be one; whose it is, the hub says."""
    compact = content.removeprefix(_BOM).strip()
    try:
        messages.read(compact)
    except Fault as fault:
        raise Unfit(Words(f"不是签名消息：{fault.detail[:300]}", f"no signed message: {fault.detail[:300]}")) from None
    return compact


def _encoded(content: bytes) -> None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise Unfit(words.UTF16) from None
        try:
            content.decode("gbk")
        except UnicodeDecodeError:
            raise Unfit(words.NOT_UTF8) from None
        raise Unfit(words.GBK) from None


def _unfit(why: str) -> Unfit:
    return Unfit(Words(f"JSON 不合要求：{why[:300]}", f"the JSON is not as it should be: {why[:300]}"))
