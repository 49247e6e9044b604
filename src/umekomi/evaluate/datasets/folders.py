"""Folders and archives that hold a corpus, queries and judgements: the layouts of BEIR and NanoBEIR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets.building import Ledger, Notes
from umekomi.evaluate.datasets.cells import label_of, score_of, text_of
from umekomi.evaluate.datasets.retrieval import Judged, with_title
from umekomi.evaluate.datasets.sources import Files
from umekomi.evaluate.datasets.tables import Table, is_table, join_tables, read_table, without_shard
from umekomi.evaluate.tasks import RetrievalTask

Part: TypeAlias = Literal["corpus", "queries", "qrels"]

_PARTS: dict[str, Part] = {"corpus": "corpus", "queries": "queries", "qrels": "qrels"}

DEFAULT_SPLIT = "test"

_ID = ("_id", "id", "docid", "doc_id", "corpus-id", "query-id")
_QUERY_ID = ("query-id", "query_id", "qid")
_DOCUMENT_ID = ("corpus-id", "corpus_id", "docid", "doc_id", "pid")
_GAIN = ("score", "relevance", "label")


@dataclass(slots=True)
class Layout:
    """The files of one data set, by part and then by split; the split is empty where a name tells none."""

    files: dict[Part, dict[str, list[str]]] = field(
        default_factory=lambda: {"corpus": {}, "queries": {}, "qrels": {}}
    )

    @property
    def is_whole(self) -> bool:
        return all(self.files.values())

    def choose(self, part: Part, split: str) -> list[str]:
        """Shards of ``part`` for ``split``; all of them where the part has no split of that name."""
        splits = self.files[part]
        return splits.get(split) or [name for names in splits.values() for name in names]


def find_layouts(names: Sequence[str]) -> dict[str, Layout]:
    """The data sets among ``names``, by the folder that they are in: those with corpus, queries and qrels."""
    layouts: dict[str, Layout] = {}
    for name in filter(is_table, names):
        if (found := _place(name)) is not None:
            folder, part, split = found
            layouts.setdefault(folder, Layout()).files[part].setdefault(split, []).append(name)
    return {folder: layout for folder, layout in layouts.items() if layout.is_whole}


def _place(name: str) -> tuple[str, Part, str] | None:
    """Folder, part and split of a file: ``("scifact", "qrels", "test")`` for ``scifact/qrels/test.tsv``."""
    steps = PurePosixPath(name).parts
    for at, step in enumerate(steps):
        is_file = at == len(steps) - 1
        if (part := _PARTS.get(step.partition(".")[0] if is_file else step)) is not None:
            split = "" if is_file else without_shard(steps[-1]).partition(".")[0]
            return "/".join(steps[:at]), part, split
    return None


def build_from_folder(
    files: Files, layouts: Mapping[str, Layout], wanted: str | None, *, notes: Notes, encoding: str | None = None
) -> RetrievalTask:
    """The data set in ``files``; ``wanted`` names a split of its judgements, or a folder where there are several.

    Raises `InvalidInput` for a split or folder that is not there, for ids that come twice or that a judgement names
    and nothing has, and for what a file's cells hold.
    """
    folder, split = _choose(files, layouts, wanted)
    layout = layouts[folder]
    corpus, queries, qrels = (
        join_tables(
            [
                read_table(files.where(name), files.read(name), encoding=encoding)
                for name in layout.choose(part, split)
            ]
        )
        for part in ("corpus", "queries", "qrels")
    )
    ledger = Ledger()
    judged, reader = Judged(), _Reader(ledger)
    documents = reader.documents(corpus, judged)
    rows = reader.queries(queries, judged)
    reader.judgements(qrels, judged, rows, documents)
    if split:
        ledger.preparation.append(f"judgements of the split '{split}'")
    return judged.build(replace(notes, name=notes.name or _name(files, folder, split, layout)), ledger)


def _name(files: Files, folder: str, split: str, layout: Layout) -> str:
    """``scifact``, or ``scifact-dev`` for one of several splits that is not the usual one."""
    stem = PurePosixPath(folder or files.name).name.removesuffix(".zip")
    return stem if split == DEFAULT_SPLIT or len(layout.files["qrels"]) == 1 else f"{stem}-{split}"


def _choose(files: Files, layouts: Mapping[str, Layout], wanted: str | None) -> tuple[str, str]:
    if len(layouts) > 1 and wanted not in layouts:
        raise InvalidInput(
            f"{files.name}: holds {len(layouts)} data sets: {', '.join(layouts)}; name one: "
            f"{files.name}#{next(iter(layouts))}"
        )
    folder = wanted if wanted is not None and wanted in layouts else next(iter(layouts))
    splits = layouts[folder].files["qrels"]
    split = wanted if wanted is not None and wanted != folder else None
    if split is None:
        split = DEFAULT_SPLIT if DEFAULT_SPLIT in splits or len(splits) > 1 else next(iter(splits))
    if split not in splits:
        there = ", ".join(f"'{name}'" for name in splits)
        raise InvalidInput(f"{files.name}: no judgements of a split '{split}'; there are {there}; name one after #")
    return folder, split


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the three tables. Rows are None for what was left out, so that its judgements can be left out too."""

    ledger: Ledger

    def documents(self, table: Table, judged: Judged) -> dict[str, int | None]:
        key, rows = _pick(table, _ID), dict[str, int | None]()
        has_title = "title" in table.columns
        for index, row in enumerate(table.rows):
            where = table.where(index)
            document_id = _new_id(row.get(key), rows, where)
            text = with_title(row.get("title"), row.get("text"), where)
            rows[document_id] = None if text is None else len(judged.corpus)
            if text is None:
                self.ledger.skipped["empty document"] += 1
            else:
                judged.corpus.append(text)
                judged.corpus_ids.append(document_id)
        if has_title:
            self.ledger.preparation.append("title and text joined by a space")
        return rows

    def queries(self, table: Table, judged: Judged) -> dict[str, int | None]:
        key, column, rows = _pick(table, _ID), _pick(table, ("text", "query")), dict[str, int | None]()
        for index, row in enumerate(table.rows):
            where = table.where(index)
            query_id = _new_id(row.get(key), rows, where)
            text = text_of(row.get(column), where)
            rows[query_id] = None if text is None else len(judged.queries)
            if text is None:
                self.ledger.skipped["empty query"] += 1
            else:
                judged.queries.append(text)
                judged.query_ids.append(query_id)
                judged.relevant.append({})
        return rows

    def judgements(
        self, table: Table, judged: Judged, queries: dict[str, int | None], documents: dict[str, int | None]
    ) -> None:
        query_key, document_key = _pick(table, _QUERY_ID), _pick(table, _DOCUMENT_ID)
        gain_key = next((column for column in _GAIN if column in table.columns), None)
        for index, row in enumerate(table.rows):
            where = table.where(index)
            query = _known(row.get(query_key), queries, "query", where)
            document = _known(row.get(document_key), documents, "document", where)
            gain = score_of(row.get(gain_key), where) if gain_key else 1.0
            if query is None or document is None or gain is None:
                self.ledger.skipped["judgement of what is empty" if gain is not None else "no score"] += 1
            else:
                judged.judge(query, document, gain)


def _pick(table: Table, names: Sequence[str]) -> str:
    for name in names:
        if name in table.columns:
            return name
    there = ", ".join(f"'{column}'" for column in table.columns)
    raise InvalidInput(
        f"{table.name}: no column {' or '.join(f'{name!r}' for name in names[:3])}; there are {there}"
    )


def _new_id(value: object, taken: Mapping[str, object], where: str) -> str:
    found = label_of(value, where)
    if found is None:
        raise InvalidInput(f"{where}: no id; every document and query needs one")
    if found in taken:
        raise InvalidInput(f"{where}: the id '{found}' comes twice; make ids unique")
    return found


def _known(value: object, rows: Mapping[str, int | None], what: str, where: str) -> int | None:
    found = label_of(value, where)
    if found is None or found not in rows:
        raise InvalidInput(f"{where}: a judgement names the {what} '{found}', which is not there; remove the line")
    return rows[found]
