"""An adapter's section of config.toml: `[adapters.NAME]`, what all of them have and what is each one's own."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec

from keys.errors import Fault
from protocols import checking, loading
from protocols.departments import parse_organisation_id
from protocols.loading import Catalogue
from protocols.refusals import CatalogueInvalid

T = TypeVar("T", bound=msgspec.Struct)


class AdapterConfigInvalid(Fault):
    """The section of an adapter can't be used."""

    code: ClassVar[str] = "adapter-config-invalid"


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """What each adapter's section has. Paths are relative to the file."""

    kind: str = ""
    """Which adapter it is; its name, where none is said."""
    hub: str
    """The hub's address."""
    organisations: tuple[str, ...]
    """For whom it speaks: itself, or those that let it sign (decision 18)."""
    keys: Path
    """The key store that signs."""
    sealed_keys: tuple[Path, ...] = ()
    """Further key stores that open what was sealed to these organisations."""
    passphrase_file: Path | None = None
    opens: bool | None = None
    """Whether what was sealed is opened at all; where not said, as its kind needs it."""
    hub_keys: Path | None = None
    """The hub's public keys (JWKS), handed over; else it is believed about them."""
    store: Path
    """Where it keeps what it did, and what was rejected."""
    listen: str | None = None
    """`HOST:PORT` for health, metrics and what the partner sends by itself."""
    every: float = 10.0
    """Seconds between two looks at what the partner has."""
    protocols: Path | None = None
    """A folder with protocols besides those that come with xieban."""

    def catalogue(self) -> Catalogue:
        """The protocols that the adapter knows. Raises AdapterConfigInvalid."""
        if self.protocols is None:
            return loading.catalogue()
        try:
            return checking.beside(loading.catalogue(), self.protocols)
        except CatalogueInvalid as fault:
            raise AdapterConfigInvalid(f"protocols = {str(self.protocols)!r}: {fault.detail}") from None


@dataclass(frozen=True, slots=True)
class Section:
    """A whole section: what is common, and the rest, which its adapter reads."""

    name: str
    common: Common
    own: Mapping[str, Any]
    base: Path = Path()
    """Where the file is: relative paths are taken from here."""

    @property
    def kind(self) -> str:
        """Which adapter it is."""
        return self.common.kind or self.name

    def read(self, kind: type[T]) -> T:
        """The adapter's own part as a value, its paths taken from where the file is. Raises AdapterConfigInvalid."""
        try:
            return msgspec.convert(
                dict(self.own), kind, dec_hook=lambda wanted, value: _decode(wanted, value, self.base)
            )
        except (msgspec.ValidationError, ValueError) as error:
            raise AdapterConfigInvalid(f"[adapters.{self.name}] {error}") from None


def sections(file: Path) -> dict[str, Section]:
    """Every adapter that a configuration names. Raises AdapterConfigInvalid."""
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise AdapterConfigInvalid(f"{file}: {error.strerror}", check="unreadable") from None
    except (ValueError, RecursionError) as error:
        raise AdapterConfigInvalid(f"{file}: {error}") from None
    listed = document.get("adapters", {})
    if not isinstance(listed, dict) or not all(isinstance(one, dict) for one in listed.values()):
        raise AdapterConfigInvalid(f"{file}: adapters are sections, [adapters.NAME]")
    return {name: _section(file, name, held) for name, held in listed.items()}


def section(file: Path, name: str) -> Section:
    """The section of one adapter. Raises AdapterConfigInvalid where there is none."""
    known = sections(file)
    if name not in known:
        named = ", ".join(sorted(known)) or "none"
        raise AdapterConfigInvalid(f"{file} has no [adapters.{name}]; it has {named}", check="no-section")
    return known[name]


def path(value: str, base: Path) -> Path:
    """A path of the file, taken from where the file is."""
    found = Path(value).expanduser()
    return found if found.is_absolute() else base / found


def address(listen: str) -> tuple[str, int]:
    """Host and port of a `listen`. Raises ValueError."""
    host, _, port = listen.rpartition(":")
    if not host or any(char.isspace() for char in host) or not (port.isascii() and port.isdigit()):
        raise ValueError(f"listen = {listen!r} is HOST:PORT, e.g. 127.0.0.1:8431")
    if not 1 <= int(port) <= 65535:
        raise ValueError(f"listen = {listen!r}: a port is 1 to 65535")
    return host.strip("[]"), int(port)


def _section(file: Path, name: str, held: Mapping[str, Any]) -> Section:
    mine = set(Common.__struct_fields__) | {"organisation"}
    given = {key: value for key, value in held.items() if key in mine}
    if "organisation" in given:
        given["organisations"] = [given.pop("organisation")]
    for key in ("keys", "passphrase_file", "hub_keys", "store", "protocols"):
        if isinstance(given.get(key), str):
            given[key] = str(path(given[key], file.parent))
    given["sealed_keys"] = [str(path(str(one), file.parent)) for one in given.get("sealed_keys", ())]
    try:
        common = msgspec.convert(given, Common, dec_hook=_decode)
        if not common.organisations:
            raise ValueError("organisation names for whom it speaks")
        for one in common.organisations:
            parse_organisation_id(one)
        if not 0.05 <= common.every <= 3600:
            raise ValueError("every is 0.05 to 3600 seconds")
        if common.listen is not None:
            address(common.listen)
    except (msgspec.ValidationError, ValueError, Fault) as error:
        raise AdapterConfigInvalid(f"{file} [adapters.{name}]: {error}") from None
    return Section(name, common, {key: value for key, value in held.items() if key not in mine}, file.parent)


def _decode(kind: type, value: Any, base: Path = Path()) -> Any:
    if kind is Path and isinstance(value, str):
        return path(value, base)
    raise ValueError(f"a {kind.__name__} can't be made of {value!r}")
