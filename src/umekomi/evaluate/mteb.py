"""mteb, both ways: an open model as one that mteb evaluates, and mteb's result files as records of ours.

Written for mteb 2 (its ``EncoderProtocol``). Prompts are this project's: mteb's prompt type picks the role, and
the model's card the prompt, so that none is put before a text twice. Do not wrap the model in mteb's cache of
embeddings: it gives a document the vector of a query of the same text (embeddings-benchmark/mteb, issue 5383).
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from umekomi import __version__
from umekomi.embedding.embedder import Embedder
from umekomi.errors import InvalidInput
from umekomi.evaluate.results import DatasetRecord, ModelRecord, Results, ScoreRecord
from umekomi.evaluate.tasks import TaskKind
from umekomi.extras import require
from umekomi.types import Role, Vectors

_log = logging.getLogger("umekomi")

_META_FILE = "model_meta.json"
_MAX_FILE_BYTES = 64 << 20
_NO_INTERVALS = "taken over from mteb's result files, which hold values without items: no interval, test or rank"


class MtebModel:
    """An open embedder as mteb's evaluation takes it: ``mteb.evaluate(MtebModel(embedder), tasks)``.

    The embedder stays the caller's, who closes it.
    """

    def __init__(self, embedder: Embedder, *, symmetric_role: Role = "document") -> None:
        """``symmetric_role`` is that of texts for which mteb names no prompt type: labels, clusters, pairs.

        Raises `MissingExtra` without mteb.
        """
        require("mteb", extra="mteb")
        self._embedder = embedder
        self._symmetric_role: Role = symmetric_role

    def encode(
        self, inputs: Iterable[Mapping[str, Any]], *, prompt_type: str | None = None, **_context: Any
    ) -> Vectors:
        """Vectors of the texts of all batches, in order: float32 ``(n, dim)``. Cut texts are counted in the log.

        prompt_type  mteb's ``query`` or ``document``; None for symmetric tasks

        What else mteb tells (task, split, batch size) changes nothing. Raises as `Embedder.embed` does, and
        `InvalidInput` for batches without texts.
        """
        texts = list(_iter_texts(inputs))
        role: Role = self._symmetric_role
        if prompt_type is not None:
            role = "query" if str(prompt_type) == "query" else "document"
        found = self._embedder.embed(texts, role=role)
        if cut := int(found.truncated.sum()):
            card = self._embedder.card
            _log.warning("%s: %d of %d texts cut to %d tokens", card.name, cut, len(texts), card.max_tokens)
        return found.vectors

    def similarity(self, embeddings1: Any, embeddings2: Any) -> NDArray[np.float32]:
        """Cosines of all pairs: float32 ``(n1, n2)``."""
        return _unit(embeddings1) @ _unit(embeddings2).T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> NDArray[np.float32]:
        """Cosines row by row: float32 ``(n,)``."""
        cosines: NDArray[np.float32] = np.einsum("ij,ij->i", _unit(embeddings1), _unit(embeddings2))
        return cosines

    @property
    def mteb_model_meta(self) -> Any:
        """mteb's description of the model; the revision is the fingerprint, so that results never mix."""
        card = self._embedder.card
        facts = {
            "name": _mteb_name(card.name) + ("" if card.precision == "fp32" else f"-{card.precision}"),
            "revision": card.fingerprint,
            "max_tokens": card.max_tokens,
            "embed_dim": card.dim,
            "similarity_fn_name": "cosine",
            "use_instructions": bool(card.prompts),
        }
        return require("mteb.models", extra="mteb").ModelMeta.create_empty(facts)


def load_mteb_results(folder: Path) -> Results:
    """What mteb wrote into ``folder`` (its results of any number of models and tasks), as `Results`.

    Scores are by task, split and subset: the main score, and what else is computed as ours is. Intervals, tests and
    ranks are missing, which a note says.

    Raises `InvalidInput` for a folder without mteb's results and for a file of another shape.
    """
    found = [_TaskFile(path, content) for path, content in _iter_result_files(folder)]
    if not found:
        raise InvalidInput(
            f"{folder}: no result files of mteb in it; give the folder that mteb wrote its results to"
        )
    datasets: dict[str, DatasetRecord] = {}
    models: dict[str, ModelRecord] = {}
    scores: list[ScoreRecord] = []
    for file in found:
        model = file.model()
        models.setdefault(model.name, model)
        for dataset, score in file.iter_scores(model.name):
            datasets.setdefault(dataset.name, dataset)
            scores.append(score)
    return Results(
        umekomi=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        datasets=tuple(datasets.values()),
        models=tuple(models.values()),
        scores=tuple(scores),
        notes=(_NO_INTERVALS,),
    )


class _TaskFile:
    """One result file: a task's scores by split and, in each, by subset (language)."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self._path = path
        self._content = content

    def model(self) -> ModelRecord:
        """The model by its ``model_meta.json``, else by the folders' names, as mteb lays them out."""
        meta_path = self._path.parent / _META_FILE
        meta = _read_object(meta_path) if meta_path.is_file() else {}
        name, revision, dim = meta.get("name"), meta.get("revision"), meta.get("embed_dim")
        name = str(name or self._path.parent.parent.name.replace("__", "/"))
        revision = str(revision or self._path.parent.name)
        return ModelRecord(name=name, fingerprint=f"mteb:{revision}", dim=dim if isinstance(dim, int) else 0)

    def iter_scores(self, model: str) -> Iterator[tuple[DatasetRecord, ScoreRecord]]:
        for split, subset, values in self._iter_values():
            task = str(self._content["task_name"])
            name = "/".join(["mteb", task, *(part for part in (split, subset) if part not in ("test", "default"))])
            for metric, value in _metrics(values, self._path).items():
                kind = _kind(metric)
                role = "query/document" if kind == "retrieval" else "by the task"
                score = ScoreRecord(
                    dataset=name, model=model, metric=metric, value=value, ci95=None, items=0, role=role
                )
                yield self._dataset(name, kind), score

    def _iter_values(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        for split, subsets in self._content["scores"].items():
            if not isinstance(subsets, list):
                raise InvalidInput(f"{self._path}: the scores of '{split}' are no list; mteb 2 writes a list")
            for values in subsets:
                if not isinstance(values, dict):
                    raise InvalidInput(f"{self._path}: a score of '{split}' is no object")
                yield str(split), str(values.get("hf_subset", "default")), values

    def _dataset(self, name: str, kind: TaskKind) -> DatasetRecord:
        revision = str(self._content.get("dataset_revision"))
        version = str(self._content.get("mteb_version"))
        return DatasetRecord(
            name=name,
            kind=kind,
            items=0,
            texts=0,
            digest=f"mteb:{self._content['task_name']}@{revision}",
            source=f"mteb {version}, data revision {revision}",
            warnings=(_NO_INTERVALS,),
        )


_OUR_NAMES = {
    "ndcg_at_10": "ndcg@10",
    "recall_at_1": "recall@1",
    "recall_at_5": "recall@5",
    "recall_at_10": "recall@10",
    "recall_at_100": "recall@100",
    "mrr_at_10": "mrr@10",
    "cosine_spearman": "spearman",
    "cosine_pearson": "pearson",
    "v_measure": "v_measure",
}
"""mteb's metrics that are computed as ours are."""

_MAIN_SCORES = ("accuracy", "map", "f1", "cosine_ap", "max_ap", "ap", "mrr")
"""Further metrics that mteb makes a task's main score; a file holds its value and not its name."""


def _metrics(values: Mapping[str, Any], path: Path) -> dict[str, float]:
    """Values by our names, and the main score by the name of the metric that equals it."""
    found = {ours: values[theirs] for theirs, ours in _OUR_NAMES.items() if _is_number(values.get(theirs))}
    main: Any = values.get("main_score")
    if not _is_number(main):
        raise InvalidInput(f"{path}: no number under 'main_score'; run the task again with mteb 2")
    if main not in found.values():
        name = next((name for name in _MAIN_SCORES if values.get(name) == main), "main_score")
        found[name] = main
    return {name: float(value) for name, value in found.items()}


def _kind(metric: str) -> TaskKind:
    if metric in ("spearman", "pearson"):
        return "pairs"
    return "retrieval" if metric.startswith(("ndcg", "recall", "mrr", "map")) else "labels"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value).item() is True


def _iter_result_files(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The files that have a task's name and scores, in the order of their paths."""
    for path in sorted(folder.rglob("*.json")):
        if path.name != _META_FILE and path.is_file():
            content = _read_object(path)
            if isinstance(content.get("scores"), dict) and content.get("task_name"):
                yield path, content


def _read_object(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise InvalidInput(f"{path}: {path.stat().st_size} bytes; the limit is {_MAX_FILE_BYTES}")
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(content, dict):
        raise InvalidInput(f"{path}: holds a {type(content).__name__}, not an object; take it out of the folder")
    return content


def _mteb_name(name: str) -> str:
    """``organization/model``, as mteb wants it: hub ids as they are, of a folder its last part."""
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return name
    return "umekomi/" + re.sub(r"[^\w.-]+", "-", name.rstrip("/").rpartition("/")[2])


def _iter_texts(inputs: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for batch in inputs:
        if "text" not in batch:
            raise InvalidInput(
                f"mteb sent {', '.join(batch) or 'nothing'} and no texts; this model embeds texts only"
            )
        yield from batch["text"]


def _unit(vectors: Any) -> Vectors:
    """Rows of unit length; one vector becomes a row. Zero rows stay zero."""
    rows = np.atleast_2d(np.asarray(vectors, np.float32))
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit
