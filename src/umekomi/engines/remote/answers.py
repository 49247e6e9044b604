"""Whole answers of an upstream, checked before anything of them is passed on. Pure: bytes in, values out.

Everything here raises `WrongAnswer` for what is not valid.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from umekomi.engines.base import Answer
from umekomi.engines.remote.failures import WrongAnswer, excerpt_of
from umekomi.types import Vectors

_NUMBERS = frozenset({int, float})
_MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True, eq=False)
class RemoteVectors:
    """Row *i* belongs to input *i*: float32 ``(n, dim)``, finite. ``tokens`` is None where none were counted."""

    vectors: Vectors
    tokens: int | None


@dataclass(frozen=True, slots=True)
class RemoteScores:
    """Scores by the index of their document, of those that the upstream ranked. ``method`` is its own word."""

    scores: Mapping[int, float]
    method: str | None
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as an upstream counted them; None where it did not say, or not in whole numbers."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def parse_vectors(content: bytes, *, count: int) -> RemoteVectors:
    """The vectors of an embeddings answer for ``count`` inputs, as numbers or base64 of little-endian float32."""
    answer = _parse_object(content)
    data = answer.get("data")
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise WrongAnswer("sent a body that holds no embeddings")
    if len(data) != count:
        raise WrongAnswer(f"sent {len(data)} vectors for {count} texts")
    rows: list[Any] = [None] * count
    for row in data:
        index = row.get("index")
        if type(index) is not int or not 0 <= index < count or rows[index] is not None:
            raise WrongAnswer("sent vectors with wrong or repeated indices")
        rows[index] = _parse_row(row.get("embedding"))
    dims = {len(row) for row in rows}
    if len(dims) != 1 or 0 in dims:
        raise WrongAnswer("sent vectors of different lengths, or empty ones")
    vectors = np.stack(rows)
    if not np.isfinite(vectors).all():
        raise WrongAnswer("sent a vector that is not finite")
    usage = usage_of(answer)
    return RemoteVectors(vectors, usage.prompt_tokens)


def parse_generation(content: bytes, *, kind: Literal["chat", "complete"]) -> Answer:
    """A ``chat.completion`` or a ``text_completion`` as it came, less a usage that is not in whole numbers."""
    answer = _parse_object(content)
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not all(_is_choice(choice, kind) for choice in choices):
        raise WrongAnswer("sent a body that holds no answer")
    if "usage" in answer and usage_of(answer).prompt_tokens is None:
        del answer["usage"]
    return answer


def parse_scores(content: bytes, *, count: int, top_n: int) -> RemoteScores:
    """The scores of a rerank answer (Cohere's and Jina's shape), of ``top_n`` documents of ``count`` at least."""
    answer = _parse_object(content)
    results = answer.get("results")
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise WrongAnswer("sent a body that holds no ranking")
    scores: dict[int, float] = {}
    for result in results:
        index, score = result.get("index"), result.get("relevance_score", result.get("score"))
        if type(index) is not int or not 0 <= index < count or index in scores:
            raise WrongAnswer("sent scores with wrong or repeated indices")
        if type(score) not in _NUMBERS or not np.isfinite(score):
            raise WrongAnswer("sent a score that is no number")
        scores[index] = float(score)
    if len(scores) < top_n:
        raise WrongAnswer(f"sent {len(scores)} scores where {top_n} were asked for")
    method = answer.get("method")
    return RemoteScores(scores, method if isinstance(method, str) else None, usage_of(answer).prompt_tokens)


def parse_tokens(content: bytes) -> Answer:
    """``tokens``, ``count`` and, where the upstream tells it, ``max_model_len``."""
    answer = _parse_object(content)
    ids, limit = answer.get("tokens"), answer.get("max_model_len")
    if not isinstance(ids, list) or not all(type(token) is int and 0 <= token <= _MAX_ID for token in ids):
        raise WrongAnswer("sent a body that holds no token ids")
    known = {"max_model_len": limit} if type(limit) is int and limit > 0 else {}
    return {"tokens": ids, "count": len(ids), **known}


def parse_text(content: bytes) -> Answer:
    """``prompt``: the text of tokens."""
    text = _parse_object(content).get("prompt")
    if not isinstance(text, str):
        raise WrongAnswer("sent a body that holds no text")
    return {"prompt": text}


def usage_of(answer: Mapping[str, Any]) -> Usage:
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    prompt = _count(usage.get("prompt_tokens"))
    return Usage(
        _count(usage.get("total_tokens")) if prompt is None else prompt, _count(usage.get("completion_tokens"))
    )


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 2**53 else None


def _parse_object(content: bytes) -> dict[str, Any]:
    """NaN and Infinity are no JSON, and end here."""
    try:
        answer: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise WrongAnswer("sent a body that is not JSON", excerpt_of(content)) from None
    if not isinstance(answer, dict):
        raise WrongAnswer("sent a body that is no JSON object")
    if answer.get("error"):
        raise WrongAnswer("sent an error under status 200", excerpt_of(content))
    return answer


def _parse_row(embedding: Any) -> NDArray[np.float32]:
    if isinstance(embedding, str):
        try:
            content = base64.b64decode(embedding, validate=True)
        except (binascii.Error, ValueError):
            raise WrongAnswer("sent a vector that is not base64") from None
        if len(content) % 4:
            raise WrongAnswer(f"sent a vector of {len(content)} bytes, which are no whole float32 numbers")
        return np.frombuffer(content, "<f4").astype(np.float32)
    if not isinstance(embedding, list) or not set(map(type, embedding)) <= _NUMBERS:
        raise WrongAnswer("sent a vector that holds something else than numbers")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is found
        try:
            return np.array(embedding, np.float64).astype(np.float32)
        except OverflowError:
            raise WrongAnswer("sent a vector that is not finite") from None


def _is_choice(choice: object, kind: Literal["chat", "complete"]) -> bool:
    if not isinstance(choice, dict):
        return False
    return isinstance(choice.get("message"), dict) if kind == "chat" else isinstance(choice.get("text"), str)
