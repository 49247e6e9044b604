"""Taking over a spreadsheet: its decisions are kept, and the files of the synthesis are written anew."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from umekomi.documents.corpus.journal import single_run
from umekomi.errors import InvalidInput
from umekomi.synthesize.corpus import read_corpus
from umekomi.synthesize.output.files import (
    LOCK,
    SUMMARY,
    read_pairs,
    read_rejections,
    write_pairs_json,
    write_rejections,
    write_retrieval,
    write_splits,
    write_summary,
)
from umekomi.synthesize.output.report import write_report
from umekomi.synthesize.output.spreadsheet import Changes, read_changes
from umekomi.synthesize.pairs import Pair, Split
from umekomi.synthesize.review import load_review, save_review


def import_review(folder: Path, sheet: Path) -> tuple[Changes, dict[Split, int]]:
    """What people changed in ``sheet``, and how many pairs each split of ``folder`` holds now.

    Raises `InvalidInput` for a sheet that does not fit, with its row, and where ``folder`` holds no synthesis; then
    nothing is changed. `StoreError` where ``folder`` cannot be written.
    """
    with single_run(folder / LOCK):
        return _import_review(folder, sheet)


def _import_review(folder: Path, sheet: Path) -> tuple[Changes, dict[Split, int]]:
    summary = _read_summary(folder)
    corpus = read_corpus(folder / summary["corpus"])
    pairs = [pair for split in read_pairs(folder).values() for pair in split]
    changes = read_changes(sheet, pairs, {chunk.id: chunk for chunk in corpus.chunks})
    review = load_review(folder).with_changes(changes)
    reviewed, dropped = review.apply(pairs)
    rejections = [*read_rejections(folder), *dropped]
    splits: dict[str, Split] = summary["splits"]
    _check_repeats(reviewed, splits, sheet)
    save_review(folder, review)  # first: should a later write fail, the next run applies it
    write_retrieval(folder, reviewed, corpus.chunks, splits)
    write_pairs_json(folder, reviewed)
    counts = write_splits(folder, reviewed, splits)
    write_rejections(folder, rejections)
    summary |= {"pairs": counts, "rejected": dict(Counter(each.filter for each in rejections))}
    write_report(folder, corpus, reviewed, rejections, splits=splits, summary=summary)
    write_summary(folder, summary)
    return changes, counts


def _read_summary(folder: Path) -> dict[str, Any]:
    path = folder / SUMMARY
    try:
        content = json.loads(path.read_bytes())
        return {**content, "corpus": content["corpus"], "splits": dict(content["splits"])}
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror or error}; name the folder of a finished synthesis") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path}: not written by umekomi synthesize: {error}") from None


def _check_repeats(pairs: list[Pair], splits: Mapping[str, Split], sheet: Path) -> None:
    """No question twice for a chunk, nor in two splits: what is tested would be known from training."""
    seen: set[tuple[str, str]] = set()
    first: dict[str, Split] = {}
    for pair in pairs:
        if (pair.query, pair.chunk_id) in seen:
            raise InvalidInput(f"{sheet}: the question '{pair.query}' stands twice for the chunk {pair.chunk_id}")
        seen.add((pair.query, pair.chunk_id))
        split = splits[pair.document_id]
        other = first.setdefault(" ".join(pair.query.casefold().split()), split)
        if other != split:
            raise InvalidInput(
                f"{sheet}: the question '{pair.query}' stands in {other} and in {split}; change or delete one"
            )
