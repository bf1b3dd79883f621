"""The simulated country as a model: the same by its seed, true to its anchors, saying nothing that a flow forbids."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.client import messages
from adapters.simulation import prediction, words
from adapters.simulation.assumptions import SOURCES, assumptions, behaviour, cost, costs, value
from adapters.simulation.cast import Plan
from adapters.simulation.country import Country
from adapters.simulation.hours import DAY, OFFICE, WORKED, OfficeHours, Season, day_of, midnight
from adapters.simulation.sizes import Load, Prices, machine
from adapters.simulation.traffic import BULLETIN, Case, Traffic
from keys import base64url, chunks
from protocols import deadlines, envelope, flow
from protocols.attachments import Manifest, attached
from protocols.calendar import STATUTORY
from protocols.deadlines import SHANGHAI
from protocols.loading import catalogue
from protocols.message_checks import own_part
from protocols.schemas import Schema
from tests import simulator

FIRST, LAST = date(2026, 1, 1), date(2026, 12, 31)
PAGE = (Path(__file__).parents[3] / "docs/scaling.md").read_text("utf-8").partition("\n## 模拟")[2]
ROWS = {
    "全年平均 average, /s": ("average", 0.06),
    "最忙的一小时 busiest hour, /s": ("busiest_hour", 0.25),
    "高峰秒 peak second, /s": ("peak", 0.25),
    "处理器核，高峰时 60% 忙 cores, 60 % busy at the peak": ("cores", 0.25),
    "一年入库 stored a year, TiB": ("stored_tib_year", 0.06),
    "五年 five years, TiB": ("stored_tib", 0.06),
    "高峰写日志 write-ahead log at the peak, MiB/s": ("log_mib_second", 0.25),
    "附件，一年 attachments a year, TiB": ("attached_tib_year", 0.15),
    "附件，五年 attachments, five years, TiB": ("attached_tib", 0.15),
    "高峰收发附件 attachments at the peak, MiB/s": ("attached_mib_second", 0.3),
}
"""What the page says of a year, and how far a sample twenty times smaller than the page's may be off."""
FESTIVAL = date(2026, 2, 15), date(2026, 2, 24)
"""The State Council's holiday of 2026, and the first day after it."""


@cache
def country() -> Country:
    return Country(2026)


@cache
def a_year() -> list[Case]:
    """One case of 50,000 of the whole country, three bulletins of a thousand."""
    return list(Traffic(country(), 2026, value("people") / 50_000, bulletins=0.003).cases(FIRST, LAST))


def exchanged() -> list[Case]:
    return [case for case in a_year() if case.protocol != BULLETIN]


def reported() -> list[Case]:
    return [case for case in a_year() if case.protocol == BULLETIN]


# The same by its seed --------------------------------------------------------------------------------


def small(seed: int = 1, draw: int = 0) -> Traffic:
    return Traffic(Country(seed, 5), 2026, 8_000, draw)


@settings(max_examples=20, deadline=None)
@given(start=st.dates(FIRST, date(2026, 12, 20)), length=st.integers(0, 10), data=st.data())
def test_slices_add_up_to_the_whole_wherever_it_is_cut(start: date, length: int, data: st.DataObject) -> None:
    end = start + timedelta(days=length)
    cut = data.draw(st.dates(start, end))
    whole = list(small().cases(start, end))
    halves = [*small().cases(start, cut), *small().cases(cut + timedelta(days=1), end)]
    assert whole == halves


def test_another_seed_is_another_country_and_another_draw_other_cases_between_the_same_counties() -> None:
    day = date(2026, 3, 4)
    one, other, drawn = (list(traffic.cases(day, day)) for traffic in (small(), small(seed=2), small(draw=1)))
    assert one and other and drawn
    assert [case.opened for case in one] != [case.opened for case in other]
    assert [case.opened for case in one] != [case.opened for case in drawn]
    assert small().country.counties == small(draw=1).country.counties != small(seed=2).country.counties


def test_everything_comes_in_order_of_time() -> None:
    assert all(a.opened <= b.opened for a, b in pairwise(a_year()))
    assert all(a.at <= b.at for case in a_year() for a, b in pairwise(case.steps))
    names = Counter(case.name for case in a_year())
    assert max(names.values()) == 1


# The anchors -----------------------------------------------------------------------------------------


def test_a_year_comes_to_the_anchors() -> None:
    traffic = Traffic(country(), 2026, value("people"))
    openings = sum(traffic.opened(FIRST + timedelta(days=n)) for n in range(365))
    assert openings == pytest.approx(250e6)
    assert len(exchanged()) == pytest.approx(5_000, abs=4 * 71)
    mean = sum(len(case.steps) for case in exchanged()) / len(exchanged())
    assert mean == pytest.approx(value("messages"), rel=0.02)
    assert openings * mean / (365 * 86400) == pytest.approx(48, rel=0.03)
    assert len(country().counties) == pytest.approx(2_850, abs=20)
    assert sum(1 for _ in country().reporting()) == pytest.approx(30_000, rel=0.06)


def test_the_shares_of_the_model_are_shares_and_its_courses_have_the_mean_it_says() -> None:
    said = behaviour()
    assert math.isclose(sum(kind.share for kind in said.kinds), 1)
    for courses in (said.courses, said.bulletins):
        assert math.isclose(sum(course.share for course in courses), 1)
    assert sum(course.share * len(course.steps) for course in said.courses) == pytest.approx(value("messages"))
    for kind in said.kinds:
        assert list(kind.departments) and set(kind.departments) == set(country().departments)


def test_every_assumption_says_where_it_comes_from() -> None:
    for found in (*assumptions().values(), *costs().values()):
        assert found.source in SOURCES and found.zh and found.en


# When ------------------------------------------------------------------------------------------------


def test_rest_days_have_the_share_that_is_stated_and_no_more() -> None:
    season = Season(2026)
    assert season.festival == FESTIVAL
    ordinary = season.share[date(2026, 5, 13)]
    rest = [day for day in season.days if not STATUTORY.is_working_day(day)]
    assert all(season.share[day] == pytest.approx(value("rest_day") * ordinary) for day in rest)
    found = sum(not STATUTORY.is_working_day(day_of(case.opened)) for case in exchanged())
    expected = len(exchanged()) * sum(season.share[day] for day in rest)
    assert found == pytest.approx(expected, abs=4 * math.sqrt(expected))
    steps = [step for case in a_year() for step in case.steps[1:]]
    assert steps and all(STATUTORY.is_working_day(day_of(step.at)) for step in steps)


def test_spring_festival_has_a_flow_before_it_and_a_larger_one_after_it() -> None:
    season = Season(2026)
    # Wednesdays: none of them follows a holiday or is a Monday.
    before, after, far = (season.share[date(2026, *day)] for day in ((2, 11), (3, 4), (5, 13)))
    assert before / far == pytest.approx(value("before_festival"))
    assert after / far == pytest.approx(value("after_festival"))
    assert sum(season.share.values()) == pytest.approx(1)


def test_cases_are_opened_in_office_hours_but_for_the_stated_share() -> None:
    working = [case.opened for case in exchanged() if STATUTORY.is_working_day(day_of(case.opened))]
    hours = [(moment - midnight(day_of(moment))) / 3600 for moment in working]
    outside = [hour for hour in hours if not any(begin <= hour < end for begin, end in OFFICE)]
    expected = value("out_of_hours") * len(working)
    assert len(outside) == pytest.approx(expected, abs=4 * math.sqrt(expected))
    assert all(7 <= hour < 22 for hour in hours)


@pytest.mark.parametrize(
    ("month", "due"), [(1, date(2026, 1, 4)), (3, date(2026, 3, 3)), (5, date(2026, 5, 6)), (10, date(2026, 10, 8))]
)
def test_bulletins_are_due_on_the_third_postponed_past_rest_days_and_mostly_come_in_time(month: int, due: date) -> None:
    traffic = Traffic(Country(1, 60), 2026, 0)
    around = traffic.cases(due - timedelta(days=14), due + timedelta(days=10))
    days = Counter(day_of(case.opened) for case in around if case.name.startswith(f"2026-{month:02}/"))
    total = 60 * 10
    assert sum(days.values()) == total
    assert max(days, key=days.__getitem__) == due
    late = sum(count for day, count in days.items() if day > due)
    assert late / total == pytest.approx(value("bulletin_late"), abs=4 * math.sqrt(0.03 / total))
    assert all(STATUTORY.is_working_day(day) for day in days)


@given(hours=st.floats(0.001, 2_000))
def test_office_hours_go_there_and_back(hours: float) -> None:
    office = OfficeHours(date(2026, 1, 1), date(2027, 12, 31))
    moment = office.when(hours)
    assert office.at(moment) == pytest.approx(hours, abs=1e-6)
    assert STATUTORY.is_working_day(day_of(moment))
    assert office.at(moment + 30 * DAY) > hours
    assert office.at(midnight(date(2026, 2, 24))) == office.at(midnight(date(2026, 2, 15)))
    assert office.at(midnight(date(2026, 3, 5))) - office.at(midnight(date(2026, 3, 4))) == pytest.approx(WORKED)


# Where -----------------------------------------------------------------------------------------------


def test_pairs_of_regions_are_heavy_tailed() -> None:
    chance = Random(1)
    counts = sorted(Counter(country().pair(chance) for _ in range(100_000)).values(), reverse=True)
    # Were all pairs alike, one in a hundred of them would have one in a hundred people.
    assert sum(counts[: len(counts) // 100]) / sum(counts) > 0.1
    assert counts.count(1) / len(counts) > 0.4
    within = sum(case.opener[:2] == case.responder[:2] for case in exchanged()) / len(exchanged())
    assert within == pytest.approx(value("in_province"), abs=0.06)
    assert all(case.opener[:6] != case.responder[:6] for case in exchanged())


def test_a_silent_organisation_neither_reads_nor_sends_and_is_reminded() -> None:
    traffic, reminders, caught = Traffic(country(), 2026, 1), 0, 0
    for case in a_year():
        for number, step in enumerate(case.steps):
            silence = country().silence(step.sender, 2026)
            if number and silence is not None:
                assert not silence[0] < step.at < silence[1], case
            for recipient in step.recipients:
                read, silent = traffic.read(recipient, step.at), country().silence(recipient, 2026)
                assert read >= step.at
                if silent is not None and silent[0] <= step.at < silent[1]:
                    assert read >= silent[1]
                    caught += 1
                    reminders += step.message == "remind"
    assert caught > 30 and reminders > 5
    share = sum(country().silence(name, 2026) is not None for name in country().organisations())
    assert share / (len(country().counties) * 11) == pytest.approx(value("silent"), rel=0.1)


def test_nobody_moves_within_one_county() -> None:
    with pytest.raises(ValueError, match="within one county"):
        Country(1, 1)


# What ------------------------------------------------------------------------------------------------


def moments(case: Case) -> Iterable[datetime]:
    return (datetime.fromtimestamp(step.at, SHANGHAI) for step in case.steps)


def kinds_of_course() -> dict[tuple[str, ...], Case]:
    """One case of each protocol and each course of messages that came up in the year."""
    return {(case.protocol, *(step.message for step in case.steps)): case for case in a_year()}


def test_every_message_fits_its_schema_and_is_one_that_the_flow_of_its_protocol_allows_then() -> None:
    courses = kinds_of_course()
    assert len(courses) > 50
    for case in courses.values():
        protocol = catalogue().latest(case.protocol)
        assert protocol is not None
        standing, key = None, envelope.new_id()
        for step, now in zip(case.steps, moments(case), strict=True):
            kind = protocol.messages[step.message]
            by_opener, newcomer = step.sender == case.opener, step.recipients[-1]
            data = words.open_part(case.protocol, step.message, by_opener, now.date(), case.opener, newcomer)
            assert not Schema(own_part(kind)).findings(data), (step, data)
            content = words.sealed_part(case.protocol, step.message)
            assert (content is not None) == (kind.declared.sealed == "required")
            if content is not None and step.message != "forward":
                messages.check_content(catalogue(), f"{case.protocol}.{step.message}", kind.schema.id, content)
            event = simulator.event(protocol, step.message, step.sender, step.recipients, key, now, data)
            found = simulator.advance(protocol, standing, event, now)
            assert isinstance(found, flow.Transition), (case, step, found)
            standing = found.case
        if case.complete:
            assert standing is not None and protocol.flow.states[standing.state].final, case


def test_files_come_as_often_and_as_large_as_is_stated_and_fit_the_messages_they_come_with() -> None:
    sizes = [step.file for case in a_year() for step in case.steps if step.file]
    logarithms = [math.log(size / 1024) for size in sizes]
    mean = sum(logarithms) / len(sizes)
    assert mean == pytest.approx(math.log(value("file_size")), abs=4 * value("file_spread") / math.sqrt(len(sizes)))
    spread = math.sqrt(sum((one - mean) ** 2 for one in logarithms) / len(sizes))
    assert spread == pytest.approx(value("file_spread"), rel=4 / math.sqrt(2 * len(sizes)))
    some = b"a page"
    manifest = Manifest("材料.pdf", "application/pdf", len(some), f"sha-256:{'0' * 64}", f"sha-256:{'1' * 64}", 1,
                        base64url.encode(bytes(32)))  # fmt: skip
    for kind in behaviour().kinds:
        cases = [case for case in exchanged() if case.protocol == kind.protocol]
        with_file, share = sum(case.steps[0].file > 0 for case in cases), kind.files["opens"]
        assert with_file == pytest.approx(share * len(cases), abs=4 * math.sqrt(len(cases) * share * (1 - share)))
        for message in (getattr(kind, which) for which in kind.files):
            content = words.sealed_part(kind.protocol, message)
            assert content is not None
            _, content = attached({}, content, [manifest])
            found = catalogue().latest(kind.protocol)
            assert found is not None
            schema = found.messages[message].schema.id
            messages.check_content(catalogue(), f"{kind.protocol}.{message}", schema, content)
    assert not any(step.file for case in reported() for step in case.steps)


@pytest.mark.parametrize("size", [1, 300 * 1024, 5 * chunks.CHUNK + 1])
def test_a_sealed_file_is_as_much_larger_as_is_stated(size: int) -> None:
    of, key = chunks.count(size), chunks.new_key()
    parts = [min(chunks.CHUNK, size - chunks.CHUNK * number) for number in range(of)]
    sealed = sum(len(chunks.seal(bytes(part), key, number + 1, of)) + 1 for number, part in enumerate(parts))
    assert sealed == pytest.approx(size * cost("sealed"), rel=0.002, abs=200)


def test_counts_of_a_bulletin_add_up_and_go_on_from_the_month_before() -> None:
    first, second = (
        words.open_part(BULLETIN, "report", True, day, "411002-health", "")
        for day in (date(2026, 3, 3), date(2026, 4, 3))
    )
    assert (first["period"], second["period"]) == ("2026-02", "2026-03")
    assert first["counts"]["registered_end"] == second["counts"]["registered_start"]
    assert any(case.steps[0].message == "zero-report" for case in reported())


# What it takes ---------------------------------------------------------------------------------------


def test_a_prediction_names_machines_for_each_size_and_a_price_only_where_prices_are_given() -> None:
    plan = Plan(2026, 2026, 200, 250e6)
    found = prediction.year(plan, 5_000, (1.0, 10.0, 100.0), Prices())
    once, ten, hundred = (size.machine for size in found.sizes)
    assert once.messages_year == pytest.approx(1.5e9, rel=0.06)
    assert once.average < once.busiest_hour < once.peak < 15 * once.average
    rows = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("| ")]
    said = {
        row[0].strip(): [float(cell.replace(",", "")) for cell in row[1:]] for row in rows if row[0].strip() in ROWS
    }
    assert said.keys() == ROWS.keys()
    for title, (name, off) in ROWS.items():
        figures = [getattr(size.machine, name) for size in found.sizes]
        assert said[title] == [pytest.approx(figure, rel=off, abs=0.2) for figure in figures], title
    assert once.cores < ten.cores < hundred.cores
    assert once.hubs == 1 < hundred.hubs
    assert hundred.stored_tib_year == pytest.approx(100 * once.stored_tib_year, rel=0.02)
    assert once.attached_tib_year > once.stored_tib_year and once.price_million is None
    (apart,) = prediction.year(plan, 500, (1.0,), Prices(file_gib_month=0.01)).sizes
    assert apart.machine.price_million == pytest.approx(
        apart.machine.attached_gib_million * value("years_kept") * 12 * 0.01
    )
    (paid,) = prediction.year(plan, 500, (1.0,), Prices(core_hour=0.05, gib_month=0.1)).sizes
    kept = paid.machine.stored_gib_million + paid.machine.attached_gib_million
    disks = kept * value("years_kept") * 12 * 0.1
    assert paid.machine.price_million is not None
    assert paid.machine.price_million == pytest.approx(
        disks + paid.machine.cpu_seconds_million / 3600 / value("busy") * 0.05
    )


def test_what_comes_together_costs_less_than_what_comes_alone() -> None:
    alone = Load({"errand.request": 1_000.0}, 200, 100, 1_000, 500, together=1, seconds=1_000)
    batched = Load({"errand.request": 1_000.0}, 200, 100, 1_000, 500, together=100, seconds=1_000)
    crowded = Load({"errand.request": 1_000.0}, 200, 100, 1_000, 500, together=1, seconds=1)
    assert batched.cpu < alone.cpu and crowded.cpu < alone.cpu
    assert alone.stored == batched.stored < batched.written < alone.written
    filed = replace(alone, files=100, file_bytes=100 * 2**20, fetched=100, fetched_bytes=100 * 2**20)
    assert filed.cpu > alone.cpu and filed.stored > alone.stored
    assert filed.attached == filed.moved / 2 == pytest.approx(100 * 2**20 * cost("sealed"))
    small, large = (machine(1, alone, hour, 100, Prices()) for hour in (10, 10_000))
    assert small.hubs < large.hubs and small.workers < large.workers


def test_a_bulletins_due_day_is_that_of_the_protocol() -> None:
    declared = catalogue().protocols[BULLETIN, "1.0"].flow.deadlines["report"]
    assert (declared.days, declared.unit) == (value("bulletin_day"), "calendar")
    assert deadlines.due_date(deadlines.end_of_month("2026-09"), 3, "calendar").date == date(2026, 10, 8)
