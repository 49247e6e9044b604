"""Whether single dimensions mean anything: the same vectors, turned at random, explain as much by other numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from umekomi.explain.regression.folds import Integers, Numbers
from umekomi.explain.regression.intervals import chance
from umekomi.explain.regression.ridge import CrossValidated, build_fit, build_space, predict_folds, sum_up
from umekomi.explain.settings import RISK

ROTATIONS = 5
DRAWS = 1000


@dataclass(frozen=True, slots=True)
class RotationCheck:
    """One block of texts, turned at random.

    r2          of the whole after each turn, beside ``r2_as_it_is``
    dimension   the one with the largest coefficient; ``ranks``: where that number stands after each turn
    share       of the squared coefficients of the block that lies in ``dimension``
    shares      the largest such share after each turn
    p           how often a direction at random has as large a share in one dimension
    """

    r2_as_it_is: float
    r2: tuple[float, ...]
    dimension: int
    ranks: tuple[int, ...]
    share: float
    shares: tuple[float, ...]
    p: float

    @property
    def stands_out(self) -> bool:
        """Whether ``dimension`` is more than the largest of many: no turn and few random directions have such."""
        return self.p <= RISK and self.share > max(self.shares)


def check_rotation(
    columns: Numbers,
    scale: Numbers,
    block: slice,
    *,
    target: Numbers,
    folds: Integers,
    found: CrossValidated,
    coefficients: Numbers,
    standardise: Callable[[Numbers], tuple[Numbers, Numbers]],
    seed: int,
    advance: Callable[[int], None] = lambda done: None,
) -> RotationCheck:
    """Turn the dimensions of ``block`` and fit again under the same penalties.

    columns, scale  standardised, and what they were divided by; the turn is of the vectors before that
    coefficients    of all columns as they are. ``advance`` is called once for each of `ROTATIONS`
    """
    raw = columns[:, block] * scale[block]
    rng = np.random.default_rng([seed, 4])
    squares = float(((target - found.baseline[:, 0]) ** 2).sum())
    dimension = int(np.abs(coefficients[block]).argmax())
    r2, ranks, shares = [], [], []
    for _ in range(ROTATIONS):
        turned = columns.copy()
        turned[:, block], _scale = standardise(raw @ random_rotation(raw.shape[1], rng))
        space = build_space(turned)
        predictions = predict_folds(space.rows, target, folds, found.penalties)
        r2.append(1 - float(((target - predictions) ** 2).sum()) / squares)
        weights = build_fit(sum_up(space.rows, target[:, None])).weights(found.final)[:, 0]
        mine = space.to_columns(weights)[block]
        ranks.append(rank_of(dimension, mine))
        shares.append(largest_share(mine))
        advance(1)
    share = largest_share(coefficients[block])
    null = np.array([largest_share(draw) for draw in rng.standard_normal((DRAWS, raw.shape[1]))])
    return RotationCheck(
        r2_as_it_is=1 - float(((target - found.predictions[:, 0]) ** 2).sum()) / squares,
        r2=tuple(r2),
        dimension=dimension,
        ranks=tuple(ranks),
        share=share,
        shares=tuple(shares),
        p=chance(share, null),
    )


def largest_share(weights: Numbers) -> float:
    """The largest share of the squared length of ``weights`` ``(dim,)`` that lies in one dimension."""
    squares = weights**2
    return float(squares.max() / max(float(squares.sum()), np.finfo(np.float64).tiny))


def rank_of(dimension: int, coefficients: Numbers) -> int:
    """1 where no coefficient is larger in size."""
    sizes = np.abs(coefficients)
    return 1 + int(np.count_nonzero(sizes > sizes[dimension]))


def random_rotation(dim: int, rng: np.random.Generator) -> Numbers:
    """A rotation or reflection, each as likely: Mezzadri 2007, arXiv:math-ph/0609050. float64 ``(dim, dim)``."""
    q, r = np.linalg.qr(rng.standard_normal((dim, dim)))
    signs: Sequence[float] | Numbers = np.where(np.diag(r) < 0, -1.0, 1.0)
    return np.asarray(q * signs, np.float64)
