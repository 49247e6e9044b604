"""How often intervals cover the truth and tests call equal models different, on data whose truth is known.

    python benchmarks/evaluate_coverage.py [--sets 1000]

What it prints stands in docs/reference/metrics.md. With 1,000 sets, a rate of 95 % is known to 1.4 points.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from umekomi.evaluate.outcomes import Outcome, Reduction
from umekomi.evaluate.statistics import compare, interval, value

Groups = NDArray[np.int64] | None


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of data. ``draw`` gives two models' outcomes of which neither is better, and the groups of items."""

    name: str
    sizes: tuple[int, ...]
    draw: Callable[[np.random.Generator, int], tuple[Outcome, Outcome, Groups]]
    truth: float


def cases() -> Iterator[Case]:
    small = (30, 100, 300, 1000)
    for rate in (0.5, 0.8, 0.98):
        yield Case(f"right or wrong, {rate}", small, rates(rate, 1), rate)
    for rate in (0.8, 0.98):
        yield Case(f"shares of 3, {rate}", small, rates(rate, 3), rate)
    yield Case("reciprocal ranks", small, reciprocal_ranks, sum(0.5**rank / rank for rank in range(1, 11)))
    yield Case("normal", small, plain(lambda rng, n: rng.normal(0.05, 0.05, n)), 0.05)
    yield Case("skewed (lognormal)", small, plain(lambda rng, n: rng.lognormal(0, 0.5, n)), math.exp(0.125))
    yield Case("groups, of 1 to 14 items", (10, 20, 50, 200), grouped, 0.0)
    yield Case("groups, shares of 3, 0.8", (10, 20, 50, 200), grouped_shares, 0.8)
    yield Case("Spearman, 0.69", small[:3], correlated("spearman"), 6 / math.pi * math.asin(math.sqrt(0.5) / 2))
    yield Case("Pearson, 0.71", small[:3], correlated("pearson"), math.sqrt(0.5))
    yield Case("V-measure, 9 labels, 0.48", (100, 300, 1000, 2700), clustered, v_truth(9, 0.7))


def rates(rate: float, tries: int) -> Callable[[np.random.Generator, int], tuple[Outcome, Outcome, Groups]]:
    """Two models on items of different difficulty."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Outcome, Outcome, Groups]:
        easy = rng.beta(2 * rate, 2 * (1 - rate), n)
        a, b = (rng.binomial(tries, easy) / tries for _ in range(2))
        return Outcome("rate", a), Outcome("rate", b), None

    return draw


def reciprocal_ranks(rng: np.random.Generator, n: int) -> tuple[Outcome, Outcome, Groups]:
    ranks = rng.geometric(0.5, (2, n))
    a, b = np.where(ranks <= 10, 1 / ranks, 0.0)
    return Outcome("mrr@10", a), Outcome("mrr@10", b), None


def plain(
    items: Callable[[np.random.Generator, int], NDArray[np.float64]],
) -> Callable[[np.random.Generator, int], tuple[Outcome, Outcome, Groups]]:
    return lambda rng, n: (Outcome("mean", items(rng, n)), Outcome("mean", items(rng, n)), None)


def grouped(rng: np.random.Generator, count: int) -> tuple[Outcome, Outcome, Groups]:
    group = np.repeat(np.arange(count), rng.integers(1, 15, count))
    a, b = (rng.normal(0, 0.7, count)[group] + rng.normal(0, 1, len(group)) for _ in range(2))
    return Outcome("mean", a), Outcome("mean", b), group


def grouped_shares(rng: np.random.Generator, count: int) -> tuple[Outcome, Outcome, Groups]:
    group = np.repeat(np.arange(count), rng.integers(1, 15, count))
    easy = rng.beta(4, 1, count)[group]
    a, b = (rng.binomial(3, easy) / 3 for _ in range(2))
    return Outcome("precision@3", a), Outcome("precision@3", b), group


def correlated(
    reduction: Reduction,
) -> Callable[[np.random.Generator, int], tuple[Outcome, Outcome, Groups]]:
    def draw(rng: np.random.Generator, n: int) -> tuple[Outcome, Outcome, Groups]:
        scores = rng.standard_normal(n)
        a, b = (scores + rng.standard_normal(n) for _ in range(2))
        return Outcome("sts", a, reduction, scores), Outcome("sts", b, reduction, scores), None

    return draw


def clustered(rng: np.random.Generator, n: int) -> tuple[Outcome, Outcome, Groups]:
    labels = rng.integers(0, 9, n) * 1.0
    a, b = (np.where(rng.random(n) < 0.7, labels, rng.integers(0, 9, n)) * 1.0 for _ in range(2))
    return Outcome("v_measure", a, "v_measure", labels), Outcome("v_measure", b, "v_measure", labels), None


def v_truth(kinds: int, kept: float) -> float:
    """V-measure of the whole population, where a share ``kept`` of clusters is the label and others are random."""
    joint = np.full((kinds, kinds), (1 - kept) / kinds**2) + np.eye(kinds) * kept / kinds
    information = 2 * math.log(kinds) + float((joint * np.log(joint)).sum())
    return information / math.log(kinds)


@dataclass(slots=True)
class Tally:
    """Counts over sets. ``called`` counts p below 0.05, ``beaten`` those whose interval leaves 0 out as well."""

    covered: int = 0
    called: int = 0
    beaten: int = 0
    sets: int = 0


def try_case(case: Case, size: int, *, sets: int) -> Tally:
    rng = np.random.default_rng(20_261_121)
    tally = Tally(sets=sets)
    for _ in range(sets):
        a, b, group = case.draw(rng, size)
        groups = None if group is None else group.tolist()
        found = interval(a, groups=groups)
        assert found.low <= value(a) <= found.high
        tally.covered += found.low <= case.truth <= found.high
        paired = compare(a, b, groups=groups)
        tally.called += paired.p < 0.05
        tally.beaten += paired.p < 0.05 and not paired.low <= 0 <= paired.high
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000, help="data sets of each kind and size")
    options = parser.parse_args()
    table = Table(title=f"{options.sets} data sets each; percent")
    for column in ("data", "items or groups", "covered by 95 %", "p < 0.05", "called better"):
        table.add_column(column, justify="left" if column == "data" else "right")
    started = time.perf_counter()
    for case in cases():
        for size in case.sizes:
            tally = try_case(case, size, sets=options.sets)
            shares = (f"{100 * count / tally.sets:.1f}" for count in (tally.covered, tally.called, tally.beaten))
            table.add_row(case.name, str(size), *shares)
    Console(width=100).print(table, f"{time.perf_counter() - started:.0f} s", f"numpy {np.__version__}")


if __name__ == "__main__":
    main()
