"""Distinct vectors from text, without a model: for trying an installation, for tests and for load tests.

A vector is a signed, hashed bag of character bigrams, so texts that share characters lie near each other. It knows
nothing of meaning. Opened by the name ``hashing:DIM``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InputTooLong, InvalidInput, UnknownModel
from umekomi.models.bundle import Bundle
from umekomi.models.card import ModelCard
from umekomi.types import Precision, Prepared, Truncation, Vectors

PREFIX = "hashing:"
MAX_TOKENS = 512
MAX_DIM = 4096
_START = 0x110000  # one past the last code point, so that even an empty text has a token


def hashing_bundle(name: str) -> Bundle:
    """The bundle that ``hashing:DIM`` names. Raises `UnknownModel` where DIM is not from 2 to 4096."""
    digits = name.removeprefix(PREFIX)
    if not digits.isdecimal() or not 2 <= int(digits) <= MAX_DIM:
        raise UnknownModel(f"'{name}': write {PREFIX} and a dimension from 2 to {MAX_DIM}, such as {PREFIX}256")
    card = ModelCard(
        name=name,
        source="built in",
        format="hashing",
        architecture="hashing",
        dim=int(digits),
        max_tokens=MAX_TOKENS,
        pooling="mean",
        normalize=True,
        weights_digest=f"hashing-1-{digits}",
        tokenizer_digest="code-points",
        prompts=MappingProxyType({"query": "query: ", "document": "document: "}),
        notice="hashed character bigrams, not a model: vectors carry no meaning",
    )
    return Bundle(card=card, folder=Path(), weights=(), config=MappingProxyType({}))


def open_encoder(bundle: Bundle, *, precision: Precision = "fp32", threads: int | None = None) -> HashingEncoder:
    return HashingEncoder(bundle.card.with_precision(precision), lanes=threads or 1)


class HashingEncoder:
    """One token a code point; every row is computed alone."""

    batch_tokens = 4096

    def __init__(self, card: ModelCard, *, lanes: int) -> None:
        self.card = card
        self.lanes = lanes

    def prepare(self, texts: Sequence[str], *, prompt: str = "", truncation: Truncation = "end") -> list[Prepared]:
        return [self._prepare(text, prompt, truncation) for text in texts]

    def run(self, batch: Sequence[Prepared]) -> Vectors:
        return np.stack([self._vector(text.ids) for text in batch])

    def decode(self, ids: Sequence[int]) -> str:
        for token in ids:
            if not 0 <= token <= _START or 0xD800 <= token <= 0xDFFF:
                raise InvalidInput(f"token id {token} is not a code point", param="input")
        return "".join(chr(token) for token in ids if token != _START)

    def close(self) -> None:
        pass

    def _prepare(self, text: str, prompt: str, truncation: Truncation) -> Prepared:
        points = np.frombuffer((prompt + text).encode("utf-32-le"), np.int32)
        total = len(points) + 1
        limit = self.card.max_tokens
        if total > limit and truncation == "error":
            raise InputTooLong(
                f"This model's maximum context length is {limit} tokens, however you requested {total} tokens",
                param="input",
            )
        if total > limit and truncation == "start":
            kept = min(len(prompt), limit - 1)
            points = np.concatenate([points[:kept], points[total - limit + kept :]])
        ids = np.concatenate([[_START], points[: limit - 1]]).astype(np.int32)
        return Prepared(ids=ids, total_tokens=total)

    def _vector(self, ids: NDArray[np.int32]) -> NDArray[np.float32]:
        left = ids.astype(np.uint64)
        right = np.append(left[1:], np.uint64(_START))
        mixed = (left * np.uint64(0x9E3779B97F4A7C15)) ^ (right * np.uint64(0xC2B2AE3D27D4EB4F))
        mixed ^= mixed >> np.uint64(29)
        slots = (mixed % np.uint64(self.card.dim)).astype(np.int64)
        signs = np.where((mixed >> np.uint64(40)) & np.uint64(1), 1.0, -1.0)
        vector = np.bincount(slots, weights=signs, minlength=self.card.dim)
        vector[slots[0]] += 0.5  # opposite signs may cancel, but a half always stays: never a zero vector
        return (vector / np.linalg.norm(vector)).astype(np.float32)
