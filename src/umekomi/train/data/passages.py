"""The corpus of a training: what queries search, and what negatives are mined from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets.cells import label_of, text_of
from umekomi.evaluate.datasets.tables import Table
from umekomi.evaluate.metrics.repeats import fold
from umekomi.synthesize.corpus import read_corpus
from umekomi.synthesize.pairs import build_id
from umekomi.train.examples import Example, Passage

_ID = ("_id", "id")


def passages_of_chunks(path: Path) -> tuple[Passage, ...]:
    """The chunks of a corpus.jsonl as ``umekomi documents read`` writes it. Raises `InvalidInput`."""
    return tuple(
        Passage(chunk.id, chunk.text, chunk.document_id, chunk.start) for chunk in read_corpus(path).chunks
    )


def passages_of_table(table: Table) -> tuple[Passage, ...]:
    """The texts of a table with ``id`` or ``_id`` and ``text``, as BEIR names them. Raises `InvalidInput`."""
    key = next((column for column in _ID if column in table.columns), None)
    if key is None or "text" not in table.columns:
        raise InvalidInput(f"{table.name}: a corpus needs the columns id and text", param="source")
    passages: dict[str, Passage] = {}
    for index, row in enumerate(table.rows):
        where = table.where(index)
        name, text = label_of(row.get(key), where), text_of(row.get("text"), where)
        if name is None or name in passages:
            problem = "no id" if name is None else f"the id '{name}' comes twice"
            raise InvalidInput(f"{where}: {problem}; give every text an id of its own", param="source")
        if text is not None:
            title = text_of(row.get("title"), where)
            document = label_of(row.get("document_id"), where) or ""
            start = row.get("start")
            place = start if type(start) is int else None
            passages[name] = Passage(name, f"{title} {text}" if title else text, document, place)
    return tuple(passages.values())


def with_missing(corpus: Sequence[Passage], examples: Iterable[Example]) -> tuple[tuple[Passage, ...], int]:
    """``corpus`` and, after it, every positive and negative that it lacks; and how many positives those were."""
    known = {fold(passage.text) for passage in corpus}
    names = {passage.id for passage in corpus}
    added, missing = [], 0
    for passage, positive in _iter_passages(examples):
        if (key := fold(passage.text)) in known:
            continue
        name = passage.id if passage.id and passage.id not in names else build_id("text", passage.text)
        known.add(key)
        names.add(name)
        missing += positive
        added.append(Passage(name, passage.text, passage.document_id))
    return (*corpus, *added), missing


def _iter_passages(examples: Iterable[Example]) -> Iterator[tuple[Passage, bool]]:
    """Positives before negatives, so that a text that is both keeps its identifiers."""
    examples = list(examples)
    positives = ((Passage(each.chunk_id, each.positive, each.document_id), True) for each in examples)
    negatives = ((Passage("", text), False) for each in examples for text in each.negatives)
    return chain(positives, negatives)
