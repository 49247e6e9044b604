"""The child process of one contender in training: takes one step at each word from its parent, and times it.

Two trainings that take turns step by step see the same machine. A line on standard output holds one interval as
JSON: seconds on the clock and of this process's processors since the word to go on, and whether a dev score and a
checkpoint fell into it beside the step. Whatever the libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any


class Turnstile:
    """Holds a training after each step until the parent lets it take the next."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._wait()

    def _wait(self) -> None:
        if not sys.stdin.readline():
            sys.exit(1)
        self._started, self._worked = time.perf_counter(), time.process_time()

    def tell(self, kind: str, **more: Any) -> None:
        """Say what the interval since the last word was, and wait for the next word."""
        wall, worked = time.perf_counter() - self._started, time.process_time() - self._worked
        print(json.dumps({"kind": kind, "seconds": wall, "worked": worked, **more}), file=self._answers, flush=True)
        if kind != "end":
            self._wait()


class SteppingWatch:
    """Watches umekomi's own training: each item of the stage that takes steps is one."""

    def __init__(self, turnstile: Turnstile, *, evaluations: int) -> None:
        self._turnstile = turnstile
        self._evaluations = evaluations

    @contextmanager
    def stage(self, title: str, *, total: int) -> Iterator[Callable[[int], None]]:
        from umekomi.train.fitting.lessons.steps import evaluation_steps

        print(title, total, file=sys.stderr)
        stepping = title == "training"
        scored = evaluation_steps(total, evaluations=self._evaluations) if stepping else ()
        steps = count(1)
        if stepping:
            self._turnstile.tell("start")

        def advance(done: int) -> None:
            if stepping and done:
                # Dev is scored after a step was told of, so within the interval of the next.
                self._turnstile.tell("step", scored=next(steps) - 1 in scored)

        yield advance

    def notify(self, message: str) -> None:
        print(message, file=sys.stderr)


def run_umekomi(order: dict[str, Any]) -> None:
    """`umekomi.train`'s own fit, with its evaluations, checkpoints and curve."""
    from umekomi.models.sources import open_model
    from umekomi.train.examples import Example, Passage, TrainingData
    from umekomi.train.fitting.fit import fit
    from umekomi.train.settings import TrainingSettings

    examples = tuple(
        Example(f"q{number}", row["query"], row["positive"], (row["negative"],), chunk_id=f"c{number}")
        for number, row in enumerate(order["rows"])
    )
    held = order["held_out"]
    corpus = tuple(Passage(each.chunk_id, each.positive) for each in examples)
    data = TrainingData("ranking", examples[held:], examples[:held], (), corpus, {}, {})
    settings = TrainingSettings(
        base=order["model"],
        epochs=order["epochs"],
        batch_size=order["batch_size"],
        mini_batch_size=order["mini_batch_size"],
        max_length=order["max_length"],
        device=order["device"],
        threads=order["threads"],
        evaluations=order["evaluations"],
        patience=None,
    )
    turnstile = Turnstile()
    watch = SteppingWatch(turnstile, evaluations=settings.evaluations)
    fit(data, settings, Path(order["output"]), watch, bundle=open_model(order["model"], notify=watch.notify))
    turnstile.tell("end", **device_facts())


def run_bare(order: dict[str, Any]) -> None:
    """sentence-transformers as its documentation shows it: the trainer, the loss, and nothing else."""
    import torch
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
    from transformers import TrainerCallback

    torch.set_num_threads(order["threads"] or os.cpu_count() or 1)
    turnstile = Turnstile()

    class Stepping(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            turnstile.tell("start")

        def on_step_end(self, *_: Any, **__: Any) -> None:
            turnstile.tell("step", scored=False)

    device = order["torch_device"]
    model = SentenceTransformer(order["folder"], device=device, local_files_only=True)
    model.max_seq_length = order["max_length"]
    columns = ("query", "positive", "negative")
    rows = order["rows"][order["held_out"] :]
    prompts = {"query": order["prompts"]["query"]}
    prompts |= dict.fromkeys(columns[1:], order["prompts"]["document"])
    arguments = SentenceTransformerTrainingArguments(
        output_dir=order["output"],
        num_train_epochs=order["epochs"],
        per_device_train_batch_size=order["batch_size"],
        learning_rate=2e-5,
        warmup_steps=0.1,
        batch_sampler="no_duplicates",
        prompts={name: prompt for name, prompt in prompts.items() if prompt} or None,
        bf16=device.startswith("cuda"),
        use_cpu=device == "cpu",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict({name: [row[name] for row in rows] for name in columns}),
        loss=CachedMultipleNegativesRankingLoss(model, scale=50.0, mini_batch_size=order["mini_batch_size"]),
        callbacks=[Stepping()],
    )
    trainer.train()
    turnstile.tell("end", **device_facts())


def device_facts() -> dict[str, Any]:
    """The card's name, where there is one, and what torch computed on."""
    import torch

    card = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"card": card, "threads": torch.get_num_threads()}


def main() -> None:
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    {"umekomi": run_umekomi, "sentence-transformers": run_bare}[order["contender"]](order)


if __name__ == "__main__":
    main()
