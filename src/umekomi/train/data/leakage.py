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
    if listing is not None and not leaks:
        listing.unlink(missing_ok=True)  # of an earlier run
    if not leaks:
        return
    if listing is not None:
        with replacing(listing) as file:
            file.writelines(orjson.dumps(asdict(leak), option=orjson.OPT_APPEND_NEWLINE) for leak in leaks)
    rows: dict[tuple[str, str], list[Leak]] = {}
    for leak in leaks:
        rows.setdefault((leak.split, leak.id), []).append(leak)
    named = "; ".join(_said(mine) for mine in list(rows.values())[:SHOWN_ROWS])
    if rest := max(0, len(rows) - SHOWN_ROWS):
        named += f"; and {rest} more" + (f" in {listing}" if listing is not None else "")
    count = f"{len(rows)} {'row' if len(rows) == 1 else 'rows'}"
    raise InvalidInput(
        f"train and dev overlap with test in {count}, so a test proves nothing; take what is shared out of one "
        f"side, or give one file without splits, which is split by documents. Shared: {named}",
        param="source",
    )


def find_leaks(data: TrainingData) -> list[Leak]:
    """Every row of train and dev that shares something with test: one leak for each thing that it shares."""
    scored = data.objective == "similarity"
    return [
        *_iter_leaks("train", data.train, data.test, scored=scored),
        *_iter_leaks("dev", data.dev, data.test, scored=scored),
    ]


def _iter_leaks(
    split: Literal["train", "dev"], examples: Sequence[Example], test: Sequence[Example], *, scored: bool
) -> Iterator[Leak]:
    """Documents first, then queries, then texts; the two texts of a scored pair may each be either of another."""
    documents = {example.document_id: example.id for example in reversed(test) if example.document_id}
    for example in examples:
        if example.document_id in documents:
            shared = example.source or example.document_id
            yield Leak("document", split, example.id, documents[example.document_id], shared)
    queries = [(example.id, example.query) for example in test]
    texts = [(example.id, example.positive) for example in test]
    either = [*queries, *texts]
    asked = [(example.id, example.query) for example in examples]
    answers = [(example.id, example.positive) for example in examples]
    if scored:
        yield from _iter_shared(split, "text", [*asked, *answers], either)
    else:
        yield from _iter_shared(split, "query", asked, queries)
        yield from _iter_shared(split, "text", answers, texts)


def _iter_shared(
    split: Literal["train", "dev"],
    kind: Literal["query", "text"],
    texts: Sequence[tuple[str, str]],
    known: Sequence[tuple[str, str]],
) -> Iterator[Leak]:
    """Leaks of texts with the ids of their rows."""
    found = find_known([text for _, text in texts], [text for _, text in known])
    near: dict[str, LeakKind] = {"query": "near query", "text": "near text"}
    for (row_id, text), first, exact in zip(texts, found.first.tolist(), found.exact.tolist(), strict=True):
        if first >= 0:
            yield Leak(kind if exact else near[kind], split, row_id, known[first][0], text)


def _said(leaks: Sequence[Leak]) -> str:
    """What one row shares: ``train 86 with test 1, the same query and the same text: 'what is …'``."""
    first = leaks[0]
    shared = " ".join(first.shared.split())
    shown = shared if len(shared) <= _SHOWN_CHARACTERS else shared[: _SHOWN_CHARACTERS - 1] + "…"
    kinds = " and ".join(dict.fromkeys(_WORDS[leak.kind] for leak in leaks))
    return f"{_name(first.split, first.id)} with {_name('test', first.test_id)}, {kinds}: '{shown}'"


def _name(split: str, row: str) -> str:
    """``train 86``, once where the id itself begins with the split."""
    return row if row.startswith(f"{split} ") else f"{split} {row}"


_WORDS: dict[LeakKind, str] = {
    "document": "the same document",
    "query": "the same query",
    "near query": "nearly the same query",
    "text": "the same text",
    "near text": "nearly the same text",
}
