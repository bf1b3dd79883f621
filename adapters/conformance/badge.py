"""The badge: a hub's signed statement that a report says so, and a picture of it."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from html import escape
from typing import ClassVar, Final

import msgspec

from adapters.conformance.report import Outcome, Report
from keys import jws, strict_json
from keys.algorithms import EVERY_ALGORITHM
from keys.errors import Fault
from keys.jwk import SigningKey, VerifyingKey

TYP: Final = "xieban-conformance+jws"
LIFETIME: Final = timedelta(days=365)
LEEWAY: Final = timedelta(minutes=5)


class BadgeInvalid(Fault):
    """This is no badge of this hub, it has expired, or it is for another report."""

    code: ClassVar[str] = "badge-invalid"


class NotConforming(Fault):
    """The report does not say that everything which must pass did; there is no badge for it."""

    code: ClassVar[str] = "not-conforming"


class Badge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a hub says of an organisation's system; `iat` and `exp` as in a JWT (RFC 7519 §4.1), `report` a digest."""

    hub: str
    organisation: str
    kit: str
    report: str
    quick: bool
    passed: int
    failed: int
    skipped: int
    iat: int
    exp: int


def digest(content: bytes) -> str:
    """`sha-256:<hex>` of a report's bytes."""
    return f"sha-256:{hashlib.sha256(content).hexdigest()}"


def sign(report: Report, content: bytes, hub: str, key: SigningKey, now: datetime) -> tuple[Badge, bytes]:
    """The badge for a report, whose JSON is `content`, and the compact JWS of it. Raises NotConforming."""
    if not report.conforms:
        raise NotConforming()
    issued = int(now.timestamp())
    badge = Badge(
        hub=hub,
        organisation=report.organisation,
        kit=report.kit,
        report=digest(content),
        quick=report.quick,
        passed=report.count(Outcome.PASSED),
        failed=report.count(Outcome.FAILED) + report.count(Outcome.BROKEN),
        skipped=report.count(Outcome.SKIPPED),
        iat=issued,
        exp=issued + int(LIFETIME.total_seconds()),
    )
    return badge, jws.sign(msgspec.json.encode(badge), key, typ=TYP)


def verify(token: bytes, keys: Iterable[VerifyingKey], now: datetime, report: bytes | None = None) -> Badge:
    """The badge, once it is signed by one of `keys`, in force at the (aware) moment `now`, and for this `report`.

    Raises BadgeInvalid, naming what does not hold.
    """
    try:
        compact = jws.decode(token.strip(), typ=TYP)
        key = {key.kid: key for key in keys}.get(compact.header.kid or "")
        if key is None:
            raise BadgeInvalid("it is not signed with a key of this hub", kid=compact.header.kid)
        badge = msgspec.convert(strict_json.loads(jws.verify(compact, key, EVERY_ALGORITHM)), Badge)
        issued, expires = (datetime.fromtimestamp(moment, UTC) for moment in (badge.iat, badge.exp))
    except BadgeInvalid:
        raise
    except (Fault, msgspec.ValidationError, ValueError, OverflowError, OSError) as error:
        raise BadgeInvalid(str(error)) from None
    if not issued - LEEWAY <= now < expires:
        raise BadgeInvalid(f"it is valid from {issued.isoformat()} to {expires.isoformat()}")
    if report is not None and digest(report) != badge.report:
        raise BadgeInvalid("it was signed for another report than this one")
    return badge


_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="236" height="20" role="img" aria-label="{label}">
<title>{label}</title>
<rect width="92" height="20" rx="3" fill="#444"/><rect x="88" width="148" height="20" rx="3" fill="#2a7d3f"/>
<rect x="88" width="4" height="20" fill="#2a7d3f"/>
<g fill="#fff" font-family="sans-serif" font-size="11"><text x="8" y="14">协办 xieban {kit}</text>
<text x="98" y="14">符合 conforms {passed}/{all} · {year}</text></g></svg>
"""


def picture(badge: Badge) -> str:
    """A small picture for a page; what proves something is the signed file beside it."""
    until = datetime.fromtimestamp(badge.exp, UTC)
    played = badge.passed + badge.failed + badge.skipped
    label = f"{badge.organisation}: 符合 conforms, {badge.passed}/{played}, {badge.hub}, → {until:%Y-%m-%d}"
    return _SVG.format(
        label=escape(label), kit=escape(badge.kit), passed=badge.passed, all=played, year=f"→{until:%Y-%m}"
    )
