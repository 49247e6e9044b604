"""Documents to train, dev and test, so that nothing in one split is known from another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.repeats import find_repeats
from umekomi.synthesize.pairs import SPLITS, Split, build_id

SHARES: Mapping[Split, float] = {"train": 0.7, "dev": 0.1, "test": 0.2}

COMPARED_CHARACTERS = 200_000
"""Of each document, when near-duplicates are looked for."""

_FIRST: tuple[Split, ...] = ("train", "test", "dev")
"""Who gets a cluster first where there are few: a model cannot be trained or tested without."""


@dataclass(frozen=True, slots=True)
class SplitDocument:
    """What splitting knows of a document: ``weight`` is how many pairs are wanted from it."""

    id: str
    source: str
    text: str
    weight: int


def cluster_documents(documents: Sequence[SplitDocument]) -> dict[str, str]:
    """Document to the one that stands for its near-duplicates: itself where it has none before it.

    Each document is known to repeat the earliest only, so they are compared from both ends: one that is like two
    that are unlike each other binds all three together.
    """
    ordered = sorted(documents, key=lambda document: document.id)
    texts = [document.text[:COMPARED_CHARACTERS] for document in ordered]
    last = len(texts) - 1
    bound = list(enumerate(find_repeats(texts).first.tolist()))
    bound += [(last - row, last - first) for row, first in enumerate(find_repeats(texts[::-1]).first.tolist())]
    leader = list(range(len(texts)))

    def find(row: int) -> int:
        while leader[row] != row:
            row = leader[row]
        return row

    for one, other in bound:
        low, high = sorted((find(one), find(other)))
        leader[high] = low
    return {document.id: ordered[find(row)].id for row, document in enumerate(ordered)}


def assign_splits(documents: Sequence[SplitDocument]) -> dict[str, Split]:
    """A split for each document: 70, 10 and 20 % of the pairs, near-duplicates always together.

    The same documents get the same splits on every machine, in any order and under any names. Where pairs are
    wanted from fewer than three clusters of near-duplicates, dev or test stays empty.
    """
    clusters: dict[str, list[SplitDocument]] = defaultdict(list)
    leader = cluster_documents(documents)
    for document in documents:
        clusters[leader[document.id]].append(document)
    total = sum(document.weight for document in documents)
    idle = {name for name, cluster in clusters.items() if not any(document.weight for document in cluster)}
    held = dict.fromkeys(SPLITS, 0)
    assigned: dict[str, Split] = {}
    # Those without pairs last, or they would take places that must not stay empty. The others by a hash, since
    # identifiers of like documents may sort together.
    for place, name in enumerate(sorted(clusters, key=lambda name: (name in idle, build_id("split", name)))):
        if place < len(_FIRST):
            split = _FIRST[place]
        else:
            split = max(_FIRST, key=lambda split: SHARES[split] * total - held[split])
        for document in clusters[name]:
            assigned[document.id] = split
            held[split] += document.weight
    return assigned


def apply_splits(documents: Sequence[SplitDocument], given: Mapping[str, Split]) -> dict[str, Split]:
    """The splits that a user gave by path. Raises `InvalidInput` for a document without one, for a path that no
    document has, and for near-duplicates that would be in two splits."""
    by_source = {document.source: document for document in documents}
    if unknown := sorted(set(given) - set(by_source)):
        raise InvalidInput(f"splits: no document is called '{unknown[0]}'; there is '{next(iter(by_source))}'")
    if missing := sorted(set(by_source) - set(given)):
        raise InvalidInput(
            f"splits: '{missing[0]}' has no split; give one of {', '.join(SPLITS)} to every document"
        )
    assigned = {document.id: given[document.source] for document in documents}
    sources = {document.id: document.source for document in documents}
    for document, leader in cluster_documents(documents).items():
        if assigned[document] != assigned[leader]:
            raise InvalidInput(
                f"splits: '{sources[document]}' ({assigned[document]}) and '{sources[leader]}' "
                f"({assigned[leader]}) are near-duplicates; put both into one split"
            )
    return assigned
