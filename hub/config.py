"""What config.toml may say, with its defaults."""

import contextlib
import ipaddress
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec

from keys import cosignature
from keys.algorithms import EVERY_ALGORITHM
from keys.cosignature import Witness
from keys.errors import Fault
from protocols import checking, loading
from protocols.departments import parse_organisation_id
from protocols.loading import Catalogue


class ConfigInvalid(Fault):
    """The configuration file can't be used."""

    code: ClassVar[str] = "config-invalid"


class HubSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who the hub is."""

    id: str = "410000-hub"
    name_zh: str = "河南省协办枢纽"
    name_en: str = "Henan collaboration hub"


class DatabaseSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A PostgreSQL of one's own; without `url` the embedded one. From its `replica` supervisors' pages are read."""

    url: str | None = None
    replica: str | None = None


class ServerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the hub listens, and the addresses of proxies in front of it, whose word on where a caller is counts."""

    host: str = "127.0.0.1"
    proxies: tuple[str, ...] = ()


class BulletinsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """On which legal basis the hub issues bulletins, by its id in the register."""

    legal_basis: str = "sc-809-2025"


class ProtocolsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Protocols `besides` the shipped ones; or in `folder` a catalogue of one's own in their place.

    Both are folders, relative ones from where the configuration is.
    """

    besides: str | None = None
    folder: str | None = None

    def within(self, place: Path) -> "ProtocolsSection":
        """The same, its relative folders being found from `place`."""
        besides, folder = (None if one is None else str(place / one) for one in (self.besides, self.folder))
        return ProtocolsSection(besides, folder)


class LogSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose cosignatures the hub collects: verifier keys of witnesses (C2SP signed-note, type 4)."""

    witnesses: tuple[str, ...] = ()


class TrustSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By whose word organisations are admitted: the anchor's id, and the file with its public keys (JWKS).

    `algorithms` may sign the chain, and are what an organisation may sign with once it is admitted.
    """

    anchor: str | None = None
    anchor_jwks: str | None = None
    algorithms: tuple[str, ...] = ("Ed25519", "ES256")


_Rate = Annotated[float, msgspec.Meta(ge=0)]
_Many = Annotated[int, msgspec.Meta(ge=0)]


class AttachmentsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How large an attachment may be; how many bytes one organisation may have here (0: any number), how many of them
    named by no message and for how many days; where they lie.
    """

    largest: int = 4 << 30
    quota: _Many = 0
    unnamed: int = 16 << 30
    days: int = 14
    store: str | None = None


class ConsoleSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address that browsers have of this hub, `https://hub.example`: passkeys are bound to it."""

    origin: Annotated[str, msgspec.Meta(pattern=r"^(https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?)?$")] = ""


class LimitsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one organisation may ask of one worker: messages and calls a second in the long run, with so many at once,
    and polls that wait; 0 is without a limit. `idle` and `body` are seconds: how long a connection may be without a
    whole request head, and how long the body of a request may take.
    """

    messages: _Rate = 500.0
    messages_burst: _Many = 10_000
    calls: _Rate = 200.0
    calls_burst: _Many = 5_000
    waiting: _Many = 200
    idle: Annotated[float, msgspec.Meta(ge=1)] = 75.0
    body: Annotated[float, msgspec.Meta(ge=1)] = 60.0


_Days = Annotated[int, msgspec.Meta(ge=0, le=60)]


class RetentionSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how many months the content of cases is kept that are ended and have not moved for as long; 0: for ever."""

    months: Annotated[int, msgspec.Meta(ge=0, le=1200)] = 0


class ScheduleSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done on dates: so many working days before a due date who is to act is reminded, so many after it the
    superior told; on which day of the month bulletins come, of the month or half-year before (0: never).
    """

    remind: tuple[_Days, ...] = (5, 1)
    escalate: _Days = 5
    progress_day: Annotated[int, msgspec.Meta(ge=0, le=28)] = 5
    assessment_day: Annotated[int, msgspec.Meta(ge=0, le=28)] = 10


class TelemetrySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where traces go: the base address of an OTLP/HTTP collector, `http://127.0.0.1:4318`; without it none are made.

    Of `sample` new traces one is kept; a caller's own decision, in its `traceparent`, counts before it.
    """

    endpoint: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")] | None = None
    sample: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    hub: HubSection = HubSection()
    database: DatabaseSection = DatabaseSection()
    server: ServerSection = ServerSection()
    bulletins: BulletinsSection = BulletinsSection()
    protocols: ProtocolsSection = ProtocolsSection()
    log: LogSection = LogSection()
    trust: TrustSection = TrustSection()
    attachments: AttachmentsSection = AttachmentsSection()
    console: ConsoleSection = ConsoleSection()
    schedule: ScheduleSection = ScheduleSection()
    limits: LimitsSection = LimitsSection()
    retention: RetentionSection = RetentionSection()
    telemetry: TelemetrySection = TelemetrySection()
    adapters: dict[str, dict[str, Any]] = {}
    """Of the adapters, which read their sections themselves; a hub passes over them."""

    def witnesses(self) -> list[Witness]:
        """The witnesses whose cosignatures are kept. Raises MalformedKey."""
        return [cosignature.parse_vkey(vkey) for vkey in self.log.witnesses]

    def catalogue(self) -> Catalogue:
        """The protocols that this hub works by; its own are checked, as those shipped were. Raises CatalogueInvalid."""
        besides, folder = self.protocols.besides, self.protocols.folder
        known = loading.catalogue() if folder is None else checking.require(loading.load(Path(folder)))
        return known if besides is None else checking.beside(known, Path(besides))

    def protocol_names(self) -> list[tuple[str, str]]:
        """The names and versions of those protocols. Raises CatalogueInvalid."""
        besides, folder = self.protocols.besides, self.protocols.folder
        known = loading.names(None if folder is None else Path(folder))
        return known if besides is None else sorted({*known, *loading.names(Path(besides))})


def load(path: Path | None) -> Config:
    """The configuration in `path`, the defaults without one. Raises ConfigInvalid."""
    if path is None:
        return Config()
    try:
        config = parse(path.read_text("utf-8"))
        return msgspec.structs.replace(config, protocols=config.protocols.within(path.parent.absolute()))
    except ConfigInvalid as fault:
        raise ConfigInvalid(f"{path}: {fault.detail}") from fault
    except OSError as error:
        raise ConfigInvalid(f"{path}: {error.strerror}", check="unreadable") from error
    except ValueError as error:
        raise ConfigInvalid(f"{path}: {error}") from error


def shipped() -> str:
    """The text of the file with every setting, its default, and what it is for."""
    return resources.files("hub").joinpath("config.toml").read_text("utf-8")


def parse(text: str) -> Config:
    """The configuration that a file of this text is. Raises ConfigInvalid."""
    try:
        config = msgspec.convert(tomllib.loads(text), Config)
        with _setting("[hub] id"):
            parse_organisation_id(config.hub.id)
        with _setting("[log] witnesses"):
            config.witnesses()
        if config.database.replica is not None and config.database.url is None:
            raise ValueError("[database] replica: the embedded database has none; a url is missing")
        with _setting("[server] proxies"):
            for address in config.server.proxies:
                ipaddress.ip_address(address)
        if unknown := set(config.trust.algorithms) - EVERY_ALGORITHM:
            raise ValueError(f"[trust] algorithms: unknown {', '.join(sorted(unknown))}")
    except ConfigInvalid:
        raise
    except (ValueError, RecursionError, Fault) as error:
        raise ConfigInvalid(str(error)) from error
    return config


@contextlib.contextmanager
def _setting(name: str) -> Iterator[None]:
    """What is wrong with a setting is said with its name."""
    try:
        yield
    except (ValueError, Fault) as error:
        raise ConfigInvalid(f"{name}: {error.detail if isinstance(error, Fault) else error}") from error
