"""What happens between steps: the curve is written, dev scored, checkpoints kept, and a bad run stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from umekomi.errors import EngineError
from umekomi.train.fitting.interrupting import StopRequest
from umekomi.train.fitting.keeping.checkpoints import PREFIX, Checkpoint, best_of, find_whole, remove_others, seal
from umekomi.train.fitting.keeping.curve import CurvePoint, CurveWriter
from umekomi.train.fitting.lessons.scoring import DevScore
from umekomi.train.fitting.lessons.steps import StepPlan
from umekomi.train.fitting.processes import Processes


@dataclass(frozen=True, slots=True)
class Course:
    """What a run is to do and when.

    score_after  steps after which dev is scored and a checkpoint kept
    seconds      that earlier runs of the same training took
    """

    plan: StepPlan
    score_after: frozenset[int]
    checkpoints: Path
    dev: DevScore | None
    patience: int | None
    processes: Processes
    seconds: float = 0.0


def why_ended(scores: Sequence[float], patience: int) -> str:
    """Why training stops early after these dev scores; empty where it goes on."""
    since = len(scores) - 1 - scores.index(max(scores)) if scores else 0
    return f"no better dev score in {since} evaluations" if scores and since >= patience else ""


class Steering(TrainerCallback):  # type: ignore[misc]
    """See `transformers.TrainerCallback`. Nothing costs anything but log lines, scores and checkpoints."""

    def __init__(
        self,
        course: Course,
        curve: CurveWriter | None,
        *,
        advance: Callable[[int], None],
        notify: Callable[[str], None],
        stop: StopRequest,
    ) -> None:
        """``curve`` is None in processes that do not write. ``ended`` will say why the last step was not made."""
        self.ended = ""
        self._started = time.monotonic()
        self._course = course
        self._curve = curve
        self._advance = advance
        self._notify = notify
        self._stop = stop
        self._last: CurvePoint | None = None

    def seconds(self) -> float:
        """Since this object was made."""
        return time.monotonic() - self._started

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step = state.global_step
        self._advance(1)
        if step in self._course.score_after:
            control.should_log = control.should_save = True
            control.should_evaluate = self._course.dev is not None
        if self._stop.wanted:
            control.should_log = control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        step, dev = state.global_step, self._course.dev
        epoch = self._course.plan.epoch_after(step)
        if dev is not None and dev.logged_as in logs:
            score = float(logs[dev.logged_as])
            if not math.isfinite(score):
                raise self._diverged(step, f"the dev score is {score}")
            self._write(CurvePoint(step, epoch, dev=score))
        elif "loss" in logs:
            loss, norm = float(logs["loss"]), float(logs.get("grad_norm", 0.0))
            point = CurvePoint(
                step, epoch, loss=loss, learning_rate=float(logs["learning_rate"]), gradient_norm=norm
            )
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise self._diverged(step, f"the loss is {loss} and its gradient {norm}")
            self._last = point
            self._write(point)

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        scores = self._scores(state)
        self._notify(self._sentence(state, scores))
        if self._course.patience is not None and (ended := why_ended(scores, self._course.patience)):
            control.should_training_stop = True
            self.ended = ended if state.global_step < len(self._course.plan) else ""

    def on_save(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        step = state.global_step
        self._course.processes.wait()  # the others write their random states into the checkpoint, too
        if not all(bool(torch.isfinite(weights).all()) for weights in model.parameters()):
            raise self._diverged(step, "a weight is no longer a number")
        if not self._course.processes.main:
            return
        scores = self._scores(state) if step in self._course.score_after else []
        path = self._course.checkpoints / f"{PREFIX}{step}"
        seconds = self._course.seconds + self.seconds()
        seal(path, step=step, dev=scores[-1] if scores else None, seconds=seconds)
        best = best_of(find_whole(self._course.checkpoints))
        remove_others(self._course.checkpoints, keep={step} | ({best.step} if best else set()))

    def _scores(self, state: Any) -> list[float]:
        """Every dev score so far, those of before a resumption among them."""
        dev = self._course.dev
        return [] if dev is None else [float(e[dev.logged_as]) for e in state.log_history if dev.logged_as in e]

    def _sentence(self, state: Any, scores: list[float]) -> str:
        dev, step, steps = self._course.dev, state.global_step, len(self._course.plan)
        parts = [f"step {step} of {steps} (epoch {self._course.plan.epoch_after(step):.2f}):"]
        parts.append(f"loss {self._last.loss:.4f}," if self._last and self._last.loss is not None else "")
        best = " (best step so far)" if scores[-1] == max(scores) and scores.count(scores[-1]) == 1 else ""
        parts.append(f"{dev.title if dev else 'dev'}: {scores[-1]:.4f}{best}")
        return " ".join(part for part in parts if part)

    def _diverged(self, step: int, what: str) -> EngineError:
        kept = find_whole(self._course.checkpoints)
        good: Checkpoint | None = best_of(kept) or (kept[-1] if kept else None)
        last = (
            f"the last good checkpoint is {good.path} of step {good.step}"
            if good
            else "no checkpoint had been kept yet"
        )
        return EngineError(
            f"training stopped at step {step} of {len(self._course.plan)}: {what}; {last}. Start anew with a lower "
            "--learning-rate, and look for broken pairs among the data"
        )

    def _write(self, point: CurvePoint) -> None:
        if self._curve is not None:
            self._curve.add(point)


class Stopwatch(TrainerCallback):  # type: ignore[misc]
    """When each step ended, by the monotonic clock, and nothing else."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self.times: list[float] = []
        self._advance = advance

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.times.append(time.monotonic())
        self._advance(1)
