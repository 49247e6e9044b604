"""Audits: texts that repeat, lines that give labels away, and what a model's prompts are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from umekomi.errors import InvalidInput
from umekomi.evaluate.audits import audit_prompts
from umekomi.evaluate.candidates.opening import Candidate
from umekomi.evaluate.candidates.vectors import embed_texts
from umekomi.evaluate.metrics.boilerplate import boilerplate_leak
from umekomi.evaluate.metrics.repeats import find_repeats
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.results import AuditRecord
from umekomi.evaluate.settings import EvaluationSettings
from umekomi.evaluate.statistics import value
from umekomi.evaluate.tasks import LabelTask, PairTask, RetrievalTask, Task
from umekomi.types import Role, Vectors

T = TypeVar("T")

INSPECTED_TEXTS = 100_000
"""Beyond these, a data set is inspected by its first ones."""


AUDITED_ITEMS = 500
"""Items by which a model's prompts are audited, at even distances over a task: an audit embeds them three times."""

AUDITED_CORPUS = 5_000
"""Documents over which retrieval is not audited for prompts: a part of the corpus would be an easier task."""


def audit_prompts_of(
    candidate: Candidate, task: Task, *, cache: Path, settings: EvaluationSettings
) -> tuple[AuditRecord, ...]:
    """What the candidate's documented prompts are worth on a sample of ``task``; nothing where it names none."""
    record = candidate.record
    if not record.prompts or (isinstance(task, RetrievalTask) and len(task.corpus) > AUDITED_CORPUS):
        return ()
    sample = _sampled(task, AUDITED_ITEMS)

    def embed(texts: Sequence[str], role: Role) -> Vectors:
        return embed_texts(candidate, texts, role=role, cache=cache).vectors

    found = audit_prompts(
        sample,
        record.name,
        prompts=record.prompts,
        embed=embed,
        k=settings.k,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    if len(sample) == len(task):
        return (found,)
    said = f"{found.finding} (on {len(sample)} of {len(task)} items)"
    return (found.model_copy(update={"finding": said, "dataset": task.name}),)


def _sampled(task: Task, count: int) -> Task:
    """``count`` items at even distances; a corpus stays whole."""
    if len(task) <= count:
        return task
    rows = [place * len(task) // count for place in range(count)]

    def some(values: Sequence[T]) -> tuple[T, ...]:
        return tuple(values[row] for row in rows)

    groups = None if task.groups is None else some(task.groups)
    if isinstance(task, LabelTask):
        return replace(task, texts=some(task.texts), labels=some(task.labels), ids=some(task.ids), groups=groups)
    if isinstance(task, PairTask):
        return replace(
            task,
            first=some(task.first),
            second=some(task.second),
            scores=task.scores[rows],
            ids=some(task.ids),
            groups=groups,
        )
    return replace(
        task,
        queries=some(task.queries),
        query_ids=some(task.query_ids),
        relevant=some(task.relevant),
        groups=groups,
    )


def warn_of_repeats(task: Task) -> tuple[str, ...]:
    """A sentence where texts of a task repeat one another; pairs may."""
    if isinstance(task, PairTask):
        return ()
    texts = task.texts if isinstance(task, LabelTask) else task.corpus
    repeats = find_repeats(texts[:INSPECTED_TEXTS])
    count = round(repeats.share * len(repeats.first))
    if not count:
        return ()
    exact = int(repeats.exact.sum())
    said = f"{count} of {len(repeats.first)} texts ({repeats.share:.1%}) repeat an earlier one"
    return (f"{said}, {exact} to the letter: neighbours that are copies say nothing about a model",)


def audit_boilerplate(task: LabelTask, probes: Mapping[str, Outcome], *, seed: int) -> tuple[AuditRecord, ...]:
    """Whether lines that many texts share predict the label as well as each model does.

    probes  the outcome of ``linear_probe`` by model
    """
    labels = np.unique(np.array(task.labels), return_inverse=True)[1].astype(np.int64)
    try:
        leak = boilerplate_leak(task.texts, labels, groups=task.groups, seed=seed)
    except InvalidInput:  # as few texts of a label as would keep a linear probe from being made
        return ()
    alone = value(leak.outcome)
    return tuple(
        AuditRecord(
            audit="boilerplate",
            dataset=task.name,
            model=model,
            finding=f"the most frequent lines alone predict {alone:.1%} of the labels (chance {leak.chance:.1%}), "
            f"this model {value(probe):.1%}: they could give {min(1.0, leak.share_of(probe)):.0%} of it",
            warning=leak.warns(probe),
            details={"alone": alone, "chance": leak.chance, "covered": leak.covered, "lines": list(leak.lines)},
        )
        for model, probe in probes.items()
    )
