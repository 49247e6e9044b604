"""`Side`: a source of vectors under comparison, behind an address or in this process; asked window by window."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from umekomi.embedding.endpoint import Answer, Endpoint
from umekomi.errors import UpstreamError, UpstreamRefusal
from umekomi.evaluate.parity.laboratory import Reference
from umekomi.evaluate.parity.recipes import Recipe
from umekomi.types import Role, Vectors

WINDOW_TEXTS = 32
"""Texts a request: text-embeddings-inference refuses more unless told otherwise."""

_CANARY = "text"
"""Tells a server that refuses one text from a server that is gone."""


class Side(Protocol):
    """One of two sources of vectors. ``name`` is how a person calls it."""

    name: str

    def ask(self, texts: Sequence[str]) -> Answer:
        """Vectors for at most `WINDOW_TEXTS` texts, in order. Raises `UpstreamError` or `EngineError`."""
        ...


class EndpointSide:
    """A model behind an address. ``role`` travels as ``input_type``; ``raw`` sends texts as they are."""

    def __init__(self, name: str, endpoint: Endpoint, *, role: Role) -> None:
        self.name = name
        self.endpoint = endpoint
        self.role: Role = role
        self._dim: int | None = None

    def ask(self, texts: Sequence[str]) -> Answer:
        """Raises `UpstreamError` where the length of the vectors is not that of the first answer."""
        answer = self.endpoint.ask(texts, role=self.role)
        dim = answer.vectors.shape[1]
        if self._dim is not None and dim != self._dim:
            raise UpstreamError(
                f"{self.name} ({self.endpoint.base_url}) changed from {self._dim} to {dim} dimensions between "
                "requests; does it serve several models under one name?"
            )
        self._dim = dim
        return answer


class ReferenceSide:
    """A model in this process, in one way of making vectors."""

    def __init__(self, name: str, reference: Reference, recipe: Recipe) -> None:
        self.name = name
        self.reference = reference
        self.recipe = recipe

    def ask(self, texts: Sequence[str]) -> Answer:
        return Answer(self.reference.vectors(texts, self.recipe), self.reference.count_tokens(texts, self.recipe))


@dataclass(frozen=True, slots=True)
class Refusal:
    """A text that one side would not embed, and what it said. ``row`` counts the texts from 0."""

    row: int
    side: str
    message: str


@dataclass(slots=True)
class _Clock:
    """What a side has done in how long; the first window warms it up and does not count."""

    texts: int = 0
    tokens: int | None = 0
    seconds: float = 0.0
    windows: int = 0

    def add(self, texts: int, tokens: int | None, seconds: float) -> None:
        self.windows += 1
        if self.windows == 1:
            return
        self.texts += texts
        self.tokens = None if tokens is None or self.tokens is None else self.tokens + tokens
        self.seconds += seconds


@dataclass(frozen=True, slots=True)
class Speed:
    """Texts and tokens a second, one request at a time; None where it was not or could not be measured."""

    texts_per_s: float | None
    tokens_per_s: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Exchange:
    """What both sides gave for the same texts: ``rows`` are those that both embedded, in order."""

    rows: tuple[int, ...]
    first: Vectors
    second: Vectors
    refusals: tuple[Refusal, ...]
    speeds: tuple[Speed, Speed]


@dataclass(slots=True)
class _Kept:
    """Vectors of one side by row, while they arrive."""

    side: Side
    vectors: dict[int, Vectors] = field(default_factory=dict)
    clock: _Clock = field(default_factory=_Clock)


def exchange(
    sides: tuple[Side, Side], texts: Sequence[str], *, advance: Callable[[int], None] = lambda done: None
) -> Exchange:
    """Have both ``sides`` embed ``texts``, window by window in turn, so that a busy machine slows both alike.

    A text that one side refuses is left out and told. Raises `UpstreamError` where a side answers no more, saying
    after how many texts.
    """
    kept = (_Kept(sides[0]), _Kept(sides[1]))
    refusals: list[Refusal] = []
    windows = range(0, len(texts), WINDOW_TEXTS)
    for number, start in enumerate(windows):
        rows = range(start, min(start + WINDOW_TEXTS, len(texts)))
        for own in kept if number % 2 == 0 else reversed(kept):
            refusals += _embed_window(own, texts, rows)
        advance(len(rows))
    common = [row for row in range(len(texts)) if row in kept[0].vectors and row in kept[1].vectors]
    if not common:
        first = refusals[0]
        raise UpstreamError(f"{first.side} refused every text: {first.message}")
    vectors = [np.stack([own.vectors[row] for row in common]) for own in kept]
    refusals.sort(key=lambda refusal: refusal.row)
    return Exchange(tuple(common), vectors[0], vectors[1], tuple(refusals), (_speed(kept[0]), _speed(kept[1])))


def ask_all(side: Side, texts: Sequence[str]) -> Vectors:
    """Vectors for any number of ``texts``. Raises as `Side.ask`."""
    parts = [side.ask(texts[start : start + WINDOW_TEXTS]).vectors for start in range(0, len(texts), WINDOW_TEXTS)]
    return np.concatenate(parts)


def _embed_window(kept: _Kept, texts: Sequence[str], rows: range) -> list[Refusal]:
    started = time.perf_counter()
    try:
        answer = kept.side.ask([texts[row] for row in rows])
    except UpstreamRefusal:
        return _embed_singly(kept, texts, rows)
    except UpstreamError as error:
        raise UpstreamError(
            f"{kept.side.name}, after {len(kept.vectors)} of {len(texts)} texts: {error}"
        ) from error
    kept.clock.add(len(rows), answer.tokens, time.perf_counter() - started)
    kept.vectors.update(zip(rows, answer.vectors, strict=True))
    return []


def _embed_singly(kept: _Kept, texts: Sequence[str], rows: range) -> list[Refusal]:
    """Each text by itself, to find the one that is refused."""
    refusals = []
    for row in rows:
        try:
            kept.vectors[row] = kept.side.ask([texts[row]]).vectors[0]
        except UpstreamRefusal as error:
            _check_alive(kept, error)
            refusals.append(Refusal(row, kept.side.name, str(error)))
    return refusals


def _check_alive(kept: _Kept, refusal: UpstreamRefusal) -> None:
    """Raises where the side refuses even a short text: then it is no matter of the text."""
    try:
        kept.side.ask([_CANARY])
    except UpstreamRefusal:
        raise UpstreamError(f"{kept.side.name}, after {len(kept.vectors)} texts: {refusal}") from refusal


def _speed(kept: _Kept) -> Speed:
    clock = kept.clock
    if not clock.texts or clock.seconds <= 0:
        return Speed(None, None)
    tokens = clock.tokens / clock.seconds if clock.tokens else None
    return Speed(clock.texts / clock.seconds, tokens)
