"""Plain text: paragraphs between empty lines, wrapped lines joined. Any size, a megabyte at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from umekomi.documents.cleaning.lines import Words, columns, ends_sentence, is_cjk, join_lines, starts_item
from umekomi.documents.cleaning.passages import Part, Passage, Reading
from umekomi.documents.document import Quarantined
from umekomi.documents.encodings import open_text
from umekomi.errors import InvalidInput

_WINDOW_CHARACTERS: Final = 1 << 20

_MIN_WRAP_COLUMNS: Final = 30
_MAX_WRAP_COLUMNS: Final = 140
"""Between these, full lines were wrapped by a program; shorter lines are a list, longer ones paragraphs."""


def read(reading: Reading) -> Iterator[Passage]:
    """The paragraphs of a text file. Raises `Quarantined` where its encoding cannot be told or does not fit."""
    for window in iter_windows(reading):
        yield from iter_paragraphs(window)


def iter_windows(reading: Reading) -> Iterator[list[Part]]:
    """The lines of the file with their places, about a megabyte of them at a time, ending between paragraphs."""
    try:
        with open_text(reading.path, encoding=reading.encoding, newline="", name="its text") as (file, encoding):
            reading.found_encoding = encoding.name
            lines: list[Part] = []
            offset = waiting = 0
            while line := file.readline(_WINDOW_CHARACTERS):
                if waiting > _WINDOW_CHARACTERS and (not line.strip() or waiting > 2 * _WINDOW_CHARACTERS):
                    reading.beat()
                    yield lines
                    lines, waiting = [], 0
                lines.append(Part(line.rstrip("\r\n"), offset))
                offset += len(line)
                waiting += len(line)
            yield lines
    except InvalidInput as error:
        raise Quarantined(f"encoding: {error}") from None
    except UnicodeDecodeError as error:
        raise Quarantined(f"encoding: not {reading.encoding} ({error.reason})") from None


def iter_paragraphs(lines: list[Part]) -> Iterator[Passage]:
    """Passages of ``lines``: joined where a line is as full as the text's width allows and the next goes on."""
    width = _wrap_width(line.text for line in lines)
    words = Words.of(line.text for line in lines) if width else Words(frozenset())
    paragraph: list[Part] = []
    for line in lines:
        if not line.text.strip():
            if paragraph:
                yield Passage("text", join_lines(paragraph, words))
            paragraph = []
            continue
        if paragraph and not _goes_on(paragraph[-1].text, line.text, width):
            yield Passage("text", join_lines(paragraph, words))
            paragraph = []
        paragraph.append(line)
    if paragraph:
        yield Passage("text", join_lines(paragraph, words))


def _wrap_width(lines: Iterable[str]) -> int:
    """The width in columns at which lines were wrapped; 0 where they were not."""
    widths = sorted(columns(line.rstrip()) for line in lines if line.strip())
    if not widths:
        return 0
    widest = widths[min(len(widths) - 1, int(0.98 * len(widths)))]
    return widest if widest >= _MIN_WRAP_COLUMNS and widths[-1] <= _MAX_WRAP_COLUMNS else 0


def _goes_on(last: str, line: str, width: int) -> bool:
    if not width or starts_item(line):
        return False
    text = line.lstrip()
    indented = len(text) < len(line)
    if indented and (ends_sentence(last) or not last[:1].isspace()):
        return False
    if last.rstrip()[-1:] in "-\u2010\u00ad" and text[:1].islower():
        return True
    needed = 5 if is_cjk(text[:1]) else columns(text.split(" ", 1)[0]) + 1
    return columns(last.rstrip()) + needed > width
