"""The learning curve: a line of JSON for every step while training runs, and the same as TensorBoard events."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from umekomi.errors import StoreError
from umekomi.extras import require
from umekomi.writing import replacing

CURVE = "curve.jsonl"
EVENTS = "tensorboard"


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What is known after ``step`` optimiser steps; 0 is the base.

    epoch  passes over the training pairs so far
    loss   of the batches since the point before; None where only dev was scored
    dev    score on the dev split, higher is better; None where it was not scored here
    """

    step: int
    epoch: float
    loss: float | None = None
    dev: float | None = None
    learning_rate: float | None = None
    gradient_norm: float | None = None

    def as_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value is not None}


class CurveWriter:
    """Appends to ``curve.jsonl`` and to the TensorBoard events of ``folder``. Close it.

    Points after ``last_step`` are dropped first: a run that goes on from a checkpoint makes them again.
    """

    def __init__(self, folder: Path, *, last_step: int) -> None:
        self._path = folder / CURVE
        kept = [point for point in read_curve(folder) if point.step <= last_step]
        with replacing(self._path) as out:
            for point in kept:
                out.write(_line(point))
        self._file = self._path.open("ab")
        # Events cannot be taken back; a reader of them drops what lies after the step at which a newer file starts.
        self._events = require("tensorboardX", extra="train").SummaryWriter(
            str(folder / EVENTS), purge_step=last_step + 1 if last_step else None, flush_secs=10
        )

    def add(self, point: CurvePoint) -> None:
        """Raises `StoreError` where the disk takes no more."""
        try:
            self._file.write(_line(point))
            self._file.flush()
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be written: {error.strerror or error}") from None
        for name, value in point.as_json().items():
            if name not in ("step", "epoch"):
                self._events.add_scalar(name, value, point.step)

    def close(self) -> None:
        self._file.close()
        self._events.close()


def read_curve(folder: Path) -> tuple[CurvePoint, ...]:
    """The points of a run, in order; none where it has not begun. A line that a crash cut off is left out."""
    path = folder / CURVE
    if not path.exists():
        return ()
    points = []
    with path.open("rb") as file:
        for line in file:
            try:
                points.append(_point(orjson.loads(line)))
            except (orjson.JSONDecodeError, TypeError, KeyError):
                continue
    return tuple(points)


def _point(content: Mapping[str, Any]) -> CurvePoint:
    known = {name: content[name] for name in CurvePoint.__slots__ if name in content}
    return CurvePoint(**known)


def _line(point: CurvePoint) -> bytes:
    return orjson.dumps(point.as_json()) + os.linesep.encode()
