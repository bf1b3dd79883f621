"""The people of a bureau at its desk: who they are, what they may, and what each of them did.

Nobody outside learns of them: the hub knows the organisation alone. A clerk drafts; a head also signs. Passwords are
kept as Argon2id; sessions live in memory and end when nobody has done anything for a while.
"""

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Literal, cast

from adapters.desk.vault import Vault
from keys import passwords
from keys.errors import Fault
from protocols.envelope import new_id, rfc3339

Role = Literal["clerk", "head"]
ROLES: Final[tuple[Role, ...]] = ("clerk", "head")
SHORTEST: Final = 10
"""Characters of a password."""
IDLE: Final = 30 * 60.0
"""Seconds after which somebody who does nothing is logged out."""
MOST_FAILURES, WITHIN = 8, 15 * 60.0
_NAME = re.compile(r"[a-z][a-z0-9._-]{1,39}")


class OfficerInvalid(Fault):
    """The account can't be made like this."""

    code: ClassVar[str] = "officer-invalid"


class LoginRefused(Fault):
    """Name and password do not fit, or failed too often; which, is not said."""

    code: ClassVar[str] = "desk-login-refused"


@dataclass(frozen=True, slots=True)
class Officer:
    """Somebody of the bureau."""

    name: str
    full_name: str
    role: Role

    @property
    def signs(self) -> bool:
        """Whether the bureau's key signs for what this officer sends."""
        return self.role == "head"


class Officers:
    """The accounts in a desk's store, and who is logged in."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._sessions: dict[str, tuple[str, float]] = {}
        self._failures: dict[str, list[float]] = {}

    def everybody(self) -> list[Officer]:
        """All who have an account, by name."""
        return [_officer(name, value) for name, value in self._vault.all("officer")]

    def add(self, name: str, full_name: str, role: str, password: str) -> Officer:
        """Make an account. Raises OfficerInvalid."""
        if _NAME.fullmatch(name) is None or self._vault.get("officer", name) is not None:
            raise OfficerInvalid("a name has 2 to 40 of a-z, 0-9, dot, hyphen, underscore, and is not taken yet")
        if role not in ROLES or not 0 < len(full_name.strip()) <= 40 or len(password) < SHORTEST:
            raise OfficerInvalid(f"clerk or head; a full name; a password of at least {SHORTEST} characters")
        value = {"full_name": full_name.strip(), "role": role, "password": passwords.hashed(password)}
        self._vault.put("officer", name, value)
        return _officer(name, value)

    def enter(self, name: str, password: str) -> str:
        """A session's token. Raises LoginRefused."""
        now = time.monotonic()
        recent = self._failures[name[:40]] = [at for at in self._failures.get(name[:40], []) if now - at < WITHIN]
        known = self._vault.get("officer", name) if _NAME.fullmatch(name) else None
        if not passwords.fits(known["password"] if known else None, password) or len(recent) >= MOST_FAILURES:
            recent.append(now)
            raise LoginRefused("name and password do not fit, or failed too often: try again in a quarter of an hour")
        token = secrets.token_urlsafe(32)
        self._sessions[token] = name, now
        return token

    def of(self, token: str | None) -> Officer | None:
        """Whose session it is; None where there is none, or nobody did anything in it for too long."""
        name, seen = self._sessions.get(token or "", ("", 0.0))
        now = time.monotonic()
        value = self._vault.get("officer", name) if name and now - seen < IDLE else None
        if value is None or token is None:
            self._sessions.pop(token or "", None)
            return None
        self._sessions[token] = name, now
        return _officer(name, value)

    def leave(self, token: str | None) -> None:
        """End a session."""
        self._sessions.pop(token or "", None)

    def note(self, officer: Officer, what: str, case: str, **more: Any) -> None:
        """Keep who did what: at this desk, and nowhere else."""
        done = {"at": rfc3339(datetime.now(UTC)), "who": officer.name, "what": what, "case": case}
        self._vault.put("deed", f"{case}/{new_id()}", done | more)

    def deeds(self, case: str) -> list[Mapping[str, Any]]:
        """What was done about a case, in order."""
        return [deed for _, deed in self._vault.all("deed", f"{case}/")]


def _officer(name: str, value: Mapping[str, Any]) -> Officer:
    return Officer(name, str(value["full_name"]), cast(Role, value["role"]))
