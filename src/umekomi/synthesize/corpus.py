"""The corpus that documents become: chunks in corpus.jsonl, built from documents or read back where it is given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from umekomi.documents import Chunk, Place, TokenCounter
from umekomi.documents.corpus.run import CorpusReport, build_corpus
from umekomi.errors import InvalidInput
from umekomi.synthesize.splits import SplitDocument

CORPUS = "corpus.jsonl"


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
    if len(paths) == 1 and paths[0].suffix.lower() == ".jsonl" and paths[0].is_file():
        corpus = read_corpus(paths[0])
    else:
        report = build_corpus(paths, folder / CORPUS, counter, progress=progress)
        corpus = replace(read_corpus(report.output), report=report)
    if not corpus.chunks:
        raise InvalidInput(f"no text was found in {', '.join(map(str, paths))}; see documents.json for each file")
    return corpus


def read_corpus(path: Path) -> Corpus:
    """The corpus in ``path``. Raises `InvalidInput` naming the line for what is no chunk."""
    try:
        return Corpus(tuple(_iter_chunks(path)), path.resolve())
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror or error}") from None


def _iter_chunks(path: Path) -> Iterator[Chunk]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = orjson.loads(line)
                yield Chunk(
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
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                raise InvalidInput(
                    f"{path}, line {number}: no chunk as umekomi documents read writes it ({error})"
                ) from None
