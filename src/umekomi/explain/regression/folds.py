"""Folds that keep groups whole, and targets shuffled in a way that keeps what groups have in common."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InvalidInput

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]

STRATUM_GROUPS = 10
"""Fewest groups of like size that exchange their targets."""


def assign_folds(groups: Integers, *, folds: int, seed: int) -> Integers:
    """The fold of each row, int64 ``(n,)``: whole groups, the largest first into the emptiest fold.

    groups  numbers from 0, one a row. Raises `InvalidInput` for fewer groups than folds.
    """
    sizes = np.bincount(groups)
    if len(sizes) < folds:
        raise InvalidInput(
            f"{len(sizes)} groups for {folds} folds: each fold needs a group of its own; give more rows, a finer "
            f"--group, or --folds {max(2, len(sizes))}",
            param="group",
        )
    order = np.random.default_rng([seed, 1]).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros(folds, np.int64)
    home = np.empty(len(sizes), np.int64)
    for group in order:
        home[group] = filled.argmin()
        filled[home[group]] += sizes[group]
    return home[groups]


def permute_target(target: Numbers, groups: Integers, *, permutations: int, seed: int) -> Numbers:
    """Targets that owe nothing to the columns, float64 ``(n, permutations)``.

    Each group takes over the targets of another of about its size, in any order: the spread between groups and
    within them stays, so that rows which repeat a group are no more evidence than they were. Shuffled row by row,
    they would be.
    """
    rng = np.random.default_rng([seed, 2])
    sizes = np.bincount(groups)
    rows = np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1])
    strata = list(_strata(sizes))
    permuted = np.empty((len(target), permutations))
    for number in range(permutations):
        for stratum in strata:
            givers = rng.permutation(stratum)
            if sizes[stratum[0]] == sizes[stratum[-1]]:  # all at once, since tables often have a group a row
                given = target[np.stack([rows[giver] for giver in givers])]
                permuted[np.stack([rows[taker] for taker in stratum]), number] = rng.permuted(given, axis=1)
                continue
            for taker, giver in zip(stratum, givers, strict=True):
                permuted[rows[taker], number] = _resized(target[rows[giver]], len(rows[taker]), rng)
    return permuted


def _strata(sizes: Integers) -> Iterator[Integers]:
    """Numbers of groups in parts of like size; each part has at least `STRATUM_GROUPS`, where there are as many."""
    order = np.argsort(sizes, kind="stable")
    bands = np.floor(np.log2(sizes[order]))
    cuts = [0]
    for at in np.flatnonzero(np.diff(bands)) + 1:
        if at - cuts[-1] >= STRATUM_GROUPS and len(sizes) - at >= STRATUM_GROUPS:
            cuts.append(int(at))
    for start, end in zip(cuts, [*cuts[1:], len(sizes)], strict=True):
        yield order[start:end]


def _resized(values: Numbers, count: int, rng: np.random.Generator) -> Numbers:
    """``count`` of ``values`` in any order; where there are too few, each as often as the others, or once more."""
    repeats, rest = divmod(count, len(values))
    chosen = np.concatenate([np.tile(values, repeats), rng.permutation(values)[:rest]])
    return rng.permutation(chosen)
