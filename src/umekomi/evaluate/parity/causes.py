"""`Cause`: why two sources of vectors differ, in a sentence, with the evidence and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from umekomi.evaluate.parity.agreement import Float64s, Lengths
from umekomi.evaluate.parity.experiments import UNRELATED_COSINE, Step
from umekomi.evaluate.parity.habits import Habits
from umekomi.evaluate.parity.recipes import Recipe

CauseKind: TypeAlias = Literal[
    "prefix",
    "pooling",
    "normalisation",
    "truncation",
    "precision",
    "special tokens",
    "text cleaning",
    "dimensions",
    "order",
    "another model",
    "unknown",
]

Confidence: TypeAlias = Literal["certain", "likely", "possible"]
"""certain: making the change gives the same vectors, or it was measured directly; likely: it closes three quarters
of the gap; possible: less, or what is left looks like it."""

LIKELY_SHARE = 0.75
PRECISION_COSINE = 0.95
"""4-bit weights stay above; a larger difference is not one of rounding."""

_EVEN = 6.0
"""Rounding moves all texts about alike: the worst at most so many times as far as the median."""

_INT8_SHARE = 0.7
"""8-bit weights on the other side leave at most so much of the gap."""

_EIGHT_BIT_COSINE = 0.99
"""What 8-bit weights stay above. Further away, without a better sign, another tokenizer looks the same."""


_UNRELATED_SHARE = 0.2
_NAME_REFERENCE = "name the model with --reference to find out"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why ``side`` gives other vectors. ``before`` and ``after``: mean cosine of the texts that disagreed, without
    and with the change made on the other side; None where nothing was changed to find it."""

    kind: CauseKind
    side: str
    sentence: str
    confidence: Confidence
    before: float | None = None
    after: float | None = None


def cause_of_step(step: Step, start: Recipe, *, side: str, other: str, own_limit: int | None = None) -> Cause:
    """The cause that a step of a search shows: ``side`` does what the laboratory of ``other`` had to do."""
    return Cause(
        step.change,
        side,
        f"{side} {_difference(step, start, other, own_limit)}",
        confidence_of(step),
        before=step.before,
        after=step.after,
    )


def confidence_of(step: Step) -> Confidence:
    if step.closed:
        return "certain"
    gap = 1 - step.before
    return "likely" if gap > 0 and (step.after - step.before) / gap >= LIKELY_SHARE else "possible"


def normalisation(first: Lengths, second: Lengths, names: tuple[str, str]) -> Cause:
    """Raw lengths differ although directions need not."""
    unit, other = (0, 1) if first.unit else (1, 0)
    lengths = (first, second)
    if lengths[unit].unit:
        sentence = (
            f"{names[other]} does not scale its vectors to unit length (they are {lengths[other].least:.3g} to "
            f"{lengths[other].greatest:.3g} long), {names[unit]} does"
        )
    else:
        sentence = (
            f"{names[1]}'s vectors are {second.median:.3g} long in the median, {names[0]}'s {first.median:.3g}"
        )
    return Cause("normalisation", names[other], sentence, "certain")


def precision(values: Float64s, habits: Habits, *, side: str, int8: Float64s | None = None) -> Cause | None:
    """What is left as a matter of rounding, if it looks like it; ``values`` are the cosines that are left.

    int8  cosines of the reference's own 8-bit vectors with the same ones, where there is one
    """
    if habits.levels is not None:
        sentence = f"{side} rounds its vectors: none has more than {habits.levels} different values"
        return Cause("precision", side, sentence, "certain")
    gaps = 1 - values
    median, worst = float(np.median(gaps)), float(gaps.max())
    if habits.depends_on_company:
        sentence = (
            f"{side}'s vectors depend on the texts in the same request (cosine {habits.company:.4f} alone against "
            "in company), as weights quantised with one scale for a whole batch do"
        )
        return Cause("precision", side, sentence, "certain")
    if worst > 1 - PRECISION_COSINE or worst > _EVEN * max(median, 1e-6):
        return None
    if int8 is not None and (1 - int8).mean() < _INT8_SHARE * gaps.mean():
        sentence = (
            f"{side} computes in a lower precision: 8-bit weights on the other side come nearer "
            f"({values.mean():.4f} → {int8.mean():.4f})"
        )
        return Cause("precision", side, sentence, "likely", float(values.mean()), float(int8.mean()))
    if worst > 1 - _EIGHT_BIT_COSINE:
        return None
    sentence = (
        f"what is left is small and about the same for all texts (cosine {values.mean():.4f}), as where the "
        "weights of one side are of a lower precision"
    )
    return Cause("precision", side, sentence, "possible", float(values.mean()), None)


def unexplained(values: Float64s, matched: float, *, side: str, poolings_tried: bool) -> Cause:
    """What to say where nothing closes the gap: another model where rows do not find their own, else unknown."""
    count = len(values)
    found = f"a text's vector finds its own on the other side for {matched:.0%} of the texts"
    if matched <= max(_UNRELATED_SHARE, 2 / count) or values.mean() < UNRELATED_COSINE:
        sentence = f"{side} serves another model: the vectors lie in unrelated spaces ({found})"
        if poolings_tried:
            return Cause("another model", side, sentence, "likely", float(values.mean()))
        sentence += f", or it pools the same one otherwise; {_NAME_REFERENCE}"
        return Cause("another model", side, sentence, "possible", float(values.mean()))
    guesses = "weights of fewer bits or of another version, another tokenizer, or a prompt that is not on the list"
    if not poolings_tried:
        guesses = f"another pooling, {guesses}; {_NAME_REFERENCE}"
    sentence = (
        f"nothing that was tried closes the gap, though the spaces are related ({found}); it may be {guesses}"
    )
    return Cause("unknown", side, sentence, "possible", float(values.mean()))


def _difference(step: Step, start: Recipe, other: str, own_limit: int | None) -> str:
    recipe = step.recipe
    match step.change:
        case "prefix" if not recipe.prompt:
            return f"puts nothing before each text, where {other} puts {start.prompt!r}"
        case "prefix":
            rest = f", where {other} puts {start.prompt!r}" if start.prompt else f"; {other} puts nothing there"
            return f"puts {recipe.prompt!r} before each text{rest}"
        case "pooling":
            return f"pools by {_POOLING_WORDS.get(recipe.pooling or '', recipe.pooling)}, and {other} does not"
        case "special tokens":
            return f"{_FRAME_WORDS[recipe.frame]}, unlike {other}"
        case "text cleaning":
            return f"{recipe.cleaning} first, and {other} does not"
        case _:
            return _cut_sentence(recipe, other, own_limit)


def _cut_sentence(recipe: Recipe, other: str, own: int | None) -> str:
    match recipe.long_texts:
        case "start":
            return f"keeps the last {recipe.limit or own} tokens of a long text, {other} the first {own}"
        case "average":
            return f"averages the vectors of pieces of {recipe.limit or own} tokens, {other} cuts after {own}"
    if recipe.limit is not None and own is not None and recipe.limit > own:
        return f"reads at least {recipe.limit} tokens of a long text, {other} cuts after {own}"
    return f"cuts texts after {recipe.limit} tokens, {other} after {own}"


_POOLING_WORDS = {
    "mean": "the mean of all tokens",
    "cls": "the first token (cls)",
    "lasttoken": "the last token",
    "max": "the maximum over tokens",
    "weightedmean": "a mean in which later tokens weigh more",
}

_FRAME_WORDS = {
    "whole": "puts all special tokens around a text",
    "no end": "leaves out the special token at the end",
    "no start": "leaves out the special token at the start",
    "none": "leaves out the special tokens",
    "double start": "puts the special token at the start twice",
}
