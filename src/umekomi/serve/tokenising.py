"""A request's inputs to prepared texts: slice by slice in threads, within the limits of one request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from umekomi.config import Limits, TokenVocabulary
from umekomi.embedding.embedder import Embedder
from umekomi.embedding.texts import check_texts
from umekomi.errors import InputTooLong, InvalidInput
from umekomi.models import openai_tokens
from umekomi.types import Prepared, Role, Truncation

SLICE_TEXTS = 64
SLICE_CHARS = 65_536
"""Texts are tokenised in slices of about this much, so that small requests get their turn between a large one's,
and a client that went away costs no more than the slice at hand."""

INLINE_CHARS = 1024
"""Requests of up to this many characters are tokenised on the event loop: quicker than changing threads, and a
query does not wait until the threads are through with bulk work (its median beside 12 bulk clients fell from 57 ms
to 6 on the hashing model, on a busy machine, 2026-11-21)."""

CUT_TOKENS = 256
"""Tokens that a cut may add to a text's count. A cut inside a word changes how both halves are split (one that a
model knows as a single unknown token may even fall into letters), and a text within its limit must not be refused
for that: counting in windows refuses only what is over by more than this for each window."""


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
    chars = sum(map(len, texts))
    if chars <= INLINE_CHARS and len(texts) <= SLICE_TEXTS:
        prepared = embedder.prepare(texts, role=role, truncation=truncation)
        Allowance(limits).take([text.total_tokens for text in prepared])
        return prepared
    if chars > SLICE_CHARS or len(texts) > SLICE_TEXTS:
        await asyncio.to_thread(check_texts, texts)  # all at once, or a message would count from the slice's first
    allowance = Allowance(limits)
    prepared = []
    for part in _slices(texts):
        await _refuse_hopeless(part, embedder, role=role, limits=limits)
        done = await asyncio.to_thread(embedder.prepare, part, role=role, truncation=truncation)
        allowance.take([text.total_tokens for text in done])
        prepared += done
    return prepared


async def refuse_hopeless_text(text: str, count: Callable[[str], int], *, limits: Limits) -> None:
    """Raises `InputTooLong` for a text that is clearly over its limit, with little memory however it is made.

    A character may become many tokens, so neither a text's length nor its beginning tells what tokenising all of it
    would cost. A long one is therefore counted window by window, in threads, until the sum says enough. Texts of up
    to `SLICE_CHARS` characters pass unread. ``count`` gives a text's tokens.
    """
    if len(text) <= SLICE_CHARS:
        return
    around = await asyncio.to_thread(count, "")  # prompt and special tokens, which every window has again
    total = around
    allowed = limits.max_input_tokens
    for start in range(0, len(text), SLICE_CHARS):
        window = text[start : start + SLICE_CHARS]
        total += max(0, await asyncio.to_thread(count, window) - around)
        allowed += CUT_TOKENS
        if total > allowed:
            Allowance(limits).take([total])


async def _refuse_hopeless(texts: Sequence[str], embedder: Embedder, *, role: Role, limits: Limits) -> None:
    def count(text: str) -> int:
        (prepared,) = embedder.prepare([text], role=role)
        return prepared.total_tokens

    for text in texts:
        await refuse_hopeless_text(text, count, limits=limits)


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
