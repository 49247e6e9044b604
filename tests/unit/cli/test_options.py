"""What the commands print to a terminal."""

from __future__ import annotations

import io

import pytest

from umekomi.cli.options import printable, progress


@pytest.mark.parametrize("text", ["plain", "緑の果物　全角", "👩‍👩‍👧‍👦🇯🇵", "e\u0301", "tab-free … “quotes”"])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("two\nlines", "two\\nlines"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\x9b1m", "\\x9b1m"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_would_steer_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_bar_shows_a_title_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with progress("[/b] [red]pairs\x1b[2J", total=1) as advance:
        advance(1)
    assert "[/b] [red]pairs\\x1b[2J" in screen.getvalue()


class Screen(io.StringIO):
    """A terminal that keeps what it was sent."""

    def isatty(self) -> bool:
        return True
