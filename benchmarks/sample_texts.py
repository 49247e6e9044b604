"""What the benchmark embeds: English and Japanese sentences put together from parts, and livedoor's articles."""

from __future__ import annotations

import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SEED = 20261121
LIVEDOOR_CHARACTERS = 512
_LIVEDOOR_HEADER_LINES = 3  # URL, date, title


@dataclass(frozen=True, slots=True)
class TextSet:
    """Texts that are timed together. ``name`` is one word."""

    name: str
    about: str
    texts: list[str]


_ENGLISH = (
    (
        "The committee",
        "A small bakery on the corner",
        "Our research group",
        "The old lighthouse keeper",
        "My neighbour from Osaka",
        "The city museum",
        "An impatient customer",
        "The new search engine",
        "Every student in the class",
        "The night nurse",
    ),
    (
        "decided to postpone",
        "quietly improved",
        "described in detail",
        "was surprised by",
        "compared the cost of",
        "repaired",
        "has announced",
        "carefully measured",
        "almost forgot about",
        "finally understood",
    ),
    (
        "the annual budget report",
        "a recipe for sourdough bread",
        "the behaviour of migrating birds",
        "three broken windows",
        "a sudden change in the weather",
        "the history of the harbour",
        "a faster way to sort records",
        "the colour of ripe tomatoes",
        "two letters from abroad",
        "the price of electricity",
    ),
    (
        "before the end of March.",
        "because nobody had asked earlier.",
        "while the town was asleep.",
        "according to the local newspaper.",
        "and wrote everything down.",
        "without telling anyone.",
        "despite heavy rain.",
        "for the second time this year.",
    ),
)

_JAPANESE = (
    (
        "市役所の担当者は",
        "駅前の小さな書店が",
        "大学の研究チームは",
        "隣に住む祖母は",
        "新しくできた図書館は",
        "料理人をしている兄は",
        "昨日の会議で部長は",
        "港で働く漁師たちは",
        "転校してきた友人が",
        "夜勤の看護師さんは",
    ),
    (
        "秋の祭りの準備について",
        "電力料金の値上げを",
        "渡り鳥の観察記録を",
        "検索エンジンの速さを",
        "古い写真の保存方法を",
        "朝市で売る野菜の値段を",
        "来年度の予算案を",
        "近づいてくる台風の進路を",
        "壊れた窓の修理代を",
        "海外から届いた二通の手紙を",
    ),
    (
        "詳しく説明した。",
        "静かに見直している。",
        "住民に知らせることにした。",
        "何度も確かめた。",
        "初めて公開した。",
        "ノートに残しておいた。",
        "急いでまとめた。",
        "友人たちと話し合った。",
        "新聞の記事で知ったという。",
        "三月の終わりまでに決めたい。",
    ),
)


def short_sentences(count: int) -> TextSet:
    """Distinct single sentences, English and Japanese in turn."""
    return TextSet("sentences", "one sentence each", _distinct(count, sentences=(1, 1)))


def paragraphs(count: int) -> TextSet:
    """Distinct paragraphs of four to eight sentences of one language."""
    return TextSet("paragraphs", "four to eight sentences each", _distinct(count, sentences=(4, 8)))


def livedoor(archive: Path, count: int) -> TextSet:
    """The first 512 characters of ``count`` articles' bodies, spread evenly over the archive's articles."""
    bodies = [body for body in _livedoor_bodies(archive) if body]
    step = max(1, len(bodies) // count)
    texts = [body[:LIVEDOOR_CHARACTERS] for body in bodies[::step][:count]]
    return TextSet("livedoor", f"news, cut at {LIVEDOOR_CHARACTERS} characters", texts)


def _distinct(count: int, *, sentences: tuple[int, int]) -> list[str]:
    """``count`` texts, no two the same, so that no cache can help anyone; the same ones in every run."""
    rng = random.Random(f"{SEED} {sentences}")
    texts: dict[str, None] = {}
    while len(texts) < count:
        parts, gap = (_ENGLISH, " ") if len(texts) % 2 else (_JAPANESE, "")
        made = [gap.join(rng.choice(choices) for choices in parts) for _ in range(rng.randint(*sentences))]
        texts[gap.join(made)] = None
    return list(texts)


def _livedoor_bodies(archive: Path) -> Iterator[str]:
    with tarfile.open(archive) as tar:
        for member in tar:
            path = Path(member.name)
            if not member.isfile() or not path.name.startswith(f"{path.parent.name}-"):
                continue
            file = tar.extractfile(member)
            if file is not None:
                lines = file.read().decode("utf-8").splitlines()
                yield "\n".join(lines[_LIVEDOOR_HEADER_LINES:]).strip()
