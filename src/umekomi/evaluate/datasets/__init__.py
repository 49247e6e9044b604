"""`open_task`: what users have (a table, a folder, an archive, a sample's name) as a task, without code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets.building import Notes, build_labels, build_pairs
from umekomi.evaluate.datasets.columns import ColumnRole, Plan, check_uses, plan_columns
from umekomi.evaluate.datasets.description import read_description
from umekomi.evaluate.datasets.folders import build_from_folder, find_layouts
from umekomi.evaluate.datasets.retrieval import build_retrieval
from umekomi.evaluate.datasets.samples import SAMPLES
from umekomi.evaluate.datasets.sources import Files, open_files, split_source
from umekomi.evaluate.datasets.tables import Table, is_table, join_tables, read_table, without_shard
from umekomi.evaluate.tasks import Task, TaskKind

__all__ = ["open_table", "open_task"]


def open_task(
    source: str,
    *,
    text: str | None = None,
    label: str | None = None,
    group: str | None = None,
    columns: Mapping[str, str] | None = None,
    kind: TaskKind | None = None,
    name: str | None = None,
    encoding: str | None = None,
) -> Task:
    """The task that ``source`` holds.

    source    a .csv, .tsv, .jsonl, .json, .parquet or .xlsx file, also inside .zip or .gz; a folder or .zip in the
              layout of BEIR or NanoBEIR; the name of a sample. ``#`` names a part: a member of an archive
              (``set.zip#test.csv``), a split of a folder (``scifact#dev``)
    text, label, group  columns of a table; guessed from names and contents where None, as ``origin.guessed`` says
    columns   these and any others by their use: ``first``, ``second``, ``score``, ``query``, ``positive``,
              ``negatives``, ``document_id``, ``id``
    kind      what a table is to be taken for; by its columns where None
    name      what results call it; by the file's name where None
    encoding  of CSV and JSON; found out where None, and said in ``origin.preparation`` where it is not UTF-8

    Licence, language and preparation come from ``FILE.json`` beside the file, where `write_description` wrote one.

    Raises `InvalidInput` for what cannot be read or makes no task, naming file, line and columns; `MissingExtra`.
    """
    given = {"text": text, "label": label, "group": group}
    named = dict(columns or {}) | {use: column for use, column in given.items() if column is not None}
    if (sample := SAMPLES.get(source)) is not None:
        return build_task(sample.read(), sample.columns, sample.kind, sample.notes())
    path, part = split_source(source)
    files = open_files(path, str(path))
    about = read_description(path)
    notes = Notes(name or "", source, about.licence, about.language, about.preparation)
    if layouts := find_layouts(files.names()):
        return build_from_folder(files, layouts, part, notes=notes, encoding=encoding)
    table = _choose_table(files, part, encoding)
    return build_task(table, check_uses(named), kind, replace(notes, name=name or _stem(path, part)))


def open_table(source: str, *, encoding: str | None = None) -> Table:
    """The one table at ``source``: a file as `open_task` takes it, or a member of an archive that ``#`` names.

    Raises `InvalidInput` for what cannot be read, `MissingExtra`.
    """
    path, part = split_source(source)
    return _choose_table(open_files(path, str(path)), part, encoding)


def build_task(table: Table, columns: Mapping[ColumnRole, str], kind: TaskKind | None, notes: Notes) -> Task:
    """The task that one table holds. Raises as `open_task` does."""
    plan = plan_columns(table, columns, kind)
    found = {str(role): column for role, column in plan.columns.items()}
    notes = replace(notes, preparation=(*notes.preparation, *table.notes), columns=found, guessed=plan.guessed)
    return _BUILDERS[plan.kind](table, plan, notes)


_BUILDERS: dict[TaskKind, Callable[[Table, Plan, Notes], Task]] = {
    "labels": build_labels,
    "pairs": build_pairs,
    "retrieval": build_retrieval,
}


def _choose_table(files: Files, part: str | None, encoding: str | None) -> Table:
    """The one table among ``files``, or the one that ``part`` names."""
    there = set(files.names())
    tables: dict[str, list[str]] = {}
    for name in sorted(there):
        if is_table(name) and name.removesuffix(".json") not in there - {name}:
            tables.setdefault(without_shard(name), []).append(name)
    if part in there:
        tables = {part: [part]}
    elif part is not None:
        tables = {whole: shards for whole, shards in tables.items() if _is_named(whole, part)}
    if len(tables) != 1:
        raise _no_single_table(files, list(tables), part)
    (shards,) = tables.values()
    return join_tables([read_table(files.where(name), files.read(name), encoding=encoding) for name in shards])


def _is_named(whole: str, part: str) -> bool:
    """Whether ``part`` names a table: by its path, its file name, or that without suffix, as splits are called."""
    file = PurePosixPath(whole).name
    return part in (whole, file, file.partition(".")[0])


def _no_single_table(files: Files, names: list[str], part: str | None) -> InvalidInput:
    if names:
        some = ", ".join(names[:5]) + ("…" if len(names) > 5 else "")
        return InvalidInput(f"{files.name}: holds {len(names)} tables: {some}; name one: {files.name}#{names[0]}")
    there = ", ".join(list(files.names())[:5]) or "no file within three folders"
    wanted = f"no '{part}'" if part is not None else "no .csv, .tsv, .jsonl, .json, .parquet or .xlsx file"
    return InvalidInput(f"{files.name}: {wanted} in it; there is {there}", param="source")


def _stem(path: Path, part: str | None) -> str:
    """``livedoor_300`` for ``livedoor_300.csv.zip``."""
    stem = Path(part or path).name
    while PurePosixPath(stem).suffix.lower() in _SUFFIXES:
        stem = PurePosixPath(stem).stem
    return stem


_SUFFIXES = {".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".xlsx", ".zip", ".gz"}
