"""Token ids of OpenAI's vocabularies back into text, offline: what LangChain and others send instead of text.

The tables are the data files of the package ``bpe-openai``. They are read from there without importing it:
the import would take 0.7 s and 100 MB (2026-11), where reading one table takes 0.1 s and 6 MB
(o200k 11 MB), once, at the first request that carries ids.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias

from umekomi.errors import InvalidInput, MissingExtra

OpenAIVocabulary: TypeAlias = Literal["cl100k_base", "o200k_base"]

_PACKAGE = "bpe_openai"


def decode(vocabulary: OpenAIVocabulary, ids: Sequence[int]) -> str:
    """The text of the token ``ids``.

    A token may hold a part of a character, and clients cut long inputs between tokens: bytes that are no
    whole UTF-8 character become U+FFFD, as with OpenAI's own decoder.
    Raises `InvalidInput` (``param="input"``) for an id that stands for no text: negative, beyond the
    vocabulary, or a special token such as ``<|endoftext|>``.
    """
    table = _table(vocabulary)
    if ids and not 0 <= min(ids) <= max(ids) < len(table):
        position, wrong = next((i, number) for i, number in enumerate(ids) if not 0 <= number < len(table))
        raise InvalidInput(
            f"token id {wrong} at position {position} is no text token of {vocabulary} "
            f"(0 to {len(table) - 1}); send ids of that vocabulary, or text",
            param="input",
        )
    return b"".join([table[number] for number in ids]).decode("utf-8", errors="replace")


@lru_cache
def _table(vocabulary: OpenAIVocabulary) -> tuple[bytes, ...]:
    """The bytes of every ordinary token, by id: both vocabularies number them from 0 without gaps."""
    spec = find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise MissingExtra("token ids need the Python package 'bpe-openai': pip install bpe-openai")
    with gzip.open(Path(folders[0]) / "data" / f"{vocabulary}.tiktoken.gz", "rb") as lines:
        return tuple(base64.b64decode(line.split(b" ", 1)[0]) for line in lines)
