"""Texts made from a user's own, on which one cause shows at a time: short ones, oddly written ones, long ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SHORT_TEXTS = 8
SHORT_CHARACTERS = 40
"""Some 10 tokens of English, 30 of Japanese: no server cuts them, and a prompt changes them most."""

LONG_CHARACTERS = 3000
"""Some 700 tokens of English, 2,000 of Japanese: over the 512 of most models."""

_PIECE_CHARACTERS = 150

_OWN = (
    "The bakery opens at seven.",
    "A train leaves every ten minutes.",
    "Please water the plants on Friday.",
    "The river was cold in spring.",
    "She repaired an old radio.",
    "駅前の本屋は夜九時まで開いています。",
    "明日の会議は十時に始まります。",
    "この鍋は弱火で二十分煮込みます。",
)
"""Where a user's texts are too few."""

_ODD = (
    "  Two spaces  at the start,\n\nand A LINE that is empty.\n",
    "Ｆｕｌｌ Ｗｉｄｔｈ １２３ ｶﾀｶﾅ ﾃｽﾄ ㍿",
    "MiXeD Capitals in THE Title of A Report\tand a tab ",
)


@dataclass(frozen=True, slots=True)
class Probes:
    """Texts for experiments. ``short`` are all different; ``long`` differ from start to end."""

    short: tuple[str, ...]
    odd: tuple[str, ...]
    long: tuple[str, ...]


def build_probes(texts: Sequence[str], *, long_characters: int = LONG_CHARACTERS) -> Probes:
    """Probes from ``texts``, the same ones for the same texts."""
    starts = [text.strip()[:SHORT_CHARACTERS].strip() for text in texts]
    different = list(dict.fromkeys(start for start in starts if start))
    step = max(1, len(different) // SHORT_TEXTS)
    short = different[::step][:SHORT_TEXTS]
    short += [text for text in _OWN if text not in short][: max(0, SHORT_TEXTS - len(short))]
    longest = sorted(texts, key=len)[-1]
    whole = _join(texts, long_characters)
    long = (whole, _join([longest, *reversed(texts)], long_characters))
    return Probes(tuple(short), _ODD, tuple(dict.fromkeys(long)))


def _join(texts: Sequence[str], characters: int) -> str:
    """Pieces of ``texts`` in turn, numbered where they repeat, until there are so many ``characters``."""
    joined = ""
    number = 0
    while len(joined) < characters:
        text = (texts[number % len(texts)]).strip() or _OWN[number % len(_OWN)]
        turn = number // len(texts)
        start = (turn * _PIECE_CHARACTERS) % len(text)
        joined += f"{text[start : start + _PIECE_CHARACTERS]} " + (f"{number}. " if turn else "")
        number += 1
    return joined[:characters]
