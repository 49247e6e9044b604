"""Which texts share a run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from umekomi.engines.onnx.encoder import plan_runs

BUDGET = 64


@given(lengths=st.lists(st.integers(0, 100), max_size=60))
def test_every_text_runs_once_within_the_budget(lengths: list[int]) -> None:
    runs = list(plan_runs(lengths, budget=BUDGET))
    assert sorted(row for run in runs for row in run) == [row for row, length in enumerate(lengths) if length]
    for run in runs:
        own = [lengths[row] for row in run]
        assert len(run) == 1 or sum(own) <= BUDGET
        assert len(run) == 1 or max(own) * (len(run) - 1) <= 2 * BUDGET


def test_short_texts_do_not_join_a_long_one() -> None:
    assert max(len(run) for run in plan_runs([40, *[1] * 20], budget=BUDGET) if 0 in run) <= 4
