"""Folders as ``umekomi synthesize`` leaves them, written by its own writers from made-up documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import orjson

from umekomi.documents import Chunk, Place
from umekomi.documents.corpus.records import chunk_line
from umekomi.synthesize.output.files import write_rejections, write_retrieval, write_splits, write_summary
from umekomi.synthesize.pairs import Pair, Split, build_id
from umekomi.synthesize.splits import SplitDocument, assign_splits

_STEMS = ("kor", "vel", "min", "tas", "ruo", "pel", "shi", "dag", "om", "zin", "fra", "lue", "bek", "nor")


def made_up_text(seed: int, words: int = 30) -> str:
    """Words that no other seed puts in this order."""
    draws = np.random.default_rng([seed, 7])
    return " ".join("".join(draws.choice(_STEMS, 3)) for _ in range(words))


def made_up_chunks(documents: int, *, chunks: int = 4) -> list[Chunk]:
    """Chunks of so many documents, in order."""
    return [
        _chunk(f"doc{document}", part, made_up_text(1000 * document + part))
        for document in range(documents)
        for part in range(chunks)
    ]


def _chunk(document: str, part: int, text: str) -> Chunk:
    start = 1000 * part
    return Chunk(
        id=build_id("chunk", document, str(part)),
        document_id=document,
        source=f"reports/{document}.pdf",
        text=text,
        kind="text",
        start=start,
        end=start + len(text),
        place=Place(part + 1, 0),
        stop=Place(part + 1, len(text)),
        tokens=len(text) // 3,
        language="en",
    )


def write_synthesis(folder: Path, chunks: Sequence[Chunk], *, queries: int = 2) -> dict[str, Split]:
    """A finished synthesis with so many queries for each chunk; returns the split of each document."""
    folder.mkdir(parents=True, exist_ok=True)
    weights: dict[str, list[Chunk]] = {}
    for chunk in chunks:
        weights.setdefault(chunk.document_id, []).append(chunk)
    splits = assign_splits(
        [
            SplitDocument(name, mine[0].source, "\n".join(chunk.text for chunk in mine), len(mine))
            for name, mine in weights.items()
        ]
    )
    pairs = [_pair(chunk, number) for chunk in chunks for number in range(queries)]
    with (folder / "corpus.jsonl").open("wb") as file:
        file.writelines(orjson.dumps(chunk_line(chunk), option=orjson.OPT_APPEND_NEWLINE) for chunk in chunks)
    write_retrieval(folder, pairs, chunks, splits)
    write_rejections(folder, [])
    counts = write_splits(folder, pairs, splits)
    write_summary(
        folder, {"schema": "umekomi-synthesis-1", "corpus": "corpus.jsonl", "splits": splits, "pairs": counts}
    )
    return splits


def _pair(chunk: Chunk, number: int) -> Pair:
    words = chunk.text.split()
    return Pair(
        id=build_id("pair", chunk.id, str(number)),
        query=" ".join([*words[number : number + 5], chunk.document_id]),
        positive=chunk.text,
        chunk_id=chunk.id,
        document_id=chunk.document_id,
        source=chunk.source,
        page=chunk.place.page,
        style="question",
        language="en",
    )


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """A JSON Lines file."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Told:
    """A watch that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.done = 0

    @contextmanager
    def stage(self, title: str, *, total: int) -> Iterator[Callable[[int], None]]:
        def advance(count: int) -> None:
            self.done += count

        yield advance

    def notify(self, message: str) -> None:
        self.messages.append(message)
