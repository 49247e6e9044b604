"""BM25 over words of spaced scripts and character bigrams of the others, so that Japanese needs no dictionary."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InvalidInput
from umekomi.extras import require
from umekomi.types import Hit

K1 = 1.2
B = 0.75
"""Lucene's defaults: how soon a repeated term stops counting, and how much a long document is held against it."""

_UNSPACED = r"\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Han, kana and their marks: scripts that are written without spaces. NFKC has widened half-width kana before."""

_RUNS = re.compile(rf"([{_UNSPACED}]+)|((?:(?![{_UNSPACED}])\w)+)")


def terms(text: str) -> list[str]:
    """Terms of ``text`` in order, repeated ones too: NFKC, case folded; ``東京都`` gives 東京 and 京都."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [
        term for unspaced, word in _RUNS.findall(folded) for term in (_bigrams(unspaced) if unspaced else [word])
    ]


def _bigrams(run: str) -> Iterator[str]:
    if len(run) == 1:
        yield run
    yield from (run[start : start + 2] for start in range(len(run) - 1))


class LexicalIndex:
    """BM25 (Robertson et al. 1994, in Lucene's form) over a fixed list of texts, in memory."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Raises `MissingExtra` without bm25s, and `InvalidInput` for an empty list."""
        if not texts:
            raise InvalidInput("a lexical index needs at least one text")
        bm25s = require("bm25s", extra="search")
        self._count = len(texts)
        # Numbers for terms: millions of copies of the same two characters would fill the memory.
        self._known: dict[str, int] = {}
        found = [[self._known.setdefault(term, len(self._known)) for term in terms(text)] for text in texts]
        self._index: Any = None
        if self._known:
            self._index = bm25s.BM25(method="lucene", k1=K1, b=B)
            self._index.index((found, self._known), show_progress=False)

    def __len__(self) -> int:
        return self._count

    def scores(self, query: str) -> NDArray[np.float32]:
        """float32 ``(len(self),)``: 0 for a text that shares no term with ``query``."""
        asked = [term for term in terms(query) if term in self._known]
        if not asked:
            return np.zeros(self._count, np.float32)
        return np.asarray(self._index.get_scores(asked), np.float32)

    def search(self, query: str, *, top: int) -> list[Hit]:
        """At most ``top`` texts that share a term with ``query``, best first; equal scores in the texts' order."""
        scores = self.scores(query)
        rows = np.flatnonzero(scores > 0)
        if len(rows) > top:  # sorting all of a large corpus for each query would take longer than the scores
            rows = rows[scores[rows] >= np.partition(scores[rows], -top)[-top]]
        order = rows[np.argsort(-scores[rows], kind="stable")[:top]]
        return [Hit(index=int(row), score=float(scores[row])) for row in order]
