"""Where the time of an evaluation goes, stage by stage, once the vectors are there.

    python benchmarks/evaluate.py DATASET [-m MODEL …]

DATASET is anything that `umekomi evaluate` takes, such as livedoor_300.csv.zip with 2,700 texts of 512 characters.
The first run fills the cache of vectors and is not counted; the second is. Cost, which is a fixed time for each
model, and the prompt audit, which is embedding, are left out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from report import describe_machine
from umekomi.evaluate.candidates.opening import parse_candidate
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.output.publishing import publish
from umekomi.evaluate.run import evaluate
from umekomi.evaluate.settings import EvaluationSettings

GOAL_S = 60
GOAL_STATISTICS = 0.15


class Stopwatch:
    """A watch that adds up the seconds of each kind of stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, title: str, *, total: int) -> Iterator[Callable[[int], None]]:
        started = time.perf_counter()
        yield lambda count: None
        kind = title.partition(": ")[2].partition(" ")[0] or title
        self.seconds[kind] = self.seconds.get(kind, 0) + time.perf_counter() - started

    def notify(self, message: str) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("-m", "--model", action="append", default=None)
    parser.add_argument("--cache", type=Path, help="folder of vectors; a temporary one by default")
    asked = parser.parse_args()
    models = [
        parse_candidate(name) for name in asked.model or ["multilingual-e5-small:int8", "all-MiniLM-L6-v2:int8"]
    ]
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        cache = asked.cache or Path(folder) / "cache"
        settings = EvaluationSettings(cache=cache, cost=False, audits=False)
        task = open_task(asked.dataset)
        evaluate(
            [task],
            models,
            EvaluationSettings(
                cache=cache, cost=False, audits=False, curves=False, projection="none", resamples=200
            ),
            Stopwatch(),
        )
        watch = Stopwatch()
        started = time.perf_counter()
        done = evaluate([task], models, settings, watch)
        publish(Path(folder), done, language="en", watch=watch)
        total = time.perf_counter() - started
    table = Table(title=f"{len(task)} texts, {len(models)} models, vectors at hand")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    for kind, seconds in watch.seconds.items():
        table.add_row({"embedding": "reading vectors, opening models"}.get(kind, kind), f"{seconds:.1f}")
    table.add_row("in all", f"{total:.1f}")
    console.print(table)
    statistics = watch.seconds.get("comparing", 0.0)
    console.print(
        f"goal: {GOAL_S} s in all; statistics {statistics / total:.0%} of it (goal {GOAL_STATISTICS:.0%})"
    )
    machine = describe_machine()
    console.print(f"{machine['processor']}, {machine['cores']} cores, {machine['system']}")


if __name__ == "__main__":
    main()
