"""Parts of the HTML pages that run no script: sections and tables, with every text escaped. A leaf."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

SHOWN_CHARACTERS = 220
"""Of a text of the user's, in a page."""


def section(title: str, *parts: str) -> str:
    """A section under ``title``. ``parts`` are HTML already."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[int]) -> str:
    """A table of plain cells. ``numbers``: places of the columns that stand to the right."""

    def line(cells: Sequence[object], tag: str) -> str:
        kinds = [' class="n"' if place in numbers else "" for place in range(len(cells))]
        inner = (f"<{tag}{kind}>{escape(str(cell))}</{tag}>" for cell, kind in zip(cells, kinds, strict=True))
        return f"<tr>{''.join(inner)}</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def shorten(text: str) -> str:
    """``text`` in one line of at most `SHOWN_CHARACTERS`."""
    plain = " ".join(text.split())
    return plain if len(plain) <= SHOWN_CHARACTERS else plain[: SHOWN_CHARACTERS - 1] + "…"
