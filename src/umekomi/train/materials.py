"""What a training is made from: the base, the pairs, ratings and general sets, read and checked before any work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.settings import Watch
from umekomi.evaluate.tasks import Task
from umekomi.models.bundle import Bundle
from umekomi.prove.inputs import ProofTasks
from umekomi.train.data import (
    Preferences,
    build_domain_task,
    check_leakage,
    read_preferences,
    read_training_data,
)
from umekomi.train.examples import Example, TrainingData
from umekomi.train.exporting import check_exportable
from umekomi.train.fitting.lessons.teaching import check_teacher
from umekomi.train.fitting.loading import open_base
from umekomi.train.fitting.wishes import check_wishes
from umekomi.train.journal import LEAKAGE
from umekomi.train.merging.sweep import check_alphas
from umekomi.train.settings import TrainingSettings

GENERAL = ("sample", "sample-retrieval", "sample-sts")
"""Shipped data sets of everyday Japanese and English: what a model should still be able to do."""

DEV_SHARE = 8
"""Of the rated pairs, one in so many is dev where nothing but ratings is trained."""


@dataclass(frozen=True, slots=True)
class PreferenceTable:
    """A table whose ratings steer the model, see `read_preferences`."""

    table: str
    target: str
    text: tuple[str, ...] = ()
    group: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Materials:
    """All that a training is made from, read and checked; ``columns`` as the user named them."""

    bundle: Bundle
    data: TrainingData
    preferences: Preferences | None
    general: tuple[Task, ...]
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def steering(self) -> tuple[Example, ...]:
        """Rated pairs that are trained beside others; none where they are all that is trained."""
        beside = self.preferences is not None and bool(self.data.test)
        return self.preferences.train if beside and self.preferences else ()

    @property
    def tasks(self) -> ProofTasks:
        """What base and tuned are asked in the end."""
        domain = build_domain_task(self.data) if self.data.test else None
        return ProofTasks(domain, self.preferences.task if self.preferences else None, self.general)

    def record(self, settings: TrainingSettings, *, processes: int) -> dict[str, Any]:
        """What decides the result, as training.json keeps it."""
        return {
            "umekomi": version("umekomi"),
            "settings": settings.record(),
            "base": self.bundle.card.fingerprint,
            "data": self.data.digests,
            "columns": dict(self.columns) or None,
            "preferences": self.preferences.digest if self.preferences else None,
            "processes": processes,
            "general": {task.name: task.origin.digest for task in self.general},
        }


def read_materials(
    source: Path | None,
    settings: TrainingSettings,
    folder: Path | None,
    *,
    general: Sequence[str],
    preference: PreferenceTable | None,
    columns: Mapping[str, str],
    encoding: str | None,
    watch: Watch,
) -> Materials:
    """The base, the pairs and the data sets, with everything refused that could not be trained or proved.

    ``folder`` is where rows that leak are listed; where it is None, the error alone names the first of them. What
    train shares with dev is said, and goes along in the notes.
    """
    check_alphas(settings.alphas)
    bundle = open_base(settings.base, notify=watch.notify)
    check_wishes(settings, bundle.card)
    check_exportable(bundle, notify=watch.notify)
    if settings.distill is not None:
        check_teacher(settings.distill, notify=watch.notify)
    tasks = tuple(open_task(name) for name in general)
    rated = _read_preferences(preference, settings, encoding, watch.notify)
    if source is not None:
        data = read_training_data(source, columns=columns, encoding=encoding, notify=watch.notify)
        if known := check_leakage(data, listing=None if folder is None else folder / LEAKAGE):
            watch.notify(known)
            data = replace(data, notes=(*data.notes, known))
    elif rated is not None:
        data = _only_preferences(rated, settings.seed)
    else:
        raise InvalidInput("nothing to train on: give pairs, a folder of them, or --preference", param="source")
    materials = Materials(bundle, data, rated, tasks, columns)
    _ = materials.tasks  # raises where two data sets have one name
    return materials


def _read_preferences(
    preference: PreferenceTable | None,
    settings: TrainingSettings,
    encoding: str | None,
    notify: Callable[[str], None],
) -> Preferences | None:
    if preference is None:
        return None
    return read_preferences(
        preference.table,
        target=preference.target,
        text=preference.text,
        group=preference.group,
        seed=settings.seed,
        encoding=encoding,
        notify=notify,
    )


def _only_preferences(rated: Preferences, seed: int) -> TrainingData:
    """Ratings as all that is trained. Their dev shares texts with train: it chooses a step, and proves nothing."""
    order = np.random.default_rng([seed, 31]).permutation(len(rated.train)).tolist()
    dev = set(order[: max(1, len(order) // DEV_SHARE)])
    return TrainingData(
        objective="similarity",
        train=tuple(each for row, each in enumerate(rated.train) if row not in dev),
        dev=tuple(each for row, each in enumerate(rated.train) if row in dev),
        test=(),
        corpus=(),
        digests={"preferences": rated.digest},
        skipped=dict(rated.skipped),
        notes=(*rated.notes, f"{len(dev)} pairs of trained groups choose the step and alpha; they prove nothing"),
    )
