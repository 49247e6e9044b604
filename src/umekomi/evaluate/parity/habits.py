"""What can be found out about a served model by asking it alone: repeats, company, rounding, where it cuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from umekomi.errors import UpstreamError, UpstreamRefusal
from umekomi.evaluate.parity.agreement import KEEP_COSINE, cosines
from umekomi.evaluate.parity.sides import WINDOW_TEXTS, EndpointSide, Side
from umekomi.types import Vectors

_LEAST_STIR = 1e-5
"""Relative difference of two vectors under which they are the same: float32 sums in another order reach 1e-6."""

_LOUD = 0.02
"""Noise over which no cut can be told."""

_COMPANY_COSINE = 0.99999
_LEVELS = 256
_ID_TEXT, _IDS = "hello world", (15339, 1917)
"""A text, and the ids that cl100k_base gives it."""

_STEPS = 1000
_TAILS = ("zebra 71 quartz — 終わり。", "harbour 26 violet — 始まり。")


IdReading: TypeAlias = Literal["reads them as text", "takes them for other tokens", "refuses them"]


@dataclass(frozen=True, slots=True)
class Habits:
    """How a server behaves towards the same texts in other circumstances.

    repeat   least cosine of a request sent twice
    company  least cosine of texts sent alone and in company
    levels   most different values in one vector where that is so few that they were rounded to 8 bits, else None
    """

    repeat: float
    company: float
    levels: int | None

    @property
    def depends_on_company(self) -> bool:
        """More than its own noise explains."""
        return self.company < _COMPANY_COSINE and (1 - self.company) > 4 * (1 - self.repeat)


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a server stops reading a long text: so many characters of it count, and the tokens that it reported
    for them; None where it reported none or reads the whole text."""

    characters: int
    tokens: int | None


def observe(side: Side, texts: Sequence[str]) -> Habits:
    """The habits of ``side`` with a few short ``texts``. Raises `UpstreamError`."""
    texts = texts[:WINDOW_TEXTS]
    together = side.ask(texts).vectors
    again = side.ask(texts).vectors
    few = texts[:4]
    alone = np.concatenate([side.ask([text]).vectors for text in few])
    return Habits(
        repeat=float(cosines(together, again).min()),
        company=float(cosines(alone, together[: len(few)]).min()),
        levels=rounded_levels(together),
    )


def find_cut(side: Side, text: str) -> Cut | None:
    """Where ``side`` stops reading ``text``, by two endings that change nothing beyond it.

    None where its own noise or rounding hides the difference. Raises `UpstreamError`.
    """
    threshold = _threshold(side, text)
    if threshold > _LOUD:
        return None

    def reads(characters: int) -> bool:
        """Whether what stands behind so many characters changes the vector."""
        return _stir(side, text[:characters] + _TAILS[0], text[:characters] + _TAILS[1]) > threshold

    if reads(len(text)):
        return Cut(len(text), None)
    low, high = 0, len(text)  # what follows ``low`` characters is read, what follows ``high`` is not
    while high - low > max(1, len(text) // _STEPS):
        middle = (low + high) // 2
        low, high = (middle, high) if reads(middle) else (low, middle)
    return Cut(high, side.ask([text[:high]]).tokens)


def ignores_start(side: Side, text: str) -> bool:
    """Whether two beginnings of a long ``text`` change nothing, as where its start is cut, though two endings do.

    Raises `UpstreamError`.
    """
    threshold = _threshold(side, text)
    if threshold > _LOUD or _stir(side, f"{_TAILS[0]} {text}", f"{_TAILS[1]} {text}") > threshold:
        return False
    return _stir(side, f"{text} {_TAILS[0]}", f"{text} {_TAILS[1]}") > threshold


def reading_of_ids(side: EndpointSide) -> IdReading:
    """What ``side`` makes of token ids of cl100k_base, which LangChain's OpenAIEmbeddings sends by default."""
    text = side.ask([_ID_TEXT]).vectors
    try:
        ids = side.endpoint.ask_ids([_IDS], role=side.role).vectors
    except UpstreamError:
        return "refuses them"
    same = ids.shape == text.shape and cosines(ids, text).min() >= KEEP_COSINE
    return "reads them as text" if same else "takes them for other tokens"


def refusal_of(side: Side, text: str) -> str | None:
    """What ``side`` says where it will not embed ``text``. Raises `UpstreamError` where it fails."""
    try:
        side.ask([text])
    except UpstreamRefusal as error:
        return str(error)
    return None


def _threshold(side: Side, text: str) -> float:
    """Over which two vectors differ by more than noise and rounding."""
    vectors = side.ask([text, text[::-1]]).vectors
    rounding = _LOUD * 2 if rounded_levels(vectors) is not None else 0.0
    return max(_LEAST_STIR, 3 * _stir(side, text, text), rounding)


def _stir(side: Side, first: str, second: str) -> float:
    """How far two texts' vectors lie apart, relative to their length."""
    a, b = (side.ask([text]).vectors[0].astype(np.float64) for text in (first, second))
    return float(np.linalg.norm(a - b) / max(float(np.linalg.norm(a)), 1e-12))


def rounded_levels(vectors: Vectors) -> int | None:
    """Most different values in one row where they are so few that they were rounded to 8 bits, else None."""
    most = max(len(np.unique(row)) for row in vectors)
    return most if most <= min(_LEVELS, vectors.shape[1] // 2) else None
