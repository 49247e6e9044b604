"""Which texts can be embedded at all."""

from __future__ import annotations

from collections.abc import Sequence

from umekomi.errors import InvalidInput


def check_texts(texts: Sequence[str]) -> None:
    """Raises `InvalidInput` for what no tokenizer can take, naming the text and the position in it.

    NUL is refused too: it is never text, and databases downstream cut or refuse it.
    """
    if isinstance(texts, str):
        raise InvalidInput("texts is a single string; pass a list of strings", param="input")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInput(f"text {index} is of type {type(text).__name__}; pass strings", param="input")
        if (position := text.find("\0")) >= 0:
            raise InvalidInput(
                f"text {index} contains NUL (U+0000) at position {position}; remove it", param="input"
            )
        if not text.isascii():
            _check_encodable(text, index)


def _check_encodable(text: str, index: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"text {index} contains a lone surrogate (U+{ord(text[error.start]):04X}) at position {error.start}, "
            "half of a character; the text was cut or decoded wrongly",
            param="input",
        ) from None
