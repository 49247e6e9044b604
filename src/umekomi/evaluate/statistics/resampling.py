"""Which items a resample holds, the same for every model of a data set: rows of weights, made block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InvalidInput

BLOCK_BYTES = 48 << 20
_KEPT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """What is drawn: items, or whole groups of them.

    count   how many units there are
    member  int64 ``(n,)``: the unit of each item; None where every item is one
    """

    count: int
    member: NDArray[np.int64] | None = None

    def sums(self, items: NDArray[np.float64]) -> NDArray[np.float64]:
        """The items' sums by unit, float64 ``(count,)``."""
        if self.member is None:
            return items
        return np.bincount(self.member, weights=items, minlength=self.count).astype(np.float64)

    def spread(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights of units as weights of items, ``(resamples, n)``."""
        return weights if self.member is None else weights[:, self.member]


def plan_units(items: int, groups: Sequence[str] | Sequence[int] | None) -> Units:
    """Units of ``items`` items. Raises `InvalidInput` for groups of another number, and where all are one group."""
    if groups is None:
        return Units(items)
    if len(groups) != items:
        raise InvalidInput(f"there are {len(groups)} groups for {items} items: give each item one", param="groups")
    kinds, member = np.unique(np.asarray(groups), return_inverse=True)
    if len(kinds) < 2:
        raise InvalidInput("all items are in one group: nothing can be resampled", param="groups")
    return Units(len(kinds), None if len(kinds) == items else member.astype(np.int64))


def iter_weights(units: int, *, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Blocks of rows, float64 ``(rows, units)``: how often each unit was drawn. Equal for equal arguments."""
    if 4 * units * resamples <= _KEPT_BYTES:
        yield from (each.astype(np.float64) for each in _kept_weights(units, resamples, seed))
    else:
        yield from _iter_drawn(units, resamples=resamples, seed=seed)


@lru_cache(maxsize=2)
def _kept_weights(units: int, resamples: int, seed: int) -> tuple[NDArray[np.float32], ...]:
    return tuple(each.astype(np.float32) for each in _iter_drawn(units, resamples=resamples, seed=seed))


def _iter_drawn(units: int, *, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    rng = np.random.default_rng([seed, units])
    rows = max(1, BLOCK_BYTES // (8 * units))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        weights = np.empty((count, units))
        for row in weights:
            row[:] = np.bincount(rng.integers(0, units, units), minlength=units)
        yield weights
