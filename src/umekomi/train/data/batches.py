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
        batches = self._exchange([list(batch) for batch in self._plan], draws)
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

    def _exchange(self, batches: list[list[int]], draws: np.random.Generator) -> list[list[int]]:
        """Swap examples between batches at random wherever both then still keep the rules."""
        count = len(self._keys)
        where = {row: (batch, at) for batch, rows in enumerate(batches) for at, row in enumerate(rows)}
        held = [Counter(key for row in rows for key in self._keys[row]) for rows in batches]
        exchanged = 0
        for _ in range(_MOST_PASSES if len(batches) > 1 else 0):
            others = draws.integers(count, size=count).tolist()
            for row, other in zip(draws.permutation(count).tolist(), others, strict=True):
                (batch, at), (place, spot) = where[row], where[other]
                if (
                    batch == place
                    or not self._fits(row, other, held[place])
                    or not self._fits(other, row, held[batch])
                ):
                    continue
                for leaving, coming, there in ((row, other, batch), (other, row, place)):
                    held[there].subtract(self._keys[leaving])
                    held[there].update(self._keys[coming])
                batches[batch][at], batches[place][spot] = other, row
                where[row], where[other] = (place, spot), (batch, at)
                exchanged += 1
            if exchanged >= count:
                break
        return batches

    def _fits(self, row: int, instead_of: int, held: Counter[str]) -> bool:
        """Whether ``row`` may stand in a batch of ``held`` texts in place of another example."""
        return all(not held[key] or key in self._keys[instead_of] for key in self._keys[row])

    def _check(self, examples: Sequence[Example]) -> None:
        count = len(examples)
        if not count:
            raise InvalidInput("no pairs to train on", param="source")
        alone = sum(len(batch) == 1 and not examples[batch[0]].negatives for batch in self._plan)
        needed = -(-count // self._limit)
        if len(self._plan) == needed and not alone:
            return
        key, times = self._counts.most_common(1)[0]
        kind, _, text = key.partition(" ")
        what = f"the chunk '{text}'" if kind == "chunk" else f"the text '{_shortened(text)}'"
        reason = f"{what} stands in {times} of {count} pairs, and two of them are never in one batch"
        if alone > count / 2:
            raise InvalidInput(
                f"{alone} of {count} pairs would be alone in their batch, with nothing beside them: {reason}; "
                "give pairs of more texts, or leave most of the repeats out",
                param="source",
            )
        mean, wanted = count / len(self._plan), min(self._limit, count)
        self.notes = (f"batches hold {mean:.1f} pairs on average instead of {wanted}: {reason}",)


def _keys(example: Example) -> frozenset[str]:
    """What no two examples of a batch may share."""
    texts = (example.query, example.positive, *example.negatives)
    chunk = (f"chunk {example.chunk_id}",) if example.chunk_id else ()
    return frozenset((*(f"text {fold(text)}" for text in texts), *chunk))


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
