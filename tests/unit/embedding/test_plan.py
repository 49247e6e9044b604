"""The token-budget plan: nothing is lost, nothing runs twice, the oldest is never left behind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from umekomi.embedding.plan import BULK_SHARE, WASTED_PLACES, Queue, WaitingTexts, wasted_places

lengths = st.lists(st.integers(1, 600), max_size=200)
budgets = st.integers(1, 2000)


@given(lengths, budgets)
def test_every_text_comes_exactly_once_and_the_oldest_first(lengths: list[int], budget: int) -> None:
    waiting: WaitingTexts[int] = WaitingTexts()
    for index, length in enumerate(lengths):
        waiting.add(index, length)
    left = set(range(len(lengths)))
    while batch := waiting.take(budget):
        assert min(left) in batch
        assert set(batch) <= left
        assert len(set(batch)) == len(batch)
        left -= set(batch)
        assert waiting.tokens == sum(lengths[i] for i in left)
    assert not left


@given(lengths, budgets)
def test_a_batch_keeps_to_the_budget_and_wastes_little(lengths: list[int], budget: int) -> None:
    waiting: WaitingTexts[int] = WaitingTexts()
    for index, length in enumerate(lengths):
        waiting.add(index, length)
    while batch := waiting.take(budget):
        sizes = [lengths[i] for i in batch]
        assert sum(sizes) <= max(budget, lengths[min(batch)])
        assert sum(max(sizes) ** 2 - size**2 for size in sizes) <= wasted_places(max(budget, lengths[min(batch)]))


def test_a_large_budget_lets_more_lengths_in() -> None:
    assert [wasted_places(budget) for budget in (64, 256, 16384)] == [
        WASTED_PLACES,
        WASTED_PLACES,
        64 * WASTED_PLACES,
    ]
    waiting: WaitingTexts[int] = WaitingTexts()
    for length in range(100, 200):
        waiting.add(length, length)
    assert len(waiting.take(256)) == 2
    assert len(waiting.take(16384)) > 20


def test_equal_lengths_fill_a_batch_before_near_ones() -> None:
    waiting: WaitingTexts[str] = WaitingTexts()
    for name, length in [("a", 16), ("near", 17), ("b", 16), ("long", 200), ("far", 30), ("c", 16)]:
        waiting.add(name, length)
    assert waiting.take(48) == ["a", "b", "c"]
    assert waiting.take(250) == ["near", "far"]
    assert waiting.take(250) == ["long"]
    assert waiting.take(250) == []


@given(st.integers(1, 12), st.integers(1, 12))
def test_bulk_waits_behind_interactive_work_but_keeps_its_share(interactive: int, bulk: int) -> None:
    queue: Queue[str] = Queue()
    for _ in range(bulk):
        queue.add("bulk", 100, "bulk")
    for _ in range(interactive):
        queue.add("interactive", 10, "interactive")
    order = []
    while batch := queue.take(budget=1):
        order += batch
    while_both_wait = order[: len(order) - order[::-1].index("interactive")]
    assert order.count("bulk") == bulk
    for start in range(0, len(while_both_wait) - BULK_SHARE + 1):
        assert while_both_wait[start : start + BULK_SHARE].count("bulk") <= 1
    assert while_both_wait.count("bulk") == min(bulk, (interactive - 1) // (BULK_SHARE - 1))


def test_a_query_overtakes_bulk_work_that_came_before_it() -> None:
    queue: Queue[str] = Queue()
    for number in range(100):
        queue.add(f"bulk {number}", 100, "bulk")
    queue.take(budget=100)
    queue.add("query", 10, "interactive")
    assert queue.take(budget=100) == ["query"]
    assert queue.tokens == 9900
