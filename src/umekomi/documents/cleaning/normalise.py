"""Text as files hold it to text as models know it: compatibility characters, half-width kana, stray controls.

Unicode's NFKC, but for what it would take meaning from (10² is not 102, ① is not 1) and for Japanese punctuation.
Every change keeps where it came from.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Final

_KEPT: Final = frozenset({"<super>", "<sub>", "<fraction>", "<circle>"})
_KEPT_CHARACTERS: Final = frozenset("…‥⋯〜´¨¯¸\u2017゛゜")
_RANGES: Final = (
    (0xA0, 0x3400),
    (0xA69C, 0xA7FA),
    (0xF900, 0x10000),
    (0x1D400, 0x1D800),
    (0x1F100, 0x1F300),
    (0x2F800, 0x2FA20),
)
"""Where code points with a compatibility decomposition lie; hangul and CJK, which have none, are left out."""

_DROPPED: Final = "\u00ad\u200b\u2060\ufeff\ufffe\uffff"
_VOICED: Final = frozenset("ﾞﾟ")
_COMBINING: Final = frozenset(map(chr, (*range(0x300, 0x370), 0x3099, 0x309A)))
_CONTROLS: Final = "".join(map(chr, (*range(9), 0x0B, *range(0x0E, 0x20), *range(0x7F, 0xA0))))


def iter_normalised(text: str) -> Iterator[tuple[int, int, str]]:
    """``text`` in runs, in order and without gap: ``(start, stop, replacement)``; an unchanged run is its own."""
    # Most texts have nothing to change, and a set tells that 100 times as fast as a pattern over all of it.
    found = frozenset(text) & _special()
    position = 0
    for match in _pattern(found).finditer(text) if found else ():
        start, stop = match.span()
        if start > position:
            yield position, start, text[position:start]
        yield start, stop, _replacement(match[0])
        position = stop
    if position < len(text):
        yield position, len(text), text[position:]


def normalise(text: str) -> str:
    """``text`` as `iter_normalised` gives it, where nobody asks for its origin."""
    return "".join(replacement for _, _, replacement in iter_normalised(text))


def _replacement(found: str) -> str:
    if found[0] in _DROPPED or found[0] in _CONTROLS:
        return ""
    if "\ud800" <= found[0] <= "\udfff":
        return "\N{REPLACEMENT CHARACTER}"
    return unicodedata.normalize("NFKC" if len(found) == 1 or found[0] in _compatibility() else "NFC", found)


@cache
def _compatibility() -> frozenset[str]:
    return frozenset(chr(code) for first, last in _RANGES for code in range(first, last) if _is_changed(chr(code)))


def _is_changed(char: str) -> bool:
    decomposition = unicodedata.decomposition(char)
    if not decomposition or char in _KEPT_CHARACTERS:
        return False
    tag = decomposition.partition(" ")[0]
    if tag in _KEPT:
        return False
    if tag == "<wide>":  # full-width letters and digits, and the space; ！ and （ stay as Japanese writes them
        return char == "\u3000" or unicodedata.category(char)[0] in "LN"
    if len(clean := unicodedata.normalize("NFKC", char)) > 1 and clean[0] == " ":
        return False  # a mark that stands alone
    return tag.startswith("<") or unicodedata.normalize("NFC", char) != char


@cache
def _special() -> frozenset[str]:
    surrogates = map(chr, range(0xD800, 0xE000))
    return _compatibility() | {*_DROPPED, *_CONTROLS, *_COMBINING, *surrogates}


def _pattern(found: frozenset[str]) -> re.Pattern[str]:
    """Matches the characters of ``found``, together with those that they combine with."""
    branches = []
    if not found.isdisjoint(_VOICED):
        branches.append("[ｦ-ﾝ][ﾞﾟ]")
    if marks := found & _COMBINING:
        branches.append(f"[^\\W_][{''.join(sorted(marks))}]+")
    if single := found - _COMBINING:
        branches.append(f"[{re.escape(''.join(sorted(single)))}]")
    return re.compile("|".join(branches))
