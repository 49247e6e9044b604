"""What training would know of the test: documents, near-duplicates and queries that stand on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import orjson

from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.repeats import find_known
from umekomi.train.examples import Example, TrainingData
from umekomi.writing import replacing

LeakKind: TypeAlias = Literal["document", "query", "near query", "text", "near text"]

SHOWN_ROWS = 20
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Leak:
    """A row of ``split`` that gives away a row of test, both by their ids; ``shared`` is what they share."""

    kind: LeakKind
    split: Literal["train", "dev"]
    id: str
    test_id: str
    shared: str


def check_leakage(data: TrainingData, *, listing: Path | None = None) -> None:
    """Raise `InvalidInput` where train or dev share documents, texts or queries with test, near-duplicates too.

    The message holds the first `SHOWN_ROWS` rows; all go to ``listing``, a JSON Lines file, where it is given.
    """
    leaks = find_leaks(data)
    if not leaks:
        return
    if listing is not None:
        with replacing(listing) as file:
            file.writelines(orjson.dumps(asdict(leak), option=orjson.OPT_APPEND_NEWLINE) for leak in leaks)
    lines = [f"  {leak.split} {leak.id} – test {leak.test_id}: {_said(leak)}" for leak in leaks[:SHOWN_ROWS]]
    rest = len(leaks) - len(lines)
    if rest:
        lines.append(f"  … and {rest} more" + (f" in {listing}" if listing is not None else ""))
    rows = len({(leak.split, leak.id) for leak in leaks})
    raise InvalidInput(
        f"{rows} rows of train and dev are known from test, so a test would prove nothing; take them out of one "
        "side, or give one file without splits, which is split by documents:\n" + "\n".join(lines),
        param="source",
    )


def find_leaks(data: TrainingData) -> list[Leak]:
    """Every row of train and dev that shares something with test: one leak for each thing that it shares."""
    sides: tuple[tuple[Literal["train", "dev"], Sequence[Example]], ...] = (
        ("train", data.train),
        ("dev", data.dev),
    )
    return [leak for split, examples in sides for leak in _iter_leaks(split, examples, data.test)]


def _iter_leaks(
    split: Literal["train", "dev"], examples: Sequence[Example], test: Sequence[Example]
) -> Iterator[Leak]:
    documents = {example.document_id: example.id for example in reversed(test) if example.document_id}
    queries = find_known([each.query for each in examples], [each.query for each in test])
    texts = find_known([each.positive for each in examples], [each.positive for each in test])
    for row, example in enumerate(examples):
        if example.document_id in documents:
            shared = example.source or example.document_id
            yield Leak("document", split, example.id, documents[example.document_id], shared)
        if (first := int(queries.first[row])) >= 0:
            kind: LeakKind = "query" if queries.exact[row] else "near query"
            yield Leak(kind, split, example.id, test[first].id, example.query)
        if (first := int(texts.first[row])) >= 0:
            kind = "text" if texts.exact[row] else "near text"
            yield Leak(kind, split, example.id, test[first].id, example.positive)


def _said(leak: Leak) -> str:
    shared = " ".join(leak.shared.split())
    shown = shared if len(shared) <= _SHOWN_CHARACTERS else shared[: _SHOWN_CHARACTERS - 1] + "…"
    return f"{_WORDS[leak.kind]} '{shown}'"


_WORDS: dict[LeakKind, str] = {
    "document": "the same document",
    "query": "the same query",
    "near query": "nearly the same query",
    "text": "the same text",
    "near text": "nearly the same text",
}
