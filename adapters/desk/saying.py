"""What went wrong, for who works at the desk: in plain words of both languages, with what to do where that is known."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from adapters.client import Refused, Undecided
from adapters.desk import forms
from adapters.desk.forms import Remark, Words
from keys.errors import Fault
from protocols.schemas import Problem

PLAIN: Final[Mapping[str, Words]] = {
    "hub-address-invalid": Words("地址应像 https://hub.example", "an address is like https://hub.example"),
    "certificate-unusable": Words(
        "要出示的证书不能读取，请告知运行方", "the certificate to show can't be read: tell the operator"
    ),
    "answer-invalid": Words("这个地址上应答的不是协办枢纽", "what answered is no hub"),
    "delivery-invalid": Words(
        "枢纽给出的内容与签名或日志不符，请告知运行方", "the hub's word does not hold: tell the operator"
    ),
    "receipt-invalid": Words("回执核对不符，请告知运行方", "the receipt does not hold: tell the operator"),
    "signature-invalid": Words("签名核对不符，请告知运行方", "a signature does not hold: tell the operator"),
    "key-unknown": Words("枢纽不认得签名所用的密钥", "the hub does not know the key"),
    "seal-invalid": Words("密封内容打不开或与摘要不符", "what is sealed can't be opened, or is not what it should be"),
    "data-invalid": Words("内容不符合协议的要求", "the content does not fit its schema"),
    "division-unknown": Words("没有这个区划，请填全称或六位代码", "no such division: give its full name or code"),
    "department-unknown": Words("没有这个部门", "no such department"),
    "organisation-id-malformed": Words(
        "没有这个区划，请填全称或六位代码", "no such division: give its full name or code"
    ),
    "vouching-invalid": Words(
        "不是有效的加入申请，或者不是交给本机构的", "no valid application, or not one to this bureau"
    ),
    "revocation-invalid": Words("停用书有误", "the revocation does not hold"),
}
UNADMITTED: Final = frozenset({"token-invalid", "sender-unknown", "key-unknown", "key-not-valid"})
"""Why a hub turns a bureau away that it does not list, or whose keys it lists no more."""
BASIS: Final = frozenset({"basis-unknown", "basis-repealed", "basis-not-in-force"})
"""Why a legal basis is not taken."""


def said(fault: BaseException) -> Words:
    """What went wrong, in both languages."""
    if not isinstance(fault, Fault):
        return Words("本机出错，已记入日志", f"an error of this machine, see its log ({type(fault).__name__})")
    if isinstance(fault, Undecided):
        return Words("枢纽没有应答", "the hub does not answer")
    if isinstance(fault, Refused):
        problem = fault.data.get("problem")
        problem = problem if isinstance(problem, dict) else {}
        title, detail = problem.get("title", "枢纽不受理"), problem.get("detail", fault.detail)
        return Words(f"{title}（{fault.reason}）", str(detail))
    own = fault.data.get("zh")
    if own is not None:
        return Words(str(own), fault.detail)
    plain = PLAIN.get(fault.code)
    return (
        Words(plain.zh, f"{plain.en} ({fault.detail})") if plain else Words(f"未能完成（{fault.code}）", fault.detail)
    )


class Objection(msgspec.Struct, frozen=True):
    """What the hub has against a message: in a few words, and at the fields that it names."""

    words: Words
    places: tuple[Remark, ...] = ()


def objection(problem: Mapping[str, Any]) -> Objection:
    """The same of a problem (RFC 9457)."""
    reason = str(problem.get("type", "")).rpartition("/")[2]
    title = str(problem.get("title", "枢纽不受理"))
    words = Words(title, str(problem.get("detail", title)))
    if reason in BASIS:
        return Objection(words, (Remark("open.legal_basis.instrument", words),))
    return Objection(words, _places(problem.get("errors")))


def together(objections: Sequence[Objection]) -> Objection:
    """Several as one."""
    zh, en = "；".join(one.words.zh for one in objections), "; ".join(one.words.en for one in objections)
    return Objection(Words(zh, en), tuple(place for one in objections for place in one.places))


def against(fault: Fault) -> Objection:
    """The same of a message that was refused, or found wrong before it went out."""
    problem = fault.data.get("problem")
    if isinstance(fault, Refused) and isinstance(problem, dict):
        return Objection(said(fault), objection(problem).places)
    return Objection(said(fault), _places(fault.data.get("errors")))


def _places(errors: object) -> tuple[Remark, ...]:
    """The fields of the open part that findings name, and what each is to be; nobody fills in what is elsewhere."""
    found = []
    for one in errors if isinstance(errors, list) else ():
        pointer = str(one.get("pointer")) if isinstance(one, dict) else ""
        if pointer.startswith("/data/"):
            at = forms.remark(Problem(pointer.replace("/data/", "/open/", 1), str(one.get("keyword"))))
            found.append(at if at.words != forms.NOT_RIGHT else at._replace(words=_quoted(str(one.get("message", "")))))
    return tuple(found)


def _quoted(message: str) -> Words:
    return Words(f"枢纽不受理：{message}", f"the hub does not take it: {message}")


def unadmitted(fault: BaseException) -> bool:
    """Whether the hub turned us away because it does not list our keys."""
    return isinstance(fault, Refused) and fault.reason in UNADMITTED
