"""A study and its vectors as columns of numbers, standardised, in blocks that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from umekomi.explain.reading import Study
from umekomi.explain.regression.folds import Numbers
from umekomi.types import Vectors

CATEGORIES = "categories"
FLAT = 1e-9
"""A column that varies less than this is constant but for rounding, and counts for nothing."""


@dataclass(frozen=True, slots=True)
class Block:
    """Columns from ``start`` to ``stop`` (exclusive). ``text`` is the column of the table, None for categories."""

    name: str
    start: int
    stop: int
    text: str | None

    @property
    def columns(self) -> slice:
        return slice(self.start, self.stop)

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What a target is regressed on.

    columns  float64 ``(n, p)``, each with mean 0 and standard deviation 1 over all rows; that uses no target
    scale    float64 ``(p,)``: the standard deviations before; 0 for a constant column, which is all 0 here
    names    of the columns: ``title[192]``, ``occupation=student``
    """

    columns: Numbers
    scale: Numbers
    blocks: tuple[Block, ...]
    names: tuple[str, ...]


def build_features(study: Study, vectors: Mapping[str, Vectors]) -> Features:
    """The columns of every block. ``vectors`` ``(n, dim)`` by column of texts, in the rows' order."""
    parts: list[Numbers] = []
    blocks: list[Block] = []
    names: list[str] = []
    for name, found in vectors.items():
        blocks.append(Block(_block_name(name, study), len(names), len(names) + found.shape[1], name))
        names += [f"{name}[{dimension}]" for dimension in range(found.shape[1])]
        parts.append(found.astype(np.float64))
    if study.categories:
        start = len(names)
        for name, values in study.categories.items():
            levels = sorted(set(values))
            names += [f"{name}={level}" for level in levels]
            parts.append(
                np.equal.outer(np.array(values, dtype=object), np.array(levels, dtype=object)).astype(float)
            )
        blocks.append(Block(CATEGORIES, start, len(names), None))
    columns, scale = standardise(np.concatenate(parts, axis=1))
    return Features(columns, scale, tuple(blocks), tuple(names))


def standardise(columns: Numbers) -> tuple[Numbers, Numbers]:
    """``columns`` with mean 0 and standard deviation 1, and the deviations before; constant ones become 0."""
    columns = columns - columns.mean(axis=0)
    scale = columns.std(axis=0)
    scale[scale < FLAT] = 0
    return columns / np.where(scale > 0, scale, np.inf), scale


def _block_name(column: str, study: Study) -> str:
    return f"{column} (text)" if column == CATEGORIES and study.categories else column
