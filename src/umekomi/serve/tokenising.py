"""A request's inputs to prepared texts: slice by slice in threads, within the limits of one request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from umekomi.config import Limits, TokenVocabulary
from umekomi.embedding.embedder import Embedder
from umekomi.errors import InputTooLong, InvalidInput
from umekomi.models import openai_tokens
from umekomi.types import Prepared, Role, Truncation

SLICE_TEXTS = 64
SLICE_CHARS = 65_536
"""Texts are tokenised in slices of about this much, so that small requests get their turn between a large one's,
and a client that went away costs no more than the slice at hand."""

PROBE_CHARS = 40
"""A text of more than this many characters for each token allowed is first tried by its beginning, so that a body
full of one text is refused without tokenising all of it."""


@dataclass(slots=True)
class Allowance:
    """What a request may still ask for, in tokens before truncation."""

    limits: Limits
    used: int = 0

    def take(self, sizes: Sequence[int]) -> None:
        """Raises `InputTooLong` in OpenAI's words for an input over its limit, `InvalidInput` for their sum."""
        allowed = self.limits.max_input_tokens
        longest = max(sizes, default=0)
        if longest > allowed:
            raise InputTooLong(
                f"This model's maximum context length is {allowed} tokens, however you requested {longest} tokens. "
                "Please shorten the input.",
                param="input",
            )
        self.used += sum(sizes)
        if self.used > self.limits.max_request_tokens:
            raise InvalidInput(
                f"Requested at least {self.used} tokens, max {self.limits.max_request_tokens} tokens per request; "
                "send fewer inputs at once.",
                param="input",
            )


async def prepare_texts(
    texts: Sequence[str], embedder: Embedder, *, role: Role, truncation: Truncation, limits: Limits
) -> list[Prepared]:
    """Prepared texts in order, refused as soon as a limit is passed. Raises what `Embedder.prepare` raises."""
    allowance = Allowance(limits)
    probe = limits.max_input_tokens * PROBE_CHARS
    prepared: list[Prepared] = []
    for part in _slices(texts):
        beginnings = [text[:probe] for text in part if len(text) > probe]
        if beginnings:
            tried = await asyncio.to_thread(embedder.prepare, beginnings, role=role)
            Allowance(limits).take([text.total_tokens for text in tried])
        done = await asyncio.to_thread(embedder.prepare, part, role=role, truncation=truncation)
        allowance.take([text.total_tokens for text in done])
        prepared += done
    return prepared


async def prepare_token_ids(
    inputs: Sequence[list[int]],
    embedder: Embedder,
    *,
    vocabulary: TokenVocabulary,
    role: Role,
    truncation: Truncation,
    limits: Limits,
) -> list[Prepared]:
    """As `prepare_texts`, for token ids of ``vocabulary``.

    The limits count the ids sent, not the model's tokens of the same text: clients cut to the limit in their own
    vocabulary, and the model's may need more.
    """
    Allowance(limits).take([len(ids) for ids in inputs])
    texts = await asyncio.to_thread(_decode, inputs, embedder, vocabulary)
    prepared: list[Prepared] = []
    for part in _slices(texts):
        prepared += await asyncio.to_thread(embedder.prepare, part, role=role, truncation=truncation)
    return prepared


def _decode(inputs: Sequence[list[int]], embedder: Embedder, vocabulary: TokenVocabulary) -> list[str]:
    if vocabulary == "model":
        return [embedder.decode(ids) for ids in inputs]
    return [openai_tokens.decode(vocabulary, ids) for ids in inputs]


def _slices(texts: Sequence[str]) -> Iterator[list[str]]:
    """``texts`` in order, in lists of up to `SLICE_TEXTS` texts and about `SLICE_CHARS` characters."""
    part: list[str] = []
    chars = 0
    for text in texts:
        part.append(text)
        chars += len(text)
        if len(part) == SLICE_TEXTS or chars >= SLICE_CHARS:
            yield part
            part, chars = [], 0
    if part:
        yield part
