"""Batches for in-batch negatives: nothing in a batch may be both right and wrong for one of its queries.

numpy only. The number of batches and their sizes are the same in every epoch, so that steps can be counted before
training and a run that was cut off finds its place again.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.repeats import fold
from umekomi.train.examples import Example

_MOST_PASSES = 20
"""Passes over all examples in which places are exchanged, until there were as many exchanges as examples: each then
has moved about twice. Where texts repeat much, few exchanges keep the rules."""

_GROWTH = 1.05

_SHOWN_CHARACTERS = 60


class RankingBatches:
    """Rows of ``examples`` in batches, as torch's loaders take a batch sampler; every row once an epoch.

    - No text stands twice in a batch, be it query, positive or negative (but for width, case and white space).
    - No two examples of a batch share a chunk.
    - Batches are as many as these rules and ``batch_size`` make necessary, and as even as they allow: no batch is
      left with a single example where the others are full.

    The same seed and epoch give the same batches on every machine; another epoch gives others of the same number.

    notes  said where texts that repeat make batches smaller than asked for
    """

    def __init__(self, examples: Sequence[Example], *, batch_size: int, seed: int) -> None:
        """Raises `InvalidInput` where most examples would be in a batch alone, with nothing to tell them from."""
        if batch_size < 1:
            raise InvalidInput(f"batch size {batch_size}: the smallest is 1", param="batch_size")
        self._limit = batch_size
        self.notes: tuple[str, ...] = ()
        self._seed = seed
        self._epoch = 0
        self._keys = [_keys(example) for example in examples]
        self._counts = Counter(key for keys in self._keys for key in keys)
        self._plan = self._build_plan()
        self._check(examples)

    def set_epoch(self, epoch: int) -> None:
        """Choose the batches that the next iteration gives."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._plan)

    def __iter__(self) -> Iterator[list[int]]:
        draws = np.random.default_rng([self._seed, self._epoch])
        batches = _exchange(self._plan, self._keys, draws)
        for place in draws.permutation(len(batches)).tolist():
            yield [batches[place][at] for at in draws.permutation(len(batches[place])).tolist()]

    def _build_plan(self) -> list[list[int]]:
        """A first assignment that keeps the rules: examples whose texts are common first, each to the emptiest
        batch that holds none of its texts."""
        count = len(self._keys)
        weight = [sum(self._counts[key] - 1 for key in keys) for keys in self._keys]
        order = sorted(range(count), key=lambda row: -weight[row])
        batches = max(-(-count // self._limit), max(self._counts.values(), default=0))
        while (plan := self._try(order, batches)) is None:
            batches = max(batches + 1, int(batches * _GROWTH))
        return plan

    def _try(self, order: Iterable[int], batches: int) -> list[list[int]] | None:
        plan: list[list[int]] = [[] for _ in range(batches)]
        holders: dict[str, set[int]] = {key: set() for key in self._counts}
        emptiest = [(0, batch) for batch in range(batches)]
        for row in order:
            taken = [holders[key] for key in self._keys[row]]
            passed = []
            while emptiest and any(emptiest[0][1] in batches_of for batches_of in taken):
                passed.append(heapq.heappop(emptiest))
            if not emptiest or emptiest[0][0] >= self._limit:
                return None
            size, batch = heapq.heappop(emptiest)
            plan[batch].append(row)
            for key in self._keys[row]:
                holders[key].add(batch)
            for entry in (*passed, (size + 1, batch)):
                heapq.heappush(emptiest, entry)
        return plan

    def _check(self, examples: Sequence[Example]) -> None:
        count = len(examples)
        if not count:
            raise InvalidInput("no pairs to train on", param="source")
        alone = sum(len(batch) == 1 and not examples[batch[0]].negatives for batch in self._plan)
        needed = -(-count // self._limit)
        if len(self._plan) == needed and not alone:
            return
        key, times = self._counts.most_common(1)[0]
        why = f"no text may stand in one twice, and {_shown(key, examples)} stands in {times} of {count} pairs"
        if alone > count / 2:
            raise InvalidInput(
                f"{alone} of {count} pairs would stand in a batch of their own, with nothing beside them: "
                f"{why}; give pairs of more texts, or leave most of the repeats out",
                param="source",
            )
        mean, wanted = count / len(self._plan), min(self._limit, count)
        self.notes = (f"batches hold {mean:.1f} pairs on average instead of {wanted}: {why}",)


def _exchange(
    plan: Sequence[Sequence[int]], keys: Sequence[tuple[str, ...]], draws: np.random.Generator
) -> list[list[int]]:
    """``plan`` with examples swapped between its batches at random, wherever both then still keep the rules."""
    places = _Places(plan, keys)
    exchanged = 0
    for _ in range(_MOST_PASSES if len(plan) > 1 else 0):
        others = draws.integers(len(keys), size=len(keys)).tolist()
        rows = draws.permutation(len(keys)).tolist()
        exchanged += sum(map(places.swap, rows, others))
        if exchanged >= len(keys):
            break
    return places.batches


class _Places:
    """Who stands where in which batch, and how often each batch holds a key."""

    def __init__(self, plan: Sequence[Sequence[int]], keys: Sequence[tuple[str, ...]]) -> None:
        self.batches = [list(batch) for batch in plan]
        self._keys = keys
        self._where = {row: (batch, at) for batch, rows in enumerate(plan) for at, row in enumerate(rows)}
        self._held = [Counter(key for row in rows for key in keys[row]) for rows in plan]

    def swap(self, row: int, other: int) -> bool:
        """Let two examples change places where that keeps the rules; whether they did."""
        (batch, at), (place, spot) = self._where[row], self._where[other]
        if batch == place or not (self._fits(row, other, place) and self._fits(other, row, batch)):
            return False
        for leaving, coming, there in ((row, other, batch), (other, row, place)):
            self._held[there].subtract(self._keys[leaving])
            self._held[there].update(self._keys[coming])
        self.batches[batch][at], self.batches[place][spot] = other, row
        self._where[row], self._where[other] = (place, spot), (batch, at)
        return True

    def _fits(self, row: int, instead_of: int, batch: int) -> bool:
        """Whether ``row`` may stand in ``batch`` in place of an example there."""
        return all(not self._held[batch][key] or key in self._keys[instead_of] for key in self._keys[row])


def _keys(example: Example) -> tuple[str, ...]:
    """What no two examples of a batch may share, each once."""
    texts = (example.query, example.positive, *example.negatives)
    chunk = (f"chunk {example.chunk_id}",) if example.chunk_id else ()
    return tuple(dict.fromkeys((*(f"text {fold(text)}" for text in texts), *chunk)))


def _shown(key: str, examples: Sequence[Example]) -> str:
    """What a key stands for, as the examples have it."""
    example = next(each for each in examples if key in _keys(each))
    if key == f"chunk {example.chunk_id}":
        return f"the chunk '{example.chunk_id}'"
    texts = (example.query, example.positive, *example.negatives)
    text = next(text for text in texts if key == f"text {fold(text)}")
    return f"'{text}'" if len(text) <= _SHOWN_CHARACTERS else f"'{text[: _SHOWN_CHARACTERS - 1]}…'"
