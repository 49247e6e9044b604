"""What the page of a report carries as data: records, texts and arrays, each in a script element of its own."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from umekomi.evaluate.report.views import View
from umekomi.evaluate.results import Results
from umekomi.evaluate.tasks import LabelTask, PairTask, RetrievalTask, Task

TEXT_BUDGET_BYTES = 20_000_000
"""UTF-8 that a page holds of one data set: 2,700 texts of 512 Japanese characters whole, 66 each of 100,000."""

FEWEST_CHARACTERS = 40
MOST_NEIGHBOURS = 10
CHUNK_TEXTS = 4096

# In JSON these stand in strings only, and only there could they end the element, open a comment or a line.
_HOSTILE = {
    b"<": b"\\u003c",
    b">": b"\\u003e",
    b"&": b"\\u0026",
    b"\xe2\x80\xa8": b"\\u2028",
    b"\xe2\x80\xa9": b"\\u2029",
}
_HOSTILE_PATTERN = re.compile(b"|".join(_HOSTILE))

Piece: TypeAlias = bytes
"""Part of a file: pieces are written one after another."""


def iter_data(results: Results, views: Sequence[View], words: dict[str, str]) -> Iterator[Piece]:
    """Script elements, piece by piece: no more than some thousand texts or one array is held at a time."""
    yield from element("results", [escaped(results.model_dump(mode="json", by_alias=True))])
    yield from element("words", [escaped(words)])
    tasks = {view.dataset: view.task for view in views}
    datasets: dict[str, Any] = {}
    entries: list[Any] = []
    for number, (dataset, task) in enumerate(tasks.items()):
        theirs = [view for view in views if view.dataset == dataset]
        rows = corpus_rows(task, theirs) if isinstance(task, RetrievalTask) else None
        shown = show_dataset(f"data-{number}", task, rows)
        datasets[dataset] = shown.entry
        yield from shown.elements
        for view in theirs:
            part = show_view(f"view-{len(entries)}", view, rows)
            entries.append(part.entry)
            yield from part.elements
    yield from element("index", [escaped({"datasets": datasets, "views": entries})])


def element(name: str, pieces: Iterable[Piece], *, kind: str = "application/json") -> Iterator[Piece]:
    yield f'<script type="{kind}" id="{name}">'.encode()
    yield from pieces
    yield b"</script>\n"


def escaped(value: object) -> bytes:
    """JSON that no HTML parser takes for anything else, whatever the strings hold; NaN becomes null."""
    return _HOSTILE_PATTERN.sub(lambda found: _HOSTILE[found[0]], orjson.dumps(_valid(value)))


def _valid(value: Any) -> Any:
    """Half a surrogate pair, from a file that was not quite Unicode, becomes ``?``: no page can hold it."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_valid(key): _valid(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(each) for each in value]
    return value


def _texts(texts: Sequence[str], cut: int | None) -> Iterator[Piece]:
    """A JSON array of strings."""
    yield b"["
    for start in range(0, len(texts), CHUNK_TEXTS):
        part = [text[:cut] for text in texts[start : start + CHUNK_TEXTS]]
        yield (b"," if start else b"") + escaped(part)[1:-1]
    yield b"]"


def _object(members: dict[str, Iterable[Piece]]) -> Iterator[Piece]:
    for place, (name, pieces) in enumerate(members.items()):
        yield ("," if place else "{").encode() + escaped(name) + b":"
        yield from pieces
    yield b"}"


def _array(name: str, values: NDArray[Any], dtype: str) -> Iterator[Piece]:
    """The bytes of an array, little-endian, as base64: a third of its size as digits, and read at once."""
    flat = np.ascontiguousarray(values, np.dtype(dtype))
    return element(name, [base64.b64encode(flat.tobytes())], kind="text/plain")


def characters_kept(texts: Iterable[str], *, budget: int = TEXT_BUDGET_BYTES) -> int | None:
    """After how many characters the texts of a data set are cut to stay within ``budget``; None: nowhere."""
    sizes = [(len(text), len(text.encode("utf-8", "replace"))) for text in texts]
    lengths = np.array(sizes, np.int64).reshape(-1, 2)
    total = int(lengths[:, 1].sum())
    if total <= budget:
        return None
    # Bytes grow with characters, nearly: the widths of the texts stand for those of their starts.
    width = total / max(1, int(lengths[:, 0].sum()))
    low, high = FEWEST_CHARACTERS, max(FEWEST_CHARACTERS, int(lengths[:, 0].max()))
    while low < high:
        middle = (low + high + 1) // 2
        if width * np.minimum(lengths[:, 0], middle).sum() <= budget:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What the page holds of one data set: its entry in the page's index, and the script elements it names."""

    entry: dict[str, Any]
    elements: Iterator[Piece]


def show_dataset(name: str, task: Task, rows: NDArray[np.int64] | None) -> Shown:
    """``rows``: those of the corpus that the page has a use for, where the task is one of retrieval."""
    if isinstance(task, LabelTask):
        return _show_labels(name, task)
    if isinstance(task, PairTask):
        return _show_pairs(name, task)
    assert rows is not None
    return _show_retrieval(name, task, rows)


def _show_labels(name: str, task: LabelTask) -> Shown:
    labels = sorted(set(task.labels))
    numbers = {label: number for number, label in enumerate(labels)}
    cut = characters_kept(task.texts)

    def elements() -> Iterator[Piece]:
        members = {"labels": [escaped(labels)], "texts": _texts(task.texts, cut), "ids": _texts(task.ids, None)}
        yield from element(name, _object(members))
        yield from _array(f"{name}-labels", np.array([numbers[label] for label in task.labels]), "<i4")

    return Shown({"kind": task.kind, "texts": name, "labels": f"{name}-labels", "cut": cut}, elements())


def _show_pairs(name: str, task: PairTask) -> Shown:
    cut = characters_kept([*task.first, *task.second])
    members: dict[str, Iterable[Piece]] = {
        "first": _texts(task.first, cut),
        "second": _texts(task.second, cut),
        "ids": _texts(task.ids, None),
        "scores": [escaped(task.scores.tolist())],
    }
    return Shown({"kind": task.kind, "texts": name, "cut": cut}, element(name, _object(members)))


def _show_retrieval(name: str, task: RetrievalTask, rows: NDArray[np.int64]) -> Shown:
    place = {int(row): at for at, row in enumerate(rows)}
    corpus = [task.corpus[row] for row in rows]
    cut = characters_kept([*task.queries, *corpus])
    relevant = [[place[row] for row in sorted(gains) if row in place] for gains in task.relevant]
    members: dict[str, Iterable[Piece]] = {
        "queries": _texts(task.queries, cut),
        "query_ids": _texts(task.query_ids, None),
        "corpus": _texts(corpus, cut),
        "corpus_ids": _texts([task.corpus_ids[row] for row in rows], None),
        "relevant": [escaped(relevant)],
    }
    return Shown({"kind": task.kind, "texts": name, "cut": cut}, element(name, _object(members)))


def corpus_rows(task: RetrievalTask, views: Sequence[View]) -> NDArray[np.int64]:
    """Rows of the corpus that the page has a use for, upwards: all where there is a map of it."""
    if any(view.layout is not None for view in views):
        return np.arange(len(task.corpus))
    asked = [np.array([row for gains in task.relevant for row in gains], np.int64)]
    asked += [view.neighbours[:, :MOST_NEIGHBOURS].ravel() for view in views if view.neighbours is not None]
    return np.unique(np.concatenate(asked))


def show_view(name: str, view: View, rows: NDArray[np.int64] | None) -> Shown:
    """``rows``: those of the corpus that the page holds, where the task is one of retrieval."""
    entry: dict[str, Any] = {"dataset": view.dataset, "model": view.model}
    parts: list[Iterator[Piece]] = []
    if view.layout is not None:
        entry["points"] = f"{name}-points"
        entry["layout"] = {
            "method": view.layout.method,
            "seed": view.layout.seed,
            "trustworthiness": view.layout.trustworthiness,
        }
        parts.append(_array(entry["points"], view.layout.points, "<f4"))
    if view.neighbours is not None and not isinstance(view.task, PairTask):
        near = view.neighbours[:, :MOST_NEIGHBOURS]
        entry |= {"neighbours": f"{name}-neighbours", "k": near.shape[1]}
        parts.append(_array(entry["neighbours"], near if rows is None else np.searchsorted(rows, near), "<i4"))
    cosines = next((outcome.items for outcome in view.outcomes if outcome.metric == "spearman"), None)
    if cosines is not None and isinstance(view.task, PairTask):
        entry["cosines"] = f"{name}-cosines"
        parts.append(_array(entry["cosines"], cosines, "<f4"))
    return Shown(entry, (piece for part in parts for piece in part))
