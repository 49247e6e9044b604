"""Runs contenders side by side: one process each, one at work at a time, taking turns in every round."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quiet import BusyTime
from sample_texts import TextSet
from umekomi.types import Precision

Kind = Literal["sentence-transformers", "umekomi", "matrix products"]

DISTURBED = 0.03
"""Share of all cores that others may take during a turn; with more it is taken again."""

_TRIES = 6
_PAUSE_S = 2.0

_CHILD = Path(__file__).with_name("contender.py")


@dataclass(frozen=True, slots=True)
class Entry:
    """One contender: what it is, and what its numbers are called."""

    kind: Kind
    precision: Precision

    @property
    def label(self) -> str:
        return f"{self.kind} {self.precision}"


@dataclass(slots=True)
class Racer:
    """A contender's running process, and what is known of it."""

    entry: Entry
    process: subprocess.Popen[str]
    log: Path
    start_s: float = 0.0
    first_start_s: float = 0.0
    peak_bytes: int = 0
    disturbed: int = 0
    batch_sizes: dict[str, int] = field(default_factory=dict)

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """The answer to ``order``. Raises `RuntimeError` with the process's last words if it ends instead."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.entry.label} ended: {self.log.read_text(errors='replace')[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def seconds(self, texts: TextSet, tokens: int, *, batch_size: int | None = None) -> float:
        """Time to embed ``texts`` once, at the best batch size found where none is given.

        A turn that others disturbed is taken again a little later; of several such, the least disturbed counts.
        """
        order = {"set": texts.name, "tokens": tokens, "batch_size": batch_size or self.batch_sizes.get(texts.name)}
        turns: list[tuple[float, float]] = []
        while len(turns) < _TRIES and not (turns and turns[-1][0] <= DISTURBED):
            time.sleep(_PAUSE_S if turns else 0)
            before = BusyTime.now()
            answer = self.ask(order)
            others = before.others_share(own_seconds=answer["cpu_seconds"], wall_seconds=answer["seconds"])
            turns.append((others, answer["seconds"]))
        others, seconds = min(turns)
        self.peak_bytes = max(self.peak_bytes, answer.get("peak_bytes", 0))
        self.disturbed += others > DISTURBED
        return seconds

    def vectors(self, texts: TextSet, *, alone: int = 0) -> NDArray[np.float32]:
        """Vectors of ``texts`` as they are timed, or of the first ``alone`` texts, one call each."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "vectors.npy")
            batch_size = self.batch_sizes.get(texts.name)
            self.ask({"set": texts.name, "save": str(file), "alone": alone, "batch_size": batch_size})
            vectors: NDArray[np.float32] = np.load(file, allow_pickle=False)
        return vectors

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


@contextmanager
def open_racers(
    entries: Sequence[Entry], sets: Sequence[TextSet], *, model: str, folder: Path, threads: int
) -> Iterator[list[Racer]]:
    """Every contender, started twice: the first start fills the disk cache and builds graphs, the second counts."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        texts = scratch / "texts.json"
        texts.write_text(json.dumps({each.name: each.texts for each in sets}), encoding="utf-8")
        racers = []
        for entry in entries:
            order: dict[str, Any] = {"kind": entry.kind, "precision": entry.precision, "threads": threads}
            order |= {"model": model, "folder": str(folder), "texts": str(texts)}
            log = scratch / f"{entry.label}.log"
            first = _start(entry, order, log)
            first.close()
            racer = _start(entry, order, log)
            stack.callback(racer.close)
            racer.first_start_s = first.start_s
            racers.append(racer)
        yield racers


def find_batch_size(racer: Racer, texts: TextSet, tokens: int, sizes: Sequence[int]) -> int:
    """The fastest of ``sizes`` in two rounds of turns, after a first time that does not count."""
    racer.seconds(texts, tokens, batch_size=sizes[0])
    rounds = [{size: racer.seconds(texts, tokens, batch_size=size) for size in sizes} for _ in range(2)]
    return min(sizes, key=lambda size: min(times[size] for times in rounds))


def take_turns(
    racers: Sequence[Racer], sets: Sequence[TextSet], tokens: dict[str, int], *, rounds: int
) -> Iterator[tuple[str, Racer, float]]:
    """Set, contender and tokens a second, ``rounds`` times each. In every round another one begins."""
    for turn in range(rounds):
        shift = turn % len(racers)
        for texts in sets:
            for racer in [*racers[shift:], *racers[:shift]]:
                seconds = racer.seconds(texts, tokens[texts.name])
                yield texts.name, racer, tokens[texts.name] / seconds


def _start(entry: Entry, order: dict[str, Any], log: Path) -> Racer:
    started = time.time()
    with log.open("w") as words:
        process = subprocess.Popen(
            [sys.executable, str(_CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words, text=True
        )
    racer = Racer(entry, process, log)
    racer.start_s = racer.ask(order)["first_vector_at"] - started
    return racer
