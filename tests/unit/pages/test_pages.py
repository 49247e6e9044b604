"""Pages that run no script, whatever the texts in them are, and drawings that stay in their frame."""

from __future__ import annotations

import math
import re
from html import unescape
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from umekomi.pages import figures, notes, page, section, shorten, table, tag
from umekomi.pages.drawing import HEIGHT, WIDTH, Line, Row, intervals, lines

HOSTILE = "</title></style></section>$title ${sections}<script>alert('&')</script>\"onload=x"
NUMBERS = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")], attrs


def test_texts_are_shown_and_never_run() -> None:
    parts = [
        figures([(HOSTILE, HOSTILE)]),
        notes([HOSTILE]),
        table((HOSTILE,), [(HOSTILE,)], numbers=()),
        tag(HOSTILE),
        lines([Line(HOSTILE, [(0, 0), (1, 1)])] * 2, across=HOSTILE, up=HOSTILE, marked=(0.5, HOSTILE)),
        intervals([Row(HOSTILE, 1, (0, 2))], across=HOSTILE),
    ]
    text = page(HOSTILE, HOSTILE, [section(HOSTILE, *parts)])
    tags = Tags()
    tags.feed(text)
    assert tags.seen.count("script") == 0
    assert tags.seen.count("section") == 1
    assert unescape(text).count(HOSTILE) >= 16


def test_empty_parts_leave_no_trace() -> None:
    assert notes([]) == ""
    assert page("t", "l", ["", section("s"), ""]).count("<section") == 1


@given(st.text())
def test_a_shortened_text_is_one_line(text: str) -> None:
    assert len(shorten(text)) <= 220
    assert "\n" not in shorten(text)


def coordinates(drawing: str) -> list[float]:
    found = re.findall(r'(?:d|x|y|cx|cy)="([^"]*)"', drawing)
    return [float(number) for each in found for number in re.findall(r"-?[\d.]+|nan|inf", each)]


@given(
    st.lists(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5), min_size=1, max_size=5),
    NUMBERS,
    NUMBERS,
)
def test_lines_stay_in_their_frame(drawn: list[list[tuple[float, float]]], marked: float, level: float) -> None:
    named = [Line(f"line {number}", points) for number, points in enumerate(drawn)]
    found = coordinates(lines(named, across="x", up="y", marked=(marked, "here"), level=level))
    assert all(math.isfinite(number) and -1 <= number <= WIDTH + 1 for number in found)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS).map(sorted), min_size=1, max_size=9))
def test_intervals_stay_in_their_frame(values: list[list[float]]) -> None:
    rows = [Row("row", middle, (low, high)) for low, middle, high in values]
    found = coordinates(intervals(rows, across="change"))
    assert all(
        math.isfinite(number) and 0 <= number <= max(WIDTH, HEIGHT, 12 + 44 * len(rows) + 40) for number in found
    )
