"""Batches: everything in order, none too large."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.client.messages import Draft
from adapters.client.outbox import MAX_BATCH, MAX_LINES, batches
from protocols.envelope import Event

EVENT = Event("i", "s", "t", "d", "c", datetime(2026, 1, 1, tzinfo=UTC), ("r",), "h", {})


@settings(max_examples=30)
@given(sizes=st.lists(st.sampled_from([1, 1000, 1 << 20]), max_size=40), more=st.integers(0, 2500))
def test_a_batch_has_at_most_a_thousand_lines_and_a_bounded_length(sizes: list[int], more: int) -> None:
    large = b"x" * (1 << 20)
    drafts = [Draft(EVENT, large[:size]) for size in (*sizes, *([1] * more))]
    made = list(batches(drafts))
    assert [draft for batch in made for draft in batch] == drafts
    for batch in made:
        assert 0 < len(batch) <= MAX_LINES
        assert sum(len(draft.compact) + 1 for draft in batch) <= MAX_BATCH + len(batch)
