"""`Recipe`: one way to make vectors with a model's weights, and the other ways that servers are known to take."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from umekomi.models.card import Pooling
from umekomi.types import Precision

Frame: TypeAlias = Literal["whole", "no end", "no start", "none", "double start"]
"""Which of the special tokens around a text run: converted files are known to lose some or to put one twice."""

LongTexts: TypeAlias = Literal["end", "start", "average"]
"""What happens to a text over the limit: its end or start is cut, or its pieces' vectors are averaged."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way from text to vector.

    prompt     put before the text
    cleaning   name of one of `CLEANINGS`
    frame      special tokens that run
    limit      longest text in tokens; None: the model's own
    pooling    None: the model's own
    precision  None: the one that the reference was opened in
    """

    prompt: str = ""
    cleaning: str = ""
    frame: Frame = "whole"
    limit: int | None = None
    long_texts: LongTexts = "end"
    pooling: Pooling | None = None
    precision: Precision | None = None

    def text(self, text: str) -> str:
        """``text`` as it is tokenised."""
        return self.prompt + CLEANINGS[self.cleaning](text)


def _collapse(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


CLEANINGS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "": lambda text: text,
        "strips white space at both ends": str.strip,
        "turns line breaks into spaces": lambda text: text.replace("\n", " "),
        "removes line breaks": lambda text: text.replace("\n", ""),
        "makes every run of white space one space": _collapse,
        "lowers capital letters": str.lower,
        "normalises Unicode (NFC)": lambda text: unicodedata.normalize("NFC", text),
        "normalises Unicode (NFKC: full-width letters become ordinary ones)": lambda text: unicodedata.normalize(
            "NFKC", text
        ),
    }
)
"""What servers and clients do to a text first, by a description that follows "it"."""

COMMON_PROMPTS = (
    "",
    "query: ",
    "passage: ",
    "Represent this sentence for searching relevant passages: ",
    "为这个句子生成表示以用于检索相关文章：",
    "検索クエリ: ",
    "検索文書: ",
    "クエリ: ",
    "文章: ",
    "トピック: ",
    "search_query: ",
    "search_document: ",
    "clustering: ",
    "classification: ",
    "task: search result | query: ",
    "title: none | text: ",
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: ",
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:",
    "query:",
    "passage:",
    "Query: ",
    "Passage: ",
    "document: ",
)
"""Prompts in the model cards of E5, BGE, ruri, GLuCoSE, nomic-embed, EmbeddingGemma and Qwen3-Embedding, and near
misses of them."""

FRAMES: tuple[Frame, ...] = ("whole", "no end", "no start", "none", "double start")

POOLINGS: tuple[Pooling, ...] = ("mean", "cls", "lasttoken", "max", "weightedmean")
"""``mean_sqrt_len`` points where ``mean`` points, so that cosines do not tell the two apart."""

LIMITS = (32, 64, 96, 128, 192, 254, 255, 256, 320, 384, 510, 511, 512, 768, 1024)
"""Limits in tokens that servers and models are set to; 254, 255, 510 and 511 come of miscounted special tokens."""


def known_prompts(own: Mapping[str, str]) -> tuple[str, ...]:
    """Prompts worth a try for a model with its ``own``: those first, each also doubled, then the common ones."""
    doubled = [prompt + prompt for prompt in own.values() if prompt]
    return tuple(dict.fromkeys(["", *own.values(), *doubled, *COMMON_PROMPTS]))
