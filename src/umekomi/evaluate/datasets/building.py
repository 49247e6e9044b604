"""Tables to tasks: cells checked, unusable rows left out and counted, the rest fingerprinted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets.cells import label_of, score_of, text_of
from umekomi.evaluate.datasets.columns import ColumnRole, Plan
from umekomi.evaluate.datasets.tables import Table
from umekomi.evaluate.tasks import LabelTask, Origin, PairTask

MIN_ITEMS = 4
"""Fewest texts, or pairs: the published score looks at the three nearest others of a text."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What is known of a data set beside its rows; the fields are those of `Origin`."""

    name: str
    source: str
    licence: str = ""
    language: str = ""
    preparation: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    guessed: tuple[str, ...] = ()


@dataclass(slots=True)
class Ledger:
    """What is found on the way through a table."""

    ids: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    preparation: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """What was left out, as the end of a message."""
        return "".join(f"; {count} left out: {reason}" for reason, count in self.skipped.items() if count)


def build_labels(table: Table, plan: Plan, notes: Notes) -> LabelTask:
    """A `LabelTask` of the rows that have a text and a label.

    Raises `InvalidInput` for a wrong cell, for fewer than `MIN_ITEMS` texts, and for labels that cannot be told
    apart or that no two texts share.
    """
    ledger = Ledger()
    texts: list[str] = []
    labels: list[str] = []
    for index, row in enumerate(table.rows):
        where = table.where(index)
        text = text_of(row.get(plan.columns["text"]), where)
        label = label_of(row.get(plan.columns["label"]), where)
        if text is None or label is None:
            ledger.skipped["empty text" if text is None else "no label"] += 1
            continue
        texts.append(text)
        labels.append(label)
        note_row(ledger, table, index, plan.columns)
    check_size(table, len(texts), ledger, unit="texts")
    _check_labels(table, labels, plan.columns["label"])
    ids = settle_ids(ledger, table, plan)
    return LabelTask(
        name=notes.name,
        texts=tuple(texts),
        labels=tuple(labels),
        ids=ids,
        origin=build_origin(digest("labels", texts, labels), texts, notes, ledger),
        groups=tuple(ledger.groups) if "group" in plan.columns else None,
    )


def build_pairs(table: Table, plan: Plan, notes: Notes) -> PairTask:
    """A `PairTask` of the rows that have two texts and a score.

    Raises `InvalidInput` for a wrong cell, for fewer than `MIN_ITEMS` pairs, and where all scores are equal.
    """
    ledger = Ledger()
    pairs: list[tuple[str, str, float]] = []
    for index, row in enumerate(table.rows):
        where = table.where(index)
        first = text_of(row.get(plan.columns["first"]), where)
        second = text_of(row.get(plan.columns["second"]), where)
        score = score_of(row.get(plan.columns["score"]), where)
        if first is None or second is None or score is None:
            ledger.skipped["empty text" if first is None or second is None else "no score"] += 1
            continue
        pairs.append((first, second, score))
        note_row(ledger, table, index, plan.columns)
    check_size(table, len(pairs), ledger, unit="pairs")
    firsts, seconds, scores = zip(*pairs, strict=True)
    if len(set(scores)) == 1:
        raise InvalidInput(
            f"{table.name}: every score in '{plan.columns['score']}' is {scores[0]}; nothing can agree with that",
            param="score",
        )
    ids = settle_ids(ledger, table, plan)
    found = digest("pairs", firsts, seconds, map(repr, scores))
    return PairTask(
        name=notes.name,
        first=firsts,
        second=seconds,
        scores=np.array(scores, np.float64),
        ids=ids,
        origin=build_origin(found, [*firsts, *seconds], notes, ledger),
        groups=tuple(ledger.groups) if "group" in plan.columns else None,
    )


def note_row(ledger: Ledger, table: Table, index: int, columns: Mapping[ColumnRole, str]) -> None:
    """Keep id and group of a row that is used; its place stands for an id that is not there."""
    row, where = table.rows[index], table.where(index)
    place = str(table.places[index])
    ledger.ids.append((label_of(row.get(columns["id"]), where) if "id" in columns else None) or place)
    if "group" in columns:
        ledger.groups.append(group_of(row.get(columns["group"]), where))


def group_of(value: Any, where: str) -> str:
    """The group of a row; one without any is a group of its own."""
    return label_of(value, where) or f"{where} alone"


def check_size(table: Table, count: int, ledger: Ledger, *, unit: str) -> None:
    if count < MIN_ITEMS:
        raise InvalidInput(f"{table.name}: {count} usable {unit}; a score needs at least {MIN_ITEMS}{ledger}")


def _check_labels(table: Table, labels: Sequence[str], column: str) -> None:
    counts = Counter(labels)
    if len(counts) == 1:
        raise InvalidInput(
            f"{table.name}: every label in '{column}' is '{labels[0]}'; a score needs at least two labels",
            param="label",
        )
    if max(counts.values()) == 1:
        raise InvalidInput(
            f"{table.name}: no two texts share a label in '{column}'; name another column with --label",
            param="label",
        )


def settle_ids(ledger: Ledger, table: Table, plan: Plan) -> tuple[str, ...]:
    """The ids of the rows that are used. A column that nobody named and that repeats is not one of ids.

    Raises `InvalidInput` for a named column that repeats.
    """
    double, count = next(iter(Counter(ledger.ids).most_common(1)))
    if count == 1:
        return tuple(ledger.ids)
    message = f"'{plan.columns.get('id')}' repeats '{double}'"
    if "id" not in plan.guessed:
        raise InvalidInput(
            f"{table.name}: the ids in {message}; make them unique, or name another column", param="id"
        )
    ledger.preparation.append(f"ids counted: {message}")
    return tuple(str(number) for number in range(1, len(ledger.ids) + 1))


def build_origin(digest_: str, texts: Sequence[str], notes: Notes, ledger: Ledger) -> Origin:
    """Everything about where a task comes from."""
    return Origin(
        digest=digest_,
        source=notes.source,
        licence=notes.licence,
        language=notes.language or guess_language(texts),
        preparation=(*notes.preparation, *ledger.preparation),
        columns=notes.columns,
        guessed=notes.guessed,
        skipped={reason: count for reason, count in ledger.skipped.items() if count},
    )


def digest(kind: str, *sequences: Iterable[str]) -> str:
    """SHA-256 over texts and answers, each with its length before it, so that no two sets run into one."""
    state = hashlib.sha256(kind.encode())
    for sequence in sequences:
        state.update(b"\0")
        for text in sequence:
            data = text.encode()
            state.update(len(data).to_bytes(8, "little"))
            state.update(data)
    return state.hexdigest()


def guess_language(texts: Sequence[str]) -> str:
    """``ja`` where nine of ten texts hold kana, which no other language writes; else empty."""
    with_kana = sum(any("ぁ" <= char <= "ヿ" for char in text) for text in texts)
    return "ja" if with_kana >= 0.9 * len(texts) else ""
