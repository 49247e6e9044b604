"""Lines of pages to paragraphs and headings: a line that fills its column goes on in the next."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from umekomi.documents.cleaning.lines import Words, columns, ends_sentence, is_cjk, join_lines, starts_item
from umekomi.documents.cleaning.passages import Passage
from umekomi.documents.readers.pdf.lines_on_page import Line

_HEADING_HEIGHT: Final = 1.18
"""How much higher than the text's usual lines those of a heading are."""

_MAX_HEADING_CHARACTERS: Final = 120
_MAX_GAP: Final = 1.5
"""Line spacings, of those usual on the page, that lines of one paragraph lie apart at most."""

_MAX_GAP_EMS: Final = 2.3
_MIN_WIDTH_EMS: Final = 14
"""A line shorter than this was not broken by the width of its column."""


def iter_paragraphs(pages: Sequence[Sequence[Line]], words: Words) -> Iterator[Passage]:
    """The paragraphs of ``pages`` in order; one may begin on one page and end on the next."""
    usual = _usual_height(pages)
    paragraph: list[Line] = []
    margins: dict[int, float] = {}
    for page in pages:
        spacing = _usual_spacing(page)
        for number, line in enumerate(page):
            if paragraph and not _goes_on(paragraph[-1], line, margins=margins, spacing=spacing):
                yield _passage(paragraph, words, usual)
                paragraph = []
            if number == 0:
                margins = _margins(page)  # until here, those of the page that the paragraph began on
            paragraph.append(line)
    if paragraph:
        yield _passage(paragraph, words, usual)


def _passage(lines: Sequence[Line], words: Words, usual: float) -> Passage:
    parts = join_lines([line.part for line in lines], words)
    characters = sum(len(line.text) for line in lines)
    higher = lines[0].height / usual if usual and lines[0].is_upright else 1.0
    if higher >= _HEADING_HEIGHT and characters <= _MAX_HEADING_CHARACTERS and len(lines) <= 3:
        return Passage("heading", parts, level=1 if higher >= 1.6 else 2 if higher >= 1.35 else 3)
    return Passage("text", parts)


def _goes_on(last: Line, line: Line, *, margins: dict[int, float], spacing: float) -> bool:
    """Whether ``line`` is the next of the paragraph that ``last`` ends so far; ``margins`` are its page's."""
    if last.text.endswith("-") and last.text[-2:-1].isalpha():
        return True
    if last.height and not 0.87 <= line.height / last.height <= 1.15 and last.is_upright and line.is_upright:
        return False
    if starts_item(line.text):
        return False
    if not last.is_upright or not line.is_upright:
        return not ends_sentence(last.text)
    em = last.height or 10.0
    if last.right - last.left < _MIN_WIDTH_EMS * em:
        return False
    if last.page == line.page:
        gap = last.bottom - line.bottom
        if gap > _MAX_GAP_EMS * em:
            return False
        if spacing and (gap > _MAX_GAP * spacing or gap < -0.5 * spacing) and not _next_column(last, line):
            return False
    elif ends_sentence(last.text):
        return False
    if line.left > last.left + 0.8 * em and line.left < last.right and ends_sentence(last.text):
        return False  # the first line of a paragraph, set in
    return last.right + _room_needed(line, em) > margins.get(_column(last), last.right)


def _room_needed(line: Line, em: float) -> float:
    """Width in points of what would have moved up to the line before, had there been room."""
    text = line.text.lstrip()
    if is_cjk(text[:1]):
        return 2.6 * em  # a character, and those that may not stand at the start of a line
    word = text.split(" ", 1)[0]
    width = (line.right - line.left) / max(1, columns(text))
    return (columns(word) + 1.5) * width


def _next_column(last: Line, line: Line) -> bool:
    """Whether ``line`` stands at the top of a column to the right of ``last``'s."""
    return line.bottom > last.bottom and line.left > last.right


def _column(line: Line) -> int:
    """Lines that begin within some 30 points of one another are of one column."""
    return round(line.left / 30)


def _margins(page: Sequence[Line]) -> dict[int, float]:
    """The right edge of each column."""
    right: dict[int, float] = {}
    for line in page:
        key = _column(line)
        right[key] = max(right.get(key, 0.0), line.right)
    return {key: max(right.get(near, 0.0) for near in (key - 1, key, key + 1)) for key in right}


def _usual_height(pages: Sequence[Sequence[Line]]) -> float:
    """The height of the line that the middle character of the document stands in."""
    heights = sorted((round(line.height, 1), len(line.text)) for page in pages for line in page if line.is_upright)
    half = sum(count for _, count in heights) / 2
    for height, count in heights:
        half -= count
        if half <= 0:
            return height
    return 0.0


def _usual_spacing(page: Sequence[Line]) -> float:
    gaps = [
        first.bottom - second.bottom
        for first, second in pairwise(page)
        if 0 < first.bottom - second.bottom < 6 * (first.height or 10)
    ]
    return statistics.median_low(gaps) if gaps else 0.0
