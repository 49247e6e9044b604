"""What stands on the pages of a PDF beside its text: running headers and footers, and page numbers."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from umekomi.documents.cleaning.lines import ends_sentence
from umekomi.documents.cleaning.normalise import normalise
from umekomi.documents.readers.pdf.lines_on_page import Line
from umekomi.documents.readers.pdf.pages import Page

_EDGE_LINES: Final = 3
"""Lines at the top and at the bottom of a page that may be furniture."""

_SEEN_PAGES: Final = 3
"""Pages, each within two of the last, on which a line must recur before it is furniture; of two pages, both."""

_APART: Final = 1.3
"""Line spacings that a further line of a header or footer stands from the text; the outermost needs no gap."""

_MAX_CHARACTERS: Final = 120

_NUMBER: Final = re.compile(
    r"(?:p(?:age|\.)?|頁|ページ|第)?\s*(\d{1,5}|[ivxlc]{1,7})\s*(?:頁|ページ|(?:/|of|／)\s*\d{1,5})?", re.I
)
_DASHES: Final = " \t-\u2010\u2013\u2014\u2212\u2015~〜・|()[]<>（）〔〕"


def drop_furniture(pages: Sequence[Page], dropped: Counter[str]) -> list[list[Line]]:
    """The lines of each page without furniture; ``dropped`` counts what went, by kind."""
    running = _running_shapes(pages)
    offsets = _number_offsets(pages)
    kept = []
    for page in pages:
        gone: set[int] = set()
        for edge in _edges(page):
            for place, line in enumerate(edge[:-1] if len(edge) > 1 else edge):
                is_number = _number_offset(line) in offsets
                if not is_number and running.isdisjoint(_shapes(line)):
                    break
                needs_gap = place > 0 or len(pages) < _SEEN_PAGES
                if needs_gap and not is_number and not _stands_apart(line, edge[place + 1 : place + 2], page):
                    break
                dropped["page numbers" if is_number else "running lines"] += id(line) not in gone
                gone.add(id(line))
        kept.append([line for line in page.lines if id(line) not in gone])
    return kept


def _edges(page: Page) -> tuple[list[Line], list[Line]]:
    """The lines at the top and at the bottom, each from the edge inwards, and one line more of the text."""
    ordered = sorted(page.lines, key=lambda line: -line.bottom)
    count = min(_EDGE_LINES + 1, (len(ordered) + 1) // 2)
    return ordered[:count], ordered[::-1][:count]


def _stands_apart(line: Line, inner: Sequence[Line], page: Page) -> bool:
    gaps = sorted(
        abs(first.bottom - second.bottom) for first, second in pairwise(page.lines) if first.bottom != second.bottom
    )
    return bool(gaps and inner) and abs(line.bottom - inner[0].bottom) > _APART * gaps[len(gaps) // 2]


def _running_shapes(pages: Sequence[Page]) -> frozenset[str]:
    """The shapes of edge lines that recur, at about the same height, on pages near one another."""
    seen: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for page in pages:
        lines = (line for edge in _edges(page) for line in edge)
        found = {(shape, round(line.bottom / 4)) for line in lines for shape in _shapes(line)}
        for shape, height in found:
            seen[shape, height].append(page.number)
    return frozenset(
        shape
        for shape, height in seen
        if _longest_run(seen[shape, height], seen.get((shape, height + 1), []))
        >= min(_SEEN_PAGES, max(2, len(pages)))
    )


def _longest_run(*numbers: Sequence[int]) -> int:
    """How many of these pages follow one another, each or every second one."""
    ordered = sorted(set().union(*numbers))
    longest = run = 1
    for first, second in pairwise(ordered):
        run = run + 1 if second - first <= 2 else 1
        longest = max(longest, run)
    return longest


def _number_offsets(pages: Sequence[Page]) -> frozenset[int]:
    """By how much the numbers at the edges of pages differ from the pages' own, where two or more agree."""
    counts: Counter[int] = Counter()
    for page in pages:
        lines = (line for edge in _edges(page) for line in edge)
        counts.update({offset for line in lines if (offset := _number_offset(line)) is not None})
    return frozenset(offset for offset, count in counts.items() if count > 1)


def _number_offset(line: Line) -> int | None:
    """The number that is all of ``line``, less that of its page; None where there is more to it."""
    found = _NUMBER.fullmatch(normalise(line.text).strip(_DASHES))
    if found is None:
        return None
    number = int(found[1]) if found[1].isdigit() else _roman(found[1].lower())
    return number - line.page if number else None


def _roman(numeral: str) -> int:
    values = [{"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}[char] for char in numeral]
    return sum(-value if value < max(values[place:]) else value for place, value in enumerate(values))


def _shapes(line: Line) -> set[str]:
    """``line`` as it is, and with the page's number taken out where it is no sentence; none if it is too long."""
    text = " ".join(normalise(line.text).split())
    if len(text) > _MAX_CHARACTERS:
        return set()
    counted = re.sub(rf"(?<!\d){line.page}(?!\d)", "\0", text)
    return {text} if ends_sentence(text) else {text, counted}
