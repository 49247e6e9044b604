"""What is wrong with a data set, whatever the model: texts that repeat, and lines that give labels away."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.boilerplate import boilerplate_leak
from umekomi.evaluate.metrics.repeats import find_repeats
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.results import AuditRecord
from umekomi.evaluate.statistics import value
from umekomi.evaluate.tasks import LabelTask, PairTask, Task

INSPECTED_TEXTS = 100_000
"""Beyond these, a data set is inspected by its first ones."""


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
