"""The people of a bureau at its desk: who they are, what they may, whose case it is, and what each of them did.

Nobody outside learns of them: the hub knows the organisation alone. A clerk drafts; a head also signs. Each password
opens the desk's store (`vault`); sessions live in memory and end when nobody has done anything for a while.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, ClassVar, Final, Literal, cast

from adapters.desk.vault import Vault, VaultLocked
from keys.errors import Fault
from protocols.envelope import new_id, rfc3339

Role = Literal["clerk", "head"]
ROLES: Final[tuple[Role, ...]] = ("clerk", "head")
SHORTEST: Final = 10
"""Characters of a password."""
IDLE: Final = 30 * 60.0
"""Seconds after which somebody who does nothing is logged out, unless the desk is set otherwise."""
MOST_FAILURES, WITHIN = 8, 15 * 60.0
BUREAU: Final = "-"
"""What is noted of the desk itself, and of no case."""
_NAME = re.compile(r"[a-z][a-z0-9._-]{1,39}")


class OfficerInvalid(Fault):
    """The account can't be made or changed like this."""

    code: ClassVar[str] = "officer-invalid"


class LoginRefused(Fault):
    """Name and password do not fit, or failed too often; which, is not said."""

    code: ClassVar[str] = "desk-login-refused"


@dataclass(frozen=True, slots=True)
class Absence:
    """Away from `first` through `last`; `stand_in` has the cases meanwhile."""

    first: date
    last: date
    stand_in: str


@dataclass(frozen=True, slots=True)
class Officer:
    """Somebody of the bureau; one who left has no account any more, and stays known by name."""

    name: str
    full_name: str
    role: Role
    left: bool = False
    absence: Absence | None = None

    @property
    def signs(self) -> bool:
        """Whether the bureau's key signs for what this officer sends."""
        return self.role == "head"

    def away(self, today: date) -> bool:
        """Whether somebody else has this officer's cases today."""
        return self.absence is not None and self.absence.first <= today <= self.absence.last


class Officers:
    """The accounts in a desk's store, and who is logged in."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self.idle = IDLE
        self._sessions: dict[str, tuple[str, float]] = {}
        self._failures: dict[str, list[float]] = {}
        self._trying = asyncio.Semaphore(2)
        """Deriving a key from a password takes 64 MiB and a fifth of a second."""

    # Accounts ---------------------------------------------------------------------------------------------

    def everybody(self) -> list[Officer]:
        """All who have or had an account, by name."""
        return [_officer(name, value) for name, value in self._vault.all("officer")]

    def present(self) -> list[Officer]:
        """All who have an account."""
        return [one for one in self.everybody() if not one.left]

    def one(self, name: str) -> Officer | None:
        """An officer by name, whether or not there still is an account."""
        value = self._vault.get("officer", name)
        return None if value is None else _officer(name, value)

    def add(self, name: str, full_name: str, role: str, password: str) -> Officer:
        """Make an account; the first opens a new store. Raises OfficerInvalid."""
        check(name, full_name, role, password)
        if name in self._vault.accounts() or self._known(name):
            raise OfficerInvalid(f"{name} is taken", zh=f"账户 {name} 已被占用")
        self._vault.admit(name, password)
        return self._keep(Officer(name, full_name.strip(), cast(Role, role)))

    def set_password(self, name: str, password: str) -> None:
        """Another password for somebody. Raises OfficerInvalid."""
        officer = self._present(name)
        check(name, officer.full_name, officer.role, password)
        self._vault.admit(name, password)
        self._sessions = {token: held for token, held in self._sessions.items() if held[0] != name}

    def fits(self, name: str, password: str) -> bool:
        """Whether it is this officer's password."""
        was = self._vault.locked
        try:
            self._vault.unlock(name, password)
        except VaultLocked:
            return False
        known = self.one(name)
        if known is None or known.left:  # an account that was taken away opens nothing, whatever the file says
            if was:
                self._vault.lock()
            return False
        return True

    def dismiss(self, name: str, taker: str) -> list[str]:
        """Take the account away of somebody who left, the cases to `taker`; which these are.

        Whom they stood in for, `taker` stands in for; one who takes the cases is not away. Raises OfficerInvalid, and
        changes nothing then: for the last head, or where nobody takes the cases.
        """
        officer = self._present(name)
        if self._present(taker).name == name:
            raise OfficerInvalid("somebody else takes the cases", zh="案件要交给另一位同事")
        heads = [one for one in self.present() if one.signs]
        if heads == [officer]:
            raise OfficerInvalid(
                f"{name} is the last head: make another one first", zh="这是最后一位负责人，请先另建一位"
            )
        self._vault.expel(name)
        self._sessions = {token: held for token, held in self._sessions.items() if held[0] != name}
        self._keep(Officer(name, officer.full_name, officer.role, True))
        for one in self.present():
            if one.absence is not None and one.absence.stand_in == name:
                self._keep(replace(one, absence=None if one.name == taker else replace(one.absence, stand_in=taker)))
        return self.hand_over(name, taker)

    def absent(self, name: str, absence: Absence | None) -> None:
        """Note when somebody is away, and who has the cases then; None: back. Raises OfficerInvalid."""
        officer = self._present(name)
        if absence is not None:
            self._present(absence.stand_in)
            if absence.stand_in == name or absence.last < absence.first:
                raise OfficerInvalid(
                    "an absence ends no sooner than it begins, and somebody else stands in",
                    zh="止日不早于起日，代班人是另一位同事",
                )
        self._keep(Officer(name, officer.full_name, officer.role, False, absence))

    # Sessions ---------------------------------------------------------------------------------------------

    async def log_in(self, name: str, password: str, address: str = "") -> str:
        """A session's token; the store is open then. Raises LoginRefused.

        Failures are counted before the password is tried, so that many tries at once are no more than many in a row;
        who guesses from one address does not keep the owner out at another.
        """
        keys = [(f"{name[:40]}@{address}", MOST_FAILURES), (name[:40], 6 * MOST_FAILURES)]
        now = time.monotonic()
        self._failures = {
            key: at for key, held in self._failures.items() if (at := [a for a in held if now - a < WITHIN])
        }
        if any(len(self._failures.get(key, ())) >= most for key, most in keys):
            raise LoginRefused("name and password do not fit, or failed too often: try again in a quarter of an hour")
        for key, _ in keys:
            self._failures.setdefault(key, []).append(now)
        async with self._trying:
            fits = await asyncio.to_thread(self.fits, name, password)
        if not fits:
            raise LoginRefused("name and password do not fit, or failed too often: try again in a quarter of an hour")
        for key, _ in keys:
            self._failures.pop(key, None)
        return self.session(name)

    def session(self, name: str) -> str:
        """The token of a new session of somebody who proved to be who they are."""
        token = secrets.token_urlsafe(32)
        self._sessions[token] = name, time.monotonic()
        return token

    def of(self, token: str | None, touch: bool = True) -> Officer | None:
        """Whose session it is; None where there is none, or nobody did anything in it for too long.

        Without `touch` it is only looked at: a page that listens by itself does not keep anybody logged in.
        """
        name, seen = self._sessions.get(token or "", ("", 0.0))
        now = time.monotonic()
        known = self._vault.get("officer", name) if name and now - seen < self.idle else None
        if known is None or token is None or known.get("left"):
            self._sessions.pop(token or "", None)
            return None
        if touch:
            self._sessions[token] = name, now
        return _officer(name, known)

    def leave(self, token: str | None) -> None:
        """End a session."""
        self._sessions.pop(token or "", None)

    def leave_all(self) -> None:
        """End every session."""
        self._sessions.clear()

    def anybody(self) -> bool:
        """Whether somebody is logged in, and did something not too long ago."""
        now = time.monotonic()
        self._sessions = {token: held for token, held in self._sessions.items() if now - held[1] < self.idle}
        return bool(self._sessions)

    # Cases ------------------------------------------------------------------------------------------------

    def holder(self, case: str, today: date) -> Officer | None:
        """Who has a case today: whom it was given to, or who stands in for them."""
        return self.holders(today).get(case)

    def holders(self, today: date) -> dict[str, Officer]:
        """Who has each case that somebody has."""
        people = {one.name: one for one in self.everybody()}
        return {
            case: _standing_in(people, people[name], today)
            for case, name in self._vault.all("holder")
            if name in people and not people[name].left
        }

    def give(self, case: str, name: str) -> None:
        """Let somebody have a case. Raises OfficerInvalid."""
        self._vault.put("holder", case, self._present(name).name)

    def hand_over(self, giver: str, taker: str) -> list[str]:
        """Let `taker` have every case that was `giver`'s own; which these are. Raises OfficerInvalid."""
        self._present(taker)
        cases = [case for case, name in self._vault.all("holder") if name == giver]
        self._vault.put_many([("holder", case, taker) for case in cases])
        return cases

    def note(self, officer: Officer, what: tuple[str, str], case: str = BUREAU, **more: Any) -> None:
        """Keep who did what, said in both languages: at this desk, and nowhere else."""
        done = {"at": rfc3339(datetime.now(UTC)), "who": officer.name, "full_name": officer.full_name, "what": what}
        self._vault.put("deed", f"{case}/{new_id()}", {**done, "case": case, **more})

    def deeds(self, case: str = BUREAU) -> list[Mapping[str, Any]]:
        """What was done about a case, or about the desk, in order."""
        return [deed for _, deed in self._vault.all("deed", f"{case}/")]

    def _known(self, name: str) -> bool:
        return not self._vault.locked and self._vault.get("officer", name) is not None

    def _present(self, name: str) -> Officer:
        officer = self.one(name)
        if officer is None or officer.left:
            raise OfficerInvalid(f"{name[:40]} has no account here", zh="请选择本单位有账户的同事")
        return officer

    def _keep(self, officer: Officer) -> Officer:
        absence = officer.absence
        away = absence and [absence.first.isoformat(), absence.last.isoformat(), absence.stand_in]
        value = {"full_name": officer.full_name, "role": officer.role, "left": officer.left, "absence": away}
        self._vault.put("officer", officer.name, value)
        return officer


def check(name: str, full_name: str, role: str, password: str) -> None:
    """Raises OfficerInvalid unless an account can be made of this."""
    if _NAME.fullmatch(name) is None:
        raise OfficerInvalid(
            "a name has 2 to 40 of a-z, 0-9, dot, hyphen, underscore, a letter first",
            zh="账户用小写字母开头，2 至 40 个小写字母、数字、点、横线",
        )
    if role not in ROLES or not 0 < len(full_name.strip()) <= 40 or not full_name.isprintable():
        raise OfficerInvalid("clerk or head, and a full name of at most 40 characters", zh="请填姓名，至多 40 个字")
    if not SHORTEST <= len(password) <= 1000:
        raise OfficerInvalid(f"a password has at least {SHORTEST} characters", zh=f"口令至少 {SHORTEST} 个字")


def _standing_in(people: Mapping[str, Officer], officer: Officer, today: date) -> Officer:
    """Who has the officer's cases; a stand-in who is away too has one of their own."""
    asked: set[str] = set()
    while officer.absence is not None and officer.away(today) and officer.name not in asked:
        asked.add(officer.name)
        stand_in = people.get(officer.absence.stand_in)
        if stand_in is None or stand_in.left:
            break
        officer = stand_in
    return officer


def _officer(name: str, value: Mapping[str, Any]) -> Officer:
    away = value.get("absence")
    absence = Absence(date.fromisoformat(away[0]), date.fromisoformat(away[1]), str(away[2])) if away else None
    return Officer(name, str(value["full_name"]), cast(Role, value["role"]), bool(value.get("left")), absence)
