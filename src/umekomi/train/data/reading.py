"""`read_training_data`: a folder of ``umekomi synthesize``, a folder of splits, or a table, as training data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from umekomi.evaluate.datasets import open_table
from umekomi.evaluate.datasets.columns import check_uses
from umekomi.evaluate.datasets.sources import open_files, split_source
from umekomi.synthesize.output.files import SUMMARY
from umekomi.train.data.folders import find_lone_train, read_folder, read_synthesis
from umekomi.train.data.gathering import Gathered, with_own_ids
from umekomi.train.data.rows import read_rows
from umekomi.train.data.splitting import split_examples
from umekomi.train.examples import TrainingData


def read_training_data(
    source: Path,
    *,
    columns: Mapping[str, str] = MappingProxyType({}),
    encoding: str | None = None,
    notify: Callable[[str], None],
) -> TrainingData:
    """The pairs at ``source`` in their splits, with the corpus that they search.

    source    a folder of ``umekomi synthesize``; a folder with train, dev (or validation) and test, each a table;
              or one table (CSV, TSV, JSON Lines, JSON, Parquet, XLSX, also in .zip or .gz; ``#`` names a member),
              which is split by documents and near-duplicates. Splits owe to the content alone, not to any seed:
              whoever trains again with another one is tested on the same pairs
    columns   of tables by their use, as in an evaluation: query, positive, negatives, first, second, score, group,
              id; the others are known by their names
    encoding  of CSV and JSON; found out where None
    notify    told what was left out and how the data were read

    Raises `InvalidInput` for a synthesis that is not finished, for a split without pairs, for rows that lack a
    query or a positive, for scores that are no numbers, and where most pairs are of one text; `MissingExtra`.
    """
    path, _ = split_source(str(source))
    files = open_files(path, str(path))
    gathered = Gathered(path, named=check_uses(columns))
    if not path.is_dir():
        _read_file(str(source), gathered, encoding)
    elif (path / SUMMARY).is_file():
        read_synthesis(files, gathered)
    elif (train := find_lone_train(files, path)) is not None:
        _read_file(str(path / train), gathered, encoding)
    else:
        read_folder(files, gathered, encoding)
    data = gathered.finish()
    for reason, count in data.skipped.items():
        notify(f"{path}: {count} left out: {reason}")
    for note in data.notes:
        notify(f"{path}: {note}")
    return data


def _read_file(source: str, gathered: Gathered, encoding: str | None) -> None:
    path, _ = split_source(source)
    gathered.note_digest(path, path.name)
    rows = read_rows(open_table(source, encoding=encoding), known={}, named=gathered.named)
    examples = with_own_ids(gathered, gathered.take(rows, path.name))
    if len({example.document_id for example in examples}) == 1 and examples[0].document_id:
        gathered.notes.append(f"every row is of '{examples[0].document_id}': pairs are split by their texts alone")
        examples = [replace(example, document_id="") for example in examples]
    gathered.check_repeats(examples)
    gathered.splits, clusters = split_examples(examples)
    gathered.notes.append(f"split by documents and near-duplicates: {clusters} clusters of {len(examples)} pairs")
    gathered.advice = (
        f"clusters of pairs that share a document or a text: {clusters}, pairs: {len(examples)}; give pairs of at "
        "least three documents or texts, or a folder with train, dev and test"
    )
