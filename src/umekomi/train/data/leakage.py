"""What one split would know of another: documents, near-duplicates and queries that stand on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import orjson

from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.repeats import find_known
from umekomi.synthesize.pairs import Split
from umekomi.train.examples import TrainingData
from umekomi.writing import replacing

LeakKind: TypeAlias = Literal["document", "query", "near query", "text", "near text"]

SHOWN_ROWS = 20
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Leak:
    """A row of ``split`` that gives away a row of ``other``, both by their ids; ``shared`` is what they share."""

    kind: LeakKind
    split: Split
    id: str
    other: Split
    other_id: str
    shared: str


def check_leakage(data: TrainingData, *, listing: Path | None = None) -> str:
    """What there is to say of documents, texts and queries that train shares with dev; empty where it shares none.

    All rows, near-duplicates too, go to ``listing``, a JSON Lines file, where it is given. Raises `InvalidInput`,
    whose message holds the first `SHOWN_ROWS` rows, where train or dev share something with test.
    """
    to_test = find_leaks(data)
    to_dev = list(_iter_leaks(data, "train", "dev"))
    if listing is not None:
        _write([*to_test, *to_dev], listing)
    if to_test:
        raise InvalidInput(_refusal(to_test, listing), param="source")
    if not to_dev:
        return ""
    return (
        f"train overlaps with dev in {_count(_by_row(to_dev))}, so dev's scores come out too high: which step and "
        "which alpha are kept may follow what was learned by heart. Test shares nothing with them: the proof holds"
        + (f"; {listing.name} lists them" if listing is not None else "")
    )


def find_leaks(data: TrainingData) -> list[Leak]:
    """Every row of train and dev that shares something with test: one leak for each thing that it shares."""
    return [*_iter_leaks(data, "train", "test"), *_iter_leaks(data, "dev", "test")]


def _write(leaks: Sequence[Leak], listing: Path) -> None:
    if not leaks:
        listing.unlink(missing_ok=True)  # of an earlier run
        return
    with replacing(listing) as file:
        file.writelines(orjson.dumps(asdict(leak), option=orjson.OPT_APPEND_NEWLINE) for leak in leaks)


def _refusal(leaks: Sequence[Leak], listing: Path | None) -> str:
    rows = _by_row(leaks)
    named = "; ".join(_said(mine) for mine in rows[:SHOWN_ROWS])
    if rest := max(0, len(rows) - SHOWN_ROWS):
        named += f"; and {rest} more" + (f" in {listing}" if listing is not None else "")
    return (
        f"train and dev overlap with test in {_count(rows)}, so a test proves nothing; take what is shared out of "
        f"one side, or give one file without splits, which is split by documents. Shared: {named}"
    )


def _by_row(leaks: Sequence[Leak]) -> list[list[Leak]]:
    rows: dict[tuple[str, str], list[Leak]] = {}
    for leak in leaks:
        rows.setdefault((leak.split, leak.id), []).append(leak)
    return list(rows.values())


def _count(rows: Sequence[object]) -> str:
    return f"{len(rows)} {'row' if len(rows) == 1 else 'rows'}"


def _iter_leaks(data: TrainingData, split: Split, other: Split) -> Iterator[Leak]:
    """Documents first, then queries, then texts; the two texts of a scored pair may each be either of another."""
    splits = {"train": data.train, "dev": data.dev, "test": data.test}
    examples, known = splits[split], splits[other]
    documents = {example.document_id: example.id for example in reversed(known) if example.document_id}
    for example in examples:
        if example.document_id in documents:
            shared = example.source or example.document_id
            yield Leak("document", split, example.id, other, documents[example.document_id], shared)
    queries = [(example.id, example.query) for example in known]
    texts = [(example.id, example.positive) for example in known]
    asked = [(example.id, example.query) for example in examples]
    answers = [(example.id, example.positive) for example in examples]
    if data.objective == "similarity":
        sides = [("text", [*asked, *answers], [*queries, *texts])]
    else:
        sides = [("query", asked, queries), ("text", answers, texts)]
    for kind, mine, theirs in sides:
        for row_id, shared, other_id, exact in _iter_shared(mine, theirs):
            yield Leak(_KINDS[kind, exact], split, row_id, other, other_id, shared)


def _iter_shared(
    texts: Sequence[tuple[str, str]], known: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, str, str, bool]]:
    """Row, text, the row that it repeats, and whether to the letter; texts come with the ids of their rows."""
    found = find_known([text for _, text in texts], [text for _, text in known])
    for (row_id, text), first, exact in zip(texts, found.first.tolist(), found.exact.tolist(), strict=True):
        if first >= 0:
            yield row_id, text, known[first][0], exact


def _said(leaks: Sequence[Leak]) -> str:
    """What one row shares: ``train 86 with test 1, the same query and the same text: 'what is …'``."""
    first = leaks[0]
    shared = " ".join(first.shared.split())
    shown = shared if len(shared) <= _SHOWN_CHARACTERS else shared[: _SHOWN_CHARACTERS - 1] + "…"
    kinds = " and ".join(dict.fromkeys(_WORDS[leak.kind] for leak in leaks))
    return f"{_name(first.split, first.id)} with {_name(first.other, first.other_id)}, {kinds}: '{shown}'"


def _name(split: str, row: str) -> str:
    """``train 86``, once where the id itself begins with the split."""
    return row if row.startswith(f"{split} ") else f"{split} {row}"


_KINDS: dict[tuple[str, bool], LeakKind] = {
    ("query", True): "query",
    ("query", False): "near query",
    ("text", True): "text",
    ("text", False): "near text",
}
"""By what is shared, and whether to the letter."""

_WORDS: dict[LeakKind, str] = {
    "document": "the same document",
    "query": "the same query",
    "near query": "nearly the same query",
    "text": "the same text",
    "near text": "nearly the same text",
}
