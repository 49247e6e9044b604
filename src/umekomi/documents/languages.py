"""Which language a text is in, told by its script and a few small words; empty where that is not plain."""

from __future__ import annotations

import re
from typing import Final

_SAMPLE_CHARACTERS: Final = 20_000
_KANA: Final = re.compile("[ぁ-ゖァ-ヺ]")
_HAN: Final = re.compile("[㐀-鿿]")
_HANGUL: Final = re.compile("[가-힣]")
_LATIN: Final = re.compile("[A-Za-zÀ-ɏ]")
_ENGLISH: Final = re.compile(
    r"\b(?:the|of|and|to|in|is|that|for|it|with|as|was|on|are|this|by|be|from|or|an|at|not|which|have)\b", re.I
)


def language_of(text: str) -> str:
    """``ja``, ``ko``, ``zh``, ``en``, or empty for any other and for too little to tell."""
    sample = text[:_SAMPLE_CHARACTERS]
    kana, han, hangul = (len(script.findall(sample)) for script in (_KANA, _HAN, _HANGUL))
    latin = len(_LATIN.findall(sample))
    # A Latin word takes some five letters where Japanese takes two characters.
    if kana + han and 2 * (kana + han) >= latin / 2.5:
        if kana >= 0.02 * (kana + han):
            return "ja"
        return "zh" if han >= 20 else ""
    if hangul and 2 * hangul >= latin / 2.5:
        return "ko"
    words = len(re.findall(r"\w+", sample))
    return "en" if words and len(_ENGLISH.findall(sample)) >= max(1, 0.06 * words) else ""
