"""Step time of `umekomi train` beside the bare trainer of sentence-transformers, and minutes for a whole training.

    python benchmarks/training.py [--pairs 500 | --file pairs.jsonl] [--epochs 2] [--device cpu] [--threads 2]
    python benchmarks/training.py --model intfloat/multilingual-e5-large --device cuda

Both train on the same pairs with the same loss, batches, prompts and tokens, each in a process of its own, and take
turns: a step of the one, then a step of the other. A ratio is the median over these pairs of steps. The minutes of
umekomi hold all that it does besides: scoring dev, checkpoints, its curve. A query is a sentence; a positive and a
negative are paragraphs, cut at --max-length.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from quiet import BusyTime
from report import describe_machine
from sample_texts import paragraphs, short_sentences
from umekomi.models.sources import open_model

GOAL_RATIO = 1.05
GOAL_MINUTES = 15.0
HELD_OUT = 40
"""Pairs of dev, beside those that are trained on."""
QUIET_SHARE = 0.03
"""Of the cores that others may take during a step before it counts as disturbed."""
CHILD = Path(__file__).with_name("training_contender.py")
NAMES = ("umekomi", "sentence-transformers")


@dataclass
class Trainee:
    """A training under way: its process, and the intervals that it told of."""

    name: str
    process: subprocess.Popen[str]
    told: list[dict[str, Any]] = field(default_factory=list)
    disturbed: int = 0

    @property
    def ended(self) -> bool:
        return bool(self.told) and self.told[-1]["kind"] == "end"

    def take_turn(self) -> None:
        """Let it go on to the end of its next step."""
        assert self.process.stdin is not None and self.process.stdout is not None
        before = BusyTime.now()
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with {self.process.wait()}; see what it said above")
        told = json.loads(line)
        self.told.append(told)
        share = before.others_share(own_seconds=told["worked"], wall_seconds=told["seconds"])
        self.disturbed += told["kind"] == "step" and share > QUIET_SHARE

    def of(self, kind: str) -> list[float]:
        """Seconds of every interval of a kind."""
        return [told["seconds"] for told in self.told if told["kind"] == kind]

    def bare_steps(self, what: str) -> list[float]:
        """Those of the steps with neither a dev score nor a checkpoint among them."""
        return [told[what] for told in self.told if told["kind"] == "step" and not told["scored"]]


def make_rows(count: int) -> list[dict[str, str]]:
    """Pairs from the benchmark's own sentences, English and Japanese in turn; the negative is another's passage."""
    queries, passages = short_sentences(count).texts, paragraphs(count).texts
    return _with_negatives(
        [{"query": query, "positive": text} for query, text in zip(queries, passages, strict=True)]
    )


def read_rows(path: Path, count: int) -> list[dict[str, str]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][:count]
    return _with_negatives([{"query": row["query"], "positive": row["positive"]} for row in rows])


def _with_negatives(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    shift = len(rows) // 2 | 1
    return [row | {"negative": rows[(place + shift) % len(rows)]["positive"]} for place, row in enumerate(rows)]


def race(order: dict[str, Any], folder: Path) -> list[Trainee]:
    """Both trainings to their ends, in turns; who begins changes with every pair of steps."""
    trainees = []
    for name in NAMES:
        path = folder / f"{name}.json"
        output = folder / name
        path.write_text(json.dumps(order | {"contender": name, "output": str(output)}), encoding="utf-8")
        command = [sys.executable, str(CHILD), str(path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        trainees.append(Trainee(name, process))
    console = Console(stderr=True)
    turn = 0
    while not all(trainee.ended for trainee in trainees):
        for trainee in trainees if turn % 2 else trainees[::-1]:
            if not trainee.ended:
                trainee.take_turn()
        turn += 1
        console.print(f"turn {turn}: " + ", ".join(f"{t.name} {t.told[-1]['seconds']:.1f} s" for t in trainees))
    for trainee in trainees:
        trainee.process.wait()
    return trainees


def show(trainees: Sequence[Trainee], order: dict[str, Any]) -> None:
    ours, bare = trainees
    console = Console(width=110)
    table = Table(title=f"{len(order['rows']) - order['held_out']} pairs, {order['epochs']:g} epochs")
    for column in ("training", "steps", "seconds a step", "pairs/s", "start", "steps", "end", "minutes in all"):
        table.add_column(column, justify="left" if column == "training" else "right")
    for each in trainees:
        start, end, total = sum(each.of("start")), sum(each.of("end")), sum(told["seconds"] for told in each.told)
        middle = statistics.median(each.bare_steps("seconds"))
        table.add_row(
            *(each.name, str(len(each.of("step"))), f"{middle:.2f}", f"{order['batch_size'] / middle:.1f}"),
            *(f"{start:.1f} s", f"{total - start - end:.1f} s", f"{end:.1f} s", f"{total / 60:.1f}"),
        )
    console.print(table)
    for what, name in (("seconds", "time of a step"), ("worked", "processor time of a step")):
        ratios = compare(ours, bare, what)
        quarter = len(ratios) // 4
        console.print(
            f"{name}: {statistics.median(ratios):.3f} of sentence-transformers' "
            f"({ratios[quarter]:.3f} to {ratios[-1 - quarter]:.3f} in the middle half of {len(ratios)})"
        )
    minutes = sum(told["seconds"] for told in ours.told) / 60
    console.print(f"goals: at most {GOAL_RATIO} of a step's time; at most {GOAL_MINUTES:g} minutes ({minutes:.1f})")
    disturbed, steps = ours.disturbed + bare.disturbed, len(ours.of("step")) + len(bare.of("step"))
    console.print(f"{disturbed} of {steps} steps were disturbed: others took over {QUIET_SHARE:.0%} of the cores")
    facts = ours.told[-1]
    machine = describe_machine()
    console.print(
        f"{order['model']}, {order['max_length']} tokens, batches of {order['batch_size']}, "
        f"{facts['threads']} threads; {facts['card'] or machine['processor']}, {machine['system']}"
    )


def compare(ours: Trainee, bare: Trainee, what: str) -> list[float]:
    """Ratios of the steps that nothing else fell into, the first left out: there libraries still warm up."""
    steps = [told for told in ours.told if told["kind"] == "step"][1:]
    others = [told for told in bare.told if told["kind"] == "step"][1:]
    pairs = zip(steps, others, strict=False)
    return sorted(one[what] / other[what] for one, other in pairs if not one["scored"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="multilingual-e5-small")
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--file", type=Path, help="JSON Lines of query and positive, instead of made-up pairs")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--mini-batch-size", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--evaluations", type=int, default=4, help="of dev, by umekomi; its steps do not count")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    bundle = open_model(asked.model, notify=print)
    count = asked.pairs + HELD_OUT
    order = {
        "model": asked.model,
        "folder": str(bundle.folder),
        "prompts": {role: bundle.card.prompts.get(role, "") for role in ("query", "document")},
        "rows": read_rows(asked.file, count) if asked.file else make_rows(count),
        "held_out": HELD_OUT,
        "epochs": asked.epochs,
        "batch_size": asked.batch_size,
        "mini_batch_size": asked.mini_batch_size,
        "max_length": asked.max_length,
        "evaluations": asked.evaluations,
        "device": asked.device,
        "torch_device": asked.device,
        "threads": asked.threads,
    }
    with tempfile.TemporaryDirectory() as folder:
        trainees = race(order, Path(folder))
    show(trainees, order)


if __name__ == "__main__":
    main()
