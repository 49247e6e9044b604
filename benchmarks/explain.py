"""Seconds and memory of what an explanation does besides embedding, on made-up vectors.

    python benchmarks/explain.py [--rows 4000] [--columns 1536] [--threads 2] [--quick]

Two columns of texts share the dimensions. Everything that `umekomi explain` computes is timed under a signal, which
takes longest: cross-validation with 200 shuffled targets, intervals, blocks, lassos, rotations. Beside it stands
scikit-learn's RidgeCV on one fold and one target, scaled to the fits that the same null would take with it.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from rich.console import Console
from rich.table import Table

from report import describe_machine
from umekomi.explain.explaining import explain
from umekomi.explain.reading import Study
from umekomi.explain.regressing import regress
from umekomi.explain.settings import ExplainSettings, Question
from umekomi.types import Vectors

RATED = 4
"""Rows of each group."""


class Stopwatch:
    """Seconds of every stage, on the clock and of processors."""

    def __init__(self) -> None:
        self.seconds: dict[str, tuple[float, float]] = {}

    @contextmanager
    def stage(self, title: str, *, total: int) -> Iterator[Callable[[int], None]]:
        started, worked = time.perf_counter(), time.process_time()
        yield lambda done: None
        self.seconds[title] = (time.perf_counter() - started, time.process_time() - worked)

    def notify(self, message: str) -> None:
        print(message)


def make_study(rows: int, columns: int) -> tuple[Study, dict[str, Vectors]]:
    """Vectors whose dimensions go together, as those of a model do, and a target that owes a third to them."""
    rng = np.random.default_rng(0)
    groups = np.arange(rows) // RATED
    count, dim = int(groups[-1]) + 1, columns // 2
    mixing = rng.standard_normal((dim, dim)) / np.sqrt(dim) + np.eye(dim)
    vectors = {}
    target = rng.standard_normal(count)[groups] + rng.standard_normal(rows)
    for name in ("title", "overview"):
        found = rng.standard_normal((count, dim)) @ mixing
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        signal = found @ rng.standard_normal(dim)
        target += signal[groups] / signal.std()
        vectors[name] = found.astype(np.float32)[groups]
    texts = {name: tuple(f"{name} {group}" for group in groups) for name in vectors}
    question = Question("rating", tuple(vectors), (), "movie")
    return Study("made up", question, target, texts, {}, groups, {}, (), ""), vectors


def time_ridge_cv(study: Study, vectors: dict[str, Vectors], settings: ExplainSettings) -> float:
    """Seconds of scikit-learn for the same null: a RidgeCV for each fold and target, from one that is timed."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import GroupKFold

    columns = np.concatenate(list(vectors.values()), axis=1).astype(np.float64)
    columns = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    fitted, _ = next(GroupKFold(settings.folds).split(columns, groups=study.groups))
    inner = GroupKFold(settings.folds - 1).split(columns[fitted], groups=study.groups[fitted])
    model = RidgeCV(alphas=np.geomspace(1e-5, 10, 10) * columns.size, cv=list(inner))
    started = time.perf_counter()
    model.fit(columns[fitted], study.target[fitted])
    return (time.perf_counter() - started) * settings.folds * (settings.permutations + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--columns", type=int, default=1536)
    parser.add_argument("--threads", type=int, default=2, help="of the linear algebra")
    parser.add_argument("--quick", action="store_true", help="1,000 rows of 384 columns")
    parser.add_argument("--peer", action="store_true", help="time scikit-learn too")
    options = parser.parse_args()
    rows, columns = (1000, 384) if options.quick else (options.rows, options.columns)
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    settings = ExplainSettings()
    study, vectors = make_study(rows, columns)
    watch = Stopwatch()
    with threadpool_limits(options.threads):
        with watch.stage("all", total=1):
            with watch.stage("cross-validating", total=1):
                regression = regress(study, vectors, settings)
            found = explain(regression, {"name": "made up"}, settings, watch)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        peer = time_ridge_cv(study, vectors, settings) if options.peer else None
    table = Table(title=f"{rows:,} rows of {columns:,} columns, {options.threads} threads: {found.verdict}")
    table.add_column("work")
    table.add_column("seconds", justify="right")
    table.add_column("of processors", justify="right")
    for name, (seconds, worked) in watch.seconds.items():
        table.add_row(name, f"{seconds:.1f}", f"{worked:.1f}")
    if peer is not None:
        table.add_row("scikit-learn's RidgeCV for the same null, scaled from one fit", f"{peer:.0f}", "")
    console = Console(width=110)
    console.print(table)
    machine = describe_machine()
    console.print(
        f"peak memory {peak / 2**20:.0f} MiB; {machine['processor']}, {os.cpu_count()} cores, {machine['system']}"
    )


if __name__ == "__main__":
    main()
