"""Filters that read the query alone, or beside its chunk: language, talk about the text, copied runs of words."""

from __future__ import annotations

import re
import unicodedata

from umekomi.documents.languages import language_of
from umekomi.search.lexical import terms
from umekomi.synthesize.pairs import Pair

MAX_COPY_SHARE = 0.6
"""Share of a query's 5-grams that may stand in its chunk word for word; above it, the query was copied."""

GRAM = 5

_JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")
_KANJI = re.compile(r"[\u4e00-\u9fff]")
_LETTER = re.compile(r"[A-Za-z]")

_META = {
    "en": re.compile(
        r"\b(?:(?:this|the|given|above|following|provided)\s+(?:passage|text|paragraph|excerpt|document|article|"
        r"context|section|chapter|table|figure|author|writer|snippet)s?\b|according to (?:the|this)\b|"
        r"(?:mentioned|described|discussed|stated|provided|listed|shown)\s+(?:above|below|here|in the)\b|"
        r"based on the (?:passage|text|context|information)|as an ai\b|here (?:is|are)\b)",
        flags=re.IGNORECASE,
    ),
    "ja": re.compile(
        r"本文|本稿|本書|本節|本章|本記事|(?:この|その|上記|上述|前述|下記|以下|次|与えられた|提示された)の?"
        r"(?:文章|文書|一節|段落|記事|テキスト|資料|内容|情報|節|章|表|図)|(?:著者|筆者|作者)(?:は|が|の|に)|"
        r"(?:文章|一節|テキスト|記事)(?:によると|によれば|では|に書かれ|の中で)|上記の|前述の"
    ),
}
"""Phrases that make sense only beside the text: nobody types them into a search box."""


def wrong_language(pair: Pair) -> str | None:
    """Why the query is not in its chunk's language; None where it is, or where that is not plain."""
    if (reason := _lacks_script(pair)) is not None:
        return reason
    found = language_of(pair.query)
    kanji_only = (found, pair.language) == ("zh", "ja")
    if found and pair.language and found != pair.language and not kanji_only:
        return f"in '{found}', and its chunk is in '{pair.language}'"
    return None


def _lacks_script(pair: Pair) -> str | None:
    """Why the query's characters are not those of its chunk's language: LLMs like to answer Japanese in Chinese."""
    query = unicodedata.normalize("NFKC", pair.query)
    if pair.language == "en":
        return None if _LETTER.search(query) else f"no English in it: {pair.query}"
    if pair.language != "ja":
        return None
    if not _JAPANESE.search(query):
        return f"no Japanese in it: {pair.query}"
    if pair.style != "keyword" and not _KANA.search(query):
        return f"no kana in it, as no Japanese sentence is: {pair.query}"
    strange = set(_KANJI.findall(query)) - set(pair.positive)
    chinese = sorted(char for char in strange if not char.encode("cp932", errors="ignore"))
    return f"'{''.join(chinese)}' is not used in Japanese: {pair.query}" if chinese else None


def about_the_text(pair: Pair) -> str | None:
    """The phrase by which the query speaks of the passage rather than of its subject."""
    folded = unicodedata.normalize("NFKC", pair.query)
    for pattern in _META.values():
        if found := pattern.search(folded):
            return f"speaks of the text: '{found[0]}'"
    return None


def copied(pair: Pair) -> str | None:
    """How much of the query was copied, where it is too much. Keywords are meant to be words of the chunk."""
    if pair.style == "keyword":
        return None
    share = copy_share(pair.query, pair.positive)
    return f"{share:.0%} of its {GRAM}-grams stand in the chunk" if share > MAX_COPY_SHARE else None


def copy_share(query: str, passage: str) -> float:
    """Share of the query's 5-grams that the passage holds: of characters in Japanese, of words elsewhere.

    A query too short for one 5-gram shares nothing.
    """
    asked, held = _grams(query), _grams(passage)
    return sum(gram in held for gram in asked) / len(asked) if asked else 0.0


def _grams(text: str) -> set[tuple[str, ...]]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    units = [char for char in folded if char.isalnum()] if _JAPANESE.search(folded) else terms(folded)
    return {tuple(units[start : start + GRAM]) for start in range(len(units) - GRAM + 1)}
