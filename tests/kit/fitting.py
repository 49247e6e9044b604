"""A base that trains in a second, with prompts, pairs in its own words, and a process to train it in."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kit.model_folders import edit_json
from kit.tiny_models import save_tiny_model
from umekomi.models.bundle import Bundle
from umekomi.models.sources import open_model
from umekomi.models.store import Store
from umekomi.train.examples import Example, Passage, TrainingData
from umekomi.train.fitting.fit import Fitted, fit
from umekomi.train.settings import TrainingSettings

PROMPTS = {"query": "query: ", "document": "text "}
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
"""Changes that make a BERT's steps owe to nothing but its batches."""

_WORDS = ("apple", "sweet", "fruit", "banana", "yellow", "green", "long", "mixed", "text", "numbers", "the", "is")


def save_base(folder: Path, *, prompts: dict[str, str] = PROMPTS, **how: Any) -> Path:
    save_tiny_model(folder, **how)
    edit_json(folder / "config_sentence_transformers.json", prompts=prompts)
    return folder


def open_base(folder: Path) -> Bundle:
    return open_model(str(folder), store=Store(folder.parent / "store"))


def pairs(count: int, name: str, *, seed: int = 0) -> tuple[Example, ...]:
    """A query is two words of its text, in another order."""
    draws = random.Random(f"{name} {seed}")
    found = []
    for number in range(count):
        words = [draws.choice(_WORDS) for _ in range(7)] + list(str(number + 100))
        query = " ".join([words[4], words[1], *words[7:]])
        found.append(
            Example(
                f"{name}{number}",
                query,
                " ".join(words),
                chunk_id=f"{name}-chunk{number}",
                document_id=f"{name}-doc{number}",
            )
        )
    return tuple(found)


def ranking_data(train: int = 32, dev: int = 8, test: int = 8, **changes: Any) -> TrainingData:
    splits = {split: pairs(count, split) for split, count in (("train", train), ("dev", dev), ("test", test))}
    corpus = [Passage(each.chunk_id, each.positive, each.document_id) for part in splits.values() for each in part]
    return TrainingData(
        **{"objective": "ranking", **splits, "corpus": tuple(corpus), "digests": {}, "skipped": {}, **changes}
    )


def scored(examples: tuple[Example, ...]) -> tuple[Example, ...]:
    """The same texts, rated by what stands nowhere in them but is easily learnt: the first word of the second."""
    return tuple(
        Example(each.id, each.query, each.positive, score=float(each.positive.startswith(("a", "t", "w", "1"))))
        for each in examples
    )


@dataclass
class Watching:
    """What a run said and began; ``at`` is called with the number of steps that were made so far."""

    notices: list[str] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    at: Callable[[int], None] = lambda steps: None

    @contextmanager
    def stage(self, title: str, *, total: int) -> Iterator[Callable[[int], None]]:
        done = 0
        self.stages.append(title)

        def advance(count: int) -> None:
            nonlocal done
            done += count
            if title == "training":
                self.at(done)

        yield advance

    def notify(self, message: str) -> None:
        self.notices.append(message)


def settings(base: Path, **changes: Any) -> TrainingSettings:
    """Twelve steps of `ranking_data` on one thread, at a rate that moves so small a model."""
    usual = {"epochs": 3, "batch_size": 8, "mini_batch_size": 4, "learning_rate": 1e-3, "negatives": 0}
    return TrainingSettings(**{"base": str(base), **usual, "device": "cpu", "threads": 1, **changes})


def run_fit(
    base: Path, folder: Path, *, watch: Watching | None = None, data: TrainingData | None = None, **changes: Any
) -> Fitted:
    return fit(
        data or ranking_data(), settings(base, **changes), folder, watch or Watching(), bundle=open_base(base)
    )


def start_fit(base: Path, folder: Path, *, stop_at: int) -> subprocess.Popen[bytes]:
    """`run_fit` in a process of its own, which says "stopped" after so many steps and makes no further one."""
    code = "import sys, time; from pathlib import Path; from kit.fitting import Watching, run_fit\n"
    code += "def stop(steps):\n    if steps == int(sys.argv[3]): print('stopped', flush=True); time.sleep(600)\n"
    code += "run_fit(Path(sys.argv[1]), Path(sys.argv[2]), watch=Watching(at=stop))"
    command = [sys.executable, "-c", code, str(base), str(folder), str(stop_at)]
    return subprocess.Popen(command, cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE)


def tensors(folder: Path) -> dict[str, Any]:
    """The weights in a saved model, the pooler left out, which files lack and no loss reaches."""
    from safetensors.numpy import load_file

    return {name: value for name, value in load_file(folder / "model.safetensors").items() if "pooler" not in name}


def losses(fitted: Fitted) -> list[float]:
    return [point.loss for point in fitted.curve if point.loss is not None]


def as_rows(fitted: Fitted) -> list[dict[str, Any]]:
    return [asdict(point) for point in fitted.curve]
