"""Whether a server answers from a model: by its fingerprint, and by vectors that were made here."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from umekomi.embedding.embedder import open_embedder
from umekomi.errors import UpstreamError
from umekomi.promote.running import Answer, RunningServer
from umekomi.types import Precision, Role, Vectors

PROBES = (
    "green fruit",
    "緑の果物はどれですか。",
    "キウイは鮮やかな緑色の果肉をもつ。",
    "🍋 レモン is a sour citrus fruit.",
    "The train to Osaka leaves at nine.",
)
ROLES: tuple[Role, ...] = ("query", "document")
"""Both, so that a prompt that the server lacks is seen."""

MIN_COSINE = 0.99
"""Of int8 and fp32 alike: engines and processors differ less, another model differs more."""


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What a model answers, by role, and the fingerprints that it may have."""

    vectors: dict[Role, Vectors]
    fingerprints: Collection[str]


def embed_probes(
    model: Path, *, precision: Precision, fingerprints: Collection[str], notify: Callable[[str], None]
) -> Expected:
    """The probes by the model in this process, which is closed again. Raises as `open_embedder` and `embed` do."""
    with open_embedder(str(model), precision=precision, notify=notify) as embedder:
        vectors = {role: embedder.embed(PROBES, role=role).vectors for role in ROLES}
    return Expected(vectors, fingerprints)


def check_answers(server: RunningServer, name: str, expected: Expected, *, model: str, patient: bool) -> Answer:
    """Ask ``name`` for the probes. Raises `UpstreamError` unless ``model`` gives what is ``expected``."""
    answers = {role: server.embed(name, PROBES, role=role, patient=patient) for role in expected.vectors}
    for role, answer in answers.items():
        check_origin(server, name, answer, model=model)
        if answer.fingerprint not in expected.fingerprints:
            raise UpstreamError(
                f"{server.root}: {name} answers with the fingerprint {answer.fingerprint or '(none)'}, which is "
                "not that of the model that was proved; does the server see the same files?"
            )
        _compare(server, name, answer.vectors, expected.vectors[role])
    return next(iter(answers.values()))


def check_origin(server: RunningServer, name: str, answer: Answer, *, model: str) -> None:
    """Raises `UpstreamError` unless the answer is ``model``'s own, and not that of a fallback or of another."""
    if answer.model != model:
        raise UpstreamError(
            f"{server.root}: {name} was answered by {answer.model or 'nobody'} and not by {model}; the server's "
            "log tells why"
        )


def _compare(server: RunningServer, name: str, found: Vectors, expected: Vectors) -> None:
    if found.shape != expected.shape:
        raise UpstreamError(
            f"{server.root}: {name} gives vectors of {found.shape[1]} dimensions, and {expected.shape[1]} are right"
        )
    scale = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = np.einsum("ij,ij->i", found, expected) / scale
    lowest = float(np.nan_to_num(cosines, nan=-1.0).min())
    if lowest < MIN_COSINE:
        raise UpstreamError(
            f"{server.root}: {name} gives other vectors than the model gives here: the lowest cosine is "
            f"{lowest:.4f}, and {MIN_COSINE} is the least"
        )
