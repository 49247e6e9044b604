"""Markdown: headings, paragraphs, lists, code and tables. Marks inside a line stay as they are written."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import Final

from umekomi.documents.cleaning.lines import Words, join_lines
from umekomi.documents.cleaning.passages import Part, Passage, Reading, row_line
from umekomi.documents.readers.text import iter_windows

_HEADING: Final = re.compile(r" {0,3}(#{1,6})(?:[ \t]+|$)")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_RULE: Final = re.compile(r" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_ITEM: Final = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s")
_TABLE_RULE: Final = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_MAX_RULE_CHARACTERS: Final = 2_000
_CELL: Final = re.compile(r"(?<!\\)\|")
_COMMENT: Final = re.compile(r"^\s*<!--.*?-->\s*$")
_NO_WORDS: Final = Words(frozenset())


def read(reading: Reading) -> Iterator[Passage]:
    """The blocks of a Markdown file. Raises as `text.read` does."""
    for number, window in enumerate(iter_windows(reading)):
        yield from _blocks(_without_front_matter(window) if number == 0 else window)


def _without_front_matter(lines: list[Part]) -> list[Part]:
    if lines and lines[0].text.rstrip() == "---":
        for number, line in enumerate(lines[1:200], start=1):
            if line.text.rstrip() in ("---", "..."):
                return lines[number + 1 :]
    return lines


def _blocks(lines: list[Part]) -> Iterator[Passage]:
    paragraph: list[Part] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        following = lines[position + 1].text if position + 1 < len(lines) else ""
        if fence := _FENCE.match(line.text):
            yield from _paragraph(paragraph)
            position = yield from _code(lines, position + 1, fence[1])
        elif "|" in line.text and not paragraph and _is_table_rule(following):
            position = yield from _table(lines, position)
        elif heading := _HEADING.match(line.text):
            yield from _paragraph(paragraph)
            title = line.text[heading.end() :].rstrip()
            closed = title.rstrip("#")
            title = closed if closed[-1:] in ("", " ", "\t") else title  # "# Title #", but "# C#"
            yield Passage("heading", (Part(title, line.offset + heading.end()),), level=len(heading[1]))
            position += 1
        elif paragraph and (underline := _UNDERLINE.match(line.text)):
            yield Passage("heading", join_lines(paragraph, _NO_WORDS), level=1 if underline[1][0] == "=" else 2)
            paragraph.clear()
            position += 1
        elif not line.text.strip() or _RULE.match(line.text) or _COMMENT.match(line.text):
            yield from _paragraph(paragraph)
            position += 1
        else:
            if paragraph and (_ITEM.match(line.text) or paragraph[-1].text.endswith(("  ", "\\"))):
                yield from _paragraph(paragraph)
            paragraph.append(line)
            position += 1
    yield from _paragraph(paragraph)


def _is_table_rule(line: str) -> bool:
    return "|" in line and len(line) < _MAX_RULE_CHARACTERS and _TABLE_RULE.match(line) is not None


def _paragraph(lines: list[Part]) -> Iterator[Passage]:
    if lines:
        yield Passage("text", join_lines(lines, _NO_WORDS))
        lines.clear()


def _code(lines: list[Part], position: int, fence: str) -> Generator[Passage, None, int]:
    """A block of code; returns the position after it."""
    code: list[Part] = []
    while position < len(lines) and not lines[position].text.strip().startswith(fence):
        code.append(Part(lines[position].text, lines[position].offset, glue="\n" if code else ""))
        position += 1
    if code:
        yield Passage("text", tuple(code))
    return position + 1


def _table(lines: list[Part], position: int) -> Generator[Passage, None, int]:
    """A table; returns the position after it."""
    rows = [_row(lines[position], first=True)]
    position += 2
    while position < len(lines) and "|" in lines[position].text:
        rows.append(_row(lines[position], first=False))
        position += 1
    yield Passage("table", tuple(rows), header_parts=1)
    return position


def _row(line: Part, *, first: bool) -> Part:
    """A row as tables of every format have it; its place is that of its line."""
    cells = _CELL.split(line.text.strip().removeprefix("|").removesuffix("|"))
    return Part(row_line(cell.replace("\\|", "|") for cell in cells), line.offset, glue="" if first else "\n")
