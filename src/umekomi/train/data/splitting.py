"""A table without splits to train, dev and test, so that nothing in one split is known from another."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from umekomi.synthesize.pairs import SPLITS, Split, build_id
from umekomi.synthesize.splits import SplitDocument, assign_splits, cluster_documents
from umekomi.train.examples import Example


def split_examples(examples: Sequence[Example]) -> tuple[dict[Split, list[Example]], int]:
    """The examples of each split, 70, 10 and 20 % of them, and how many clusters there are to split.

    Examples that share a document, a text or nearly one stay together. The content alone decides: the same rows get
    the same splits in any order, so that a run with another seed is tested on the same pairs.
    """
    leaders = cluster_examples(examples)
    members: dict[int, list[Example]] = {}
    for example, leader in zip(examples, leaders, strict=True):
        members.setdefault(leader, []).append(example)
    documents, named = [], {}
    for leader, cluster in members.items():
        texts = sorted({example.positive for example in cluster} | {example.query for example in cluster})
        named[leader] = build_id("cluster", *texts)
        documents.append(SplitDocument(named[leader], "", "\n".join(texts), len(cluster)))
    assigned = assign_splits(documents)
    splits: dict[Split, list[Example]] = {split: [] for split in SPLITS}
    for example, leader in zip(examples, leaders, strict=True):
        splits[assigned[named[leader]]].append(example)
    return splits, len(members)


def cluster_examples(examples: Sequence[Example]) -> list[int]:
    """For each example, the row that stands for all that share something with it, over any number of steps."""
    texts = dict.fromkeys(text for example in examples for text in (example.query, example.positive))
    documents = [SplitDocument(build_id("text", text), "", text, 0) for text in texts]
    alike = cluster_documents(documents)
    names = {text: alike[document.id] for text, document in zip(texts, documents, strict=True)}
    leader = list(range(len(examples)))

    def find(row: int) -> int:
        while leader[row] != row:
            leader[row] = leader[leader[row]]
            row = leader[row]
        return row

    first: dict[Hashable, int] = {}
    for row, example in enumerate(examples):
        keys: list[Hashable] = [names[example.query], names[example.positive]]
        keys += [(kind, name) for kind, name in (("c", example.chunk_id), ("d", example.document_id)) if name]
        for key in keys:
            low, high = sorted((find(first.setdefault(key, row)), find(row)))
            leader[high] = low
    return [find(row) for row in range(len(examples))]
