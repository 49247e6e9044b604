"""Which chunks are asked about, and in which style: a quota for each document, spread over it from end to end."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from umekomi.documents.document import Chunk
from umekomi.errors import InvalidInput
from umekomi.synthesize.pairs import Style

DEFAULT_PER_DOCUMENT = 20
"""Queries for each document, in all styles together."""

_SPACED_WORD = r"[0-9a-z_\u00c0-\u024f\u0370-\u052f]"
"""Letters of scripts that put spaces between words: a keyword must not begin or end inside a run of them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A chunk, and how its query is to be worded."""

    chunk: Chunk
    style: Style


@dataclass(frozen=True, slots=True)
class Selection:
    """What will be asked, document by document, and how many chunks were passed over for which reason."""

    wanted: tuple[Wanted, ...]
    passed_over: dict[str, int]


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Which chunks may be asked about. ``keywords``: at least one must stand in the chunk; empty: any will do."""

    min_chars: int = 0
    max_chars: int | None = None
    keywords: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    def reason_against(self) -> Callable[[Chunk], str | None]:
        """A function that says why a chunk is passed over, or None where it may be asked about."""
        pattern = _keyword_pattern(self.keywords) if self.keywords else None

        def reason(chunk: Chunk) -> str | None:
            length = len(chunk.text)
            if length < self.min_chars:
                return f"shorter than {self.min_chars} characters"
            if self.max_chars is not None and length > self.max_chars:
                return f"longer than {self.max_chars} characters"
            if self.languages and chunk.language not in self.languages:
                return f"in another language than {', '.join(self.languages)}"
            if pattern is not None and not pattern.search(_folded(chunk.text)):
                return "without any of the keywords"
            return None

        return reason


def select(
    chunks: Iterable[Chunk], *, eligibility: Eligibility, per_document: int, styles: Sequence[Style]
) -> Selection:
    """``per_document`` queries for each document, fewer where it has too few chunks; no chunk twice in one style.

    Chunks are taken at even distances over the whole document rather than from its start, and styles in turn, so
    that each style sees every part of it. The same chunks in any order give the same selection.

    Raises `InvalidInput` where nothing is left to ask about.
    """
    if per_document < 1:
        raise InvalidInput(f"per document: {per_document} queries; use 1 or more", param="per_document")
    reason_against = eligibility.reason_against()
    passed_over: Counter[str] = Counter()
    documents: dict[str, list[Chunk]] = {}
    for chunk in chunks:
        if (reason := reason_against(chunk)) is not None:
            passed_over[reason] += 1
        else:
            documents.setdefault(chunk.document_id, []).append(chunk)
    if not documents:
        listed = "; ".join(f"{count} {reason}" for reason, count in passed_over.items()) or "there are none"
        raise InvalidInput(f"no chunk is left to ask about: {listed}")
    wanted = tuple(
        each
        for document_id in sorted(documents)
        for each in _spread(documents[document_id], per_document=per_document, styles=styles)
    )
    return Selection(wanted, dict(passed_over))


def _spread(chunks: Sequence[Chunk], *, per_document: int, styles: Sequence[Style]) -> list[Wanted]:
    """Rounds over evenly spaced chunks: in each further round a chunk gets the next style."""
    ordered = sorted(chunks, key=lambda chunk: chunk.start)
    wanted: list[Wanted] = []
    for turn in range(len(styles)):
        left = per_document - len(wanted)
        if left <= 0:
            break
        count = min(left, len(ordered))
        rows = [(2 * place + 1) * len(ordered) // (2 * count) for place in range(count)]
        wanted += [Wanted(ordered[row], styles[(row + turn) % len(styles)]) for row in rows]
    return wanted


def _keyword_pattern(keywords: Sequence[str]) -> re.Pattern[str]:
    """Whole words in any case; in scripts without spaces, wherever the keyword stands."""
    folded = sorted({_folded(keyword).strip() for keyword in keywords} - {""}, key=len, reverse=True)
    if not folded:
        raise InvalidInput("the list of keywords is empty", param="keywords")
    choices = "|".join(
        (rf"(?<!{_SPACED_WORD})" if re.match(_SPACED_WORD, keyword) else "")
        + re.escape(keyword)
        + (rf"(?!{_SPACED_WORD})" if re.search(f"{_SPACED_WORD}$", keyword) else "")
        for keyword in folded
    )
    return re.compile(choices)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
