"""The parity gate: an exported folder gives the vectors of the weights that were measured, or it gets no name under
which anything would serve it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from umekomi.embedding.bulk import Source
from umekomi.embedding.embedder import open_embedder
from umekomi.errors import BrokenModel, EngineError, GateFailed, UnsupportedModel
from umekomi.evaluate.parity.agreement import Float64s, cosines
from umekomi.evaluate.settings import Watch
from umekomi.models.card import ModelCard
from umekomi.train.candidate import TorchCandidate
from umekomi.train.examples import TrainingData
from umekomi.train.exporting.export import CHECKED, FAILED, Exported
from umekomi.train.exporting.texts import GateText, build_gate_texts
from umekomi.train.fitting.loading import open_sentence_model
from umekomi.types import Precision, Role, Vectors
from umekomi.writing import replacing

SCHEMA = "umekomi-gate-1"
GATE_FILE = "gate.json"

FP32_LEAST = 0.9999
"""Least cosine of any text between torch and our fp32: other orders of the same sums stay far above."""

INT8_MEAN = 0.99
"""Mean cosine between torch in fp32 and our int8, over all texts."""

_SHOWN_CHARACTERS = 80
_WINDOW_TEXTS = 64


@dataclass(frozen=True, slots=True)
class Check:
    """One way to run the folder against torch.

    bound         what ``least`` (of fp32) or ``mean`` (of int8) must reach
    worst, role   the text of the least cosine, cut for reading, and its role
    """

    precision: Precision
    engine: str
    least: float
    mean: float
    bound: float
    worst: str
    role: Role
    passed: bool


@dataclass(frozen=True, slots=True)
class Gate:
    """What the gate found. ``truncated``: how many of the ``texts`` were over the context."""

    passed: bool
    model: str
    fingerprint: str
    weights_digest: str
    texts: int
    truncated: int
    checks: tuple[Check, ...]
    notes: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """As gate.json has it."""
        return {"schema": SCHEMA, **asdict(self)}


def check_parity(
    exported: Exported, *, data: TrainingData | None, threads: int | None = None, watch: Watch
) -> tuple[Gate, Exported]:
    """Compare ``exported`` with sentence-transformers and give it its name, ``model``, in the same folder.

    The weights must be those that were measured, bit by bit; our fp32 must agree by `FP32_LEAST` on every text and
    int8 by `INT8_MEAN` on average. ``gate.json`` beside it says what was found.

    Raises `GateFailed` where they do not agree: the folder is called ``model.failed`` then.
    """
    texts = build_gate_texts(data, max_tokens=exported.card.max_tokens)
    ways = 1 + len(_precisions(exported))
    try:
        with watch.stage("comparing the exported model with torch", total=ways * len(texts)) as advance:
            gate = _compare(exported, texts, threads=threads, advance=advance)
    except (BrokenModel, UnsupportedModel, EngineError) as error:
        _fail(exported, _gate(exported, texts, 0, ()), str(error))
    failed = next((check for check in gate.checks if not check.passed), None)
    if failed is not None:
        _fail(exported, gate, _sentence(failed))
    return gate, _accept(exported, gate)


def _compare(exported: Exported, texts: Sequence[GateText], *, threads: int | None, advance: Any) -> Gate:
    reference, truncated = _reference(exported, texts)
    advance(len(texts))
    checks = []
    for precision in _precisions(exported):
        with open_embedder(
            str(exported.folder.resolve()),
            precision=precision,
            threads=threads,
            engine=exported.engine,
            notify=lambda message: None,
        ) as embedder:
            if embedder.fingerprint != exported.card.with_precision(precision).fingerprint:
                raise BrokenModel(f"{exported.folder}: is not the model that was exported")
            own, _ = _embed(embedder, texts)
        checks.append(_check(precision, exported.engine, cosines(reference, own), texts))
        advance(len(texts))
    return _gate(exported, texts, truncated, tuple(checks))


def _precisions(exported: Exported) -> tuple[Precision, ...]:
    return exported.graphs or ("fp32",)


def _reference(exported: Exported, texts: Sequence[GateText]) -> tuple[Vectors, int]:
    """Vectors as anybody gets them who opens the folder with sentence-transformers, and how many texts were cut.

    Raises `BrokenModel` where it does not open as what was measured.
    """
    model = open_sentence_model(exported.folder)
    _check_settings(model, exported.card, exported.folder)
    candidate = TorchCandidate("exported", model, exported.card)
    if candidate.fingerprint != exported.measured:
        raise BrokenModel(f"{exported.folder}: its weights are not those that were measured")
    return _embed(candidate, texts)


def _check_settings(model: Any, card: ModelCard, folder: Path) -> None:
    if model.max_seq_length != card.max_tokens:
        raise BrokenModel(
            f"{folder}: sentence-transformers cuts at {model.max_seq_length} tokens, umekomi at {card.max_tokens}"
        )
    for role in ("query", "document"):
        found = model.prompts.get(role) or ""
        if found != card.prompts.get(role, ""):
            raise BrokenModel(f"{folder}: the {role} prompt is {found!r}; the base's is {card.prompts.get(role)!r}")


def _embed(source: Source, texts: Sequence[GateText]) -> tuple[Vectors, int]:
    vectors: list[Vectors] = []
    truncated = 0
    for role in ("document", "query"):
        own = [each.text for each in texts if each.role == role]
        for part in source.iter_embed(
            own, role=role, truncation="end", dimensions=None, window_texts=_WINDOW_TEXTS
        ):
            vectors.append(part.vectors)
            truncated += int(part.truncated.sum())
    return np.concatenate(vectors), truncated


def _check(precision: Precision, engine: str, found: Float64s, texts: Sequence[GateText]) -> Check:
    values = np.where(np.isfinite(found), found, -1.0)
    worst = int(values.argmin())
    least, mean = float(values.min()), float(values.mean())
    bound, reached = (FP32_LEAST, least) if precision == "fp32" else (INT8_MEAN, mean)
    text = texts[worst]
    return Check(
        precision, engine, least, mean, bound, text.text[:_SHOWN_CHARACTERS], text.role, passed=reached >= bound
    )


def _gate(exported: Exported, texts: Sequence[GateText], truncated: int, checks: tuple[Check, ...]) -> Gate:
    return Gate(
        passed=bool(checks) and all(check.passed for check in checks),
        model=CHECKED,
        fingerprint=exported.card.fingerprint,
        weights_digest=exported.card.weights_digest,
        texts=len(texts),
        truncated=truncated,
        checks=checks,
        notes=exported.notes,
    )


def _sentence(check: Check) -> str:
    figure = (
        f"the least cosine is {check.least:.6f}" if check.precision == "fp32" else f"the mean is {check.mean:.4f}"
    )
    return (
        f"{check.precision} by {check.engine} against torch: {figure}, and {check.bound} is needed; the worst "
        f"text, as a {check.role}, is {check.worst!r} ({check.least:.6f})"
    )


def _accept(exported: Exported, gate: Gate) -> Exported:
    accepted = exported.renamed(CHECKED)
    _write(exported.out, gate)
    return accepted


def _fail(exported: Exported, gate: Gate, reason: str) -> NoReturn:
    left = exported.renamed(FAILED)
    _write(exported.out, replace(gate, passed=False, model=FAILED, notes=(*gate.notes, reason)))
    raise GateFailed(
        f"the exported model does not give the vectors of the tuned one, and is not used: {reason}. It was left in "
        f"{left.folder}; {exported.out / GATE_FILE} has the figures. Nothing of the training is lost: look at the "
        "worst text, and run the command again with --resume once its cause is gone"
    )


def _write(out: Path, gate: Gate) -> None:
    with replacing(out / GATE_FILE) as file:
        file.write((json.dumps(gate.record(), ensure_ascii=False, indent=2) + "\n").encode())
