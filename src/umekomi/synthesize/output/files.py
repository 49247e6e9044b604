"""Pairs to files: train, dev and test, the notebook's table, a retrieval folder, and what was left out and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from umekomi.documents import Chunk
from umekomi.errors import InvalidInput, StoreError
from umekomi.synthesize.pairs import SPLITS, Pair, Rejection, Split
from umekomi.writing import replacing

PAIRS_JSON = "pairs.json"
REJECTED = "rejected.jsonl"
SUMMARY = "synthesis.json"
RETRIEVAL = "retrieval"
LOCK = "run"
"""``run.lock`` is held by whoever writes into the folder."""

_LINE = orjson.OPT_APPEND_NEWLINE


def begin_writing(folder: Path) -> None:
    """Take synthesis.json away: until it stands there again, the other files may be of two runs. `StoreError`."""
    try:
        (folder / SUMMARY).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{folder / SUMMARY}: cannot be replaced: {error.strerror or error}") from None


def write_splits(folder: Path, pairs: Iterable[Pair], splits: Mapping[str, Split]) -> dict[Split, int]:
    """Write train.jsonl, dev.jsonl and test.jsonl, one pair a line; returns how many each holds.

    Raises `StoreError` where ``folder`` cannot be written; each file is whole or as it was.
    """
    by_split: dict[Split, list[Pair]] = {split: [] for split in SPLITS}
    for pair in pairs:
        by_split[splits[pair.document_id]].append(pair)
    for split, mine in by_split.items():
        with replacing(folder / f"{split}.jsonl") as file:
            file.writelines(orjson.dumps(pair_row(pair), option=_LINE) for pair in mine)
    return {split: len(mine) for split, mine in by_split.items()}


def write_pairs_json(folder: Path, pairs: Sequence[Pair]) -> None:
    """Write the notebook's table: id, doc, question, answer."""
    rows = [{"id": p.id, "doc": p.positive, "question": p.query, "answer": p.answer or ""} for p in pairs]
    with replacing(folder / PAIRS_JSON) as file:
        file.write(json.dumps(rows, ensure_ascii=False, indent=2).encode() + b"\n")


def write_retrieval(
    folder: Path, pairs: Sequence[Pair], chunks: Sequence[Chunk], splits: Mapping[str, Split]
) -> None:
    """Write ``retrieval/`` in BEIR's layout: every chunk as the corpus, and the queries of each split.

    The whole corpus is searched for every split, as a user would.
    """
    root = folder / RETRIEVAL
    (root / "qrels").mkdir(parents=True, exist_ok=True)
    with replacing(root / "corpus.jsonl") as file:
        for chunk in chunks:
            file.write(orjson.dumps({"_id": chunk.id, "title": "", "text": chunk.text}, option=_LINE))
    with replacing(root / "queries.jsonl") as file:
        for pair in pairs:
            metadata = {"source": pair.source, "page": pair.page, "style": pair.style, "origin": pair.origin}
            row = {"_id": pair.id, "text": pair.query, "metadata": metadata}
            file.write(orjson.dumps(row, option=_LINE))
    for split in SPLITS:
        with replacing(root / "qrels" / f"{split}.tsv") as file:
            file.write(b"query-id\tcorpus-id\tscore\n")
            for pair in pairs:
                if splits[pair.document_id] == split:
                    file.write(f"{pair.id}\t{pair.chunk_id}\t1\n".encode())


def write_rejections(folder: Path, rejections: Iterable[Rejection]) -> None:
    """Write rejected.jsonl: every pair that a filter took out, by which filter and why."""
    with replacing(folder / REJECTED) as file:
        for each in rejections:
            row = {"filter": each.filter, "evidence": each.evidence, **pair_row(each.pair)}
            file.write(orjson.dumps(row, option=_LINE))


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write synthesis.json, last of all: where it stands, the other files belong together."""
    with replacing(folder / SUMMARY) as file:
        file.write(json.dumps(summary, ensure_ascii=False, indent=2).encode() + b"\n")


def read_pairs(folder: Path) -> dict[Split, list[Pair]]:
    """The pairs of a finished synthesis by split. Raises `InvalidInput` where there is none."""
    found: dict[Split, list[Pair]] = {}
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise InvalidInput(f"{path}: {error.strerror or error}; run umekomi synthesize first") from None
        try:
            found[split] = [_pair_of(orjson.loads(line)) for line in lines]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise InvalidInput(f"{path}: no pairs of umekomi synthesize: {error}") from None
    return found


def read_rejections(folder: Path) -> list[Rejection]:
    """What filters took out, as `write_rejections` wrote it. Raises `InvalidInput`."""
    path = folder / REJECTED
    try:
        rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        return [Rejection(_pair_of(row), row["filter"], row["evidence"]) for row in rows]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path}: cannot be read: {error}; run umekomi synthesize again") from None


def pair_row(pair: Pair) -> dict[str, Any]:
    """A pair as a line of the splits has it."""
    return {
        "id": pair.id,
        "query": pair.query,
        "positive": pair.positive,
        "chunk_id": pair.chunk_id,
        "document_id": pair.document_id,
        "source": pair.source,
        "page": pair.page,
        "style": pair.style,
        "language": pair.language,
        "origin": pair.origin,
        "answer": pair.answer,
    }


def _pair_of(row: Mapping[str, Any]) -> Pair:
    return Pair(**{name: row[name] for name in Pair.__dataclass_fields__})
