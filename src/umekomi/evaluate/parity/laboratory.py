"""`Reference`: a model of ours that makes vectors in every way of a `Recipe`, to find out how a server makes them.

Opens the model again for another pooling or precision, and cuts token ids by hand, so that an engine needs to know
nothing of experiments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np

from umekomi.embedding.embedder import Embedder
from umekomi.embedding.vectors import normalize
from umekomi.engines.hashing import PREFIX as HASHING_PREFIX
from umekomi.engines.hashing import hashing_bundle
from umekomi.engines.registry import open_encoder
from umekomi.errors import UmekomiError
from umekomi.evaluate.parity.recipes import POOLINGS, Frame, Recipe
from umekomi.models.architectures import max_positions
from umekomi.models.bundle import Bundle
from umekomi.models.card import ModelCard, Pooling
from umekomi.models.sources import open_model
from umekomi.types import Precision, Prepared, TokenIds, Truncation, Vectors

_OPEN_AT_ONCE = 2
"""Encoders kept in memory: the model as it is, and the one that an experiment is about."""

_LLAMA_POOLINGS: Mapping[Pooling, str] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}

_Way: TypeAlias = tuple[Pooling | None, Precision]


def open_reference(
    name: str,
    *,
    precision: Precision = "fp32",
    threads: int | None = None,
    notify: Callable[[str], None] | None = None,
) -> Reference:
    """The model that ``name`` means, for experiments. Close it. Raises as `open_embedder` does."""
    bundle = hashing_bundle(name) if name.startswith(HASHING_PREFIX) else open_model(name, notify=notify)
    return Reference(bundle, precision=precision, threads=threads)


class Reference:
    """A model and all the ways to use it."""

    def __init__(self, bundle: Bundle, *, precision: Precision, threads: int | None) -> None:
        self._bundle = bundle
        self._precision: Precision = precision
        self._threads = threads
        self._open: dict[_Way, Embedder] = {}
        self._failed: dict[_Way, str] = {}
        self.card: ModelCard = self._embedder(Recipe()).card
        self.card = replace(self.card, max_tokens=min(self.card.max_tokens, bundle.card.max_tokens))
        self._opening, self._closing = self._frame()

    @property
    def longest(self) -> int:
        """Tokens that the weights can take, whatever the card's limit."""
        return self._embedder(Recipe()).card.max_tokens

    @property
    def poolings(self) -> tuple[Pooling, ...]:
        """Poolings that can be tried, the card's own left out."""
        known = tuple(_LLAMA_POOLINGS) if self.card.format == "gguf" else POOLINGS
        return tuple(pooling for pooling in known if pooling != self.card.pooling)

    def can_do(self, recipe: Recipe) -> bool:
        """Whether the engine runs the model so; opens it where it has not been."""
        try:
            self._embedder(recipe)
        except UmekomiError:
            return False
        return True

    def vectors(self, texts: Sequence[str], recipe: Recipe) -> Vectors:
        """Vectors by ``recipe``: float32 ``(n, dim)``, in order. Raises as `Embedder.embed`."""
        embedder = self._embedder(recipe)
        limit = recipe.limit or self.card.max_tokens
        whole = self._prepare(embedder, texts, recipe)
        pieces = [self._pieces(prepared.ids, limit, recipe) for prepared in whole]
        flat = [Prepared(self._reframe(ids, recipe.frame), len(ids)) for own in pieces for ids in own]
        vectors = embedder.submit(flat).result()
        return self._merge(vectors, pieces)

    def count_tokens(self, texts: Sequence[str], recipe: Recipe) -> int:
        """Tokens that `vectors` runs for ``texts``."""
        limit = recipe.limit or self.card.max_tokens
        whole = self._prepare(self._embedder(recipe), texts, recipe)
        return sum(len(ids) for prepared in whole for ids in self._pieces(prepared.ids, limit, recipe))

    def longest_of(self, texts: Sequence[str], recipe: Recipe) -> int:
        """Tokens of the longest of ``texts``, special tokens included, as far as the weights can take them."""
        return max(prepared.tokens for prepared in self._embedder(recipe).prepare([*texts], role="raw"))

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self, embedder: Embedder, texts: Sequence[str], recipe: Recipe) -> list[Prepared]:
        """Token ids as far as the weights can take them; under ``start`` those at the end."""
        side: Truncation = "start" if recipe.long_texts == "start" else "end"
        return embedder.prepare([recipe.text(text) for text in texts], role="raw", truncation=side)

    def _embedder(self, recipe: Recipe) -> Embedder:
        """The model in the recipe's pooling and precision; the oldest other one is closed where two are open."""
        own = recipe.pooling in (None, self._bundle.card.pooling)
        way: _Way = (None if own else recipe.pooling, recipe.precision or self._precision)
        if way not in self._open:
            while len(self._open) >= _OPEN_AT_ONCE:
                oldest = next((key for key in self._open if key != (None, self._precision)), way)
                self._open.pop(oldest).close()
            self._open[way] = self._open_way(way)
        return self._open[way]

    def _open_way(self, way: _Way) -> Embedder:
        pooling, precision = way
        card = self._bundle.card
        options: dict[str, Any] | None = None
        if card.format == "gguf":
            options = {"pooling": _LLAMA_POOLINGS[pooling]} if pooling else None
        else:
            card = replace(card, max_tokens=_longest(self._bundle), pooling=pooling or card.pooling)
        bundle = replace(self._bundle, card=card)
        return Embedder(open_encoder(bundle, precision=precision, threads=self._threads, options=options))

    def _frame(self) -> tuple[int, int]:
        """How many special tokens stand before and after a text, told from two texts that share nothing."""
        empty, full = (
            prepared.ids.tolist() for prepared in self._embedder(Recipe()).prepare(["", "a"], role="raw")
        )
        opening = 0
        while opening < min(len(empty), len(full)) and empty[opening] == full[opening]:
            opening += 1
        closing = 0
        while closing < len(empty) - opening and empty[-1 - closing] == full[-1 - closing]:
            closing += 1
        return opening, closing

    def _pieces(self, ids: TokenIds, limit: int, recipe: Recipe) -> list[TokenIds]:
        """``ids`` within ``limit``: one piece, or several under ``average``; each with the special tokens."""
        if len(ids) <= limit:
            return [ids]
        end = len(ids) - self._closing
        first, body, last = ids[: self._opening], ids[self._opening : end], ids[end:]
        room = max(1, limit - self._opening - self._closing)
        match recipe.long_texts:
            case "end":
                bodies = [body[:room]]
            case "start":
                bodies = [body[len(body) - room :]]
            case "average":
                bodies = [body[start : start + room] for start in range(0, len(body), room)]
        return [np.concatenate([first, piece, last]).astype(np.int32) for piece in bodies]

    def _reframe(self, ids: TokenIds, frame: Frame) -> TokenIds:
        end = len(ids) - self._closing
        first, body, last = ids[: self._opening], ids[self._opening : end], ids[end:]
        parts: dict[Frame, list[TokenIds]] = {
            "whole": [first, body, last],
            "no end": [first, body],
            "no start": [body, last],
            "none": [body],
            "double start": [first, first, body, last],
        }
        chosen = np.concatenate(parts[frame]).astype(np.int32)
        return chosen[: self.longest] if len(chosen) else ids

    def _merge(self, vectors: Vectors, pieces: Sequence[Sequence[TokenIds]]) -> Vectors:
        """One row a text: the mean of its pieces weighted by their tokens, as FastChat's workers take it."""
        if len(vectors) == len(pieces):
            return vectors
        rows = []
        start = 0
        for own in pieces:
            weights = np.array([len(ids) for ids in own], np.float32)
            rows.append((vectors[start : start + len(own)] * weights[:, None]).sum(axis=0) / weights.sum())
            start += len(own)
        merged = np.stack(rows)
        return normalize(merged) if self.card.normalize else merged


def _longest(bundle: Bundle) -> int:
    """The position table's length, over the limit that the model is shipped with; else the card's."""
    if not bundle.config:
        return bundle.card.max_tokens
    return max_positions(bundle.config, bundle.folder / "config.json") or bundle.card.max_tokens
