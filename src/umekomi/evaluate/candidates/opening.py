"""The models that an evaluation compares: opened here, in one of several precisions, or behind an address."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, cast, get_args

import numpy as np

from umekomi import config
from umekomi.embedding.bulk import Source
from umekomi.embedding.embedder import Embedder, open_embedder
from umekomi.embedding.endpoint import Endpoint
from umekomi.engines.hashing import PREFIX as HASHING_PREFIX
from umekomi.errors import ConfigError, EngineError, UpstreamError
from umekomi.evaluate.results import ModelRecord
from umekomi.models.card import ModelCard
from umekomi.models.sources import locate_model
from umekomi.types import Embeddings, Precision, Role, Truncation, Vectors

PROBES = ("embedding", "埋め込み", "The quick brown fox jumps over the lazy dog. いろはにほへと")
"""Texts whose vectors tell whether an address still serves the model that it served before."""


@dataclass(frozen=True, slots=True)
class CandidateName:
    """What ``-m`` named. ``text`` is as the user wrote it, and the name in every table."""

    text: str
    model: str
    precision: Precision = "fp32"
    base_url: str | None = None


def parse_candidate(text: str) -> CandidateName:
    """``NAME``, ``NAME:int8``, or ``http://host:8000/v1#NAME``. Raises `ConfigError`."""
    if text.startswith(("http://", "https://")):
        base_url, _, model = text.partition("#")
        if not model:
            raise ConfigError(f"-m {text}: an address needs the model's name after '#', as in {base_url}#my-model")
        return CandidateName(text, model, base_url=base_url.rstrip("/"))
    name, colon, suffix = text.rpartition(":")
    if colon and suffix in get_args(Precision):
        return CandidateName(text, name, cast(Precision, suffix))
    return CandidateName(text, text)


class Candidate(Source, Protocol):
    """A model that an evaluation compares, open. Its vectors are kept under its ``fingerprint``."""

    record: ModelRecord

    def lost_tokens(self, texts: Sequence[str], *, role: Role) -> int | None:
        """Tokens of ``texts`` beyond the model's context; None where that cannot be known."""
        ...

    def close(self) -> None: ...


def open_candidate(name: CandidateName, *, threads: int | None, notify: Callable[[str], None]) -> Candidate:
    """The model of ``name``, fetched first where it is not here yet. Close it.

    Raises what `open_embedder` and `Endpoint` raise.
    """
    if name.base_url is not None:
        return EndpointCandidate(name)
    embedder = open_embedder(name.model, precision=name.precision, threads=threads, notify=notify)
    return LocalCandidate(name, embedder)


def check_candidate(name: CandidateName) -> None:
    """Raise at the start of a long run what opening ``name`` would raise in the middle of it."""
    if name.base_url is not None:
        EndpointCandidate(name).close()
    elif not name.model.startswith(HASHING_PREFIX):
        locate_model(name.model, notify=lambda message: None)


def record_card(card: ModelCard, *, name: str) -> ModelRecord:
    """What results say of a model in this process, called ``name``."""
    return ModelRecord(
        name=name,
        fingerprint=card.fingerprint,
        dim=card.dim,
        precision=card.precision,
        max_tokens=card.max_tokens,
        prompts={role: card.prompts[role] for role in ("query", "document") if card.prompts.get(role)},
        licence=card.licence or "",
        notice=card.notice or "",
    )


class LocalCandidate:
    """A model in this process."""

    def __init__(self, name: CandidateName, embedder: Embedder) -> None:
        card = embedder.card
        self._embedder = embedder
        self.record = record_card(card, name=name.text)

    @property
    def fingerprint(self) -> str:
        return self._embedder.fingerprint

    def iter_embed(
        self,
        texts: Iterable[str],
        *,
        role: Role,
        truncation: Truncation,
        dimensions: int | None,
        window_texts: int,
    ) -> Iterator[Embeddings]:
        """As `Embedder.iter_embed`. Raises `EngineError` for a vector that is not finite."""
        for part in self._embedder.iter_embed(
            texts, role=role, truncation=truncation, dimensions=dimensions, window_texts=window_texts
        ):
            _check_finite(part.vectors, self.record.name)
            yield part

    def lost_tokens(self, texts: Sequence[str], *, role: Role) -> int:
        prepared = self._embedder.prepare(texts, role=role)
        return sum(text.total_tokens - text.tokens for text in prepared)

    def close(self) -> None:
        self._embedder.close()


class EndpointCandidate:
    """A model behind an OpenAI-compatible address, known by its vectors of `PROBES`.

    Its key is read from ``UMEKOMI_API_KEY``. Its vectors must keep one length; what was truncated stays unknown.
    """

    def __init__(self, name: CandidateName) -> None:
        assert name.base_url is not None
        self._name = name.text
        self._endpoint = Endpoint(name.base_url, name.model, api_key=config.api_key())
        try:
            probes = self._endpoint.embed(PROBES, role="raw")
        except BaseException:
            self._endpoint.close()
            raise
        self._dim = probes.shape[1]
        self.probes: Vectors = probes
        address = hashlib.sha256(f"{name.base_url}\0{name.model}\0{self._dim}".encode()).hexdigest()
        self.record = ModelRecord(
            name=name.text, fingerprint=f"endpoint-{address[:32]}", dim=self._dim, endpoint=name.base_url
        )

    @property
    def fingerprint(self) -> str:
        return self.record.fingerprint

    def iter_embed(
        self,
        texts: Iterable[str],
        *,
        role: Role,
        truncation: Truncation,
        dimensions: int | None,
        window_texts: int,
    ) -> Iterator[Embeddings]:
        """As `Embedder.iter_embed`, with no tokens and no truncation known.

        Raises `UpstreamError` where the server fails or changes the length of its vectors.
        """
        source = iter(texts)
        while window := list(islice(source, window_texts)):
            vectors = self._endpoint.embed(window, role=role, dimensions=dimensions)
            if vectors.shape[1] != self._dim:
                raise UpstreamError(
                    f"{self._name} sent vectors of {vectors.shape[1]} numbers after vectors of {self._dim}; "
                    "does the address serve several models under one name?"
                )
            unknown = np.zeros(len(window), np.int64)
            yield Embeddings(vectors, unknown, unknown.astype(np.bool_), self.fingerprint)

    def lost_tokens(self, texts: Sequence[str], *, role: Role) -> None:
        return None

    def close(self) -> None:
        self._endpoint.close()


def _check_finite(vectors: Vectors, name: str) -> None:
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise EngineError(
            f"{name} gave a vector that is not finite (text {row} of its window): its weights are broken"
        )
