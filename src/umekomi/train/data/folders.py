"""Folders with train, dev and test: those that ``umekomi synthesize`` wrote, and those of users."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets.sources import Files
from umekomi.evaluate.datasets.tables import Table, is_table, read_table
from umekomi.synthesize.corpus import CORPUS
from umekomi.synthesize.output.files import REJECTED, RETRIEVAL, SUMMARY
from umekomi.synthesize.pairs import SPLITS, Split
from umekomi.synthesize.run import LEDGER
from umekomi.train.data.gathering import Gathered, with_own_ids
from umekomi.train.data.leakage import find_leaks
from umekomi.train.data.passages import passages_of_chunks, passages_of_table
from umekomi.train.data.rows import read_rows

_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "dev": ("dev", "validation", "valid", "val"),
    "test": ("test",),
}

_COPY = f"{RETRIEVAL}/{CORPUS}"
"""The chunks of a synthesis once more, as an evaluation reads them: without documents and offsets."""


def find_lone_train(files: Files, path: Path) -> str | None:
    """The table train of a user's folder that has neither dev nor test; None where there are splits.

    Raises `InvalidInput` for a folder without a train, and for a synthesis that is not finished.
    """
    for trace in (LEDGER, REJECTED):
        if (path / trace).exists():
            raise InvalidInput(
                f"{path}: no {SUMMARY} beside {trace}: the synthesis is still being written, or ended early; run "
                "the same umekomi synthesize again, it goes on where it stopped",
                param="source",
            )
    train = _find(files, _NAMES["train"])
    if train is None:
        there = ", ".join(list(files.names())[:5]) or "nothing"
        raise InvalidInput(
            f"{path}: no train.jsonl, .csv, .tsv, .parquet or .xlsx in it; there is {there}", param="source"
        )
    return train if all(_find(files, _NAMES[split]) is None for split in ("dev", "test")) else None


def read_folder(files: Files, gathered: Gathered, encoding: str | None) -> None:
    """Read a user's splits, and the corpus where there is one. Raises `InvalidInput` where a split has no file."""
    gathered.advice = "fill the file, or give the file train alone: it is then split by documents"
    copy = _COPY if _COPY in files.names() else None
    if (name := _find(files, ("corpus",)) or copy) is not None:
        table = _read_table(files, name, encoding)
        gathered.note_digest(gathered.source / name, name)
        gathered.corpus = passages_of_table(table) if table else ()
    for split, names in _NAMES.items():
        name = _find(files, names)
        if name is None:
            raise InvalidInput(
                f"{gathered.source}: no {split}.jsonl, .csv, .tsv, .parquet or .xlsx in it; add it, or give the "
                "file train alone: it is then split by documents",
                param="source",
            )
        _read_split(files, gathered, split, name, encoding=encoding)
    _place_chunks(gathered)
    _part_ids(gathered)


def read_synthesis(files: Files, gathered: Gathered) -> None:
    """Read what ``umekomi synthesize`` wrote. Raises `InvalidInput` where it is not whole, or changes meanwhile."""
    gathered.advice = (
        "run umekomi synthesize on at least three documents that are no near-duplicates of one another"
    )
    summary = _read_summary(gathered.source)
    _read_chunks(files, gathered, summary)
    for split in SPLITS:
        name = f"{split}.jsonl"
        if name not in files.names():
            raise InvalidInput(
                f"{gathered.source}: no {name} beside {SUMMARY}; run umekomi synthesize again", param="source"
            )
        _read_split(files, gathered, split, name, encoding=None)
    _place_chunks(gathered)
    _part_ids(gathered)
    if _read_summary(gathered.source) != summary:
        raise InvalidInput(
            f"{gathered.source}: it was written while it was read; try again when the synthesis has ended",
            param="source",
        )
    _leave_out_own_leaks(gathered, summary)


def _read_split(
    files: Files,
    gathered: Gathered,
    split: Split,
    name: str,
    *,
    encoding: str | None,
) -> None:
    table = _read_table(files, name, encoding)
    gathered.note_digest(gathered.source / name, name)
    if table is not None:
        known = {passage.id: passage for passage in gathered.corpus}
        examples = gathered.take(read_rows(table, known=known, named=gathered.named), name)
        gathered.splits[split] = with_own_ids(gathered, examples)


def _read_chunks(files: Files, gathered: Gathered, summary: Mapping[str, Any]) -> None:
    """The corpus with its documents and offsets; where it is gone, what the retrieval folder has of it."""
    chunks = gathered.source / str(summary.get("corpus") or CORPUS)
    if chunks.is_file():
        gathered.corpus = passages_of_chunks(chunks)
        gathered.note_digest(chunks, chunks.name)
    elif _COPY in files.names():
        table = _read_table(files, _COPY, None)
        gathered.note_digest(gathered.source / _COPY, _COPY)
        gathered.corpus = passages_of_table(table) if table else ()
        gathered.notes.append(f"{chunks.name} is gone: which chunks are neighbours is not known")
    else:
        gathered.notes.append(f"neither {chunks.name} nor {_COPY} is there: the corpus is the texts of the pairs")


def _place_chunks(gathered: Gathered) -> None:
    """Give chunks whose document is not known, as in the copy, that of their pairs."""
    documents = {each.chunk_id: each.document_id for split in SPLITS for each in gathered.splits[split]}
    gathered.corpus = tuple(
        passage if passage.document_id else replace(passage, document_id=documents.get(passage.id, ""))
        for passage in gathered.corpus
    )


def _leave_out_own_leaks(gathered: Gathered, summary: Mapping[str, Any]) -> None:
    """Leave out pairs that repeat a text of test where the synthesis itself put both where they are.

    It parts documents; a page that two of them share stays on both sides. Rows that somebody moved or added are
    left for `check_leakage` to refuse.
    """
    given = summary.get("splits")
    assigned = given if isinstance(given, dict) else {}
    texts = {passage.id: passage.text for passage in gathered.corpus}
    kinds: dict[tuple[str, str], set[str]] = defaultdict(set)
    for leak in find_leaks(gathered.build()):
        kinds[leak.split, leak.id].add(leak.kind)
    sides: tuple[Split, ...] = ("train", "dev")
    for split in sides:
        kept = []
        for example in gathered.splits[split]:
            leaked = kinds.get((split, example.id), set())
            own = assigned.get(example.document_id) == split and texts.get(example.chunk_id) == example.positive
            if not leaked or not own or leaked & {"document", "query"}:
                kept.append(example)
        gathered.skipped["pair that repeats a text of test"] += len(gathered.splits[split]) - len(kept)
        gathered.splits[split] = kept


def _part_ids(gathered: Gathered) -> None:
    """Let no id stand in two splits: the split's name comes before all of them where one would."""
    ids = [example.id for examples in gathered.splits.values() for example in examples]
    if len(set(ids)) < len(ids):
        for split, examples in gathered.splits.items():
            gathered.splits[split] = [replace(example, id=f"{split} {example.id}") for example in examples]


def _read_summary(path: Path) -> dict[str, Any]:
    try:
        content = json.loads((path / SUMMARY).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{path / SUMMARY}: cannot be read: {error}; run umekomi synthesize again", param="source"
        ) from None
    if not isinstance(content, dict):
        raise InvalidInput(f"{path / SUMMARY}: no summary of umekomi synthesize", param="source")
    return content


def _find(files: Files, names: Sequence[str]) -> str | None:
    """The one table of the folder with one of ``names``."""
    found = [name for name in files.names() if "/" not in name and is_table(name) and name.split(".")[0] in names]
    if len(found) > 1:
        raise InvalidInput(f"{files.name}: {' and '.join(found)} are the same split; keep one", param="source")
    return found[0] if found else None


def _read_table(files: Files, name: str, encoding: str | None) -> Table | None:
    """None for a file without a row."""
    content = files.read(name)
    return read_table(files.where(name), content, encoding=encoding) if content.strip() else None
