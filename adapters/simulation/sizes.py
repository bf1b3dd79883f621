"""What a load costs a hub and what machines it takes: CPU seconds, bytes, processes, and a price where one is given."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

from adapters.client import messages
from adapters.simulation import words
from adapters.simulation.assumptions import cost, value
from keys import jwk
from protocols import envelope, sealing
from protocols.departments import organisation_id
from protocols.loading import catalogue

GIB = 1 << 30
MIB = 1 << 20
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Load:
    """What a hub has to do in so many `seconds`, and how it comes: `together` messages in a request.

    `items` are messages in the `readings` of mailboxes, `look_ups` are of keys. Files count as they are unsealed.
    """

    types: Mapping[str, float]
    cases: float
    readings: float
    items: float
    look_ups: float
    together: float
    seconds: float
    files: float = 0.0
    file_bytes: float = 0.0
    fetched: float = 0.0
    fetched_bytes: float = 0.0

    @property
    def messages(self) -> float:
        """Messages sent."""
        return sum(self.types.values())

    @property
    def commits(self) -> float:
        """Group commits that take messages: those of one moment share one."""
        requests = self.messages / self.together
        return requests / (1 + requests / self.seconds * cost("commit_every"))

    @property
    def cpu(self) -> float:
        """CPU seconds of hub and PostgreSQL."""
        microseconds = (
            self.messages * cost("message")
            + self.messages / self.together * cost("request")
            + self.commits * cost("commit")
            + 2 * self.cases * cost("case_view")
            + self.readings * cost("reading")
            + self.items * cost("item")
            + self.look_ups * cost("look_up")
            + self.files * cost("upload")
            + self.file_bytes / MIB * cost("upload_mib")
            + self.fetched * cost("download")
            + self.fetched_bytes / MIB * cost("download_mib")
        )
        return microseconds / 1e6 + self.seconds * cost("running")

    @property
    def stored(self) -> float:
        """Bytes that PostgreSQL grows by."""
        content = sum(size(*kind.split(".")) * number for kind, number in self.types.items())
        rows = self.messages * cost("rows_message") + self.cases * cost("rows_case") + self.files * cost("rows_file")
        return content + rows + self.readings * cost("rows_reading") + cost("rows_first")

    @property
    def attached(self) -> float:
        """Bytes that attachments take where they lie, sealed: beside the database."""
        return self.file_bytes * cost("sealed")

    @property
    def moved(self) -> float:
        """Bytes of attachments that come and go, sealed."""
        return (self.file_bytes + self.fetched_bytes) * cost("sealed")

    @property
    def written(self) -> float:
        """Bytes of its write-ahead log."""
        return self.stored * cost("log_written") + (self.commits + 2 * self.readings) * cost("log_commit")


@dataclass(frozen=True, slots=True)
class Prices:
    """What the user pays, in any currency: for an hour of one core, and for a GiB of storage in a month.

    A GiB of attachments costs what one of the database does where nothing else is said.
    """

    core_hour: float | None = None
    gib_month: float | None = None
    file_gib_month: float | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """What one size of the country needs. Seconds and bytes are of hub and PostgreSQL together."""

    times: float
    messages_year: float
    average: float
    """Messages a second over the year."""
    busiest_hour: float
    """Messages a second in the busiest hour."""
    peak: float
    """Messages in a peak second."""
    cores: float
    """Busy at the peak no more than the model lets them be."""
    workers: int
    hubs: int
    """Hubs it has to be divided among, each with a log of its own."""
    memory_gib: float
    stored_tib_year: float
    stored_tib: float
    """Over the years that messages are kept."""
    log_mib_second: float
    """Write-ahead log at the peak."""
    attached_tib_year: float
    """Attachments of a year, in their store beside the database."""
    attached_tib: float
    """Those of the years that messages are kept."""
    attached_mib_second: float
    """Attachments that come and go at the peak."""
    cpu_seconds_million: float
    stored_gib_million: float
    written_gib_million: float
    attached_gib_million: float
    price_million: float | None


def machine(times: float, year: Load, busiest_hour: float, organisations: int, prices: Prices) -> Machine:
    """The machine for a year's load whose busiest hour has so many messages a second, of so many organisations."""
    seconds = 365 * 86400
    peak = busiest_hour * value("second_over_hour")
    at_peak = replace(year, seconds=year.messages / peak)
    polls = organisations * value("waiting") / _POLL
    cores = (peak * at_peak.cpu / year.messages + polls * cost("empty_poll") / 1e6) / value("busy")
    workers = max(2, math.ceil(cores * _HUBS_SHARE))
    per_million = MILLION / year.messages
    return Machine(
        times=times,
        messages_year=year.messages,
        average=year.messages / seconds,
        busiest_hour=busiest_hour,
        peak=peak,
        cores=cores,
        workers=workers,
        hubs=max(1, math.ceil(peak / (cost("ceiling") * value("busy")))),
        memory_gib=workers * cost("worker_memory") / 1024 + _HOT_DAYS * year.stored / 365 / GIB,
        stored_tib_year=year.stored / GIB / 1024,
        stored_tib=year.stored * value("years_kept") / GIB / 1024,
        log_mib_second=peak * year.written / year.messages / MIB,
        attached_tib_year=year.attached / GIB / 1024,
        attached_tib=year.attached * value("years_kept") / GIB / 1024,
        attached_mib_second=peak * year.moved / year.messages / MIB,
        cpu_seconds_million=year.cpu * per_million,
        stored_gib_million=year.stored * per_million / GIB,
        written_gib_million=year.written * per_million / GIB,
        attached_gib_million=year.attached * per_million / GIB,
        price_million=_price(year, prices, per_million),
    )


_HUBS_SHARE = 0.75
"""The hub's processes' share of the CPU, PostgreSQL's is the rest (docs/performance.md: 232 of 302 µs)."""
_POLL = 30.0
"""Seconds of a long poll, after which it is asked again (`wait` of the mailbox)."""
_HOT_DAYS = 1.0
"""Days of storage that PostgreSQL should hold in memory: what is read is mostly of today."""


def _price(year: Load, prices: Prices, per_million: float) -> float | None:
    files = prices.gib_month if prices.file_gib_month is None else prices.file_gib_month
    if prices.core_hour is None and prices.gib_month is None and files is None:
        return None
    cores = year.cpu / 3600 / value("busy") * (prices.core_hour or 0.0)
    kept = (year.stored * (prices.gib_month or 0.0) + year.attached * (files or 0.0)) / GIB
    return (cores + kept * value("years_kept") * 12) * per_million


@cache
def size(protocol: str, message: str) -> int:
    """The bytes of a signed message, sealed where it is: one is made, by and for organisations of no account.

    Raises LookupError for what the catalogue does not know.
    """
    sender, other = (organisation_id(code, "health") for code in ("411002", "440306"))
    signing, readers = jwk.generate_signing(), [jwk.generate_encryption().public for _ in range(2)]
    found = catalogue().latest(protocol)
    if found is None:
        raise LookupError(f"the catalogue has no protocol {protocol}")
    kind, case, id = found.messages[message], envelope.new_id(), envelope.new_id()
    by_opener = message != "answer" or protocol != "case-assistance"
    now = datetime.now(UTC)
    data = words.open_part(protocol, message, by_opener, now.date(), sender, other)
    content = words.sealed_part(protocol, message)
    if content is not None:
        data |= sealing.seal(sender, id, case, dict(content), readers, padding=kind.declared.padding * sealing.BLOCK)
    attributes = envelope.compose(
        id=id,
        source=sender,
        type=f"{protocol}.{message}",
        dataschema=kind.schema.id,
        subject=case,
        recipients=[other],
        hub="410000-hub",
        time=now,
        data=data,
        causationid=case,
    )
    return len(messages.sign(attributes, signing).compact)
