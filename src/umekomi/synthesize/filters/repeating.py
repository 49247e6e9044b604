"""Queries that repeat another: within a split the later one goes, between splits the one that would leak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from umekomi.evaluate.metrics.repeats import find_repeats
from umekomi.synthesize.pairs import Pair, Rejection, Split

FILTER = "repeated"

_WEIGHT: Mapping[Split, int] = {"test": 0, "dev": 1, "train": 2}
"""Test keeps a query before dev, dev before train: what is tested must not have been trained on."""


def without_repeats(pairs: Sequence[Pair], splits: Mapping[str, Split]) -> tuple[list[Pair], list[Rejection]]:
    """``pairs`` without those whose query is equal or nearly equal to another's, in their order.

    splits  of the documents, by identifier
    """
    order = sorted(range(len(pairs)), key=lambda row: (_WEIGHT[splits[pairs[row].document_id]], row))
    first = find_repeats([pairs[row].query for row in order]).first
    rejected = {}
    for place, earlier in enumerate(first.tolist()):
        if earlier != place:
            pair, kept = pairs[order[place]], pairs[order[earlier]]
            where = splits[kept.document_id]
            rejected[order[place]] = Rejection(pair, FILTER, f"repeats '{kept.query}' ({kept.id}, {where})")
    return [pair for row, pair in enumerate(pairs) if row not in rejected], [
        rejected[row] for row in sorted(rejected)
    ]
