"""Counting a text's tokens as a model does, and cutting it where they run out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BREAKS = ("。", "．", "！", "？", "\n", ". ", "、", "，", "; ", ", ", "」", "）", " ")
"""Where a text that is too long is cut rather than within a word, the best first."""


class TokenCounter(Protocol):
    """``name``: which counter this is; equal names count alike. ``room``: tokens of a text that the model takes
    beside its prompt and special tokens."""

    @property
    def name(self) -> str: ...

    @property
    def room(self) -> int: ...

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without prompt and special tokens."""

    def starts(self, text: str) -> Sequence[int]:
        """The offset in ``text`` at which each of its tokens begins, ascending."""


class ModelTokens:
    """The tokens of a model's own tokenizer."""

    def __init__(self, tokenizer: Tokenizer, *, name: str, room: int) -> None:
        self.name = name
        self.room = room
        self._tokenizer = tokenizer

    def count(self, texts: Sequence[str]) -> list[int]:
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]

    def starts(self, text: str) -> Sequence[int]:
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        starts: list[int] = []
        for start, _ in offsets:
            starts.append(max(start, starts[-1] if starts else 0))
        return starts


class CodePoints:
    """One token a code point, as the hashing engine counts."""

    name = "code-points"

    def __init__(self, *, room: int) -> None:
        self.room = room

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    def starts(self, text: str) -> Sequence[int]:
        return range(len(text))


def load_counter(model: str, *, notify: Callable[[str], None] | None = None) -> TokenCounter:
    """The counter of a model, by any name that `open_embedder` takes; the model is fetched where it is not here.

    Raises what `open_model` and `load_tokenizer` raise.
    """
    from umekomi.engines.hashing import PREFIX, hashing_bundle
    from umekomi.models.sources import open_model
    from umekomi.models.tokenizer import load_tokenizer

    if model.startswith(PREFIX):
        card = hashing_bundle(model).card
        return CodePoints(room=card.max_tokens - 1 - max(map(len, card.prompts.values())))
    bundle = open_model(model, notify=notify)
    tokenizer = load_tokenizer(bundle.folder)
    prompts = [tokenizer.encode(prompt, add_special_tokens=False).ids for prompt in bundle.card.prompts.values()]
    room = (
        bundle.card.max_tokens
        - tokenizer.num_special_tokens_to_add(is_pair=False)
        - max(map(len, prompts), default=0)
    )
    return ModelTokens(tokenizer, name=bundle.card.tokenizer_digest, room=room)


def cut_after(text: str, starts: Sequence[int], tokens: int) -> int:
    """How many characters of ``text`` to take for at most ``tokens`` tokens: up to a good break in the last third.

    ``starts``: as `TokenCounter.starts` gives them. At least one character.
    """
    if len(starts) <= tokens:
        return len(text)
    limit = max(1, starts[max(1, tokens)])
    earliest = max(1, 2 * limit // 3)
    for mark in _BREAKS:
        place = text.rfind(mark, earliest, limit)
        if place >= 0:
            return place + len(mark)
    return limit
