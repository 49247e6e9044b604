"""Rows of a table to examples: what is missing is listed and refused, what repeats is left out and counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, TypeAlias

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets.cells import label_of, score_of, shown, text_of
from umekomi.evaluate.datasets.columns import ColumnRole, Plan, listed, plan_columns
from umekomi.evaluate.datasets.retrieval import iter_texts
from umekomi.evaluate.datasets.tables import Row, Table
from umekomi.evaluate.metrics.repeats import fold
from umekomi.evaluate.tasks import TaskKind
from umekomi.train.examples import Example, Objective, Passage

Columns: TypeAlias = Mapping[ColumnRole, str]

SHOWN_ROWS = 20

_PAGE_DIGITS = 9

_NEGATIVES = re.compile(r"(hard[ _-]?)?neg(ative)?s?([ _-]?passages?)?[ _-]?\d*|負例[ _]?\d*", re.IGNORECASE)
_DOCUMENTS = ("document_id", "doc_id", "docid")
_LIST_IN_CELL = re.compile(r"""\s*\[\s*(["']).*\1\s*\]\s*""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rows:
    """The examples of one table, in its order, and what became of the others."""

    objective: Objective
    examples: tuple[Example, ...]
    skipped: Counter[str] = field(default_factory=Counter)
    notes: tuple[str, ...] = ()


def read_rows(table: Table, *, known: Mapping[str, Passage], named: Columns = MappingProxyType({})) -> Rows:
    """The pairs of ``table``: of queries and the texts that answer them, or of two texts and how alike they are.

    known  passages by id: they give documents to pairs that name their chunk, and whole texts to rows of a report,
           which cuts long ones
    named  columns that the user named; the others are known by their names, as in an evaluation

    Raises `InvalidInput` for columns that make no pairs, for rows without a query or a positive, all of them
    listed, and for a score that is no number.
    """
    plan = _plan(table, named)
    likeness = None
    if plan.kind == "retrieval" and not _negative_columns(table, plan):
        likeness = _likeness_column(table, plan)
    if likeness is not None:
        texts: dict[ColumnRole, str] = {"first": plan.columns["query"], "second": plan.columns["positive"]}
        others = {role: column for role, column in named.items() if role in ("group", "id")}
        plan = plan_columns(table, texts | {"score": likeness} | others, "pairs")
    rows = _read_scored(table, plan) if plan.kind == "pairs" else _Ranking(table, plan, known).read()
    return replace(rows, notes=(*table.notes, *rows.notes, *_meanings(plan, named)))


def _plan(table: Table, named: Columns) -> Plan:
    kinds: tuple[TaskKind, ...] = ("pairs", "retrieval")
    wrong = {}
    for kind in kinds:
        try:
            return plan_columns(table, named, kind)
        except InvalidInput as error:
            wrong[kind] = error
    if named:
        scored = {"first", "second", "score"} & named.keys() and not {"query", "positive"} & named.keys()
        raise wrong["pairs" if scored else "retrieval"]
    raise InvalidInput(
        f"{table.name}: no pairs to train on in the columns {listed(table.columns)}; training needs query and "
        "positive, with negatives if there are any, or sentence1, sentence2 and score; name them with --columns, "
        "for example --columns query=COLUMN --columns positive=COLUMN",
        param="source",
    )


def _meanings(plan: Plan, named: Columns) -> Iterator[str]:
    """What columns were taken for, where neither their names say it nor the user did."""
    used: tuple[ColumnRole, ...] = ("query", "positive", "first", "second", "score")
    taken = [(role, plan.columns[role]) for role in used if role in plan.columns]
    guessed = [f"{role} = '{column}'" for role, column in taken if column != role and column not in named.values()]
    if guessed:
        yield f"columns guessed: {', '.join(guessed)}; choose others with --columns"
    if "score" in plan.columns:
        meaning = (
            "how alike two texts are" if plan.kind == "pairs" else "a judgement, 0 for a text that does not answer"
        )
        yield f"the column '{plan.columns['score']}' says {meaning}"


def _likeness_column(table: Table, plan: Plan) -> str | None:
    """A column of scores beside queries and positives that are no judgements: how alike the two are.

    One that says the same of every row says nothing, and is not used.
    """
    if "score" in plan.columns:
        return None
    named: dict[ColumnRole, str] = {"first": plan.columns["query"], "second": plan.columns["positive"]}
    try:
        column = plan_columns(table, named, "pairs").columns["score"]
    except InvalidInput:
        return None
    values = {str(value).strip() for value in table.values(column) if value is not None}
    return column if len(values - {""}) > 1 else None


def _negative_columns(table: Table, plan: Plan) -> list[str]:
    taken = {column for role, column in plan.columns.items() if role != "negatives"}
    given = plan.columns.get("negatives")
    return [c for c in table.columns if c not in taken and (c == given or _NEGATIVES.fullmatch(c.strip()))]


def _read_scored(table: Table, plan: Plan) -> Rows:
    examples: list[Example] = []
    missing: list[str] = []
    skipped: Counter[str] = Counter()
    seen: set[tuple[str, str, float]] = set()
    for index, row in enumerate(table.rows):
        where = table.where(index)
        first, second = (text_of(row.get(plan.columns[role]), where) for role in ("first", "second"))
        score = _score(row, plan, where)
        if first is None and second is None:
            skipped["empty row"] += 1
        elif first is None or second is None:
            missing.append(f"{table.unit} {table.places[index]}")
        elif score is None:
            skipped["no score"] += 1
        elif (key := (fold(first), fold(second), score)) in seen:
            skipped["repeats an earlier pair"] += 1
        else:
            seen.add(key)
            examples.append(_labelled(Example("", first, second, score=score), row, plan, place=table, index=index))
    _refuse_missing(table, missing, "a text; a scored pair has two")
    if len({example.score for example in examples}) == 1:
        raise InvalidInput(
            f"{table.name}: every score in '{plan.columns['score']}' is {examples[0].score}; nothing can be "
            "learned from that; name another column, or call the texts query and positive",
            param="source",
        )
    return Rows("similarity", tuple(examples), skipped)


@dataclass(slots=True)
class _Ranking:
    """Collects queries with their positives and negatives."""

    table: Table
    plan: Plan
    known: Mapping[str, Passage]
    skipped: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    found: dict[tuple[str, str], Example] = field(default_factory=dict)
    judged_wrong: dict[str, list[str]] = field(default_factory=dict)
    cut: int = 0

    def read(self) -> Rows:
        columns = _negative_columns(self.table, self.plan)
        for index, row in enumerate(self.table.rows):
            self._add(index, row, columns)
        _refuse_missing(self.table, self.missing, "a query or a positive; a pair has both")
        cut = f"{self.cut} texts end in the middle: the report that they are from cut them"
        examples = tuple(self._without_contradictions())
        return Rows("ranking", examples, self.skipped, (cut,) if self.cut else ())

    def _add(self, index: int, row: Row, negative_columns: list[str]) -> None:
        where = self.table.where(index)
        query = text_of(self._cell(row, "query"), where)
        positives = self._texts(self._cell(row, "positive"), where)
        negatives = [text for column in negative_columns for text in self._texts(row.get(column), where)]
        if row.get("text_cut_at") is not None:
            positives, negatives = self._restore(row, positives, negatives)
        gain = _score(row, self.plan, where) if "score" in self.plan.columns else 1.0
        if query is None and not positives:
            self.skipped["empty row"] += 1
        elif query is None or not positives:
            self.missing.append(f"{self.table.unit} {self.table.places[index]}")
        elif gain is None:
            self.skipped["no score"] += 1
        elif gain <= 0:
            self.judged_wrong.setdefault(fold(query), []).extend(positives)
        else:
            for number, positive in enumerate(positives):
                example = Example("", query, positive, tuple(negatives))
                example = _labelled(example, row, self.plan, place=self.table, index=index)
                if not example.document_id and example.chunk_id in self.known:
                    example = replace(example, document_id=self.known[example.chunk_id].document_id)
                if number:  # ids of a row are of its first positive
                    example = replace(example, id=f"{example.id}-{number + 1}", chunk_id="")
                self._keep(example)

    def _restore(self, row: Row, positives: Sequence[str], negatives: Sequence[str]) -> tuple[list[str], list[str]]:
        """The texts of a report's row as the corpus has them, where it has them by their ids."""
        names = row.get("negative_ids")
        ids = [row.get("positive_id"), *(names if isinstance(names, list) else [])]
        whole = []
        for text, name in zip_longest((*positives[:1], *negatives), ids):
            passage = self.known.get(str(name))
            is_whole = text is not None and passage is not None and passage.text.startswith(text)
            self.cut += text is not None and not is_whole and len(text) == row.get("text_cut_at")
            whole.append(passage.text if is_whole and passage is not None else text)
        texts = [text for text in whole if text is not None]
        return [*texts[:1], *positives[1:]], texts[1:]

    def _keep(self, example: Example) -> None:
        key = (fold(example.query), fold(example.positive))
        if key[0] == key[1]:
            self.skipped["query and positive are the same"] += 1
        elif (earlier := self.found.get(key)) is not None:
            self.skipped["repeats an earlier pair"] += 1
            self.found[key] = replace(earlier, negatives=(*earlier.negatives, *example.negatives))
        else:
            self.found[key] = example

    def _without_contradictions(self) -> list[Example]:
        right: dict[str, set[str]] = {}
        for query, positive in self.found:
            right.setdefault(query, {query}).add(positive)
        self.skipped["query that no text answers"] += len(self.judged_wrong.keys() - right.keys())
        kept = []
        for (query, _), example in self.found.items():
            given = (*example.negatives, *self.judged_wrong.get(query, ()))
            distinct: dict[str, str] = {}
            for text in given:
                distinct.setdefault(fold(text), text)
            negatives = tuple(text for key, text in distinct.items() if key not in right[query])
            if lost := len(distinct) - len(negatives):
                self.skipped["negative that is a positive of its query"] += lost
            kept.append(replace(example, negatives=negatives))
        return kept

    def _cell(self, row: Row, role: ColumnRole) -> Any:
        return row.get(self.plan.columns[role]) if role in self.plan.columns else None

    def _texts(self, cell: Any, where: str) -> list[str]:
        if isinstance(cell, str) and _LIST_IN_CELL.fullmatch(cell):
            raise InvalidInput(
                f"{where}: {shown(cell)} looks like a list written into one cell; give each text a column "
                "(negative_1, negative_2 …), or a list in JSON Lines",
                param="source",
            )
        return list(iter_texts(cell, where))


def _score(row: Row, plan: Plan, where: str) -> float | None:
    column = plan.columns["score"]
    try:
        return score_of(row.get(column), where)
    except InvalidInput as error:
        raise InvalidInput(
            f"{error}; '{column}' is read as a score: write numbers (1 and 0 for a judgement), or rename it",
            param="source",
        ) from None


def _labelled(example: Example, row: Row, plan: Plan, *, place: Table, index: int) -> Example:
    """``example`` with the identifiers of its row. A report's export has its own: of data sets, not documents."""
    where = place.where(index)

    def label(column: str | None) -> str:
        return (label_of(row.get(column), where) if column is not None else None) or ""

    exported = "positive_id" in row and "query_id" in row
    group = plan.columns.get("group")
    known = None if group and "group" not in plan.guessed else next((c for c in _DOCUMENTS if c in row), None)
    page = str(row.get("page"))
    return replace(
        example,
        id=label(plan.columns.get("id", "query_id")) or str(place.places[index]),
        chunk_id=label(plan.columns.get("document_id")),
        document_id=label(known or (None if exported else group)),
        source="" if exported else label("source"),
        page=int(page) if page.isdecimal() and len(page) <= _PAGE_DIGITS else None,
    )


def _refuse_missing(table: Table, places: list[str], what: str) -> None:
    if places:
        some = ", ".join(places[:SHOWN_ROWS]) + (
            f" and {len(places) - SHOWN_ROWS} more" * (len(places) > SHOWN_ROWS)
        )
        rows = "1 row lacks" if len(places) == 1 else f"{len(places)} rows lack"
        raise InvalidInput(
            f"{table.name}: {rows} {what}: {some}; fill in what is missing, or delete the row", param="source"
        )
