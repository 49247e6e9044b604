"""Texts that repeat an earlier one, to the letter or nearly: they make neighbours that say nothing about a
model."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRAM = 5
"""Characters of a shingle: near-duplicates are told by the 5-grams that two texts share."""

NEAR_JACCARD = 0.8
"""From this share of common 5-grams among all of both, a text repeats another."""

_BANDS, _ROWS = 8, 4
_BLOCK_CHARACTERS = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Repeats:
    """Which texts repeat which.

    first  int64 ``(n,)``: the earliest text that each text repeats; its own row where it is the first
    exact  bool ``(n,)``: whether it repeats one to the letter, but for width, case and white space
    """

    first: NDArray[np.int64]
    exact: NDArray[np.bool_]

    @property
    def share(self) -> float:
        """Share of texts that repeat an earlier one."""
        return float((self.first != np.arange(len(self.first))).mean()) if len(self.first) else 0.0


def find_repeats(texts: Sequence[str]) -> Repeats:
    """Texts equal to an earlier one (NFKC, case and white space aside), or with `NEAR_JACCARD` of its 5-grams.

    Near ones are looked for among texts that agree in one of eight bands of four minimum hashes (Broder 1997,
    doi:10.1109/SEQUEN.1997.666900) and then compared exactly; at the limit, 1 in 70 pairs is missed.
    """
    plain = [fold(text) for text in texts]
    seen: dict[str, int] = {}
    first = np.array([seen.setdefault(text, row) for row, text in enumerate(plain)], np.int64)
    exact = first != np.arange(len(texts))
    kept = np.flatnonzero(~exact)
    for row, earlier in _iter_near([plain[row] for row in kept]):
        first[kept[row]] = first[kept[earlier]]
    return Repeats(first[first], exact)


def find_known(texts: Sequence[str], known: Sequence[str]) -> Repeats:
    """For each of ``texts``, the first of ``known`` that it repeats, as `find_repeats` tells it; -1 for none."""
    plain, others = [fold(text) for text in texts], [fold(text) for text in known]
    seen: dict[str, int] = {}
    for row, text in enumerate(others):
        seen.setdefault(text, row)
    first = np.array([seen.get(text, -1) for text in plain], np.int64)
    exact = first >= 0
    left, distinct = np.flatnonzero(~exact).tolist(), list(seen.values())
    if left and distinct:
        buckets = _bucketed([others[row] for row in distinct])
        for row, bands in zip(left, _bands([plain[row] for row in left]).tolist(), strict=True):
            rows = sorted({other for band, key in enumerate(bands) for other in buckets.get((band, key), ())})
            near = (
                distinct[other] for other in rows if _jaccard(plain[row], others[distinct[other]]) >= NEAR_JACCARD
            )
            first[row] = next(near, -1)
    return Repeats(first, exact)


def is_near(text: str, other: str) -> bool:
    """Whether two texts repeat each other, to the letter or with `NEAR_JACCARD` of their 5-grams."""
    return _jaccard(fold(text), fold(other)) >= NEAR_JACCARD


def fold(text: str) -> str:
    """``text`` as repeats are told by: without differences of width, case and white space."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _bucketed(texts: Sequence[str]) -> dict[tuple[int, int], list[int]]:
    """Rows by band and its hash."""
    buckets: dict[tuple[int, int], list[int]] = {}
    for row, bands in enumerate(_bands(texts).tolist()):
        for band, key in enumerate(bands):
            buckets.setdefault((band, key), []).append(row)
    return buckets


def _iter_near(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of a text and the earliest that it nearly repeats, in order of the texts."""
    if not texts:
        return []
    bands = _bands(texts)
    earliest: dict[int, int] = {}
    for band in range(_BANDS):
        order = np.lexsort((np.arange(len(texts)), bands[:, band]))
        runs = np.flatnonzero(np.diff(bands[order, band], prepend=bands[order[0], band] ^ np.uint64(1)) != 0)
        for begin, end in zip(runs, [*runs[1:], len(order)], strict=True):
            for place in range(begin + 1, end):
                row = int(order[place])
                for other in {int(order[begin]), int(order[place - 1])}:
                    if other < earliest.get(row, row) and _jaccard(texts[row], texts[other]) >= NEAR_JACCARD:
                        earliest[row] = other
    return sorted(earliest.items())


def _jaccard(a: str, b: str) -> float:
    left, right = _grams(a), _grams(b)
    return len(left & right) / len(left | right)


def _grams(text: str) -> set[str]:
    return {text[start : start + GRAM] for start in range(max(1, len(text) - GRAM + 1))}


def _bands(texts: Sequence[str]) -> NDArray[np.uint64]:
    """A hash for each text and band, uint64 ``(n, 8)``: equal where the band's four minimum hashes are."""
    lengths = np.array([len(text) for text in texts])
    blocks, begin = [], 0
    while begin < len(texts):
        end = begin + max(1, int(np.searchsorted(np.cumsum(lengths[begin:]), _BLOCK_CHARACTERS)))
        blocks.append(_block_bands(texts[begin:end]))
        begin = end
    return np.concatenate(blocks)


def _block_bands(texts: Sequence[str]) -> NDArray[np.uint64]:
    padded = [text + "\0" * max(0, GRAM - len(text)) for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    ends = np.cumsum([len(text) for text in padded])
    grams = np.zeros(len(codes) - GRAM + 1, np.uint64)
    for place in range(GRAM):
        grams = grams * np.uint64(0x100000001B3) + codes[place : place + len(grams)]
    inside = np.ones(len(grams), np.bool_)
    for back in range(1, GRAM):  # shingles that begin in the last four characters of a text reach into the next
        inside[ends[:-1] - back] = False
    starts = np.cumsum([0, *(len(text) - GRAM + 1 for text in padded[:-1])])
    grams = grams[inside]
    bands = np.zeros((len(texts), _BANDS), np.uint64)
    salts = np.random.default_rng(0).integers(1, 2**63, _BANDS * _ROWS, np.uint64)
    for index, salt in enumerate(salts):
        lowest = np.minimum.reduceat(_mixed(grams ^ salt), starts)
        bands[:, index // _ROWS] = _mixed(bands[:, index // _ROWS] + lowest)
    return bands


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
