"""`sweep`: how much of a training to keep, by what it gains on dev and what it loses on general sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from umekomi.train.merging.sampling import sample_task

_SAME = 1e-9
"""Scores that differ by less are equal: rounding."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One alpha and what it scored.

    scores  by data set, of its primary metric; dev comes first where there is one
    dev     the score on dev, None without one
    loss    the most that a general set lost against the base; 0 or less where none did
    """

    alpha: float
    scores: dict[str, float]
    dev: float | None
    loss: float


@dataclass(frozen=True, slots=True)
class Sweep:
    """Which alpha was chosen and why. ``trials`` are in the order of their alphas; empty where one alone was given.

    metrics  by data set, the metric of its scores
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
    dev: Task | None,
    general: Sequence[Task] = (),
    tolerated_loss: float,
    cache: Path,
    watch: Watch,
) -> Sweep:
    """Try ``alphas``: the best on ``dev`` of those with which no general set loses more than is tolerated.

    Equal ones go to the smaller alpha, which is nearer to the base. Where all lose more, the one that loses least
    is taken, and the sentence says so. Without ``dev`` nothing tells what training gained: then it is the largest
    alpha that keeps the general sets. Of large sets a part is taken, see `sample_task`; vectors are kept in
    ``cache``.

    Raises `ConfigError` for alphas that cannot be tried and for two sets of one name, and what scoring raises.
    """
    check_alphas(alphas)
    tasks = (*((dev,) if dev else ()), *general)
    if len(alphas) == 1 or not tasks:
        why = "was the only one given" if len(alphas) == 1 else "was taken: there is nothing to compare them on"
        return Sweep(max(alphas), f"alpha {max(alphas):g} {why}", None, (), {}, True, tolerated_loss)
    names = [task.name for task in tasks]
    if len(set(names)) < len(names):
        raise ConfigError(f"two data sets have one name: {', '.join(names)}; rename one")
    scores = _score_all(merge, alphas, [_sample(task, watch) for task in tasks], cache=cache, watch=watch)
    base, *trials = (
        _trial(alpha, names, found, before=scores[BASE], has_dev=dev is not None) for alpha, found in scores.items()
    )
    chosen, sentence = _choose(trials, tolerated_loss)
    within = chosen.loss <= tolerated_loss + _SAME
    metrics = {task.name: primary_metric(task.kind, k=DEFAULT_K) for task in tasks}
    return Sweep(chosen.alpha, sentence, base, tuple(trials), metrics, within, tolerated_loss)


def _score_all(
    merge: Merge, alphas: Sequence[float], tasks: Sequence[Task], *, cache: Path, watch: Watch
) -> dict[float, list[float]]:
    """The scores of the base and of every alpha, from the smallest on, in the order of ``tasks``."""
    total = (1 + len(alphas)) * sum(count_texts(task) for task in tasks)
    scores: dict[float, list[float]] = {}
    with watch.stage(f"scoring {len(alphas)} mixtures of base and tuned weights", total=total) as advance:
        for alpha in (BASE, *sorted(alphas)):
            candidate = merge.candidate(alpha)
            scores[alpha] = [_score(candidate, task, cache=cache, advance=advance) for task in tasks]
    return scores


def _sample(task: Task, watch: Watch) -> Task:
    part = sample_task(task)
    if part is not task:
        watch.notify(
            f"{task.name}: alphas are compared on {count_texts(part):,} of its {count_texts(task):,} texts, drawn "
            "at random, with all that answers its queries"
        )
    return part


def _trial(
    alpha: float, names: Sequence[str], scores: Sequence[float], *, before: Sequence[float], has_dev: bool
) -> Trial:
    losses = [old - new for old, new in zip(before, scores, strict=True)][int(has_dev) :]
    dev = scores[0] if has_dev else None
    return Trial(alpha, dict(zip(names, scores, strict=True)), dev, max(losses, default=0.0))


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
    left_out = len(trials) - len(within)
    rest = f"; {left_out} of {len(trials)} lose more than {tolerated_loss:g} on a general set" if left_out else ""
    scored = [(trial.dev, trial) for trial in within if trial.dev is not None]
    if not scored:
        chosen = within[-1]
        return (
            chosen,
            f"alpha {chosen.alpha:g} is the largest that keeps the general sets, and there is no dev{rest}",
        )
    best = max(dev for dev, _ in scored)
    chosen = next(trial for dev, trial in scored if dev >= best - _SAME)
    if len(scored) > 1 and min(dev for dev, _ in scored) >= best - _SAME:
        return (
            chosen,
            f"every alpha scores the same on dev ({best:.4f}); {chosen.alpha:g} was taken, the smallest{rest}",
        )
    return chosen, f"alpha {chosen.alpha:g} scores best on dev ({best:.4f}){rest}"


def _score(candidate: Candidate, task: Task, *, cache: Path, advance: Callable[[int], None]) -> float:
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
