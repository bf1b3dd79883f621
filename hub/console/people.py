"""People who look at the console: invited by a link, known by password and one-time code, or by a passkey."""

import asyncio
import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

import pyotp

from hub.organisations import Directory
from hub.store import Connection
from hub.store.queries import SQL
from keys import passwords
from keys.errors import Fault

JOIN, ENTER = "join", "enter"
ROLES: Final = ("viewer", "manager")
"""Who looks, and who may also see and shut out the people below."""
SESSION = timedelta(hours=12)
INVITATION = timedelta(days=7)
SHORTEST = 12
"""Characters of a password (NIST SP 800-63B §3.1.1.2 asks for 15 where it is the only factor, for 8 beside another)."""
MOST_FAILURES = {"name": 10, "address": 60}
"""Failed log-ins in a quarter of an hour, for one account and for one address."""
_NAME = re.compile(r"[a-z][a-z0-9._-]{2,39}")


class PersonInvalid(Fault):
    """The account can't be made or changed like this."""

    code: ClassVar[str] = "person-invalid"


class LoginRefused(Fault):
    """Name, password or code do not fit; which of them is not said."""

    code: ClassVar[str] = "login-refused"


class LoginsTooMany(Fault):
    """Too many failed log-ins; try again in a quarter of an hour."""

    code: ClassVar[str] = "logins-too-many"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is logged in."""

    name: str
    organisation: str
    full_name: str
    role: str


async def invite(
    connection: Connection, directory: Directory, name: str, organisation: str, full_name: str, role: str
) -> str:
    """Make an account and the token of its invitation. Raises PersonInvalid."""
    known = directory.get(organisation)
    if known is None or not known.roles & {"supervisor", "auditor"}:
        raise PersonInvalid(f"{organisation} is no supervising organisation of this hub")
    if _NAME.fullmatch(name) is None:
        raise PersonInvalid("a name has 3 to 40 of a-z, 0-9, dot, hyphen and underscore, a letter first")
    if role not in ROLES or not 0 < len(full_name.strip()) <= 60:
        raise PersonInvalid(f"a role is one of {', '.join(ROLES)}; a full name has at most 60 characters")
    made = await connection.fetchval(
        SQL["add_person"], name, organisation, full_name.strip(), role, pyotp.random_base32()
    )
    if made is None:
        raise PersonInvalid(f"{name} has an account already")
    return await link(connection, name, JOIN, INVITATION)


async def start_over(connection: Connection, name: str) -> str:
    """The token of a new invitation for who forgot the password or lost the telephone: whatever let them in lets nobody
    in any more. Raises PersonInvalid where there is no such account.
    """
    if await connection.fetchval(SQL["start_over"], name, pyotp.random_base32()) is None:
        raise PersonInvalid(f"{name} has no account here")
    return await link(connection, name, JOIN, INVITATION)


async def link(connection: Connection, name: str, purpose: str, lasts: timedelta) -> str:
    """The token of a link that is good once. Raises PersonInvalid where there is no such account."""
    if await connection.fetchrow(SQL["person"], name) is None:
        raise PersonInvalid(f"{name} has no account here")
    token = secrets.token_urlsafe(24)
    await connection.execute(SQL["add_link"], _digest(token), name, purpose, datetime.now(UTC) + lasts)
    return token


async def invited(connection: Connection, token: str) -> tuple[str, str]:
    """Whose invitation it is, and the address of its one-time codes (otpauth). Raises LoginRefused."""
    name = await connection.fetchval(SQL["link"], _digest(token), JOIN)
    row = await connection.fetchrow(SQL["person"], name) if name else None
    if row is None:
        raise LoginRefused("this link was used, or is too old")
    return row["name"], pyotp.TOTP(row["totp"]).provisioning_uri(name=row["name"], issuer_name="xieban")


async def join(connection: Connection, token: str, password: str, code: str) -> str:
    """Take up an invitation; whose it is. Raises LoginRefused, PersonInvalid for a password too short."""
    name, _ = await invited(connection, token)
    if len(password) < SHORTEST or name in password:
        raise PersonInvalid(f"a password has at least {SHORTEST} characters and not your name in it")
    hashed = await asyncio.to_thread(passwords.hashed, password)
    async with connection.transaction():
        row = await connection.fetchrow(SQL["person"], name)
        assert row is not None
        step = _step(row["totp"], code)
        if step is None or await connection.fetchval(SQL["use_link"], _digest(token), JOIN) is None:
            raise LoginRefused("the code does not fit; is the clock of the telephone right?")
        await connection.execute(SQL["set_password"], name, hashed, step)
    return str(name)


async def login(connection: Connection, name: str, password: str, code: str, address: str) -> str:
    """Whose name, password and code fit. Raises LoginRefused, LoginsTooMany."""
    keys = [f"name:{name[:64]}", f"address:{address}"]
    await _require_fewer(connection, keys, 1)
    # It counts as a failure from its beginning: who tries many at once is counted like who tries one after another.
    at = await connection.fetchval(SQL["attempted"], keys)
    await _require_fewer(connection, keys, 0)
    row = await connection.fetchrow(SQL["person"], name)
    known = row is not None and row["password"] is not None and not row["disabled"]
    fits = await asyncio.to_thread(passwords.fits, row["password"] if known and row else None, password)
    step = _step(row["totp"], code) if row is not None else None
    if known and fits and step is not None and await connection.fetchval(SQL["use_totp"], name, step):
        await connection.execute(SQL["forgive"], *keys, at)
        return name
    raise LoginRefused("the name, the password or the code is not right")


async def _require_fewer(connection: Connection, keys: list[str], more: int) -> None:
    """Raises LoginsTooMany where `more` attempts would be too many."""
    for row in await connection.fetch(SQL["failures"], keys):
        if row["times"] + more > MOST_FAILURES[row["key"].partition(":")[0]]:
            raise LoginsTooMany()


async def enter(connection: Connection, token: str) -> str:
    """Who may enter by this link, which is used up. Raises LoginRefused."""
    name = await connection.fetchval(SQL["use_link"], _digest(token), ENTER)
    if name is None:
        raise LoginRefused("this link was used, or is too old")
    return str(name)


async def begin(connection: Connection, name: str) -> str:
    """The token of a new session."""
    token = secrets.token_urlsafe(32)
    await connection.execute(SQL["forget_old"])
    await connection.execute(SQL["add_session"], _digest(token), name, datetime.now(UTC) + SESSION)
    return token


async def session(connection: Connection, token: str) -> Person | None:
    """Who is logged in by this session."""
    row = await connection.fetchrow(SQL["session"], _digest(token))
    return Person(row["name"], row["organisation"], row["full_name"], row["role"]) if row else None


async def end(connection: Connection, token: str) -> None:
    """Log out."""
    await connection.execute(SQL["end_session"], _digest(token))


async def shut_out(connection: Connection, name: str, disabled: bool) -> None:
    """Disable an account and end its sessions, or let it in again. Raises PersonInvalid."""
    if await connection.fetchval(SQL["set_disabled"], name, disabled) is None:
        raise PersonInvalid(f"{name} has no account here")
    await connection.execute(SQL["end_sessions"], name)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _step(secret: str, code: str) -> int | None:
    """The time step that a code is of (RFC 6238), one before and one after the present included."""
    now, totp = datetime.now(UTC), pyotp.TOTP(secret)
    for drift in (0, -1, 1):
        moment = now + timedelta(seconds=drift * totp.interval)
        if secrets.compare_digest(totp.at(moment).encode(), code.replace(" ", "").encode("utf-8", "replace")):
            return totp.timecode(moment)
    return None
