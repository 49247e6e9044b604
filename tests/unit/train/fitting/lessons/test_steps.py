"""The plan of all steps: what it covers, where it ends, and how processes share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umekomi.errors import InvalidInput
from umekomi.train.fitting.lessons.steps import (
    JoinedBatches,
    PlannedBatches,
    ShuffledBatches,
    StepPlan,
    evaluation_steps,
    plan_steps,
)

SIZES = st.integers(1, 40)


class Fixed:
    """An epoch's batches that name their epoch."""

    def __init__(self, batches: int) -> None:
        self._batches = batches
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        return iter([[100 * self._epoch + number] for number in range(self._batches)])


@given(rows=SIZES, size=SIZES, epochs=st.integers(1, 4), seed=st.integers(0, 9))
def test_every_row_comes_once_an_epoch(rows: int, size: int, epochs: int, seed: int) -> None:
    plan = plan_steps(ShuffledBatches(rows, batch_size=size, seed=seed), epochs=epochs, max_steps=None)
    assert Counter(row for batch in plan.batches for row in batch) == Counter(dict.fromkeys(range(rows), epochs))
    assert plan.epoch_after(len(plan)) == epochs
    assert list(plan.epoch_ends) == sorted(plan.epoch_ends)


def test_epochs_differ_and_come_again() -> None:
    plans = [
        plan_steps(ShuffledBatches(20, batch_size=6, seed=seed), epochs=2, max_steps=None) for seed in (3, 3, 4)
    ]
    assert plans[0] == plans[1] != plans[2]
    assert plans[0].batches[:4] != plans[0].batches[4:]


@pytest.mark.parametrize(
    ("epochs", "max_steps", "steps", "end"),
    [(2.5, None, 10, 2.5), (0.1, None, 1, 0.25), (2, 5, 5, 1.25), (1, 99, 4, 1.0), (0.5, 1, 1, 0.25)],
)
def test_it_ends_with_the_epochs_or_the_steps_whatever_comes_first(
    epochs: float, max_steps: int | None, steps: int, end: float
) -> None:
    plan = plan_steps(Fixed(4), epochs=epochs, max_steps=max_steps)
    assert len(plan) == steps
    assert plan.epoch_after(steps) == end
    assert plan.epoch_after(0) == 0
    assert plan.batches[-1] == (100 * ((steps - 1) // 4) + (steps - 1) % 4,)


def test_no_step_at_all_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="no training step"):
        plan_steps(Fixed(4), epochs=0, max_steps=None)


@given(steps=st.integers(1, 500), evaluations=st.integers(1, 20))
def test_scores_are_spread_and_the_last_step_has_one(steps: int, evaluations: int) -> None:
    found = evaluation_steps(steps, evaluations=evaluations)
    assert found[-1] == steps
    assert len(found) == min(steps, evaluations)
    gaps = {later - earlier for earlier, later in zip((0, *found), found, strict=False)}
    assert min(gaps) >= 1 and max(gaps) - min(gaps) <= 1


@given(first=SIZES, second=SIZES, epoch=st.integers(0, 3))
def test_joined_sets_never_share_a_batch(first: int, second: int, epoch: int) -> None:
    joined = JoinedBatches(
        ShuffledBatches(first, batch_size=4, seed=1),
        ShuffledBatches(second, batch_size=4, seed=2),
        offset=first,
        seed=0,
    )
    joined.set_epoch(epoch)
    batches = list(joined)
    assert sorted(row for batch in batches for row in batch) == list(range(first + second))
    assert all(len({row < first for row in batch}) == 1 for batch in batches)


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8), processes=st.integers(1, 4))
def test_processes_share_each_batch_evenly(sizes: list[int], processes: int) -> None:
    rows = iter(range(1000))
    plan = StepPlan(tuple(tuple(next(rows) for _ in range(size)) for size in sizes), tuple(0.0 for _ in sizes))
    if max(sizes) < processes:
        with pytest.raises(InvalidInput, match=f"{processes} processes"):
            PlannedBatches(plan, processes=processes)
        return
    batches = PlannedBatches(plan, processes=processes)
    lists = list(batches)
    assert len(lists) == len(batches)
    shared = [lists[at : at + processes] for at in range(0, len(lists), processes)]
    assert all(len({len(part) for part in parts}) == 1 for parts in shared)
    assert batches.left_out == sum(sizes) - sum(map(len, lists)) == sum(size % processes for size in sizes)
    whole = iter([batch for batch in plan.batches if len(batch) >= processes])
    for parts in shared:
        together = tuple(row for part in parts for row in part)
        assert together == next(whole)[: len(together)]
