"""A dry run: a few real steps on a clock, and from them the time, memory and disk of the whole training."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from umekomi.evaluate.candidates.cost import peak_memory_bytes
from umekomi.evaluate.settings import Watch
from umekomi.extras import require
from umekomi.models.bundle import Bundle
from umekomi.train.examples import Example, TrainingData
from umekomi.train.fitting.fit import train_steps
from umekomi.train.fitting.job import Job, prepare
from umekomi.train.fitting.keeping.space import plan_space, shown
from umekomi.train.fitting.lessons.rows import fill_negatives
from umekomi.train.fitting.lessons.steps import StepPlan, evaluation_steps
from umekomi.train.settings import TrainingSettings

if TYPE_CHECKING:
    from umekomi.train.fitting.training import Lessons

TRIAL_STEPS = 4
"""The first of them is not counted: memory is claimed and caches are filled in it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training would take. ``seconds`` are without mining, export and proof.

    trained_parameters  of ``parameters``; fewer with adapters
    memory_bytes        at its peak: of this process, or of the GPU; None where the system does not tell
    score_seconds       of scoring dev once; 0 without a dev split
    """

    pairs: int
    negatives: int
    steps: int
    epochs: float
    scores: int
    step_seconds: float
    score_seconds: float
    memory_bytes: int | None
    checkpoint_bytes: int
    disk_bytes: int
    parameters: int
    trained_parameters: int
    device: str
    number_format: str

    @property
    def seconds(self) -> float:
        return self.steps * self.step_seconds + (self.scores + 1) * self.score_seconds

    def lines(self) -> Iterator[str]:
        """For people, one fact a line."""
        texts = 2 + self.negatives
        yield f"pairs: {self.pairs} of {texts} texts each, {self.epochs:g} epochs"
        yield f"steps: {self.steps}, with {self.scores} scores of dev and checkpoints"
        yield f"weights: {self.trained_parameters:,} of {self.parameters:,} are trained, in {self.number_format}"
        yield (
            f"time: about {_duration(self.seconds)} on {self.device}: {self.step_seconds:.2f} s a step, "
            f"{self.score_seconds:.1f} s a score; mining, export and proof come on top"
        )
        yield f"memory: {'not known' if self.memory_bytes is None else shown(self.memory_bytes)}"
        yield f"disk: {shown(self.disk_bytes)} at most, {shown(self.checkpoint_bytes)} of it for each checkpoint"


def estimate_fit(
    data: TrainingData,
    settings: TrainingSettings,
    *,
    bundle: Bundle,
    watch: Watch,
    preferences: Sequence[Example] = (),
) -> Estimate:
    """Make `TRIAL_STEPS` steps in a folder that is thrown away. Raises what `fit` raises.

    Negatives that would be mined are drawn at random: they are texts of the same lengths.
    """
    if settings.distill:  # whom a whole training asks once, for minutes or hours, before its first step
        settings = replace(settings, distill=None)
        watch.notify("the reranker is not asked in a dry run: its scores of every pair come on top")
    if data.objective == "ranking":
        data = replace(data, train=fill_negatives(data.train, count=settings.negatives, seed=settings.seed))
    with tempfile.TemporaryDirectory(prefix="umekomi-dry-run-") as place:
        job = prepare(data, settings, Path(place), watch, bundle=bundle, preferences=preferences)
        model = job.build_start()
        parameters = list(model.parameters())
        score_seconds = 0.0
        if job.dev is not None:
            started = time.perf_counter()
            job.dev.measure(model.to(job.device))
            score_seconds = time.perf_counter() - started
        trial = replace(job, plan=_longest_first(job.plan, job.lessons))
        step_seconds = _time_steps(trial, model, watch)
        space = plan_space(bundle, settings)
        return Estimate(
            pairs=len(job.lessons),
            negatives=job.lessons.negatives,
            steps=len(job.plan),
            epochs=round(job.plan.epoch_after(len(job.plan)), 2),
            scores=len(evaluation_steps(len(job.plan), evaluations=settings.evaluations)),
            step_seconds=step_seconds,
            score_seconds=score_seconds,
            memory_bytes=_memory_bytes(job.device),
            checkpoint_bytes=space.checkpoint_bytes,
            disk_bytes=space.needed_bytes + space.store_bytes,
            parameters=sum(each.numel() for each in parameters),
            trained_parameters=sum(each.numel() for each in parameters if each.requires_grad),
            device=job.device,
            number_format=job.number_format,
        )


def _longest_first(plan: StepPlan, lessons: Lessons) -> StepPlan:
    """The batch of the longest texts, which decides about memory, and then some as they come."""
    lengths = [len(each.query) + len(each.positive) for each in (*lessons.examples, *lessons.preferences)]
    longest = max(range(len(plan)), key=lambda step: sum(lengths[row] for row in plan.batches[step]))
    chosen = [longest, *range(min(len(plan), TRIAL_STEPS - 1))]
    return StepPlan(tuple(plan.batches[step] for step in chosen), tuple(0.0 for _ in chosen))


def _time_steps(job: Job, model: Any, watch: Watch) -> float:
    """Median seconds of a step as batches come, the first one left out where there are others."""
    from umekomi.train.fitting.steering import Stopwatch

    with watch.stage("timing a few steps", total=len(job.plan)) as advance:
        stopwatch = Stopwatch(advance)
        train_steps(job.build_trainer(model, stopwatch))
    times = stopwatch.times
    return median(later - earlier for earlier, later in pairwise(times))


def _memory_bytes(device: str) -> int | None:
    if device == "cuda":
        return int(require("torch", extra="train").cuda.max_memory_allocated())
    return peak_memory_bytes()


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1.5:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
