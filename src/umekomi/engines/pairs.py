"""`PairCutter`: a query and documents to the token ids of pairs, cut to the model's context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Encoding, Tokenizer

from umekomi.engines.texts import not_unicode
from umekomi.errors import InvalidInput, UnsupportedModel
from umekomi.types import TokenIds

_PROBE = "a"  # tells where a tokenizer puts its special tokens, and which types it gives

_WINDOW_CHARS = 65_536
"""Of a longer text, only a beginning is tokenised, as long as it makes enough tokens: a few megabytes of text could
become gigabytes of tokens, of which hundreds are kept."""

_LEAST_TOKENS = 2

_ENOUGH = 2
"""Contexts that a beginning must fill, so that its own end, where it may split otherwise, is cut off again."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A query and a document as a model reads them: ids and token types, int32 ``(length,)`` each."""

    ids: TokenIds
    types: TokenIds
    truncated: bool

    @property
    def tokens(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What stands before, between and after the texts of a pair, and the token type of every part in order."""

    before: list[int]
    between: list[int]
    after: list[int]
    types: tuple[list[int], int, list[int], int, list[int]]

    @property
    def tokens(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


class PairCutter:
    """A tokenizer with the model's limit. Safe to use from several threads."""

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int, types: bool, name: str) -> None:
        """All tokens are of type 0 without ``types``.

        Raises `UnsupportedModel` where nothing would stand between a query and a document, or both do not fit.
        """
        self._tokenizer = tokenizer
        self._limit = max_tokens
        self._types = types
        self._frame = _read_frame(tokenizer.encode(_PROBE, _PROBE))
        if not self._frame.between:
            raise UnsupportedModel(f"{name}: its tokenizer puts no token between a query and a document")
        if max_tokens < self._frame.tokens + _LEAST_TOKENS:
            raise UnsupportedModel(
                f"{name}: its context of {max_tokens} tokens leaves no room for a query and a document"
            )

    def prepare(self, query: str, documents: Sequence[str]) -> list[Pair]:
        """Each document with the query, in order. Of what is too long together, the longer text loses its end
        first, as the tokenizers library's ``longest_first`` has it.

        Raises `InvalidInput` for a text that is not valid Unicode.
        """
        first = self._encode([query], param="query")[0]
        return [self._join(first, second) for second in self._encode(documents, param="documents")]

    def _encode(self, texts: Sequence[str], *, param: str) -> list[list[int]]:
        try:
            beginnings = [self._beginning(text) for text in texts]
            encodings = self._tokenizer.encode_batch_fast(beginnings, add_special_tokens=False)
        except (TypeError, UnicodeEncodeError):
            error: InvalidInput = not_unicode(texts)
            error.param = param
            raise error from None
        return [encoding.ids for encoding in encodings]

    def _beginning(self, text: str) -> str:
        """``text``, or a beginning of it that makes more tokens than can be kept."""
        chars = _WINDOW_CHARS
        while chars < len(text):
            window = text[:chars]
            (encoding,) = self._tokenizer.encode_batch_fast([window], add_special_tokens=False)
            if len(encoding) >= _ENOUGH * self._limit:
                return window
            chars *= 4
        return text

    def _join(self, first: list[int], second: list[int]) -> Pair:
        frame = self._frame
        kept = share_room(len(first), len(second), room=self._limit - frame.tokens)
        before, first_type, between, second_type, after = frame.types
        ids = [*frame.before, *first[: kept[0]], *frame.between, *second[: kept[1]], *frame.after]
        types = [*before, *[first_type] * kept[0], *between, *[second_type] * kept[1], *after]
        truncated = kept != (len(first), len(second))
        return Pair(np.array(ids, np.int32), np.array(types, np.int32) * self._types, truncated)


def share_room(first: int, second: int, *, room: int) -> tuple[int, int]:
    """How many tokens of two texts are kept in ``room``: the longer one gives way until both are equally long.

    The rule of the tokenizers library (its truncation strategy ``LongestFirst``), which CrossEncoder uses.
    """
    if first + second <= room:
        return first, second
    short = min(first, second)
    long = short if short > room else max(short, room - short)
    if short + long > room:
        short, long = room // 2, room - room // 2
    return (short, long) if first <= second else (long, short)


def _read_frame(probe: Encoding) -> _Frame:
    """By an encoding of a pair, whose parts it tells apart by ``sequence_ids``."""
    parts, types = probe.sequence_ids, probe.type_ids
    first = [place for place, part in enumerate(parts) if part == 0]
    second = [place for place, part in enumerate(parts) if part == 1]
    gaps = (slice(0, first[0]), slice(first[-1] + 1, second[0]), slice(second[-1] + 1, len(parts)))
    before, between, after = (probe.ids[gap] for gap in gaps)
    own = [types[gap] for gap in gaps]
    return _Frame(before, between, after, (own[0], types[first[0]], own[1], types[second[0]], own[2]))
