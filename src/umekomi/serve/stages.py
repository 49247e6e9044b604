"""What the time of one request went into, stage by stage. Knows nothing of what the stages are."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a request, from ``began`` to ``ended`` on the clock of `time.perf_counter`, in seconds."""

    name: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def milliseconds(self) -> float:
        return round(self.seconds * 1000, 1)


@dataclass(slots=True)
class Stages:
    """The stages so far, in order, one after the other."""

    done: list[Stage] = field(default_factory=list)
    _mark: float = field(default_factory=time.perf_counter)
    _run_began: float | None = None

    def end(self, name: str) -> None:
        """What has been since the last stage is the stage ``name``."""
        self._end_at(name, time.perf_counter())

    def run_began(self) -> None:
        """The work was taken up; called in the thread that does it. What has been before is waiting."""
        self._run_began = time.perf_counter()

    def end_run(self) -> None:
        """What has been since the last stage is ``queue`` until `run_began`, and ``run`` from there."""
        if self._run_began is not None:
            self._end_at("queue", self._run_began)
        self.end("run" if self._run_began is not None else "queue")

    def find(self, name: str) -> Stage | None:
        """The stage of this name; None where there has been none."""
        return next((stage for stage in self.done if stage.name == name), None)

    @property
    def durations(self) -> dict[str, float]:
        """Milliseconds by stage."""
        return {stage.name: stage.milliseconds for stage in self.done}

    @property
    def header(self) -> str:
        """As the Server-Timing header shows them."""
        return ", ".join(f"{stage.name};dur={stage.milliseconds}" for stage in self.done)

    def _end_at(self, name: str, now: float) -> None:
        self.done.append(Stage(name, self._mark, now))
        self._mark = now
