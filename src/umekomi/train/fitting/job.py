"""A training that is ready to run: what is decided before its first step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umekomi.errors import ConfigError
from umekomi.evaluate.settings import Watch
from umekomi.extras import require
from umekomi.models.bundle import Bundle
from umekomi.train.examples import Example, TrainingData
from umekomi.train.fitting.adapters import add_adapters
from umekomi.train.fitting.lessons.rows import even_negatives
from umekomi.train.fitting.lessons.scoring import DevScore, build_dev_score
from umekomi.train.fitting.lessons.steps import PlannedBatches, StepPlan, plan_steps
from umekomi.train.fitting.loading import build_model, check_base, check_training_extra
from umekomi.train.fitting.processes import ALONE, Processes
from umekomi.train.fitting.wishes import check_wishes, choose_device, choose_number_format
from umekomi.train.settings import TrainingSettings

if TYPE_CHECKING:
    from umekomi.train.fitting.training import Lessons

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """See `prepare`. ``device`` is ``cpu`` or ``cuda``; ``number_format`` is that of the steps."""

    bundle: Bundle
    settings: TrainingSettings
    folder: Path
    lessons: Lessons
    plan: StepPlan
    dev: DevScore | None
    processes: Processes
    device: str
    number_format: str
    notes: tuple[str, ...]

    @property
    def checkpoints(self) -> Path:
        return self.folder / CHECKPOINTS

    def build_start(self) -> Any:
        """The base as the first step finds it. The seed is set first: a part that files lack is random."""
        require("transformers", extra="train").set_seed(self.settings.seed)
        model = build_model(self.bundle, max_length=self.settings.max_length)
        if self.settings.lora_rank is not None:
            add_adapters(model, rank=self.settings.lora_rank)
        return model

    def build_trainer(self, model: Any, callback: Any) -> Any:
        """The trainer of this job's steps, told of by ``callback``."""
        from umekomi.train.fitting.training import build_trainer

        return build_trainer(
            model,
            self.lessons,
            self.plan,
            self.settings,
            card=self.bundle.card,
            folder=self.checkpoints,
            evaluator=self.dev.evaluator if self.dev else None,
            callbacks=[callback],
            processes=self.processes,
        )


def prepare(
    data: TrainingData,
    settings: TrainingSettings,
    folder: Path,
    watch: Watch,
    *,
    bundle: Bundle,
    preferences: Sequence[Example] = (),
    processes: Processes = ALONE,
) -> Job:
    """Rows, batches, the dev score: everything but the model. A teacher is asked, and nothing is trained.

    Raises what `umekomi.train.fitting.fit.fit` raises.
    """
    check_training_extra()
    check_base(bundle)
    check_wishes(settings, bundle.card)
    from umekomi.train.fitting.lessons.teaching import teach
    from umekomi.train.fitting.training import Lessons, build_batches, set_threads

    set_threads(settings)
    if settings.distill and data.objective != "ranking":
        raise ConfigError(
            f"--distill {settings.distill}: a reranker orders texts of a query; these pairs have scores"
        )
    even = even_negatives(data.train, seed=settings.seed)
    folder.mkdir(parents=True, exist_ok=True)
    teacher = None
    if settings.distill:
        teacher = teach(even.examples, settings, folder, watch)
    lessons = Lessons(data.objective, even.examples, tuple(preferences), even.negatives, teacher)
    batches = build_batches(lessons, settings)
    plan = plan_steps(batches, epochs=settings.epochs, max_steps=settings.max_steps)
    dev = build_dev_score(data, bundle.card, batch_size=settings.mini_batch_size, seed=settings.seed)
    notes = [*even.notes, *getattr(batches, "notes", ())]
    if left_out := PlannedBatches(plan, processes=processes.count).left_out:
        notes.append(f"{left_out} pairs are left out: {processes.count} processes share every batch evenly")
    if dev is None:
        notes.append(
            "there is no dev split: the weights of the last step are kept, and nothing stops training early"
        )
    for note in notes:
        watch.notify(note)
    return Job(
        bundle=bundle,
        settings=settings,
        folder=folder,
        lessons=lessons,
        plan=plan,
        dev=dev,
        processes=processes,
        device=choose_device(settings),
        number_format=choose_number_format(settings),
        notes=tuple(notes),
    )
