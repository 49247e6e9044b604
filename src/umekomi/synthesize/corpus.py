"""The corpus that documents become: chunks in corpus.jsonl, built from documents or read back where it is given."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from umekomi.documents import Chunk, Place, TokenCounter
from umekomi.documents.corpus.run import CorpusReport, build_corpus
from umekomi.errors import InvalidInput
from umekomi.synthesize.splits import SplitDocument

CORPUS = "corpus.jsonl"

_ID = re.compile(r"[\w-]{1,200}", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Chunks in the order of the corpus, and how the files ended that they come from (None for a given corpus)."""

    chunks: tuple[Chunk, ...]
    path: Path
    report: CorpusReport | None = None

    @property
    def texts(self) -> dict[str, str]:
        """Text of every chunk by identifier."""
        return {chunk.id: chunk.text for chunk in self.chunks}

    def documents(self, weights: Mapping[str, int]) -> list[SplitDocument]:
        """Every document with its whole text. ``weights``: pairs wanted from it, by identifier."""
        parts: dict[str, list[Chunk]] = defaultdict(list)
        for chunk in self.chunks:
            parts[chunk.document_id].append(chunk)
        return [
            SplitDocument(name, chunks[0].source, "\n".join(chunk.text for chunk in chunks), weights.get(name, 0))
            for name, chunks in parts.items()
        ]


def open_corpus(
    paths: Sequence[Path], folder: Path, counter: TokenCounter, *, progress: Callable[[int], None]
) -> Corpus:
    """The corpus of ``paths``: read from documents into ``folder``, or the one .jsonl file that was given.

    Raises what `build_corpus` raises, and `InvalidInput` for a corpus without chunks.
    """
    if (given := given_corpus(paths)) is not None:
        corpus = read_corpus(given)
    else:
        report = build_corpus(paths, folder / CORPUS, counter, progress=progress)
        corpus = replace(read_corpus(report.output), report=report)
    if not corpus.chunks:
        raise InvalidInput(f"no text was found in {', '.join(map(str, paths))}; see documents.json for each file")
    return corpus


def given_corpus(paths: Sequence[Path]) -> Path | None:
    """The one .jsonl file that was given; None where documents were."""
    given = len(paths) == 1 and paths[0].suffix.lower() == ".jsonl" and paths[0].is_file()
    return paths[0] if given else None


def read_corpus(path: Path) -> Corpus:
    """The corpus in ``path``. Raises `InvalidInput` naming the line for what is no chunk."""
    try:
        chunks = tuple(_iter_chunks(path))
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror or error}") from None
    seen: dict[str, int] = {}
    for number, chunk in enumerate(chunks, start=1):
        if seen.setdefault(chunk.id, number) != number:
            raise InvalidInput(
                f"{path}, line {number}: the id '{chunk.id}' stands in line {seen[chunk.id]} already"
            )
    return Corpus(chunks, path.resolve())


def _iter_chunks(path: Path) -> Iterator[Chunk]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield _chunk_of(orjson.loads(line))
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                raise InvalidInput(
                    f"{path}, line {number}: no chunk as umekomi documents read writes it ({error})"
                ) from None


def _chunk_of(row: Any) -> Chunk:
    """Raises `KeyError` and `TypeError` for what is no chunk."""
    chunk = Chunk(
        id=row["id"],
        document_id=row["document_id"],
        source=row["source"],
        text=row["text"],
        kind=row["kind"],
        start=row["start"],
        end=row["end"],
        place=Place(row["page"], row["raw_start"]),
        stop=Place(row["end_page"], row["raw_end"]),
        tokens=row["tokens"],
        language=row["language"],
        headings=tuple(row["headings"]),
    )
    for name in ("id", "document_id", "source", "text", "language"):
        if not isinstance(row[name], str):
            raise TypeError(f"its {name} is no text")
    for name in ("start", "end", "tokens"):
        if type(row[name]) is not int or row[name] < 0:
            raise TypeError(f"its {name} is no whole number")
    if chunk.place.page is not None and type(chunk.place.page) is not int:
        raise TypeError("its page is no whole number")
    if not _ID.fullmatch(chunk.id):  # it stands in tables whose columns are parted by tabs
        raise TypeError("its id holds something else than letters, digits, - and _")
    return chunk
