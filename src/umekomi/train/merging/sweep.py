"""`sweep`: how much of a training to keep, by what it gains on dev and what it loses on general sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from umekomi.errors import ConfigError
from umekomi.evaluate.candidates.opening import Candidate
from umekomi.evaluate.candidates.vectors import TaskVectors, count_texts, embed_task
from umekomi.evaluate.metrics.labels import precision_at_k
from umekomi.evaluate.metrics.neighbours import nearest
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.scoring import DEFAULT_K, primary_metric, score_task
from umekomi.evaluate.settings import Watch
from umekomi.evaluate.statistics.reductions import value
from umekomi.evaluate.tasks import LabelTask, Task
from umekomi.train.merging.merge import BASE, Merge

_SAME = 1e-9
"""Scores that differ by less are equal: rounding."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One alpha and what it scored, each data set by its primary metric.

    general  score by data set
    loss     the most that a general set lost against the base; 0 or less where none did
    """

    alpha: float
    dev: float
    general: dict[str, float]
    loss: float


@dataclass(frozen=True, slots=True)
class Sweep:
    """Which alpha was chosen and why. ``trials`` are in the order of their alphas; empty where one alone was given.

    metrics  by data set, the metric of its scores; ``dev`` is the first
    within   whether the chosen alpha keeps every general set within the tolerated loss
    """

    alpha: float
    sentence: str
    base: Trial | None
    trials: tuple[Trial, ...]
    metrics: dict[str, str]
    within: bool
    tolerated_loss: float

    def record(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


def check_alphas(alphas: Sequence[float]) -> None:
    """Raise `ConfigError` for alphas that cannot be tried, before any training."""
    if not alphas:
        raise ConfigError("there is no alpha to try; give one at least, such as 1")
    for alpha in alphas:
        if not 0 < alpha <= 1:
            raise ConfigError(f"alpha {alpha:g} cannot be tried; they are over 0 (the base) and at most 1 (tuned)")
        if list(alphas).count(alpha) > 1:
            raise ConfigError(f"alpha {alpha:g} is given twice")


def sweep(
    merge: Merge,
    *,
    alphas: Sequence[float],
    dev: Task,
    general: Sequence[Task] = (),
    tolerated_loss: float,
    cache: Path,
    watch: Watch,
) -> Sweep:
    """Try ``alphas``: the best on ``dev`` of those with which no general set loses more than is tolerated.

    Equal ones go to the smaller alpha, which is nearer to the base. Where all lose more, the one that loses least
    is taken, and ``watch`` is told. Vectors are kept in ``cache``. Raises `ConfigError` for alphas that cannot be
    tried, and what scoring raises.
    """
    check_alphas(alphas)
    if len(alphas) == 1:
        return Sweep(alphas[0], f"alpha {alphas[0]:g} was the only one given", None, (), {}, True, tolerated_loss)
    tasks = (dev, *general)
    scores: dict[float, list[float]] = {}
    for alpha in (BASE, *sorted(alphas)):
        candidate = merge.candidate(alpha)
        total = sum(count_texts(task) for task in tasks)
        with watch.stage(
            f"{candidate.record.name}: scoring dev and {len(general)} general sets", total=total
        ) as on:
            scores[alpha] = [_score(candidate, task, cache=cache, advance=on) for task in tasks]
    names = [task.name for task in general]
    before = scores[BASE]
    base, *trials = (_trial(alpha, found, before, names) for alpha, found in scores.items())
    chosen, sentence = _choose(trials, tolerated_loss)
    within = chosen.loss <= tolerated_loss + _SAME
    if not within:
        watch.notify(sentence)
    metrics = {task.name: primary_metric(task.kind, k=DEFAULT_K) for task in tasks}
    return Sweep(chosen.alpha, sentence, base, tuple(trials), metrics, within, tolerated_loss)


def _trial(alpha: float, scores: Sequence[float], before: Sequence[float], names: Sequence[str]) -> Trial:
    losses = [old - new for old, new in zip(before[1:], scores[1:], strict=True)]
    return Trial(alpha, scores[0], dict(zip(names, scores[1:], strict=True)), max(losses, default=0.0))


def _choose(trials: Sequence[Trial], tolerated_loss: float) -> tuple[Trial, str]:
    """The trial to keep, and why in a sentence; ``trials`` go from the smallest alpha to the largest."""
    within = [trial for trial in trials if trial.loss <= tolerated_loss + _SAME]
    if not within:
        least = min(trial.loss for trial in trials)
        chosen = next(trial for trial in trials if trial.loss <= least + _SAME)
        return chosen, (
            f"every alpha loses more than {tolerated_loss:g} on a general set; {chosen.alpha:g} was taken, which "
            f"loses least ({chosen.loss:.4f})"
        )
    best = max(trial.dev for trial in within)
    chosen = next(trial for trial in within if trial.dev >= best - _SAME)
    left_out = len(trials) - len(within)
    rest = f"; {left_out} others lose more than {tolerated_loss:g} on a general set" if left_out else ""
    return chosen, f"alpha {chosen.alpha:g} scores best on dev ({chosen.dev:.4f}){rest}"


def _score(candidate: Candidate, task: Task, *, cache: Path, advance: Any) -> float:
    """The task's primary metric."""
    vectors = embed_task(candidate, task, role="document", cache=cache, advance=advance)
    return value(_primary_outcome(task, vectors))


def _primary_outcome(task: Task, vectors: TaskVectors) -> Outcome:
    if isinstance(task, LabelTask):  # the other metrics of labels take minutes on large sets
        numbers = np.unique(np.array(task.labels), return_inverse=True)[1].astype(np.int64)
        return precision_at_k(nearest(vectors.main.vectors, k=DEFAULT_K).index, numbers, k=DEFAULT_K)
    metric = primary_metric(task.kind, k=DEFAULT_K)
    scored = score_task(task, vectors, k=DEFAULT_K, seed=0)
    return next(outcome for outcome in scored.outcomes if outcome.metric == metric)
