"""Fills the page of a report: a template, a style sheet, scripts and data, in one file that needs no other."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import orjson

from umekomi.errors import InvalidInput
from umekomi.evaluate.report.payload import iter_data
from umekomi.evaluate.report.views import View
from umekomi.evaluate.results import Results
from umekomi.extras import require
from umekomi.writing import replacing

Language: TypeAlias = Literal["en", "ja"]

SCRIPTS = (
    *("core.js", "verdict.js", "cost.js", "map.js", "selection.js", "confusion.js", "disagreements.js"),
    *("pairs.js", "provenance.js", "main.js"),
)
"""One after another they are one script; a later one uses the names of an earlier one."""

PAGE = files("umekomi.evaluate.report") / "page"


def write_report(path: Path, results: Results, views: Sequence[View], *, language: Language = "en") -> None:
    """One HTML file that shows ``results``, and of each of ``views`` its map and its neighbours.

    It opens from disk and asks no network for anything: the script that draws is copied out of plotly's package,
    and the page's own policy forbids every connection and every script but its own. Raises `InvalidInput` for a
    language that it does not speak and for views that ``results`` does not know, `MissingExtra` without plotly,
    `StoreError` where ``path`` cannot be written.
    """
    words = load_words(language)
    _check(results, views)
    plotly = _inline(require("plotly.offline", extra="evaluate").get_plotlyjs())
    script = _inline(
        "(() => {\n'use strict';\n" + "\n".join(_read(f"scripts/{name}") for name in SCRIPTS) + "\n})();\n"
    )
    parts: dict[str, Callable[[], Iterable[bytes]]] = {
        "language": lambda: [language.encode()],
        "policy": lambda: [_policy(plotly, script).encode()],
        "title": lambda: [escape(f"umekomi · {words['title']}").encode()],
        "style": lambda: [_read("report.css").encode()],
        "plotly": lambda: [plotly],
        "script": lambda: [script],
        "data": lambda: iter_data(results, views, words),
    }
    with replacing(path) as file:
        for piece in _filled(_read("report.html"), parts):
            file.write(piece)


def load_words(language: str) -> dict[str, str]:
    """The labels of the page. Raises `InvalidInput` for a language without them."""
    if language not in get_args(Language):
        known = ", ".join(get_args(Language))
        raise InvalidInput(f"the report does not speak '{language}'; it speaks {known}", param="language")
    words: dict[str, str] = orjson.loads(_read(f"words.{language}.json"))
    return words


def _check(results: Results, views: Sequence[View]) -> None:
    datasets = {record.name for record in results.datasets}
    models = {record.name for record in results.models}
    for view in views:
        if view.dataset not in datasets or view.model not in models:
            raise InvalidInput(f"the results do not know '{view.model}' on '{view.dataset}'", param="views")
        for what, rows, expected in view.counts():
            if rows != expected:
                where = f"'{view.model}' on '{view.dataset}'"
                raise InvalidInput(f"{where}: {what} of {rows} rows where there are {expected}", param="views")


def _filled(template: str, parts: dict[str, Callable[[], Iterable[bytes]]]) -> Iterator[bytes]:
    for place, part in enumerate(re.split(r"\{\{(\w+)\}\}", template)):
        if place % 2:
            yield from parts[part]()
        else:
            yield part.encode()


def _inline(script: str) -> bytes:
    """``script`` so that it may stand in a page: in its strings, nothing ends the element or opens a comment."""
    safe = re.sub(r"<(?=/script|!--)", r"\\x3c", script, flags=re.IGNORECASE)
    return safe.replace("\r\n", "\n").replace("\r", "\n").encode()


def _policy(*scripts: bytes) -> str:
    """Nothing may be fetched, and no script runs but ``scripts``, whatever a text of the data smuggled in.

    Those two may compile functions out of strings: plotly's WebGL layer (regl) makes its drawing commands so
    (https://github.com/plotly/plotly.js/issues/897), and without them there is no map.
    """
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(each).digest()).decode()}'" for each in scripts)
    return (
        f"default-src 'none'; script-src {hashes} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
        "connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
