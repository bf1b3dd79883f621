"""Which keys are trusted when: a party's keys, their validity intervals and their revocations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from keys.algorithms import DEFAULT_ALGORITHMS
from keys.errors import AlgorithmNotAllowed, KeyNotValid, KeyUnknown
from keys.jwk import EncryptionKey, VerifyingKey

_NOTHING_REVOKED: Final[Mapping[str, datetime]] = MappingProxyType({})


class KeyRing:
    """All the public keys a party has or had, so that what was signed stays verifiable after rotation.

    `revoked` maps a kid to the moment from which (included) the key counts no more. The ring never changes;
    a rotation makes a new one.
    """

    __slots__ = ("_encryption", "_revoked", "_verifying")

    def __init__(
        self,
        keys: Iterable[VerifyingKey | EncryptionKey],
        revoked: Mapping[str, datetime] = _NOTHING_REVOKED,
    ) -> None:
        self._verifying: dict[str, VerifyingKey] = {}
        self._encryption: dict[str, EncryptionKey] = {}
        for key in keys:
            if isinstance(key, VerifyingKey):
                self._verifying[key.kid] = key
            else:
                self._encryption[key.kid] = key
        self._revoked = dict(revoked)

    def verifying(self, kid: str | None, at: datetime, allowed: Collection[str] = DEFAULT_ALGORITHMS) -> VerifyingKey:
        """The key that signatures made at the (aware) moment `at` under this kid are checked with.

        Raises KeyUnknown, KeyNotValid (not yet, no longer, revoked), AlgorithmNotAllowed.
        """
        key = self._verifying.get(kid) if kid is not None else None
        if key is None:
            raise KeyUnknown(kid=kid)
        if key.alg not in allowed:
            raise AlgorithmNotAllowed(alg=key.alg, kid=kid)
        if not self._in_force(key, at):
            raise KeyNotValid(kid=kid, not_before=key.not_before, expires=key.expires, revoked=self.revoked(key.kid))
        return key

    def encryption_keys(self, at: datetime) -> list[EncryptionKey]:
        """The keys that content may be sealed to at the (aware) moment `at`."""
        return [key for key in self._encryption.values() if self._in_force(key, at)]

    def knows(self, kid: str | None) -> bool:
        """Whether a verifying key of this kid is or was the party's, valid or not."""
        return kid in self._verifying

    def signing_kids(self) -> frozenset[str]:
        """The kids of all verifying keys there ever were, valid or not."""
        return frozenset(self._verifying)

    def revoked(self, kid: str) -> datetime | None:
        """The moment a key was revoked, None if it was not."""
        return self._revoked.get(kid)

    def _in_force(self, key: VerifyingKey | EncryptionKey, at: datetime) -> bool:
        end = self._revoked.get(key.kid)
        return key.valid_at(at) and (end is None or at < end)
