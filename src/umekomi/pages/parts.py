"""The HTML pages that run no script: the whole page, its sections and tables. Every text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template

SHOWN_CHARACTERS = 220
"""Of a text of the user's, in a page."""


def page(title: str, lead: str, sections: Iterable[str]) -> str:
    """A page under ``title``, which says in ``lead`` what it is about. ``sections`` are HTML already.

    It needs neither network nor script, follows the reader's choice of light or dark, and can be printed.
    """
    frame = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    return frame.substitute(title=escape(title), lead=escape(lead), sections="\n".join(filter(None, sections)))


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


def figures(named: Iterable[tuple[str, str]]) -> str:
    """Numbers that stand out, each under its name."""
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in named)
    return f'<dl class="figures">{cells}</dl>'


def notes(said: Iterable[str]) -> str:
    """Sentences, one below the other; nothing for none."""
    listed = "".join(f"<li>{escape(each)}</li>" for each in said)
    return f'<ul class="notes">{listed}</ul>' if listed else ""


def tag(text: str) -> str:
    """A short word in a frame."""
    return f'<span class="tag">{escape(text)}</span>'
