"""Cells of a table as texts, labels and scores: what is empty is None, what is wrong says where and why."""

from __future__ import annotations

import math
from typing import Any

from umekomi.errors import InvalidInput

MAX_TEXT_CHARACTERS = 10_000_000
"""Longest text. No model reads a hundredth of it; a longer cell is a file that was broken on the way."""

_SHOWN_CHARACTERS = 40


def text_of(value: Any, where: str) -> str | None:
    """The text of a cell as it is; None where it is empty or blank. Raises `InvalidInput`."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidInput(f"{where}: {shown(value)} is a {type(value).__name__}, not a text; name another column")
    if len(value) > MAX_TEXT_CHARACTERS:
        raise InvalidInput(
            f"{where}: a text of {len(value)} characters; the limit is {MAX_TEXT_CHARACTERS}; split it"
        )
    if "\0" in value:
        raise InvalidInput(f"{where}: the text holds a NUL character; remove it")
    if not _is_unicode(value):
        raise InvalidInput(f"{where}: the text holds half a character (a lone surrogate); write the file as UTF-8")
    return value if value.strip() else None


def label_of(value: Any, where: str) -> str | None:
    """The label of a cell, trimmed: ``true`` for a bool, ``3`` for 3 and for 3.0; None where it is empty or NaN.

    Raises `InvalidInput` for a number with a fraction, which is no category, and for lists and objects.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if not value.is_integer():
            raise InvalidInput(f"{where}: the label {value} is a number with a fraction; a label names a category")
        return str(int(value))
    if isinstance(value, int):
        return str(value)
    if value is None or isinstance(value, str):
        return (text_of(value, where) or "").strip() or None
    raise InvalidInput(
        f"{where}: the label {shown(value)} is a {type(value).__name__}; a label is a text or number"
    )


def score_of(value: Any, where: str) -> float | None:
    """The score of a cell; None where it is empty. Raises `InvalidInput` for NaN and what is no number."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        score = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(f"{where}: the score {shown(value)} is no number") from None
    if not math.isfinite(score):
        raise InvalidInput(f"{where}: the score is {score}; write a number, or leave it empty to skip the row")
    return score


def shown(value: Any) -> str:
    """A value in a message: short, in quotes where it is a text."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
