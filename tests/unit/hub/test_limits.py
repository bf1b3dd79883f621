"""Rates and fair queues, by what they promise."""

from hypothesis import given
from hypothesis import strategies as st

from hub.intake.queueing import FairQueue
from hub.limits import Rate


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(
    st.floats(0.5, 50), st.integers(1, 20), st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 2)), max_size=200)
)
def test_never_more_than_the_burst_and_the_rate_and_never_less(
    per_second: float, burst: int, asked: list[tuple[str, float]]
) -> None:
    clock = Clock()
    rate = Rate(per_second, burst, clock)
    taken: dict[str, list[float]] = {"a": [], "b": []}
    for who, pause in asked:
        clock.now += pause
        wait = rate.charge(who)
        times = taken[who]
        owed = any(len(times) - n + 1 > burst + (clock.now - at) * per_second - 1e-3 for n, at in enumerate(times))
        if wait == 0.0:
            times.append(clock.now)
        else:
            assert owed  # nobody is refused who kept to it
            assert 0 < wait <= 1 / per_second + 1e-3
    for times in taken.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                most = burst + (times[last] - times[first]) * per_second
                assert last - first + 1 <= most + 1e-3


def test_after_the_wait_that_was_said_there_is_room() -> None:
    clock = Clock()
    rate = Rate(2.0, 1, clock)
    assert rate.charge("a") == 0.0
    wait = rate.charge("a")
    assert wait > 0
    clock.now += wait
    assert rate.charge("a") == 0.0


def test_no_rate_is_no_limit() -> None:
    rate = Rate(0, 0)
    assert all(rate.charge("a") == 0.0 for _ in range(1000))


@given(st.lists(st.one_of(st.tuples(st.sampled_from("abc"), st.integers()), st.integers(0, 5)), max_size=100))
def test_a_queue_keeps_each_senders_order_loses_nothing_and_lets_nobody_wait_for_anothers_second(
    steps: list[tuple[str, int] | int],
) -> None:
    queue = FairQueue[tuple[str, int, int]]()
    put: list[tuple[str, int, int]] = []
    got: list[tuple[str, int, int]] = []
    for number, step in enumerate(steps):
        if isinstance(step, int):
            waiting = [one for one in put if one not in got]
            taken = queue.take(step)
            assert len(taken) == min(step, len(waiting))
            heads = {who: next(one for one in waiting if one[0] == who) for who, _, _ in waiting}
            if len(taken) >= len(heads):
                assert set(heads.values()) <= set(taken)  # everybody's first comes before anybody's second is done
            got += taken
        else:
            put.append((*step, number))
            queue.add(step[0], put[-1])
    got += queue.take(len(put) + 1)
    assert len(queue) == 0 and sorted(got) == sorted(put)
    for who in "abc":
        assert [one for one in got if one[0] == who] == [one for one in put if one[0] == who]
