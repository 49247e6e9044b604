"""Examples as rows of equal width, which a trainer needs: every pair gets the same number of negatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from umekomi.train.examples import Example

MAX_NEGATIVES = 8
"""Kept of the negatives that come with a pair: each is embedded in every epoch."""


@dataclass(frozen=True, slots=True)
class EvenExamples:
    """Examples with ``negatives`` negatives each, and what was done to make it so."""

    examples: tuple[Example, ...]
    negatives: int
    notes: tuple[str, ...]


def even_negatives(examples: Sequence[Example], *, seed: int) -> EvenExamples:
    """Every example with as many negatives as the best supplied one has, `MAX_NEGATIVES` at most.

    Where some are missing, random texts of other training pairs take their place: easy ones, but never the answer
    and never of its document.
    """
    given = [len(each.negatives) for each in examples]
    count = min(max(given, default=0), MAX_NEGATIVES)
    notes = []
    if cut := sum(number > count for number in given):
        notes.append(f"{cut} pairs have more than {count} negatives; the first {count} are trained, the hardest")
    if short := sum(number < count for number in given):
        notes.append(f"{short} pairs have fewer than {count} negatives; random texts of other pairs fill them up")
    filled = fill_negatives(examples, count=count, seed=seed)
    least = min((len(each.negatives) for each in filled), default=0)
    kept = tuple(replace(each, negatives=each.negatives[:least]) for each in filled)
    return EvenExamples(kept, least, tuple(notes))


def fill_negatives(examples: Sequence[Example], *, count: int, seed: int) -> tuple[Example, ...]:
    """The examples with ``count`` negatives each, random ones where some are missing; fewer where texts are few."""
    random = np.random.default_rng([seed, 11])
    filled = []
    for each in examples:
        kept = each.negatives[:count]
        if missing := count - len(kept):
            kept += _others(each, kept, examples, count=missing, random=random)
        filled.append(replace(each, negatives=kept))
    return tuple(filled)


def _others(
    example: Example, taken: Sequence[str], examples: Sequence[Example], *, count: int, random: np.random.Generator
) -> tuple[str, ...]:
    """Texts of other documents, drawn at random; fewer where there are not so many."""
    found: list[str] = []
    known = {example.query, example.positive, *taken}
    for row in random.permutation(len(examples))[: 50 + count]:
        other = examples[row]
        same_document = other.document_id and other.document_id == example.document_id
        if not same_document and other.positive not in known and other.query != example.query:
            known.add(other.positive)
            found.append(other.positive)
            if len(found) == count:
                break
    return tuple(found)
