"""Who plays: a folder with the plan of a simulation, the organisations of its country, and the secret of their keys."""

import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from adapters.simulation.country import LEAD, Country, county_of
from adapters.simulation.traffic import Traffic
from keys import base64url, jwk, private_files
from keys.errors import Fault
from keys.jwk import DecryptionKey, SigningKey
from protocols.departments import department, organisation_id, parse_organisation_id
from protocols.divisions import ancestors, division

_PLAN, _SECRET, _RECORDS = "simulation.json", "secret", "organisations.json"


class NotASimulation(Fault):
    """This folder holds no simulation, or not one that is whole; `xieban simulate organisations` makes one."""

    code: ClassVar[str] = "not-a-simulation"


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is simulated: everything but the keys follows from it."""

    seed: int
    year: int
    counties: int
    people: float
    draw: int = 0

    def traffic(self) -> Traffic:
        """What happens by this plan."""
        return Traffic(Country(self.seed, self.counties), self.year, self.people, self.draw)


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation with its keys."""

    id: str
    signing: SigningKey
    sealing: DecryptionKey


class Cast:
    """The folder of a simulation. Whoever holds its `secret` holds the keys of all its organisations.

    Raises NotASimulation.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.plan = msgspec.json.decode((folder / _PLAN).read_bytes(), type=Plan)
        except (OSError, msgspec.MsgspecError) as error:
            raise NotASimulation(f"{folder} holds no simulation: {error}") from error
        self._secret = private_files.read(folder / _SECRET)

    @classmethod
    def make(cls, folder: Path, plan: Plan) -> "Cast":
        """Make the folder, with fresh keys; one that is there already must be of the same plan, and keeps its keys.

        Raises NotASimulation.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / _PLAN).exists():
            found = cls(folder)
            if found.plan != plan:
                raise NotASimulation(f"{folder} holds another simulation, of the plan {found.plan}")
            return found
        private_files.write(folder / _SECRET, secrets.token_bytes(32))
        (folder / _PLAN).write_bytes(msgspec.json.encode(plan) + b"\n")
        return cls(folder)

    @property
    def records(self) -> Path:
        """The file for `xieban organisations import`."""
        return self.folder / _RECORDS

    def journal(self, first: date, last: date) -> Path:
        """The file in which a play of these days notes what was done."""
        return self.folder / f"journal-{first}-{last}.ndjson"

    def journals(self) -> list[Path]:
        """Those of all that was played."""
        return sorted(self.folder.glob("journal-*.ndjson"))

    def member(self, organisation: str) -> Member:
        """An organisation with its keys, which are the same whenever it is asked for."""
        seeds = {use: hmac.digest(self._secret, f"{use}/{organisation}".encode(), "sha256") for use in ("sig", "enc")}
        signing = Ed25519PrivateKey.from_private_bytes(seeds["sig"]).public_key().public_bytes_raw()
        sealing = X25519PrivateKey.from_private_bytes(seeds["enc"]).public_key().public_bytes_raw()
        signs = jwk.parse_private(_okp("Ed25519", signing, seeds["sig"]))
        opens = jwk.parse_private(_okp("X25519", sealing, seeds["enc"]))
        assert isinstance(signs, SigningKey) and isinstance(opens, DecryptionKey)
        return Member(organisation, signs, opens)

    def write_records(self) -> tuple[Path, int]:
        """Write `records`: the file, and how many organisations it holds."""
        records = list(self._records())
        self.records.write_bytes(msgspec.json.encode(records))
        return self.records, len(records)

    def _records(self) -> Iterator[dict[str, Any]]:
        """A supervisor of each province, a supervising office and the departments of each county below it."""
        country = Country(self.plan.seed, self.plan.counties)
        above = {county.code: ancestors(county.code)[-1].code for county in country.counties}
        for code in sorted(set(above.values())):
            yield self._record(organisation_id(code, LEAD), None, "supervisor")
        for organisation in country.organisations():
            county = county_of(organisation)
            leads = parse_organisation_id(organisation).department == LEAD
            yield self._record(organisation, organisation_id(above[county] if leads else county, LEAD), "bureau")

    def _record(self, organisation: str, superior: str | None, role: str) -> dict[str, Any]:
        member, parsed = self.member(organisation), parse_organisation_id(organisation)
        name = department(parsed.department).name
        return {
            "id": organisation,
            "name": {
                "zh": f"{division(parsed.division).name}{name['zh']}（模拟）",
                "en": f"{name['en']} of {parsed.division} (simulated)",
            },
            "superior": superior,
            "roles": [role],
            "jwks": jwk.public_jwks([member.signing.public, member.sealing.public]),
        }


def _okp(curve: str, public: bytes, private: bytes) -> dict[str, str]:
    return {"kty": "OKP", "crv": curve, "x": base64url.encode(public), "d": base64url.encode(private)}
