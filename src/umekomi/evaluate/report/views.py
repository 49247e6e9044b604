"""What the report shows of one model on one data set beyond its scores: a map, neighbours, single items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.projection import Layout
from umekomi.evaluate.tasks import RetrievalTask, Task


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One model on one data set, item by item.

    dataset     name of a `DatasetRecord` of the results
    model       name of a `ModelRecord` of the results
    task        the data set itself: its texts, labels and identifiers are shown
    layout      the map; row *i* is text *i* (labels) or document *i* of the corpus (retrieval). None: no map
    neighbours  int64 ``(n, k)``, nearest first. Labels: rows of other texts, for the confusion of categories and
                the disagreements. Retrieval: for each query, rows of the corpus. None: neither is shown
    outcomes    what the metrics found; for pairs, the one called ``spearman`` is drawn against the people's scores
    """

    dataset: str
    model: str
    task: Task
    layout: Layout | None = None
    neighbours: NDArray[np.int64] | None = None
    outcomes: tuple[Outcome, ...] = ()

    def counts(self) -> list[tuple[str, int, int]]:
        """What is there, its rows, and the rows that the task asks of it."""
        found = []
        if self.layout is not None:
            mapped = len(self.task.corpus) if isinstance(self.task, RetrievalTask) else len(self.task)
            found.append(("a map", len(self.layout.points), mapped))
        if self.neighbours is not None:
            found.append(("neighbours", len(self.neighbours), len(self.task)))
        return found
