"""Queries and documents to a `RetrievalTask`; here from one table whose rows hold a query and its documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets.building import Ledger, Notes, build_origin, digest, group_of
from umekomi.evaluate.datasets.cells import label_of, score_of, shown, text_of
from umekomi.evaluate.datasets.columns import ColumnRole, Plan
from umekomi.evaluate.datasets.tables import Row, Table
from umekomi.evaluate.tasks import RetrievalTask

MIN_QUERIES = 4
MIN_DOCUMENTS = 2
"""With a single document, every model finds the right one."""


@dataclass(slots=True)
class Judged:
    """Queries, documents and judgements while they are collected; the fields are those of `RetrievalTask`."""

    queries: list[str] = field(default_factory=list)
    query_ids: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    corpus: list[str] = field(default_factory=list)
    corpus_ids: list[str] = field(default_factory=list)  # empty where there is none
    relevant: list[dict[int, float]] = field(default_factory=list)

    def judge(self, query: int, document: int, gain: float) -> None:
        """Note a gain, the higher one where there are two; 0 and less is not relevant."""
        if gain > 0:
            self.relevant[query][document] = max(gain, self.relevant[query].get(document, gain))

    def build(self, notes: Notes, ledger: Ledger) -> RetrievalTask:
        """The task of all queries for which something is relevant.

        Raises `InvalidInput` where fewer than `MIN_QUERIES` or `MIN_DOCUMENTS` are left.
        """
        kept = [row for row, relevant in enumerate(self.relevant) if relevant]
        ledger.skipped["query without a relevant document"] += len(self.relevant) - len(kept)
        queries = [self.queries[row] for row in kept]
        query_ids = [self.query_ids[row] for row in kept]
        if len(set(query_ids)) < len(query_ids):
            ledger.preparation.append("queries counted: their ids repeat")
            query_ids = [str(number) for number in range(1, len(query_ids) + 1)]
        relevant = tuple(dict(sorted(self.relevant[row].items())) for row in kept)
        for count, least, what in (
            (len(kept), MIN_QUERIES, "queries"),
            (len(self.corpus), MIN_DOCUMENTS, "documents"),
        ):
            if count < least:
                raise InvalidInput(f"{notes.source}: {count} usable {what}; a score needs at least {least}{ledger}")
        judgements = (f"{row} {gain!r}" for gains in relevant for row, gain in (*gains.items(), (-1, 0.0)))
        return RetrievalTask(
            name=notes.name,
            queries=tuple(queries),
            query_ids=tuple(query_ids),
            corpus=tuple(self.corpus),
            corpus_ids=tuple(name or f"document {row}" for row, name in enumerate(self.corpus_ids, start=1)),
            relevant=relevant,
            origin=build_origin(digest("retrieval", queries, self.corpus, judgements), queries, notes, ledger),
            groups=tuple(self.groups[row] for row in kept) if self.groups else None,
        )


def build_retrieval(table: Table, plan: Plan, notes: Notes) -> RetrievalTask:
    """A `RetrievalTask` of query–document rows: the corpus is all documents of the table, negatives too.

    Rows of one query are joined, and so are equal documents. Positives and negatives may be lists. Where there is a
    column of scores, documents with a score of 0 or less are in the corpus and not relevant.

    Raises `InvalidInput` for a wrong cell, and for too few queries or documents.
    """
    rows = _Rows(plan)
    for index, row in enumerate(table.rows):
        rows.add(row, table.where(index), place=str(table.places[index]))
    return rows.judged.build(notes, rows.ledger)


@dataclass(slots=True)
class _Rows:
    """Collects rows; texts of queries and of documents are there once each, in the order of their first row."""

    plan: Plan
    judged: Judged = field(default_factory=Judged)
    ledger: Ledger = field(default_factory=Ledger)
    _queries: dict[str, int] = field(default_factory=dict)
    _documents: dict[str, int] = field(default_factory=dict)
    _document_ids: dict[str, int] = field(default_factory=dict)

    def add(self, row: Row, where: str, *, place: str) -> None:
        for text in iter_texts(self._cell(row, "negatives"), where):
            self._document(text, None, where)
        query = text_of(self._cell(row, "query"), where)
        positives = list(iter_texts(self._cell(row, "positive"), where))
        gain = score_of(self._cell(row, "score"), where) if "score" in self.plan.columns else 1.0
        if query is None or not positives or gain is None:
            reason = "empty query" if query is None else "no document" if not positives else "no score"
            self.ledger.skipped[reason] += 1
            return
        document_id = label_of(self._cell(row, "document_id"), where) if len(positives) == 1 else None
        documents = [self._document(text, document_id, where) for text in positives]
        at = self._query(query, row, where, place)
        for document in documents:
            self.judged.judge(at, document, gain)

    def _cell(self, row: Row, role: ColumnRole) -> Any:
        return row.get(self.plan.columns[role]) if role in self.plan.columns else None

    def _query(self, text: str, row: Row, where: str, place: str) -> int:
        at = self._queries.setdefault(text, len(self._queries))
        if at == len(self.judged.queries):
            self.judged.queries.append(text)
            self.judged.query_ids.append(label_of(self._cell(row, "id"), where) or place)
            self.judged.relevant.append({})
            if "group" in self.plan.columns:
                self.judged.groups.append(group_of(self._cell(row, "group"), where))
        return at

    def _document(self, text: str, document_id: str | None, where: str) -> int:
        at = self._documents.setdefault(text, len(self._documents))
        if document_id is not None and self._document_ids.setdefault(document_id, at) != at:
            raise InvalidInput(f"{where}: '{document_id}' is the id of another document already; make ids unique")
        if at == len(self.judged.corpus):
            self.judged.corpus.append(text)
            self.judged.corpus_ids.append("")
        self.judged.corpus_ids[at] = self.judged.corpus_ids[at] or document_id or ""
        return at


def iter_texts(cell: Any, where: str) -> Iterator[str]:
    """The texts of a cell: one, or a list of them, or of objects with ``text`` and a ``title``."""
    for value in cell if isinstance(cell, list) else [cell]:
        if isinstance(value, dict) and "text" not in value:
            raise InvalidInput(f"{where}: {shown(value)} has no 'text'; a document is a text or has one")
        titled = isinstance(value, dict)
        if text := with_title(value.get("title"), value["text"], where) if titled else text_of(value, where):
            yield text


def with_title(title: Any, text: Any, where: str) -> str | None:
    """Title and text joined by a space, as BEIR does; None where both are empty."""
    return " ".join(part for part in (text_of(title, where), text_of(text, where)) if part) or None
