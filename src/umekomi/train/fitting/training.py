"""The trainer of sentence-transformers, set up for one training: rows, losses, prompts, batches and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import EngineError
from umekomi.extras import require
from umekomi.models.card import ModelCard
from umekomi.train.data.batches import RankingBatches
from umekomi.train.examples import Example, Objective
from umekomi.train.fitting.adapters import transformer_of
from umekomi.train.fitting.lessons.losses import build_distillation_loss, build_ranking_loss, build_similarity_loss
from umekomi.train.fitting.lessons.steps import (
    EpochBatches,
    JoinedBatches,
    PlannedBatches,
    ShuffledBatches,
    StepPlan,
)
from umekomi.train.fitting.loading import quiet
from umekomi.train.fitting.processes import Processes
from umekomi.train.fitting.wishes import choose_device, choose_number_format
from umekomi.train.settings import TrainingSettings

MOST_LOG_LINES = 2000
"""A longer training writes its loss for several steps at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """All that is trained on, in the order of its rows: ``examples``, then ``preferences``.

    negatives  of each example
    teacher    a reranker's log odds for each example's texts: float32 ``(n, 1 + negatives)``; None: not distilled
    """

    objective: Objective
    examples: tuple[Example, ...]
    preferences: tuple[Example, ...] = ()
    negatives: int = 0
    teacher: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.examples) + len(self.preferences)


def build_batches(lessons: Lessons, settings: TrainingSettings) -> EpochBatches:
    """The batches of every epoch. Raises `InvalidInput` as `RankingBatches` does."""
    size, seed = settings.batch_size, settings.seed
    if lessons.objective == "similarity":
        return ShuffledBatches(len(lessons), batch_size=size, seed=seed)
    ranking: EpochBatches = RankingBatches(lessons.examples, batch_size=size, seed=seed)
    if not lessons.preferences:
        return ranking
    rated = ShuffledBatches(len(lessons.preferences), batch_size=size, seed=seed)
    return JoinedBatches(ranking, rated, offset=len(lessons.examples), seed=seed)


def build_trainer(
    model: Any,
    lessons: Lessons,
    plan: StepPlan,
    settings: TrainingSettings,
    *,
    card: ModelCard,
    folder: Path,
    evaluator: Any,
    callbacks: Sequence[Any],
    processes: Processes,
) -> Any:
    """A ``SentenceTransformerTrainer`` that makes the steps of ``plan``; its checkpoints go to ``folder``."""
    sentence_transformers = require("sentence_transformers", extra="train")
    callback_types = require("transformers.trainer_callback", extra="train")
    batches = PlannedBatches(plan, processes=processes.count)
    if settings.gradient_checkpointing:
        _checkpoint_gradients(model)
    with quiet():
        trainer = sentence_transformers.SentenceTransformerTrainer(
            model=model,
            args=_arguments(
                lessons, len(plan), settings, card=card, folder=folder, batches=batches, processes=processes.count
            ),
            train_dataset=_datasets(lessons),
            loss=_losses(model, lessons, settings, processes=processes.count),
            evaluator=evaluator,
            callbacks=[*callbacks],
        )
    trainer.remove_callback(callback_types.PrinterCallback)
    trainer.remove_callback(type(trainer).model_card_callback_class)
    return trainer


def set_threads(settings: TrainingSettings) -> None:
    if settings.threads is not None:
        require("torch", extra="train").set_num_threads(settings.threads)


def warmup_steps(steps: int, share: float) -> int:
    """Steps in which the learning rate rises from 0. A single one would only be a step that is not made."""
    whole = int(steps * share)
    return whole if whole > 1 else 0


def _arguments(
    lessons: Lessons,
    steps: int,
    settings: TrainingSettings,
    *,
    card: ModelCard,
    folder: Path,
    batches: PlannedBatches,
    processes: int,
) -> Any:
    sentence_transformers = require("sentence_transformers", extra="train")
    device = choose_device(settings)
    arguments = sentence_transformers.SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        # All epochs are one list of batches, see `steps`.
        num_train_epochs=1,
        batch_sampler="batch_sampler" if lessons.preferences else batches,
        multi_dataset_batch_sampler=batches if lessons.preferences else "proportional",
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=warmup_steps(steps, settings.warmup_share),
        weight_decay=0.0,
        max_grad_norm=1.0,
        seed=settings.seed,
        prompts=_prompts(lessons, card),
        bf16=choose_number_format(settings) == "bf16",
        use_cpu=device == "cpu",
        # What is scored and kept when is for `Steering` to say.
        eval_strategy="no",
        save_strategy="no",
        save_total_limit=None,
        logging_steps=-(-steps // MOST_LOG_LINES),
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_drop_last=processes > 1,
        dataloader_pin_memory=device == "cuda",
    )
    # One card: with several in sight the trainer would share each batch among them inside one process.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _datasets(lessons: Lessons) -> Any:
    datasets = require("datasets", extra="train")
    if lessons.objective == "similarity":
        return datasets.Dataset.from_dict(_scored([*lessons.examples, *lessons.preferences]))
    columns: dict[str, Any] = {
        "query": [each.query for each in lessons.examples],
        "positive": [each.positive for each in lessons.examples],
    }
    for number in range(lessons.negatives):
        columns[f"negative_{number + 1}"] = [each.negatives[number] for each in lessons.examples]
    if lessons.teacher is not None:
        columns["label"] = lessons.teacher.tolist()
    ranking = datasets.Dataset.from_dict(columns)
    if not lessons.preferences:
        return ranking
    rated = datasets.Dataset.from_dict(_scored(lessons.preferences))
    return datasets.DatasetDict({"ranking": ranking, "preference": rated})


def _scored(examples: Sequence[Example]) -> dict[str, Any]:
    return {
        "first": [each.query for each in examples],
        "second": [each.positive for each in examples],
        "label": [float(each.score or 0.0) for each in examples],
    }


def _prompts(lessons: Lessons, card: ModelCard) -> dict[str, Any]:
    """The card's, by column: queries as queries, everything else as documents, as they are searched later."""
    document = card.prompt_for("document")
    scored = {"first": document, "second": document}
    if lessons.objective == "similarity":
        return scored
    ranking = {"query": card.prompt_for("query"), "positive": document}
    ranking |= {f"negative_{number + 1}": document for number in range(lessons.negatives)}
    return {"ranking": ranking, "preference": scored} if lessons.preferences else ranking


def _losses(model: Any, lessons: Lessons, settings: TrainingSettings, *, processes: int) -> Any:
    if lessons.objective == "similarity":
        return build_similarity_loss(model, settings)
    if lessons.teacher is not None:
        ranking = build_distillation_loss(model, settings)
    else:
        ranking = build_ranking_loss(model, settings, processes=processes)
    if not lessons.preferences:
        return ranking
    return {"ranking": ranking, "preference": build_similarity_loss(model, settings)}


def _checkpoint_gradients(model: Any) -> None:
    inner = transformer_of(model)
    enable = getattr(inner, "activation_checkpointing_enable", None) or inner.gradient_checkpointing_enable
    try:
        enable()
    except ValueError as error:
        raise EngineError(f"--gradient-checkpointing: this model cannot: {error}") from None
