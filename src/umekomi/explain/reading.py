"""A table to what is explained: numbers, texts, categories and groups; what is unusable is counted or refused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets import open_table
from umekomi.evaluate.datasets.building import digest
from umekomi.evaluate.datasets.cells import label_of, shown, text_of
from umekomi.evaluate.datasets.columns import listed
from umekomi.evaluate.datasets.tables import Table
from umekomi.explain.regression.folds import Integers, Numbers
from umekomi.explain.settings import Question

MIN_ROWS = 20
MAX_LEVELS = 100
NO_CATEGORY = "(empty)"
LARGE_GROUP = 0.5
MAX_TARGET = 1e100
"""Squares of larger ones are no numbers any more."""


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """The usable rows of a table, in an order of their own: that of the file decides nothing.

    target      float64 ``(n,)``
    texts       by column, one a row
    categories  by column, one a row
    groups      int64 ``(n,)``, numbers from 0
    skipped     rows that were left out, by reason
    digest      of all this
    """

    name: str
    question: Question
    target: Numbers
    texts: Mapping[str, tuple[str, ...]]
    categories: Mapping[str, tuple[str, ...]]
    groups: Integers
    skipped: Mapping[str, int]
    notes: tuple[str, ...]
    digest: str

    def __len__(self) -> int:
        return len(self.target)

    @property
    def group_count(self) -> int:
        return int(self.groups.max()) + 1


def read_study(source: str, question: Question, *, encoding: str | None = None) -> Study:
    """The rows of the table at ``source`` (as `open_table` takes it) that have a target and every text.

    Raises `InvalidInput` for a column that is not there, a target that is no number or always the same, a column
    without texts, a category of more than `MAX_LEVELS` values, and fewer than `MIN_ROWS` usable rows.
    """
    table = open_table(source, encoding=encoding)
    _check_columns(table, question)
    skipped: Counter[str] = Counter()
    rows = [row for index in range(len(table)) if (row := _read_row(table, index, question, skipped)) is not None]
    _check_texts(table, question)
    left_out = "".join(f"; {count} rows left out: {reason}" for reason, count in skipped.items())
    if len(rows) < MIN_ROWS:
        raise InvalidInput(f"{table.name}: {len(rows)} usable rows; explain needs at least {MIN_ROWS}{left_out}")
    rows.sort(key=lambda row: (row.known_group, row.texts, row.categories, row.target))
    target = np.array([row.target for row in rows], np.float64)
    if target.min() == target.max():
        raise InvalidInput(
            f"{table.name}: every target in '{question.target}' is {target[0]:g}; there is nothing to explain",
            param="target",
        )
    numbers = {name: number for number, name in enumerate(dict.fromkeys(row.group for row in rows))}
    groups = np.array([numbers[row.group] for row in rows], np.int64)
    texts = {name: tuple(row.texts[at] for row in rows) for at, name in enumerate(question.texts)}
    categories = {name: tuple(row.categories[at] for row in rows) for at, name in enumerate(question.categories)}
    for name, values in categories.items():
        _check_levels(table, name, values)
    return Study(
        name=table.name,
        question=question,
        target=target,
        texts=texts,
        categories=categories,
        groups=groups,
        skipped=dict(skipped),
        notes=(*table.notes, *_notes(question, rows, groups)),
        digest=digest(
            "explain",
            *texts.values(),
            *categories.values(),
            (row.known_group for row in rows),
            map(repr, target.tolist()),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    target: float
    texts: tuple[str, ...]
    categories: tuple[str, ...]
    group: str
    alone: bool

    @property
    def known_group(self) -> str:
        """Empty for a row that is alone: its place in the file must decide nothing."""
        return "" if self.alone else self.group


def _check_columns(table: Table, question: Question) -> None:
    wanted = [("target", question.target), *(("text", name) for name in question.texts)]
    wanted += [("categorical", name) for name in question.categories]
    if question.group is not None:
        wanted.append(("group", question.group))
    for flag, column in wanted:
        if column not in table.columns:
            raise InvalidInput(
                f"{table.name}: no column '{column}' for --{flag}; there are {listed(table.columns)}", param=flag
            )


def _read_row(table: Table, index: int, question: Question, skipped: Counter[str]) -> _Row | None:
    row, where = table.rows[index], table.where(index)
    target = _target_of(row.get(question.target), where, question.target)
    texts = [text_of(row.get(name), where) for name in question.texts]
    if target is None:
        skipped[f"no number in '{question.target}'"] += 1
        return None
    for name, text in zip(question.texts, texts, strict=True):
        if text is None:
            skipped[f"no text in '{name}'"] += 1
            return None
    found = tuple(text for text in texts if text is not None)
    categories = tuple(label_of(row.get(name), where) or NO_CATEGORY for name in question.categories)
    group = "\0".join(found) if question.group is None else label_of(row.get(question.group), where)
    return _Row(target, found, categories, group or f"{where} alone", alone=group is None)


def _target_of(value: Any, where: str, column: str) -> float | None:
    """None where the cell is empty. Raises `InvalidInput` for what is no finite number."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(
            f"{where}: {shown(value)} in '{column}' is no number; a target is numeric: name another column, or "
            "write the labels as numbers",
            param="target",
        ) from None
    if not math.isfinite(number) or abs(number) > MAX_TARGET:
        raise InvalidInput(
            f"{where}: the target in '{column}' is {number}; write a number up to {MAX_TARGET:g}, or leave the "
            "cell empty to leave the row out",
            param="target",
        )
    return number


def _check_texts(table: Table, question: Question) -> None:
    for name in question.texts:
        if not any(isinstance(value, str) and value.strip() for value in table.values(name)):
            raise InvalidInput(
                f"{table.name}: the column '{name}' holds no text; name another with --text", param="text"
            )


def _check_levels(table: Table, name: str, values: Sequence[str]) -> None:
    levels = len(set(values))
    if levels > MAX_LEVELS:
        raise InvalidInput(
            f"{table.name}: '{name}' has {levels} values; a category may have {MAX_LEVELS}: join rare ones, or "
            "name it with --group if it says what belongs together",
            param="categorical",
        )
    if levels == 1:
        raise InvalidInput(
            f"{table.name}: every row has '{values[0]}' in '{name}'; leave --categorical {name} out",
            param="categorical",
        )


def _notes(question: Question, rows: Sequence[_Row], groups: Integers) -> list[str]:
    notes = []
    if question.group is None:
        notes.append("no --group: rows with the same texts are taken as one group")
    alone = sum(row.alone for row in rows)
    if alone:
        notes.append(f"{alone} rows without '{question.group}' are each a group of their own")
    sizes = np.bincount(groups)
    if sizes.max() > LARGE_GROUP * len(rows):
        notes.append(
            f"one group holds {sizes.max() / len(rows):.0%} of the rows: it is predicted from the others alone, "
            "and they from it"
        )
    shared = len({(row.texts, row.group) for row in rows}) - len({row.texts for row in rows})
    if shared:
        notes.append(
            f"{shared} times the same texts stand in more than one group: such a row is predicted from its own "
            "copy; name a coarser --group if they are one thing"
        )
    return notes
