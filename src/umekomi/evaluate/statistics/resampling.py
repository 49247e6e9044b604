"""Which items a resample holds, the same for every model of a data set: rows of weights, made block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InvalidInput

Numbers: TypeAlias = NDArray[np.float64]

Drawing: TypeAlias = Literal["smooth", "replacing"]
"""How units are weighted. ``smooth``: exponential weights, draws from the posterior of the Bayesian bootstrap
(Rubin 1981, doi:10.1214/aos/1176345338). ``replacing``: as often as each unit comes when as many are drawn with
replacement. The mean and variance are the same, but drawing with replacement makes ties of ranks and leaves rare
items out."""

_BLOCK_BYTES = 16 << 20
_KEPT_BYTES = 48 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """What is drawn: items, or whole groups of them.

    count   how many units there are
    member  int64 ``(n,)``: the unit of each item; None where every item is one
    """

    count: int
    member: NDArray[np.int64] | None = None

    def sums(self, items: Numbers) -> Numbers:
        """The items' sums by unit, float64 ``(count,)``."""
        if self.member is None:
            return items
        return np.bincount(self.member, weights=items, minlength=self.count).astype(np.float64)

    def means(self, items: Numbers) -> Numbers:
        """The items' means by unit, float64 ``(count,)``."""
        return items if self.member is None else self.sums(items) / self.sums(np.ones(len(items)))

    def spread(self, weights: Numbers) -> Numbers:
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


def iter_weights(units: int, *, resamples: int, seed: int, drawing: Drawing) -> Iterator[Numbers]:
    """Blocks of rows, float64 ``(rows, units)``: how much each unit counts. Equal for equal arguments."""
    if 8 * units * resamples <= _KEPT_BYTES:
        yield from _kept_weights(units, resamples, seed, drawing)
    else:
        yield from _iter_drawn(units, resamples, seed, drawing)


@lru_cache(maxsize=2)
def _kept_weights(units: int, resamples: int, seed: int, drawing: Drawing) -> tuple[Numbers, ...]:
    """All metrics of a data set take the same ones."""
    return tuple(_iter_drawn(units, resamples, seed, drawing))


def _iter_drawn(units: int, resamples: int, seed: int, drawing: Drawing) -> Iterator[Numbers]:
    rng = np.random.default_rng([seed, units])
    rows = max(1, _BLOCK_BYTES // (8 * units))
    for start in range(0, resamples, rows):
        size = (min(rows, resamples - start), units)
        if drawing == "smooth":
            weights = rng.standard_exponential(size)
        else:
            counts = [np.bincount(row, minlength=units) for row in rng.integers(0, units, size)]
            weights = np.stack(counts).astype(np.float64)
        weights.flags.writeable = False
        yield weights
