"""Tables to tasks: cells checked, unusable rows left out and counted, the rest fingerprinted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets.cells import label_of, text_of
from umekomi.evaluate.datasets.columns import ColumnRole, Plan
from umekomi.evaluate.datasets.tables import Table
from umekomi.evaluate.tasks import LabelTask, Origin

MIN_ITEMS = 4
"""Fewest texts, or pairs: the published score looks at the three nearest others of a text."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What the caller knows of a data set beside its table."""

    name: str
    source: str
    licence: str = ""
    language: str = ""
    preparation: tuple[str, ...] = ()


@dataclass(slots=True)
class Ledger:
    """What is found on the way through a table."""

    ids: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    preparation: list[str] = field(default_factory=list)


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
        origin=build_origin(digest("labels", texts, labels), texts, table, plan, ledger, notes),
        groups=tuple(ledger.groups) if "group" in plan.columns else None,
    )


def note_row(ledger: Ledger, table: Table, index: int, columns: Mapping[ColumnRole, str]) -> None:
    """Keep id and group of a row that is used. Raises `InvalidInput` for a row without a group."""
    row, where = table.rows[index], table.where(index)
    place = str(table.places[index])
    ledger.ids.append((label_of(row.get(columns["id"]), where) if "id" in columns else None) or place)
    if "group" in columns:
        group = label_of(row.get(columns["group"]), where)
        if group is None:
            raise InvalidInput(f"{where}: no group in '{columns['group']}'; fill it in, or name another column")
        ledger.groups.append(group)


def check_size(table: Table, count: int, ledger: Ledger, *, unit: str) -> None:
    if count < MIN_ITEMS:
        left_out = "".join(f"; {number} left out: {reason}" for reason, number in ledger.skipped.items())
        raise InvalidInput(f"{table.name}: {count} usable {unit}; a score needs at least {MIN_ITEMS}{left_out}")


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


def build_origin(
    digest_: str, texts: Sequence[str], table: Table, plan: Plan, ledger: Ledger, notes: Notes
) -> Origin:
    """Everything about where the task comes from."""
    return Origin(
        digest=digest_,
        source=notes.source,
        licence=notes.licence,
        language=notes.language or guess_language(texts),
        preparation=(*notes.preparation, *table.notes, *ledger.preparation),
        columns={str(role): column for role, column in plan.columns.items()},
        guessed=plan.guessed,
        skipped=dict(ledger.skipped),
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
