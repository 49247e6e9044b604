"""`TextCutter`: texts to token ids and back, cut to the model's context at either end."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from tokenizers import Encoding, Tokenizer

from umekomi.errors import InputTooLong, InvalidInput
from umekomi.types import Prepared, TokenIds, Truncation

UNLIMITED = sys.maxsize
"""As ``max_tokens``: nothing is cut."""

_PROBE = "a"  # tells where a tokenizer puts its special tokens
_SEED = 0
_RANDOM_TEXTS = 4
_RANDOM_TOKENS = 62


class TextCutter:
    """A tokenizer with the model's limit. Safe to use from several threads."""

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int, rows: int | None = None) -> None:
        """``rows`` of the model's word table, where they may be fewer than the tokenizer's tokens."""
        self._tokenizer = tokenizer
        self._limit = max_tokens
        self.vocabulary = _vocabulary(tokenizer)
        """One more than the highest token id."""
        self._rows = rows if rows is not None and rows < self.vocabulary else None
        self._opening, self._closing = _special_tokens(tokenizer)

    def random_texts(self) -> list[TokenIds]:
        """The same few texts of one length at every call: random tokens between the model's special ones."""
        rng = np.random.default_rng(_SEED)
        full = self._tokenizer.encode(_PROBE).ids
        opening, closing = full[: self._opening], full[len(full) - self._closing :]
        inner = min(_RANDOM_TOKENS, max(1, self._limit - len(opening) - len(closing)))
        return [
            np.array([*opening, *rng.integers(self.vocabulary, size=inner), *closing], np.int32)
            for _ in range(_RANDOM_TEXTS)
        ]

    def prepare(self, texts: Sequence[str], *, prompt: str, truncation: Truncation) -> list[Prepared]:
        """See `Encoder.prepare`. Raises `InvalidInput` also for a token that the model has no row for."""
        whole = [prompt + text for text in texts] if prompt else list(texts)
        try:
            encodings = self._tokenizer.encode_batch_fast(whole)
        except (TypeError, UnicodeEncodeError):
            raise not_unicode(whole) from None
        prepared = [
            self._prepare(encoding, text, prompt, truncation)
            for encoding, text in zip(encodings, whole, strict=True)
        ]
        if self._rows is not None:
            self._check_rows(prepared, self._rows)
        return prepared

    def decode(self, ids: Sequence[int]) -> str:
        """See `Encoder.decode`."""
        for token in ids:
            if not 0 <= token < 1 << 32 or self._tokenizer.id_to_token(token) is None:
                raise InvalidInput(
                    f"token id {token} is not in the model's vocabulary of {self.vocabulary} tokens", param="input"
                )
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)

    def _prepare(self, encoding: Encoding, text: str, prompt: str, truncation: Truncation) -> Prepared:
        ids = encoding.ids
        total = len(ids)
        if total > self._limit:
            if truncation == "error":
                raise InputTooLong(
                    f"This model's maximum context length is {self._limit} tokens, however you requested "
                    f"{total} tokens; shorten the input, or allow truncation",
                    param="input",
                )
            kept = self._prompt_tokens(text, prompt) if truncation == "start" else 0
            ids = self._cut(ids, kept_first=kept, at_start=truncation == "start")
        return Prepared(np.array(ids, np.int32), total)

    def _check_rows(self, prepared: Sequence[Prepared], rows: int) -> None:
        for index, text in enumerate(prepared):
            if text.tokens and (highest := int(text.ids.max())) >= rows:
                raise InvalidInput(
                    f"text {index} has the token {self._tokenizer.id_to_token(highest)!r} ({highest}), which the "
                    f"tokenizer knows and the model, of {rows} tokens, does not; remove it",
                    param="input",
                )

    def _cut(self, ids: list[int], *, kept_first: int, at_start: bool) -> list[int]:
        """``ids`` within the limit: special tokens stay, and of the rest its end, or its first and its end."""
        opening, closing = self._opening, len(ids) - self._closing
        room = max(0, self._limit - self._opening - self._closing)
        kept_first = min(kept_first, room) if at_start else room
        kept_last = room - kept_first
        first = ids[: opening + kept_first]
        last = ids[closing - kept_last : closing] if kept_last else []
        return (first + last + ids[closing:])[: self._limit]

    def _prompt_tokens(self, text: str, prompt: str) -> int:
        """How many of the tokens after the opening ones lie in the prompt alone."""
        if not prompt:
            return 0
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return next((index for index, (_, end) in enumerate(offsets) if end > len(prompt)), len(offsets))


def _vocabulary(tokenizer: Tokenizer) -> int:
    """One more than the highest token id, without listing the vocabulary, which takes 0.3 s for XLM-R's."""
    added = max(tokenizer.get_added_tokens_decoder(), default=-1)
    return max(tokenizer.get_vocab_size(with_added_tokens=False), added + 1)


def _special_tokens(tokenizer: Tokenizer) -> tuple[int, int]:
    """How many special tokens the tokenizer puts before and after a text."""
    bare = tokenizer.encode(_PROBE, add_special_tokens=False).ids
    full = tokenizer.encode(_PROBE).ids
    for opening in range(len(full) - len(bare) + 1):
        if full[opening : opening + len(bare)] == bare:
            return opening, len(full) - len(bare) - opening
    return 0, 0


def not_unicode(texts: Sequence[str]) -> InvalidInput:
    """What to raise where a tokenizer did not take ``texts``: it names the first that is no text."""
    for index, text in enumerate(texts):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return InvalidInput(
                f"text {index} has a lone surrogate at position {error.start}; it was cut or decoded wrongly",
                param="input",
            )
    return InvalidInput("the tokenizer takes strings only", param="input")
