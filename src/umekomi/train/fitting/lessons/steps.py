"""Every batch of a training, decided before its first step: so a run can be counted, timed, and gone on with.

The trainer is given all epochs as one list of batches. Going on after step *n* is then to leave out the first *n*.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from umekomi.errors import InvalidInput


class EpochBatches(Protocol):
    """What a sampler of batches must be able to do: rows of the training data, anew for each epoch."""

    def set_epoch(self, epoch: int) -> None: ...

    def __iter__(self) -> Iterator[list[int]]: ...


@dataclass(frozen=True, slots=True)
class StepPlan:
    """Rows of each step's batch, in order.

    epoch_ends  for each step, how many epochs lie behind it
    """

    batches: tuple[tuple[int, ...], ...]
    epoch_ends: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.batches)

    def epoch_after(self, step: int) -> float:
        """Epochs that ``step`` steps are; 0 before the first."""
        return self.epoch_ends[step - 1] if step else 0.0


def plan_steps(sampler: EpochBatches, *, epochs: float, max_steps: int | None) -> StepPlan:
    """The batches of ``epochs`` passes, the last of them in part where it is a fraction, ``max_steps`` at most.

    Raises `InvalidInput` where that is no step at all.
    """
    batches: list[tuple[int, ...]] = []
    ends: list[float] = []
    for epoch in range(math.ceil(epochs)):
        if max_steps is not None and len(batches) >= max_steps:
            break
        sampler.set_epoch(epoch)
        found = [tuple(batch) for batch in sampler]
        share = min(1.0, epochs - epoch)
        batches += found[: math.ceil(len(found) * share)]
        ends += [epoch + (number + 1) / len(found) for number in range(math.ceil(len(found) * share))]
    if not batches:
        raise InvalidInput(
            f"{epochs:g} epochs of these pairs are no training step; give more --epochs or more pairs"
        )
    return StepPlan(tuple(batches[:max_steps]), tuple(ends[:max_steps]))


def evaluation_steps(steps: int, *, evaluations: int) -> tuple[int, ...]:
    """After which steps dev is scored and a checkpoint kept: spread evenly, the last step among them."""
    count = max(1, min(evaluations, steps))
    return tuple(sorted({round(steps * (number + 1) / count) for number in range(count)}))


class ShuffledBatches:
    """Rows in a new random order for each epoch, in batches of ``batch_size``; for pairs that are not compared."""

    def __init__(self, rows: int, *, batch_size: int, seed: int) -> None:
        self._rows = rows
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng([self._seed, self._epoch, 21]).permutation(self._rows).tolist()
        return (order[start : start + self._batch_size] for start in range(0, self._rows, self._batch_size))


class JoinedBatches:
    """The batches of two data sets that lie behind one another, drawn in a random order that changes by epoch."""

    def __init__(self, first: EpochBatches, second: EpochBatches, *, offset: int, seed: int) -> None:
        """``offset`` is where the rows of ``second`` start."""
        self._first = first
        self._second = second
        self._offset = offset
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch
        self._first.set_epoch(epoch)
        self._second.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[int]]:
        batches = [*self._first, *([row + self._offset for row in batch] for batch in self._second)]
        order = np.random.default_rng([self._seed, self._epoch, 22]).permutation(len(batches))
        return (batches[number] for number in order.tolist())


class PlannedBatches:
    """A plan as torch's loader takes batches, for ``processes`` that compute each batch together.

    Each process takes every n-th list, so a batch lies here as ``processes`` lists of one length, side by side.

    left_out  rows that a batch has beyond a multiple of the processes, over the whole plan
    """

    batch_size = None
    drop_last = False

    def __init__(self, plan: StepPlan, *, processes: int = 1) -> None:
        self._lists = [part for batch in plan.batches for part in _parts(batch, processes)]
        self.left_out = sum(map(len, plan.batches)) - sum(map(len, self._lists))
        if not self._lists:
            raise InvalidInput(
                f"no batch has enough pairs for {processes} processes; give more pairs, or start fewer"
            )

    def __call__(self, *_: Any, **__: Any) -> PlannedBatches:
        """Itself: where trainers take a function that makes the batches of a data set."""
        return self

    def __len__(self) -> int:
        return len(self._lists)

    def __iter__(self) -> Iterator[list[int]]:
        return iter([*self._lists])


def _parts(batch: Sequence[int], processes: int) -> list[list[int]]:
    size = len(batch) // processes
    return [list(batch[number * size : (number + 1) * size]) for number in range(processes)] if size else []
