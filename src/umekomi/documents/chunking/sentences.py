"""Sentences of a text as spans, by sentencex."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from umekomi.documents.extras import load

_JAPANESE: Final = re.compile("[ぁ-ゖァ-ヺ㐀-鿿。、]")
_MAX_CHARACTERS: Final = 20_000
"""What sentencex is given at once: on some marks it takes time by the square of the length."""


def iter_sentences(text: str) -> Iterator[tuple[int, int]]:
    """``(start, end)`` of each sentence in order, blanks behind it included; together they are all of ``text``."""
    segment = load("sentencex").segment
    for start in range(0, len(text), _MAX_CHARACTERS):
        part = text[start : start + _MAX_CHARACTERS]
        sentences = segment("ja" if _JAPANESE.search(part) else "en", part)
        if sum(map(len, sentences)) != len(part):  # it dropped something: better one long sentence
            yield start, start + len(part)
            continue
        for sentence in sentences:
            if sentence:
                yield start, start + len(sentence)
                start += len(sentence)  # noqa: PLW2901 (the end of this is the start of the next)
