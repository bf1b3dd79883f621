"""Readers of bytes from outside keep their promise: on every input kept, and on new ones in the short form."""

import tracemalloc
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzzing.campaign import fuzz
from tests.fuzzing.planted import PLANTED
from tests.fuzzing.probing import Finding, Target, probe, resident
from tests.fuzzing.targets import TARGETS

MOST_AT_ONCE = 96 << 20
"""Bytes that reading one input may take in Python's own memory; a workbook is let in with 30 MiB unpacked."""
MOST_GROWTH = 24 << 20
ROUNDS = 3


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Target:
    """Each target in turn."""
    return TARGETS[request.param]


def inputs(target: Target) -> Iterator[bytes]:
    """All that is known of a target."""
    yield from target.seeds()
    yield from target.kept()


def mutations(target: Target) -> st.SearchStrategy[bytes]:
    """Inputs near those that a target takes: pieces left out, repeated, moved, overwritten, words put in."""
    seeds = st.sampled_from([seed[: target.largest] for seed in inputs(target)])
    piece = st.binary(max_size=4) | st.sampled_from([*target.words, b"", b"\0", b"\xff"])
    place, length = st.floats(0, 1), st.sampled_from([0, 1, 2, 8, 64])
    edit = st.tuples(place, length, piece, st.sampled_from([1, 1, 1, 2, 70]))
    return st.tuples(seeds, st.lists(edit, max_size=4)).map(lambda drawn: _edited(*drawn))


def _edited(data: bytes, edits: list[tuple[float, int, bytes, int]]) -> bytes:
    for place, length, piece, times in edits:
        at = int(place * len(data))
        data = data[:at] + piece * times + data[at + length :]
    return data


def test_a_target_takes_one_of_its_seeds(target: Target) -> None:
    assert any([probe(target, seed) for seed in target.seeds()]) or target.name in ("exchange-signature", "hub-answer")


def test_kept_inputs_are_taken_or_refused_within_bounds(target: Target) -> None:
    known = list(inputs(target))
    for data in known:
        probe(target, data)
    tracemalloc.start()
    try:
        for data in known:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            probe(Target(**{**vars(target), "seconds": 10 * target.seconds}), data)  # tracing is slow
            assert tracemalloc.get_traced_memory()[1] - before < MOST_AT_ONCE, data[:100]
    finally:
        tracemalloc.stop()


def test_reading_again_holds_no_more_memory(target: Target) -> None:
    assert _growth(target) < MOST_GROWTH


def _growth(target: Target) -> int:
    known = list(inputs(target))
    for data in known:
        probe(target, data)
    before = resident()
    for _ in range(ROUNDS):
        for data in known:
            probe(target, data)
    return resident() - before


def test_new_inputs_are_taken_or_refused(target: Target, pytestconfig: pytest.Config) -> None:
    _search(target, pytestconfig.getoption("--fuzz-inputs"))


def _search(target: Target, most: int) -> None:
    @settings(
        max_examples=most, deadline=None, derandomize=True, database=None, phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(mutations(target))
    def search(data: bytes) -> None:
        probe(target, data)

    search()


def test_a_foreign_exception_is_reported_with_the_input() -> None:
    with pytest.raises(Finding, match=r"planted-foreign: raised KeyError: 'id', on \d+ bytes: b'"):
        _search(PLANTED["planted-foreign"], 2000)


def test_growth_is_noticed() -> None:
    target = PLANTED["planted-growing"]
    leaking = Target(target.name, target.read, target.refusals, lambda: [b"[]"])
    assert _growth(leaking) > MOST_GROWTH


PLANTED_SAYS = {"planted-foreign": "raised KeyError", "planted-slow": "timeout", "planted-growing": "out-of-memory"}


ATHERIS = pytest.mark.skipif(
    find_spec("atheris") is None, reason="没有 atheris 的轮子适用于本平台 · no wheel of atheris for this platform"
)


@ATHERIS
def test_a_campaign_finds_what_was_planted(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    assert PLANTED_SAYS.keys() == PLANTED.keys()
    for name in PLANTED if pytestconfig.getoption("--fuzz-long") else ["planted-foreign"]:
        outcome = fuzz(PLANTED[name], 30, tmp_path / "corpus" / name, tmp_path / "found" / name, memory=400)
        assert outcome.finding is not None and PLANTED_SAYS[name] in outcome.finding
        assert outcome.input is not None and outcome.input.exists()


@ATHERIS
def test_a_campaign_tries_what_is_not_broken(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    if not pytestconfig.getoption("--fuzz-long"):
        pytest.skip("only with --fuzz-long · 仅在 --fuzz-long 时")
    outcome = fuzz(TARGETS["checkpoint"], 1, tmp_path / "corpus", tmp_path / "found")
    assert outcome.finding is None
    assert outcome.inputs > 100 and outcome.covered > 20 and list((tmp_path / "corpus").iterdir())
