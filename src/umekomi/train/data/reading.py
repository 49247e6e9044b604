"""What users train on, read: a folder of ``umekomi synthesize``, a folder of splits, or one table."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets import open_table
from umekomi.evaluate.datasets.columns import ColumnRole, check_uses
from umekomi.evaluate.datasets.sources import Files, open_files, split_source
from umekomi.evaluate.datasets.tables import Table, is_table, read_table
from umekomi.evaluate.metrics.repeats import fold
from umekomi.synthesize.corpus import CORPUS
from umekomi.synthesize.output.files import RETRIEVAL, SUMMARY
from umekomi.synthesize.pairs import SPLITS, Split
from umekomi.synthesize.run import LEDGER
from umekomi.train.data.leakage import find_leaks
from umekomi.train.data.passages import passages_of_chunks, passages_of_table, with_missing
from umekomi.train.data.rows import Rows, read_rows
from umekomi.train.data.splitting import split_examples
from umekomi.train.examples import Example, Objective, Passage, TrainingData

MIN_PAIRS = 2
"""Fewest pairs of train: one has nothing to be told from."""

MAX_REPEATS = 64
"""How often one text may stand in train even where that is most of it: two of them are never in one batch."""

_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "dev": ("dev", "validation", "valid", "val"),
    "test": ("test",),
}


@dataclass(slots=True)
class _Reading:
    """What is known on the way; the fields are those of `TrainingData`."""

    source: Path
    splits: dict[Split, list[Example]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    objective: Objective | None = None
    corpus: tuple[Passage, ...] = ()
    digests: dict[str, str] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    advice: str = ""

    def take(self, rows: Rows, name: str) -> tuple[Example, ...]:
        """The examples of one file, the rest noted. Raises `InvalidInput` where they are of another kind."""
        self.objective = self.objective or rows.objective
        if rows.objective != self.objective:
            raise InvalidInput(
                f"{self.source}: {name} holds {_KINDS[rows.objective]}, the file before it "
                f"{_KINDS[self.objective]}; train on one of them",
                param="source",
            )
        self.skipped.update(rows.skipped)
        self.notes.extend(note for note in rows.notes if note not in self.notes)
        return rows.examples


_KINDS: dict[Objective, str] = {"ranking": "queries and their texts", "similarity": "pairs with scores"}


def read_training_data(
    source: Path,
    *,
    seed: int = 0,
    encoding: str | None = None,
    columns: Mapping[str, str] | None = None,
    notify: Callable[[str], None],
) -> TrainingData:
    """The pairs at ``source`` in their splits, with the corpus that they search.

    source    a folder of ``umekomi synthesize``; a folder with train, dev (or validation) and test, each a table;
              or one table (CSV, TSV, JSON Lines, Parquet, XLSX), which is split by documents and near-duplicates
    encoding  of CSV and JSON; found out where None
    columns   column by use (``query``, ``positive``, ``negatives``, ``first``, ``second``, ``score``), where their
              names do not tell
    notify    told what was left out and how the data were read

    Raises `InvalidInput` for a synthesis that is not finished, for a split without pairs, for rows that lack a
    query or a positive, for scores that are no numbers, and where most pairs are of one text.
    """
    named = check_uses(columns or {})
    path, _ = split_source(str(source))
    files = open_files(path, str(path))
    reading = _Reading(path)
    if not path.is_dir():
        _read_file(source, reading, encoding, named)
    elif (path / SUMMARY).is_file():
        _read_synthesis(path, files, reading)
    else:
        _read_folder(path, files, reading, encoding=encoding, columns=named)
    data = _finish(reading)
    for message in _account(data):
        notify(message)
    return data


def _read_file(source: Path, reading: _Reading, encoding: str | None, columns: Mapping[ColumnRole, str]) -> None:
    reading.digests[reading.source.name] = _digest(reading.source)
    rows = read_rows(open_table(str(source), encoding=encoding), columns=columns)
    examples = _with_unique_ids(_without_vain_documents(reading.take(rows, reading.source.name)), reading)
    _check_repeats(reading, examples)
    reading.splits, clusters = split_examples(examples)
    reading.notes.append(f"split by documents and near-duplicates: {clusters} clusters of {len(examples)} pairs")
    reading.advice = (
        f"its {len(examples)} pairs make {clusters} clusters that share no document and no text; give pairs of at "
        "least three, or a folder with train, dev and test"
    )


def _read_folder(
    path: Path, files: Files, reading: _Reading, *, encoding: str | None, columns: Mapping[ColumnRole, str]
) -> None:
    if (path / LEDGER).exists():
        raise InvalidInput(
            f"{path}: no {SUMMARY}, so the synthesis is still being written or ended early; run the same "
            "umekomi synthesize again, it goes on where it stopped",
            param="source",
        )
    found = {split: _find(files, names) for split, names in _NAMES.items()}
    train = found["train"]
    if train is None:
        there = ", ".join(list(files.names())[:5]) or "nothing"
        raise InvalidInput(
            f"{path}: no train.jsonl, .csv, .tsv, .parquet or .xlsx in it; there is {there}", param="source"
        )
    if found["dev"] is None and found["test"] is None:
        _read_file(path / train, reading, encoding, columns)
        return
    for split, name in found.items():
        if name is None:
            raise InvalidInput(
                f"{path}: no {split} beside {train}; add {split}.jsonl, or give {path / train} alone: it is then "
                "split by documents",
                param="source",
            )
        table = _read_table(files, name, encoding)
        reading.digests[name] = _digest(path / name)
        reading.splits[split] = list(reading.take(read_rows(table, columns=columns), name)) if table else []
    if (name := _find(files, ("corpus",))) is not None and (
        table := _read_table(files, name, encoding)
    ) is not None:
        reading.digests[name] = _digest(path / name)
        reading.corpus = passages_of_table(table)
    _unify_ids(reading)
    reading.advice = f"fill it, or give {path / train} alone: it is then split by documents"


def _read_synthesis(path: Path, files: Files, reading: _Reading) -> None:
    summary = _read_summary(path)
    for split in SPLITS:
        name = f"{split}.jsonl"
        if name not in files.names():
            raise InvalidInput(f"{path}: no {name} beside {SUMMARY}; run umekomi synthesize again", param="source")
        table = _read_table(files, name, None)
        reading.digests[name] = _digest(path / name)
        reading.splits[split] = list(reading.take(read_rows(table, columns={}), name)) if table else []
    _read_chunks(path, files, reading, summary)
    _unify_ids(reading)
    if _read_summary(path) != summary:
        raise InvalidInput(f"{path}: it was written while it was read; try again when the synthesis has ended")
    _leave_out_own_leaks(reading, summary)
    reading.advice = "run umekomi synthesize on at least three documents that are no near-duplicates of one another"


def _read_chunks(path: Path, files: Files, reading: _Reading, summary: Mapping[str, Any]) -> None:
    """The corpus with its documents and offsets; where it is gone, what the retrieval folder has of it."""
    chunks = path / str(summary.get("corpus") or CORPUS)
    copy = f"{RETRIEVAL}/{CORPUS}"
    if chunks.is_file():
        reading.corpus = passages_of_chunks(chunks)
        reading.digests[chunks.name] = _digest(chunks)
    elif copy in files.names():
        table = _read_table(files, copy, None)
        reading.corpus = passages_of_table(table) if table else ()
        reading.digests[copy] = _digest(path / copy)
        reading.notes.append(f"{chunks} is gone: which chunks are neighbours is not known")
    else:
        reading.notes.append(f"neither {chunks} nor {copy} is there: the corpus is the texts of the pairs")


def _leave_out_own_leaks(reading: _Reading, summary: Mapping[str, Any]) -> None:
    """Leave out pairs that nearly repeat a text of test, where the synthesis itself put both where they are.

    It parts documents; a page that two documents share stays on both sides. Rows that somebody moved or added are
    left for `check_leakage` to refuse.
    """
    splits = summary.get("splits")
    own = splits if isinstance(splits, dict) else {}
    texts = {passage.id: passage.text for passage in reading.corpus}
    data = _build(reading)
    mended: dict[Split, set[str]] = {"train": set(), "dev": set(), "test": set()}
    kinds: dict[tuple[str, str], set[str]] = {}
    for leak in find_leaks(data):
        kinds.setdefault((leak.split, leak.id), set()).add(leak.kind)
    for split in ("train", "dev"):
        for example in reading.splits[split]:
            leaked = kinds.get((split, example.id), set())
            is_own = own.get(example.document_id) == split and texts.get(example.chunk_id) == example.positive
            if leaked and is_own and not leaked & {"document", "query"}:
                mended[split].add(example.id)
    for split, ids in mended.items():
        reading.splits[split] = [example for example in reading.splits[split] if example.id not in ids]
        if ids:
            reading.skipped["pair that nearly repeats one of test"] += len(ids)


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


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror or error}", param="source") from None


def _without_vain_documents(examples: Sequence[Example]) -> list[Example]:
    """Without documents that are the same for every row: the name of a data set, say."""
    if len({example.document_id for example in examples}) > 1:
        return list(examples)
    return [replace(example, document_id="") for example in examples]


def _with_unique_ids(examples: Sequence[Example], reading: _Reading) -> list[Example]:
    if len({example.id for example in examples}) == len(examples):
        return list(examples)
    reading.notes.append("pairs are counted: their ids repeat")
    return [replace(example, id=str(number)) for number, example in enumerate(examples, start=1)]


def _unify_ids(reading: _Reading) -> None:
    for split, examples in reading.splits.items():
        reading.splits[split] = _with_unique_ids(examples, reading)
    ids = [example.id for examples in reading.splits.values() for example in examples]
    if len(set(ids)) < len(ids):
        for split, examples in reading.splits.items():
            reading.splits[split] = [replace(example, id=f"{split} {example.id}") for example in examples]


def _check_repeats(reading: _Reading, train: Sequence[Example]) -> None:
    if reading.objective != "ranking" or not train:
        return
    for what, texts in (("query", [each.query for each in train]), ("positive", [each.positive for each in train])):
        folded, times = Counter(map(fold, texts)).most_common(1)[0]
        if times > max(MAX_REPEATS, len(train) / 2):
            text = next(text for text in texts if fold(text) == folded)
            shown = text if len(text) <= 60 else text[:59] + "…"
            raise InvalidInput(
                f"{reading.source}: the {what} '{shown}' stands in {times} of {len(train)} pairs; two of one text "
                "are never in a batch, so most pairs would be alone in theirs; leave most of them out",
                param="source",
            )


def _finish(reading: _Reading) -> TrainingData:
    left_out = "".join(f"; {count} left out: {reason}" for reason, count in reading.skipped.items() if count)
    empty = [split for split in SPLITS if not reading.splits[split]]
    if empty:
        raise InvalidInput(
            f"{reading.source}: no pairs in {' and '.join(empty)}; {reading.advice}{left_out}", param="source"
        )
    if len(reading.splits["train"]) < MIN_PAIRS:
        raise InvalidInput(
            f"{reading.source}: 1 pair in train; training needs at least {MIN_PAIRS}{left_out}", param="source"
        )
    _check_repeats(reading, reading.splits["train"])
    _leave_out_tested_negatives(reading)
    every = [example for split in SPLITS for example in reading.splits[split]]
    if reading.objective == "ranking":
        given = bool(reading.corpus)
        reading.corpus, missing = with_missing(reading.corpus, every)
        if given and missing:
            reading.notes.append(f"{missing} positives were not in the corpus and were added to it")
    return _build(reading)


def _leave_out_tested_negatives(reading: _Reading) -> None:
    """Leave out negatives of train that answer a query of dev or test: they would be learned as wrong."""
    tested = {fold(example.positive) for split in ("dev", "test") for example in reading.splits[split]}
    kept = []
    for example in reading.splits["train"]:
        negatives = tuple(text for text in example.negatives if fold(text) not in tested)
        if lost := len(example.negatives) - len(negatives):
            reading.skipped["negative that is a text of dev or test"] += lost
        kept.append(replace(example, negatives=negatives))
    reading.splits["train"] = kept


def _build(reading: _Reading) -> TrainingData:
    return TrainingData(
        objective=reading.objective or "ranking",
        train=tuple(reading.splits["train"]),
        dev=tuple(reading.splits["dev"]),
        test=tuple(reading.splits["test"]),
        corpus=reading.corpus,
        digests=reading.digests,
        skipped={reason: count for reason, count in reading.skipped.items() if count},
        notes=tuple(reading.notes),
    )


def _account(data: TrainingData) -> list[str]:
    return [*(f"{count} left out: {reason}" for reason, count in data.skipped.items()), *data.notes]
