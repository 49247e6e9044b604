"""The texts on which an exported model must agree with its origin: ours, on which runtimes tend to differ, and the
data's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from umekomi.train.examples import TrainingData
from umekomi.types import Role

DATA_TEXTS = 48
"""Queries of the data, and as many passages: enough for a mean, little enough for a minute."""

_LONG_CONTEXT = 1024
"""Over so many tokens, one text over the context is enough: it takes as long as all the others."""

_CHARACTERS_PER_TOKEN = 8
"""More than a token has in any language, so that a text of so many times the context is over it."""

_OWN = (
    "",
    " ",
    "\u3000",
    "a",
    "。",
    "12345",
    "A short sentence about the weather.",
    "The library opens at nine and closes at six, except on public holidays.",
    "How do I reset the password of my account?",
    "def mean(values): return sum(values) / len(values)",
    "  Two spaces  at the start,\n\nan empty line,\tand a tab.\n",
    "MIXED case Words, naïve café, Ångström, Straße, İstanbul",
    "埋め込みモデルを社内で動かす。",
    "東京の天気は明日の午後から雨になるそうです。傘を忘れないでください。",
    "経費の精算は、領収書を添えて翌月の五日までに申請する。",
    "パスワードを忘れたときはどうすればよいですか?",
    "半角ｶﾅとﾊﾞﾋﾟﾌﾞ、全角ＡＢＣ１２３、㈱①㍿",
    "か\u3099は\u309a と がぱ",
    "English と日本語 mixed in 1文, with 数字 42.",
    "한국어 문장입니다. 中文句子。Русский текст. نص عربي. ประโยคภาษาไทย",
    "👨‍👩‍👧‍👦 🇯🇵 👍🏽 ☃ 🎌🍏",
    "[CLS] [MASK] <s> </s> <mask> ##a",
    "https://example.com/a?b=c&d=%E3%81%82#e 3.14 1,000,000",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~「」『』【】・、。",
    "supercalifragilistic" * 4,
    "あいうえお" * 30,
    "word " * 60,
)
_LONG = (
    "Paragraph {number}: a train leaves every ten minutes, and number {number} stops at every station. ",
    "第{number}段落。列車は十分ごとに発車し、{number}番の列車は各駅に停車します。",
)


@dataclass(frozen=True, slots=True)
class GateText:
    """A text and the role in which it is compared."""

    text: str
    role: Role


def build_gate_texts(data: TrainingData | None, *, max_tokens: int) -> tuple[GateText, ...]:
    """Our texts as documents, some as queries too, texts over ``max_tokens``, and texts spread over ``data``."""
    long = [_repeat(line, max_tokens * _CHARACTERS_PER_TOKEN) for line in _LONG]
    if max_tokens > _LONG_CONTEXT:
        long = long[1:]
    documents = [*_OWN, *long]
    queries = list(_OWN)
    if data is not None:
        documents += _spread([passage.text for passage in data.corpus], DATA_TEXTS)
        queries += _spread([example.query for example in (*data.test, *data.train)], DATA_TEXTS)
    return (*_with_role(documents, "document"), *_with_role(queries, "query"))


def _with_role(texts: Iterable[str], role: Role) -> tuple[GateText, ...]:
    return tuple(GateText(text, role) for text in dict.fromkeys(texts))


def _repeat(line: str, characters: int) -> str:
    parts: list[str] = []
    size = 0
    while size < characters:
        parts.append(line.format(number=len(parts) + 1))
        size += len(parts[-1])
    return "".join(parts)


_Item = TypeVar("_Item")


def _spread(items: Sequence[_Item], count: int) -> list[_Item]:
    """At most ``count`` of them, at equal steps from the first on."""
    step = max(1, -(-len(items) // count))
    return list(items[::step])
