"""Test items that training moved most, both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from umekomi.evaluate.tasks import PairTask, RetrievalTask, Task
from umekomi.prove.measuring import Measured


@dataclass(frozen=True, slots=True)
class Moved:
    """A test item that changed its place.

    query, text            what was asked and what should be found; the two texts of a pair
    base_rank, tuned_rank  from 1; None beyond ``depth``. Of a pair: its place by cosine, the most alike first
    worth                  by how much better the tuned place is; below 0 where it is worse
    rated_rank             of a pair: its place by people's scores. None: first is right
    overtaken_by           where it fell: the first text that is no answer
    """

    query: str
    text: str
    base_rank: int | None
    tuned_rank: int | None
    depth: int
    worth: float
    rated_rank: int | None = None
    overtaken_by: str | None = None

    @property
    def better(self) -> bool:
        """Whether the tuned model does better here."""
        return self.worth > 0


def find_moved(task: Task, before: Measured, after: Measured, *, count: int) -> tuple[Moved, ...]:
    """Up to ``count`` items that gained most, then up to ``count`` that lost most. Texts with labels have none."""
    if isinstance(task, RetrievalTask):
        return tuple(_iter_queries(task, before, after, count=count))
    if isinstance(task, PairTask):
        return tuple(_iter_pairs(task, before, after, count=count))
    return ()


def _iter_queries(task: RetrievalTask, before: Measured, after: Measured, *, count: int) -> Iterator[Moved]:
    """By what the place is worth, as nDCG counts it: from 2 to 1 is more than from 60 to 30."""
    assert before.ranked is not None
    assert after.ranked is not None
    depth = before.ranked.shape[1]
    old, new = _first_places(before.ranked, task), _first_places(after.ranked, task)
    worth = _discount(new) - _discount(old)
    for row in _extremes(worth, count):
        relevant = task.relevant[row]
        ranked = (after if worth[row] > 0 else before).ranked
        assert ranked is not None
        yield Moved(
            task.queries[row],
            task.corpus[next(text for text in ranked[row].tolist() if _answers(relevant, text))],
            _within(old[row]),
            _within(new[row]),
            depth,
            float(worth[row]),
            overtaken_by=_overtaker(task, row, after.ranked) if worth[row] < 0 else None,
        )


def _overtaker(task: RetrievalTask, row: int, ranked: NDArray[np.int64]) -> str | None:
    wrong = (text for text in ranked[row].tolist() if not _answers(task.relevant[row], text))
    return next((task.corpus[text] for text in wrong), None)


def _first_places(ranked: NDArray[np.int64], task: RetrievalTask) -> NDArray[np.float64]:
    """The place of each query's first answer, float64 from 1; infinite where there is none."""
    places = np.full(len(ranked), np.inf)
    for row, texts in enumerate(ranked.tolist()):
        relevant = task.relevant[row]
        places[row] = next((at for at, text in enumerate(texts, start=1) if _answers(relevant, text)), np.inf)
    return places


def _answers(relevant: Mapping[int, float], text: int) -> bool:
    return relevant.get(text, 0) > 0


def _discount(places: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / np.log2(1 + places), np.float64)


def _within(place: float) -> int | None:
    return int(place) if np.isfinite(place) else None


def _iter_pairs(task: PairTask, before: Measured, after: Measured, *, count: int) -> Iterator[Moved]:
    """By how much nearer a pair's place among the cosines came to its place among the scores."""
    rated = _places(task.scores)
    old, new = _places(before.primary.items), _places(after.primary.items)
    worth = (np.abs(old - rated) - np.abs(new - rated)) / len(task)
    for row in _extremes(worth, count):
        yield Moved(
            task.first[row],
            task.second[row],
            round(old[row]),
            round(new[row]),
            len(task),
            float(worth[row]),
            rated_rank=round(rated[row]),
        )


def _places(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 1 for the largest; equal ones share the mean of theirs."""
    _, member, sizes = np.unique(-values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(sizes) - (sizes - 1) / 2)[member], np.float64)


def _extremes(worth: NDArray[np.float64], count: int) -> Sequence[int]:
    """Rows that gained most, then rows that lost most; of equal ones the first in the data."""
    order = np.argsort(-worth, kind="stable")
    gained = [row for row in order.tolist()[:count] if worth[row] > 0]
    lost = [row for row in np.argsort(worth, kind="stable").tolist()[:count] if worth[row] < 0]
    return [*gained, *lost]
