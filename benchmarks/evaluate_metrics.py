"""Seconds and memory of what an evaluation does besides embedding, on made-up vectors.

    python benchmarks/evaluate_metrics.py [--texts 100000] [--peer-queries 2000] [--quick]

Neighbours are searched in a process of their own, so that its peak memory is theirs; in another, scikit-learn's
NearestNeighbors answers some of the queries, and its time is scaled to all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from report import describe_machine
from umekomi.embedding.vectors import normalize
from umekomi.evaluate.metrics import labels as label_metrics
from umekomi.evaluate.metrics.neighbours import nearest
from umekomi.evaluate.metrics.repeats import find_repeats
from umekomi.evaluate.metrics.space import space_figures
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.statistics import judge
from umekomi.types import Vectors

DIM, LABELS, K = 384, 9, 3
MODELS, METRICS, RESAMPLES = 10, 6, 2000


def make_vectors(texts: int) -> tuple[Vectors, NDArray[np.int64]]:
    """Vectors as a real model's: near each other, in clusters within labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, LABELS, texts)
    topics = rng.standard_normal((40 * LABELS, DIM), dtype=np.float32)
    vectors = rng.standard_normal((texts, DIM), dtype=np.float32)
    vectors += 0.8 * topics[labels * 40 + rng.integers(0, 40, texts)] + 1
    return normalize(vectors), labels


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ours(texts: int) -> dict[str, float]:
    """precision@3 by blocks, in this process."""
    vectors, labels = make_vectors(texts)
    before = peak_bytes()

    def work() -> None:
        label_metrics.precision_at_k(nearest(vectors, k=K).index, labels, k=K)

    return {"seconds": timed(work), "peak": peak_bytes(), "idle": before}


def theirs(texts: int, queries: int) -> dict[str, float]:
    from sklearn.neighbors import NearestNeighbors

    vectors, _ = make_vectors(texts)
    before = peak_bytes()
    index = NearestNeighbors(n_neighbors=K + 1, metric="cosine", algorithm="brute").fit(vectors)
    seconds = timed(lambda: index.kneighbors(vectors[:queries]))
    return {"seconds": seconds * texts / queries, "peak": peak_bytes(), "idle": before}


def child(*arguments: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def small_set() -> dict[str, float]:
    """Everything on 2,700 texts, the size of the published livedoor score."""
    vectors, labels = make_vectors(2700)
    found = nearest(vectors, k=10)
    rng = np.random.default_rng(1)
    metrics = [
        {f"model {at}": Outcome(f"metric {metric}", rng.binomial(3, 0.75, 2700) / 3) for at in range(MODELS)}
        for metric in range(METRICS)
    ]
    scores = rng.random(2700)
    pairs = {
        f"model {at}": Outcome("spearman", scores + rng.random(2700), "spearman", scores) for at in range(MODELS)
    }
    texts = ["".join(chr(0x3041 + each) for each in rng.integers(0, 80, 512)) for _ in range(2700)]
    return {
        "nearest, k = 10": timed(lambda: nearest(vectors, k=10)),
        "r_precision": timed(lambda: label_metrics.r_precision(vectors, labels)),
        "silhouette": timed(lambda: label_metrics.silhouette(vectors, labels)),
        "v_measure": timed(lambda: label_metrics.kmeans_v_measure(vectors, labels, seed=0)),
        "linear_probe": timed(lambda: label_metrics.linear_probe(vectors, labels, groups=None, seed=0)),
        "space_figures": timed(lambda: space_figures(vectors, found.index)),
        "find_repeats, 512 characters": timed(lambda: find_repeats(texts)),
        f"judge {MODELS} models by {METRICS} means, {RESAMPLES} resamples": timed(
            lambda: [judge(each, dataset="d", resamples=RESAMPLES) for each in metrics]
        ),
        f"judge {MODELS} models by Spearman": timed(lambda: judge(pairs, dataset="d", resamples=RESAMPLES)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--peer-queries", type=int, default=2000, help="queries that scikit-learn answers")
    parser.add_argument("--quick", action="store_true", help="20,000 texts")
    parser.add_argument("--child", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    texts = 20_000 if options.quick else options.texts
    if options.child:
        found = ours(texts) if options.child == "ours" else theirs(texts, options.peer_queries)
        print(json.dumps(found))
        return
    console = Console(width=110)
    asked = ["--texts", str(texts), "--peer-queries", str(options.peer_queries)]
    print_search(console, texts, child("--child", "ours", *asked), child("--child", "theirs", *asked))
    table = Table(title=f"2,700 texts, {DIM} dimensions")
    table.add_column("work")
    table.add_column("seconds", justify="right")
    for name, seconds in small_set().items():
        table.add_row(name, f"{seconds:.2f}")
    console.print(table)
    machine: dict[str, Any] = describe_machine()
    console.print(f"{machine['processor']}, {os.cpu_count()} cores, {machine['system']}, numpy {np.__version__}")


def print_search(console: Console, texts: int, mine: dict[str, float], peer: dict[str, float]) -> None:
    table = Table(title=f"precision@{K} of {texts:,} texts, {DIM} dimensions")
    for column in ("search", "seconds", "peak memory", "of it before"):
        table.add_column(column, justify="left" if column == "search" else "right")
    for name, row in (("umekomi", mine), ("scikit-learn, brute, cosine", peer)):
        table.add_row(name, f"{row['seconds']:.1f}", *(f"{row[each] / 1e6:,.0f} MB" for each in ("peak", "idle")))
    console.print(table)
    console.print(f"umekomi takes {mine['seconds'] / peer['seconds']:.2f} of scikit-learn's time")


if __name__ == "__main__":
    main()
