"""From a base and training pairs to a tuned model: every step, its curve, and the checkpoint that did best."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from umekomi.errors import EngineError, StoreError
from umekomi.evaluate.settings import Watch
from umekomi.extras import require
from umekomi.models.bundle import Bundle
from umekomi.train.examples import Example, TrainingData
from umekomi.train.fitting.adapters import merged_state
from umekomi.train.fitting.interrupting import stop_requests
from umekomi.train.fitting.job import Job, prepare
from umekomi.train.fitting.keeping.checkpoints import Checkpoint, best_of, find_whole, read_logged, remove_others
from umekomi.train.fitting.keeping.curve import CurvePoint, CurveWriter, read_curve
from umekomi.train.fitting.keeping.space import check_space, telling_full_disk
from umekomi.train.fitting.lessons.steps import evaluation_steps
from umekomi.train.fitting.loading import build_model, open_sentence_model, quiet
from umekomi.train.fitting.processes import ALONE, Processes
from umekomi.train.settings import TrainingSettings
from umekomi.writing import replacing, sync_tree

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
    ended, seconds = _run(job, start, watch)
    if processes.main:
        _finish(job, ended=ended, seconds=seconds)
    processes.wait()
    fitted = load_fitted(folder)
    assert fitted is not None
    return fitted


def load_fitted(folder: Path) -> Fitted | None:
    """What a finished `fit` left in ``folder``; None where there is none."""
    path = folder / FITTED
    if not path.exists():
        return None
    try:
        content = orjson.loads(path.read_bytes())
        content["notes"] = tuple(content["notes"])
        return Fitted(folder=folder / TUNED, curve=read_curve(folder), **content)
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: cannot be used: {error}; delete it to fit again from the last checkpoint"
        ) from None


def _run(job: Job, start: Checkpoint | None, watch: Watch) -> tuple[str, float]:
    """Make the steps. Gives why the last one was not that of the plan, and the seconds that all took."""
    from umekomi.train.fitting.steering import Course, Steering

    model = job.build_start()
    curve = CurveWriter(job.folder, last_step=start.step if start else -1) if job.processes.main else None
    course = Course(
        plan=job.plan,
        score_after=frozenset(evaluation_steps(len(job.plan), evaluations=job.settings.evaluations)),
        checkpoints=job.checkpoints,
        dev=job.dev,
        patience=job.settings.patience,
        processes=job.processes,
        seconds=start.seconds if start else 0.0,
    )
    ended = _ended_before(job, start)
    try:
        if start is None and curve is not None:
            _score_base(job, model, curve, watch)
        alone = job.processes.count == 1
        with watch.stage("training", total=len(job.plan)) as advance, stop_requests(alone=alone) as stop:
            advance(start.step if start else 0)
            steering = Steering(course, curve, advance=advance, notify=watch.notify, stop=stop)
            trainer = job.build_trainer(model, steering)
            if start is None or (start.step < len(job.plan) and not ended):
                with telling_full_disk(job.folder, job.bundle, job.settings):
                    train_steps(trainer, start)
                ended = steering.ended
            if stop.wanted:
                watch.notify(f"kept a checkpoint of step {trainer.state.global_step}; go on with --resume")
                raise KeyboardInterrupt
            advance(len(job.plan) - max(trainer.state.global_step, start.step if start else 0))
    finally:
        if curve is not None:
            curve.close()
    return ended, course.seconds + steering.seconds()


def _ended_before(job: Job, start: Checkpoint | None) -> str:
    """Why an earlier run ended training for good, if it did and was cut off only after that."""
    if start is None or job.dev is None or job.settings.patience is None:
        return ""
    from umekomi.train.fitting.steering import why_ended

    return why_ended(read_logged(start, job.dev.logged_as), job.settings.patience)


def _score_base(job: Job, model: Any, curve: CurveWriter, watch: Watch) -> None:
    """The score that training has to better; also whether dev can be scored at all, before any step is made."""
    if job.dev is None:
        return
    score = job.dev.measure(model.to(job.device))
    curve.add(CurvePoint(0, 0.0, dev=score))
    watch.notify(f"the base on dev: {score:.4f} ({job.dev.title})")


def train_steps(trainer: Any, start: Checkpoint | None = None) -> None:
    """Run the trainer, from a checkpoint where there is one. Raises `EngineError` where memory is short."""
    torch = require("torch", extra="train")
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # between the libraries, where processes are several
            trainer.train(resume_from_checkpoint=str(start.path) if start else None)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise EngineError(
            "memory is too small for this training; lower --mini-batch-size or --max-length, or use "
            "--gradient-checkpointing"
        ) from None


def _finish(job: Job, *, ended: str, seconds: float) -> None:
    """Write the weights of the best checkpoint, whole or not at all, and then what was made."""
    whole = find_whole(job.checkpoints)
    best = best_of(whole) or whole[-1]
    partial = job.folder / f".{TUNED}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    with quiet():
        _tuned_model(job, best).save_pretrained(str(partial), create_model_card=False)
    sync_tree(partial)
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
        device=job.device,
        number_format=job.number_format,
        processes=job.processes.count,
        notes=job.notes,
    )
    with replacing(job.folder / FITTED) as out:
        out.write(orjson.dumps(fitted.record()))
    shutil.rmtree(job.checkpoints, ignore_errors=True)


def _tuned_model(job: Job, best: Checkpoint) -> Any:
    """The base with the weights of ``best`` in it, adapters merged, and the base's own context again."""
    trained = job.build_start()
    _load_weights(trained, best.path)
    model = build_model(job.bundle, max_length=None)
    model.load_state_dict(merged_state(trained) if job.settings.lora_rank is not None else trained.state_dict())
    return model


def _load_weights(model: Any, checkpoint: Path) -> None:
    """Put the weights of a checkpoint, of adapters too, into ``model``."""
    model.load_state_dict(open_sentence_model(checkpoint).state_dict())


def _clear(job: Job, whole: list[Checkpoint]) -> None:
    """Away with what a cut-off run left half written."""
    best = best_of(whole)
    keep = {each.step for each in (whole[-1:] + ([best] if best else []))}
    remove_others(job.checkpoints, keep=keep)
    job.checkpoints.mkdir(parents=True, exist_ok=True)
