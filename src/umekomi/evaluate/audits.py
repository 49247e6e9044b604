"""What a model's prompts are worth on a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from umekomi.embedding.vectors import normalize
from umekomi.evaluate.metrics.labels import precision_at_k
from umekomi.evaluate.metrics.neighbours import nearest
from umekomi.evaluate.metrics.pairs import correlations
from umekomi.evaluate.metrics.retrieval import rank_corpus, retrieval_outcomes
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.results import AuditRecord
from umekomi.evaluate.scoring import DEFAULT_K
from umekomi.evaluate.statistics import Paired, compare, value
from umekomi.evaluate.tasks import LabelTask, PairTask, Task
from umekomi.types import Role, Vectors

AUDIT = "prompts"

Embed: TypeAlias = Callable[[Sequence[str], Role], Vectors]
"""Vectors of texts in a role, float32 ``(n, dim)``, any length."""

Usage: TypeAlias = Literal["documented", "none", "wrong role"]


@dataclass(frozen=True, slots=True)
class _Roles:
    """Of the texts (queries, first of a pair) and of the others (corpus, second of a pair)."""

    main: Role
    other: Role


def audit_prompts(
    task: Task,
    model: str,
    *,
    prompts: Mapping[str, str],
    embed: Embed,
    k: int = DEFAULT_K,
    resamples: int = 2000,
    seed: int = 0,
) -> AuditRecord:
    """The task's main metric with the model's documented prompts, against none and against the wrong role.

    prompts  the card's, by role
    embed    the model; called once for each role that the task needs

    Differences are in points (hundredths) with 95 % intervals, paired item by item. The wrong role is the query's
    prompt for texts of labels and pairs, and for retrieval both prompts the wrong way round. Warns where the
    documented prompts are worse than none by more than chance. Raises what ``embed`` and the metrics raise.
    """
    told = {role: prompts[role] for role in ("query", "document") if prompts.get(role)}
    if not told:
        return _record(task, model, "the card names no prompts, so there is nothing to compare", {})
    plans = _plans(task, prompts)
    if len(plans) == 1:
        return _record(
            task, model, "the card's prompts leave the texts of this task as they are", {"prompts": told}
        )
    kept: dict[Role, dict[str, Vectors]] = {}
    outcomes = {usage: _score(task, _cached(embed, kept), roles, k) for usage, roles in plans.items()}
    paired = {
        usage: compare(outcomes["documented"], outcomes[usage], groups=task.groups, resamples=resamples, seed=seed)
        for usage in plans
        if usage != "documented"
    }
    documented = outcomes["documented"]
    sentence = "; ".join(
        [
            f"{documented.metric} is {100 * value(documented):.1f} with the card's prompts",
            *(f"{_difference(pair)} against {_AGAINST[usage]}" for usage, pair in paired.items()),
        ]
    )
    details: dict[str, Any] = {
        "metric": documented.metric,
        "prompts": told,
        "values": {usage: value(outcome) for usage, outcome in outcomes.items()},
        "points": {usage: _points(pair) for usage, pair in paired.items()},
    }
    harmed = "none" in paired and paired["none"].high < 0
    return _record(task, model, sentence, details, warning=harmed)


def _plans(task: Task, prompts: Mapping[str, str]) -> dict[Usage, _Roles]:
    """The usages that give a text of this task different prompts, the documented one first."""
    if isinstance(task, LabelTask | PairTask):
        roles = {"documented": _Roles("document", "document"), "wrong role": _Roles("query", "query")}
    else:
        roles = {"documented": _Roles("query", "document"), "wrong role": _Roles("document", "query")}
    plans: dict[Usage, _Roles] = {}
    seen = []
    usages: tuple[Usage, ...] = ("documented", "none", "wrong role")
    for usage in usages:
        chosen = _Roles("raw", "raw") if usage == "none" else roles[usage]
        texts = (prompts.get(chosen.main, ""), prompts.get(chosen.other, ""))
        if texts not in seen:
            seen.append(texts)
            plans[usage] = chosen
    return plans


def _cached(embed: Embed, kept: dict[Role, dict[str, Vectors]]) -> Embed:
    """``embed``, but no text twice in a role."""

    def once(texts: Sequence[str], role: Role) -> Vectors:
        known = kept.setdefault(role, {})
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, normalize(embed(new, role)), strict=True))
        return np.stack([known[text] for text in texts])

    return once


def _score(task: Task, embed: Embed, roles: _Roles, k: int) -> Outcome:
    """The metric that ranks models on a task of this kind."""
    if isinstance(task, LabelTask):
        numbers = np.unique(np.array(task.labels), return_inverse=True)[1].astype(np.int64)
        return precision_at_k(nearest(embed(task.texts, roles.main), k=k).index, numbers, k=k)
    if isinstance(task, PairTask):
        return correlations(embed(task.first, roles.main), embed(task.second, roles.other), task.scores)[0]
    ranked = rank_corpus(embed(task.queries, roles.main), embed(task.corpus, roles.other))
    return retrieval_outcomes(ranked, task.relevant, corpus_size=len(task.corpus))[0]


def _points(pair: Paired) -> dict[str, float]:
    return {"delta": 100 * pair.delta, "low": 100 * pair.low, "high": 100 * pair.high, "p": pair.p}


def _difference(pair: Paired) -> str:
    points = f"{100 * pair.delta:+.1f} points [{100 * pair.low:+.1f}, {100 * pair.high:+.1f}]"
    return points if pair.low > 0 or pair.high < 0 else f"{points} (no more than chance)"


_AGAINST: Mapping[Usage, str] = {"none": "no prompt", "wrong role": "the wrong role's prompt"}


def _record(task: Task, model: str, finding: str, details: dict[str, Any], *, warning: bool = False) -> AuditRecord:
    return AuditRecord(
        audit=AUDIT, dataset=task.name, model=model, finding=finding, warning=warning, details=details
    )
