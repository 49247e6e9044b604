"""Laws of batches: every example once, nothing twice in a batch, the same for the same seed and epoch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umekomi.errors import InvalidInput
from umekomi.train.data import RankingBatches
from umekomi.train.examples import Example


@st.composite
def pairs(draw: st.DrawFn) -> list[Example]:
    """Pairs that share queries, positives, negatives and chunks as often as the draw has it."""
    count = draw(st.integers(2, 40))
    texts = draw(st.integers(3, 60))
    text = st.integers(0, texts - 1).map(lambda number: f"text {number}")
    examples = []
    for row in range(count):
        query, positive, *negatives = draw(st.lists(text, min_size=2, max_size=4, unique=True).filter(_two))
        chunk = draw(st.sampled_from(["", f"c{row % 7}", f"own {row}"]))
        examples.append(Example(str(row), f"q {query}", positive, tuple(negatives), chunk_id=chunk))
    return examples


def _two(texts: list[str]) -> bool:
    return len(texts) >= 2


def _build(examples: list[Example], size: int, seed: int = 0) -> RankingBatches | None:
    try:
        return RankingBatches(examples, batch_size=size, seed=seed)
    except InvalidInput as error:
        assert "in a batch of their own" in str(error)  # drawn so that nothing fits beside anything
        return None


@settings(max_examples=150, deadline=None)
@given(examples=pairs(), size=st.integers(2, 16), seed=st.integers(0, 2**31), epochs=st.integers(1, 3))
def test_every_example_once_and_nothing_twice_in_a_batch(
    examples: list[Example], size: int, seed: int, epochs: int
) -> None:
    batches = _build(examples, size, seed)
    if batches is None:
        return
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        found = list(batches)
        assert sorted(row for batch in found for row in batch) == list(range(len(examples)))
        assert len(found) == len(batches)
        for batch in found:
            assert 1 <= len(batch) <= size
            rows = [examples[row] for row in batch]
            texts = Counter(text for row in rows for text in {row.query, row.positive, *row.negatives})
            assert max(texts.values()) == 1
            chunks = Counter(row.chunk_id for row in rows if row.chunk_id)
            assert max(chunks.values(), default=1) == 1


@settings(max_examples=50, deadline=None)
@given(count=st.integers(2, 300), size=st.integers(2, 64))
def test_batches_of_distinct_texts_are_as_few_and_as_even_as_can_be(count: int, size: int) -> None:
    examples = [Example(str(row), f"query {row}", f"text {row}") for row in range(count)]
    sizes = [len(batch) for batch in RankingBatches(examples, batch_size=size, seed=1)]
    assert len(sizes) == -(-count // size)
    assert max(sizes) - min(sizes) <= 1


def _many() -> list[Example]:
    return [Example(str(row), f"query {row}", f"text {row // 3}", (f"text {row // 3 + 1}",)) for row in range(120)]


def test_seed_and_epoch_alone_decide() -> None:
    batches, again = (RankingBatches(_many(), batch_size=16, seed=3) for _ in range(2))
    first = list(batches)
    assert list(batches) == first  # iterating changes nothing
    again.set_epoch(1)
    other = list(again)
    again.set_epoch(0)
    assert list(again) == first
    assert list(RankingBatches(_many(), batch_size=16, seed=4)) != first
    # Not the same batches in another order: those who meet in a batch meet others in the next epoch.
    assert len({frozenset(batch) for batch in first} & {frozenset(batch) for batch in other}) < 2
    met = [{(a, b) for batch in found for a in batch for b in batch if a < b} for found in (first, other)]
    assert len(met[0] & met[1]) < 0.5 * len(met[0])


def test_the_hash_seed_of_python_decides_nothing() -> None:
    code = (
        "from umekomi.train.data import RankingBatches\nfrom umekomi.train.examples import Example\n"
        "rows = [Example(str(r), f'q {r}', f't {r // 3}', (f't {r // 3 + 1}',)) for r in range(60)]\n"
        "print(list(RankingBatches(rows, batch_size=16, seed=3)))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            encoding="utf-8",
        ).stdout
        for seed in ("0", "77")
    }
    assert len(said) == 1


def test_texts_are_the_same_but_for_width_case_and_space() -> None:
    examples = [
        Example("1", "one", "Ｈｅｌｌｏ world"),
        Example("2", "two", "hello  WORLD"),
        Example("3", "three", "x", ("helloworld",)),
        Example("4", "four", "y"),
    ]
    batches = RankingBatches(examples, batch_size=4, seed=0)
    together = [set(batch) for batch in batches]
    assert len(together) == 3
    assert not any(len(batch & {0, 1, 2}) > 1 for batch in together)
    assert "stands in 3 of 4 pairs" in batches.notes[0]


def test_ten_thousand_copies_of_one_text_are_refused_at_once() -> None:
    copies = [Example(str(row), f"query {row}", "the one text", chunk_id=f"c{row}") for row in range(10_000)]
    with pytest.raises(
        InvalidInput,
        match=r"10000 of 10000 pairs would stand in a batch of their own.*'the one text' stands in 10000 of",
    ):
        RankingBatches(copies, batch_size=64, seed=0)


def test_nothing_to_train_on_and_a_batch_size_of_nothing_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no pairs"):
        RankingBatches([], batch_size=8, seed=0)
    with pytest.raises(InvalidInput, match="batch size 0"):
        RankingBatches(_many(), batch_size=0, seed=0)
