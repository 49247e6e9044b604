"""From a base and training pairs to a tuned model: every step, its curve, and the checkpoint that did best."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from umekomi.errors import EngineError
from umekomi.evaluate.settings import Watch
from umekomi.extras import require
from umekomi.models.bundle import Bundle
from umekomi.train.examples import Example, TrainingData
from umekomi.train.fitting.adapters import add_adapters, merged_state
from umekomi.train.fitting.checkpoints import Checkpoint, best_of, find_whole, read_logged, remove_others
from umekomi.train.fitting.curve import CurvePoint, CurveWriter, read_curve
from umekomi.train.fitting.interrupting import stop_requests
from umekomi.train.fitting.loading import build_model, check_base, check_training_extra, quiet
from umekomi.train.fitting.processes import ALONE, Processes
from umekomi.train.fitting.rows import even_negatives
from umekomi.train.fitting.scoring import DevScore, build_dev_score
from umekomi.train.fitting.space import check_space
from umekomi.train.fitting.steps import PlannedBatches, StepPlan, evaluation_steps, plan_steps
from umekomi.train.settings import TrainingSettings
from umekomi.writing import replacing

CHECKPOINTS = "checkpoints"
TUNED = "tuned"
FITTED = "fitted.json"


@dataclass(frozen=True, slots=True)
class Fitted:
    """What `fit` made.

    folder      of the tuned model, as sentence-transformers saves one
    curve       from step 0, which is the base
    dev_metric  what the curve's ``dev`` is; empty without a dev split
    best_step   whose weights these are
    steps       that were planned; ``ended`` says why fewer were made
    seconds     that the steps took, with dev scores and checkpoints, over all runs
    """

    folder: Path
    curve: tuple[CurvePoint, ...]
    dev_metric: str
    best_step: int
    steps: int
    ended: str
    seconds: float
    device: str
    number_format: str
    processes: int
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Everything but the curve, which has a file of its own."""
        return {key: value for key, value in asdict(self).items() if key not in ("folder", "curve")}


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A training that is ready to run."""

    bundle: Bundle
    settings: TrainingSettings
    folder: Path
    lessons: Any
    plan: StepPlan
    dev: DevScore | None
    processes: Processes
    notes: tuple[str, ...]

    @property
    def checkpoints(self) -> Path:
        return self.folder / CHECKPOINTS


def fit(
    data: TrainingData,
    settings: TrainingSettings,
    folder: Path,
    watch: Watch,
    *,
    bundle: Bundle,
    preferences: Sequence[Example] = (),
    processes: Processes = ALONE,
) -> Fitted:
    """Tune ``bundle`` on the train split and keep what did best on dev, in ``folder / TUNED``.

    Goes on from the last whole checkpoint in ``folder`` where there is one; a finished fit is given back as it is.
    With the same settings, threads and kind of processor the weights are then those of a run that was never cut
    off, bit by bit on a CPU. ``preferences`` are scored pairs that are trained beside the others.

    Raises `MissingExtra`, `ConfigError`, `UnsupportedModel`, `InvalidInput`, `StoreError` where the disk is too
    small, `EngineError` where the loss is not a number or memory is short, and `KeyboardInterrupt` after the
    checkpoint that a first Ctrl-C leaves.
    """
    if (finished := load_fitted(folder)) is not None:
        watch.notify(f"the model is tuned already: {finished.folder}")
        return finished
    job = prepare(data, settings, folder, watch, bundle=bundle, preferences=preferences, processes=processes)
    whole = find_whole(job.checkpoints)
    start = whole[-1] if whole else None
    if processes.main:
        check_space(folder, bundle, settings)
        _clear(job, whole)
    processes.wait()
    if start is not None:
        watch.notify(f"going on after step {start.step} of {len(job.plan)}, from {start.path}")
    model, ended, seconds = _run(job, start, watch)
    if processes.main:
        _finish(job, model, ended=ended, seconds=seconds)
    processes.wait()
    fitted = load_fitted(folder)
    assert fitted is not None
    return fitted


def prepare(
    data: TrainingData,
    settings: TrainingSettings,
    folder: Path,
    watch: Watch,
    *,
    bundle: Bundle,
    preferences: Sequence[Example] = (),
    processes: Processes = ALONE,
) -> _Job:
    """Everything that is decided before the first step."""
    check_training_extra()
    check_base(bundle)
    from umekomi.train.fitting.losses import check_matryoshka
    from umekomi.train.fitting.teaching import teach
    from umekomi.train.fitting.training import Lessons, build_batches, choose_device, set_threads

    choose_device(settings)
    set_threads(settings)
    check_matryoshka(settings.matryoshka, dim=bundle.card.dim)
    even = even_negatives(data.train, seed=settings.seed)
    folder.mkdir(parents=True, exist_ok=True)
    teacher = None
    if settings.distill and data.objective == "ranking":
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
    return _Job(bundle, settings, folder, lessons, plan, dev, processes, tuple(notes))


def load_fitted(folder: Path) -> Fitted | None:
    """What a finished `fit` left in ``folder``; None where there is none."""
    path = folder / FITTED
    if not path.exists():
        return None
    content = orjson.loads(path.read_bytes())
    content["notes"] = tuple(content["notes"])
    return Fitted(folder=folder / TUNED, curve=read_curve(folder), **content)


def _run(job: _Job, start: Checkpoint | None, watch: Watch) -> tuple[Any, str, float]:
    """The model after its last step, why that was not the last of the plan, and the seconds it took."""
    from umekomi.train.fitting.steering import Course, Steering
    from umekomi.train.fitting.training import build_trainer

    model = build_start(job)
    curve = CurveWriter(job.folder, last_step=start.step if start else -1) if job.processes.main else None
    score_after = evaluation_steps(len(job.plan), evaluations=job.settings.evaluations)
    course = Course(
        plan=job.plan,
        score_after=frozenset(score_after),
        checkpoints=job.checkpoints,
        dev=job.dev,
        patience=job.settings.patience,
        processes=job.processes,
        seconds=start.seconds if start else 0.0,
    )
    try:
        if start is None and curve is not None:
            _score_base(job, model, curve, watch)
        with watch.stage("training", total=len(job.plan)) as advance, stop_requests() as stop:
            advance(start.step if start else 0)
            steering = Steering(course, curve, advance=advance, notify=watch.notify, stop=stop)
            trainer = build_trainer(
                model,
                job.lessons,
                job.plan,
                job.settings,
                card=job.bundle.card,
                folder=job.checkpoints,
                evaluator=job.dev.evaluator if job.dev else None,
                callbacks=[steering],
                processes=job.processes,
            )
            steering.progress.ended = _ended_before(job, start)
            if start is None or (start.step < len(job.plan) and not steering.progress.ended):
                _train(trainer, start)
            if stop.wanted:
                watch.notify(f"kept a checkpoint of step {trainer.state.global_step}; go on with --resume")
                raise KeyboardInterrupt
    finally:
        if curve is not None:
            curve.close()
    return model, steering.progress.ended, course.seconds + steering.progress.seconds()


def _ended_before(job: _Job, start: Checkpoint | None) -> str:
    """Why an earlier run ended training for good, if it did and was cut off only after that."""
    if start is None or job.dev is None or job.settings.patience is None:
        return ""
    from umekomi.train.fitting.steering import why_ended

    return why_ended(read_logged(start, job.dev.logged_as), job.settings.patience)


def build_start(job: _Job) -> Any:
    """The base as the first step finds it. The seed is set first: a part that files lack is random."""
    require("transformers", extra="train").set_seed(job.settings.seed)
    model = build_model(job.bundle, max_length=job.settings.max_length)
    if job.settings.lora_rank is not None:
        add_adapters(model, rank=job.settings.lora_rank)
    return model


def _score_base(job: _Job, model: Any, curve: CurveWriter, watch: Watch) -> None:
    """The score that training has to better; also whether dev can be scored at all, before any step is made."""
    if job.dev is None:
        return
    from umekomi.train.fitting.training import choose_device

    score = job.dev.measure(model.to(choose_device(job.settings)))
    curve.add(CurvePoint(0, 0.0, dev=score))
    watch.notify(f"the base on dev: {score:.4f} ({job.dev.title})")


def _train(trainer: Any, start: Checkpoint | None) -> None:
    torch = require("torch", extra="train")
    try:
        with quiet():
            trainer.train(resume_from_checkpoint=str(start.path) if start else None)
    except torch.OutOfMemoryError:
        raise EngineError(
            "memory is too small for this training; lower --mini-batch-size or --max-length, or use "
            "--gradient-checkpointing"
        ) from None


def _finish(job: _Job, model: Any, *, ended: str, seconds: float) -> None:
    """Write the weights of the best checkpoint, whole or not at all, and then what was made."""
    from umekomi.train.fitting.training import choose_device, number_format

    whole = find_whole(job.checkpoints)
    best = best_of(whole) or whole[-1]
    partial = job.folder / f".{TUNED}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    with quiet():
        _tuned_model(job, best).save_pretrained(str(partial), create_model_card=False)
    shutil.rmtree(job.folder / TUNED, ignore_errors=True)
    partial.rename(job.folder / TUNED)
    fitted = Fitted(
        folder=job.folder / TUNED,
        curve=(),
        dev_metric=job.dev.title if job.dev else "",
        best_step=best.step,
        steps=len(job.plan),
        ended=ended,
        seconds=round(seconds, 3),
        device=choose_device(job.settings),
        number_format=number_format(job.settings),
        processes=job.processes.count,
        notes=job.notes,
    )
    with replacing(job.folder / FITTED) as out:
        out.write(orjson.dumps(fitted.record()))
    shutil.rmtree(job.checkpoints, ignore_errors=True)


def _tuned_model(job: _Job, best: Checkpoint) -> Any:
    """The base with the weights of ``best`` in it, adapters merged, and the base's own context again."""
    trained = build_start(job)
    load_weights(trained, best.path, adapters=job.settings.lora_rank is not None)
    model = build_model(job.bundle, max_length=None)
    model.load_state_dict(merged_state(trained) if job.settings.lora_rank is not None else trained.state_dict())
    return model


def load_weights(model: Any, checkpoint: Path, *, adapters: bool) -> None:
    """Put the weights of a checkpoint into ``model``. Raises `EngineError` where they do not fit it."""
    library = require("sentence_transformers", extra="train")
    with quiet():
        saved = library.SentenceTransformer(str(checkpoint), device="cpu", local_files_only=True)
    model.load_state_dict(saved.state_dict())


def _clear(job: _Job, whole: list[Checkpoint]) -> None:
    """Away with what a cut-off run left half written."""
    best = best_of(whole)
    keep = {each.step for each in (whole[-1:] + ([best] if best else []))}
    remove_others(job.checkpoints, keep=keep)
    job.checkpoints.mkdir(parents=True, exist_ok=True)
