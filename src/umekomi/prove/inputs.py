"""What a proof is made from: data sets by purpose, the pairs that were trained, and what the sweep measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from umekomi import config
from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.pairs import MIN_PAIRS
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.scoring import DEFAULT_K, check_task
from umekomi.evaluate.tasks import PairTask, RetrievalTask, Task
from umekomi.prove.results import DataRecord, GateRecord, Part, TrainedRecord
from umekomi.types import Role


@dataclass(frozen=True, slots=True, eq=False)
class ProofTasks:
    """What base and tuned are asked.

    domain      the untouched test split; its groups are documents. None where only ratings were trained
    preference  held-out groups of people's ratings, where these were trained
    general     what the model should still be able to do
    """

    domain: RetrievalTask | PairTask | None
    preference: PairTask | None = None
    general: tuple[Task, ...] = ()

    def __post_init__(self) -> None:
        if self.domain is None and self.preference is None:
            raise InvalidInput("there is no test split: nothing can tell whether training made the model better")
        names = [task.name for _, task in self]
        for name in names:
            if names.count(name) > 1:
                raise InvalidInput(f"the data set '{name}' is given twice; leave one out, or give it another name")
        for _, task in self:
            _check_scorable(task)

    def __iter__(self) -> Iterator[tuple[Part, Task]]:
        """Every data set with its purpose, what was trained first."""
        if self.domain is not None:
            yield "domain", self.domain
        if self.preference is not None:
            yield "preference", self.preference
        for task in self.general:
            yield "general", task


def _check_scorable(task: Task) -> None:
    """Raise `InvalidInput` for what no model can be scored on: before a training rather than after it."""
    check_task(task, k=DEFAULT_K)
    if not isinstance(task, PairTask):
        return
    if len(task) < MIN_PAIRS:
        raise InvalidInput(f"{task.name}: {len(task)} pairs, but a correlation needs at least {MIN_PAIRS}")
    if np.ptp(task.scores) == 0:
        raise InvalidInput(f"{task.name}: all scores are {task.scores[0]:g}: no correlation with them is defined")


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """A pair that was trained, as examples name their likely causes. ``score``: how alike people find the two; None
    for a query and its answer."""

    query: str
    positive: str
    chunk_id: str = ""
    source: str = ""
    page: int | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Alpha:
    """A share of the way from base to tuned, as the sweep measured it. 0 is the base.

    dev      its primary metric on the dev split
    general  its primary metric on each general set, by name
    test     its outcomes on the domain's test split, whose items are those of ``ProofTasks.domain``; may be empty.
             Not looked at for the base and the chosen alpha, which the proof measures
    """

    alpha: float
    chosen: bool = False
    dev: float | None = None
    general: Mapping[str, float] = field(default_factory=dict)
    test: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """What happened before the proof, for its report.

    model  folder of the proved model; its files are hashed, so that no others are promoted. None: not exported
    """

    data: DataRecord = field(default_factory=DataRecord)
    training: TrainedRecord = field(default_factory=TrainedRecord)
    gate: GateRecord | None = None
    model: Path | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProofSettings:
    """How a proof is made.

    tolerated_loss  of a general set's primary metric; a larger loss that is more than chance is a regression
    role            of the texts of labels and pairs, as in an evaluation
    k               neighbours that precision@k of labels looks at
    examples        shown for each direction
    """

    tolerated_loss: float = 0.01
    role: Role = "document"
    k: int = DEFAULT_K
    resamples: int = 2000
    seed: int = 0
    examples: int = 8
    cache: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.tolerated_loss < 1:
            raise InvalidInput(f"tolerated_loss is {self.tolerated_loss}: give a share from 0 to below 1")

    @property
    def cache_folder(self) -> Path:
        """Where vectors are kept between runs. It may be deleted at any time."""
        return self.cache or config.home() / "vectors"

    def record(self) -> dict[str, Any]:
        """What of this decides the result."""
        return {key: value for key, value in asdict(self).items() if key != "cache"}
