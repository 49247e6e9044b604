"""How likely a reading of some bytes is as a text: the weights by which `encodings` chooses between codecs."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

_PLAIN: Final = re.compile(r"[\t\n\f\r\x20-\x7e]+")

_CLASSES: Final = {
    "plain": math.log(0.15 / 95),
    "hiragana": math.log(0.40 / 84),
    "katakana": math.log(0.10 / 88),
    "punctuation": math.log(0.06 / 250),
    "kanji 1": math.log(0.26 / 2965),
    "kanji 1, not Korean": math.log(0.26 / 2965),
    "kanji 2": math.log(0.01 / 3390),
    "half-width": math.log(0.005 / 63),
    "half-width comma": math.log(0.005 / 63),
    "other": math.log(0.005 / 60_000),
    "private": math.log(1e-5 / 6400),
    "impossible": math.log(1e-12),
}
"""Log of the chance of one character of each class in Japanese prose: a rough share of the class, spread evenly
over its characters. Orders of magnitude are enough: in a line of text, a right and a wrong reading lie tens of nats
apart."""

_COMMON: Final = ("hiragana", "katakana", "kanji 1", "kanji 1, not Korean")

_HALF_WIDTH_DATA: Final = (math.log(0.02), math.log(0.9 / 63))
"""Data written in half-width kana only: its share among texts, and a character's chance in it."""

_ORDINARY: Final = -10.3
"""Nats a character under which a text is not Japanese: about a third of its kanji outside JIS level 1, where
Chinese in GB 2312, French in Latin-1 and binary data lie when they are read as CP932 or EUC-JP."""

_FEW: Final = 8
"""Kanji in EUC-JP that need no further sign of being Japanese."""

_RARE_SHARE: Final = 0.05
"""Kanji outside JIS level 1 among those of a Japanese text without kana; Chinese in GB 2312 shows about a third."""

_COMMA_SHARE: Final = 0.1
"""Half-width punctuation in data of half-width kana; EUC-JP's kana and punctuation, read as CP932, show more."""

_NO_SIGN_OF_WIDTH: Final = math.log(0.005)
"""UTF-16 without mark, and without one line break or other ASCII character, is rare among files."""

_PUNCTUATION: Final = frozenset("—―‐‘’“”…‥※→←↑↓○●◎□■△▲▽▼◇◆☆★×÷±°′″§①②③④⑤⑥⑦⑧⑨⑩㈱№㎡㎏㎜㎝−∥‖≪≫∞≦≧♪")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Weight:
    """``nats``: log likelihood of the counted characters; ``is_half_width``: half-width kana are all it holds."""

    nats: float
    is_plausible: bool
    is_half_width: bool


class CharacterCounts:
    """The characters of a reading, counted as it goes."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._plain = 0

    def add(self, text: str) -> None:
        rest = _PLAIN.sub("", text)
        self._counts.update(rest)
        self._plain += len(text) - len(rest)

    def weigh(self, codec: str, *, wide: bool) -> Weight:
        """``wide``: NUL bytes speak for UTF-16 already, so that any language will do."""
        classes: Counter[str] = Counter()
        for char, count in self._counts.items():
            classes[_class_of(char)] += count
        total = sum(classes.values())
        nats = sum(_CLASSES[name] * count for name, count in classes.items())
        commas = classes["half-width comma"]
        is_half_width = 0 < total == classes["half-width"] + commas and commas < _COMMA_SHARE * total
        if is_half_width:
            share, each = _HALF_WIDTH_DATA
            nats = max(nats, share + each * total)
        is_japanese = (
            nats >= _ORDINARY * total
            and classes["kanji 2"] <= sum(classes[name] for name in _COMMON)
            and (codec != "euc_jp" or _is_japanese_in_euc(classes, total))
        )
        nats += _CLASSES["plain"] * self._plain
        if codec.startswith("utf-16") and not wide:
            nats += _NO_SIGN_OF_WIDTH
        return Weight(nats, not classes["impossible"] and (wide or is_japanese), is_half_width)


def _is_japanese_in_euc(classes: Counter[str], total: int) -> bool:
    """Chinese in GB 2312 and Korean in EUC-KR are valid EUC-JP: kanji without kana, rare or of few rows."""
    if total <= _FEW or classes["hiragana"] + classes["katakana"]:
        return True
    return classes["kanji 2"] <= _RARE_SHARE * total and classes["kanji 1, not Korean"] > 0


def _class_of(char: str) -> str:
    code = ord(char)
    if 0x3041 <= code <= 0x3096:
        return "hiragana"
    if 0x30A1 <= code <= 0x30FC:
        return "katakana"
    if 0x3000 <= code <= 0x303F or 0xFF01 <= code <= 0xFF5E or char in _PUNCTUATION:
        return "punctuation"
    if 0xFF61 <= code <= 0xFF9F:
        return "half-width" if code > 0xFF65 else "half-width comma"
    if 0x4E00 <= code <= 0x9FFF:
        return _kanji_level(char)
    if 0xE000 <= code <= 0xF8FF:
        return "private"
    if code < 0x20 and code:
        return "other"  # DOS ends a text with 1A, terminals colour it with 1B
    return "other" if char.isprintable() or char in "\xa0\u2028\u2029\u200b\u200d\ufe0f\xad" else "impossible"


def _kanji_level(char: str) -> str:
    """JIS X 0208 has its 2,965 common kanji in rows 16 to 47, KS X 1001 its syllables in 16 to 40."""
    encoded = char.encode("euc_jp", "ignore")
    if len(encoded) == 2:
        return "kanji 1" if encoded[0] <= 0xC8 else "kanji 1, not Korean" if encoded[0] <= 0xCF else "kanji 2"
    return "kanji 2" if char.encode("cp932", "ignore") else "other"  # those that vendors added, as in names
