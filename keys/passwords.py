"""Passwords kept as Argon2id (RFC 9106): hashed, and compared in the same time whether or not there is an account."""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER: Final = PasswordHasher()


def hashed(password: str) -> str:
    """What is kept of a password; takes tens of milliseconds on purpose."""
    return _HASHER.hash(password)


def fits(kept: str | None, password: str) -> bool:
    """Whether `password` is the one of which `kept` is kept; never where nothing is, though it takes as long."""
    try:
        _HASHER.verify(kept or _nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


@lru_cache(maxsize=1)
def _nobody() -> str:
    """A password that is nobody's: who has no account is not told so by a quicker answer."""
    return hashed(secrets.token_urlsafe())
