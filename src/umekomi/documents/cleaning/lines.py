"""Lines that a page's width has broken, joined again: which belong together, and what goes between them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from umekomi.documents.cleaning.passages import Part

_HYPHENS: Final = "-\u2010\u00ad"
_WORD: Final = re.compile(r"[^\W_]+(?:[-\u2010][^\W_]+)*")
_LONGEST_WORD: Final = 100
"""Characters around a line's end that are looked at: patterns that search a whole line take its length squared."""

_MAX_WORDS: Final = 200_000
_LIST_MARK: Final = re.compile(
    r"\s*(?:[・●○■□◆◇▲△▼▽★☆※•‣◦⁃*–—►▶➢✓]|[-+]\s|[(（［\[]?(?:\d{1,3}|[a-zA-Zivxア-ンイロハ一二三四五六七八九十]{1,3})[)）］\].．、]\s?(?!\d)"
    r"|第[\d０-９一二三四五六七八九十百]+[章節条項編部]|[①-⑳㈠-㈩]|\d+(?:\.\d+)+\s)"
)
_WIDE: Final = re.compile(
    "[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\U00020000-\U0003ffff]+"
)
_ENDS: Final = "。．！？!?」』）)】…:：;；"


def is_cjk(char: str) -> bool:
    """Whether ``char`` belongs to a script that is written without spaces, its punctuation included."""
    code = ord(char)
    return (
        0x2E80 <= code <= 0x9FFF
        or 0xF900 <= code <= 0xFAFF
        or 0xFE30 <= code <= 0xFE4F
        or 0xFF01 <= code <= 0xFF60
        or 0xFF61 <= code <= 0xFF9F
        or 0x20000 <= code <= 0x3FFFF
    )


def columns(text: str) -> int:
    """Width in columns of a terminal: two for a full-width character."""
    return len(text) if text.isascii() else 2 * len(text) - len(_WIDE.sub("", text))


def starts_item(line: str) -> bool:
    """Whether ``line`` begins as an item of a list or a numbered heading does."""
    return _LIST_MARK.match(line) is not None


def ends_sentence(line: str) -> bool:
    return line.rstrip()[-1:] in _ENDS or line.rstrip()[-1:] == "."


def glue_between(before: str, after: str) -> str:
    """What stands between two lines once they are one: nothing beside Japanese, else a space."""
    left, right = before.rstrip()[-1:], after.lstrip()[:1]
    if not left or not right:
        return ""
    if is_cjk(left) and is_cjk(right):
        return ""
    if is_cjk(left) or is_cjk(right):
        wide = sum(map(is_cjk, before)) + sum(map(is_cjk, after))
        return "" if 2 * wide >= len(before) + len(after) else " "
    return " "


@dataclass(frozen=True, slots=True)
class Words:
    """Words of a document as it writes them inside its lines: the evidence on what a hyphen at a line's end was."""

    known: frozenset[str]

    @classmethod
    def of(cls, lines: Iterable[str]) -> Words:
        """All words of ``lines`` but those that a line's end may have broken; the first 200,000 of them."""
        known: set[str] = set()
        for line in lines:
            if len(known) > _MAX_WORDS:
                break
            whole = line.rsplit(None, 1)[0] if line.rstrip().endswith(tuple(_HYPHENS)) else line
            known.update(word.casefold() for word in _WORD.findall(whole))
        return cls(frozenset(known))

    def keeps_hyphen(self, before: str, after: str) -> bool:
        """Whether the hyphen between ``before`` and ``after`` (their letters, without it) is the word's own."""
        head = re.search(r"[^\W_]+(?:[-\u2010][^\W_]+)*$", before[-_LONGEST_WORD:])
        tail = _WORD.match(after[:_LONGEST_WORD])
        if head is None or tail is None:
            return True
        first, second = head[0], tail[0]
        if f"{first}{second}".casefold() in self.known:
            return False
        if f"{first}-{second}".casefold() in self.known:
            return True
        inside = any(hyphen in first + second for hyphen in _HYPHENS)
        return inside or not second[0].islower() or not first[-1].isalpha()


def join_lines(lines: Sequence[Part], words: Words) -> tuple[Part, ...]:
    """``lines``, which are one paragraph, with what goes between them; broken hyphens are taken out."""
    joined: list[Part] = []
    for line in lines:
        if not joined:
            joined.append(line)
            continue
        before = joined[-1].text.rstrip()
        glue = glue_between(before, line.text)
        if before.endswith(tuple(_HYPHENS)) and before[-2:-1].isalnum():
            glue = ""
            if not words.keeps_hyphen(before[:-1], line.text.lstrip()):
                before = before[:-1]
        joined[-1] = replace(joined[-1], text=before)
        joined.append(Part(line.text.lstrip(), line.offset + _indent(line.text), line.page, glue))
    return tuple(joined)


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())
