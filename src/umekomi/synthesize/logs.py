"""Queries of real users: matched to the chunk that answers them, and how far they lie from what the LLM wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from umekomi.documents import Chunk
from umekomi.embedding.embedder import Embedder
from umekomi.embedding.vectors import normalize
from umekomi.evaluate.metrics.neighbours import nearest
from umekomi.evaluate.metrics.retrieval import rank_corpus
from umekomi.search.lexical import LexicalIndex
from umekomi.synthesize.filters.round_trip import embed_corpus
from umekomi.synthesize.pairs import Pair, build_id

LOOKED_AT = 3
"""Both ways of searching must have the other's best chunk among their first three."""


@dataclass(frozen=True, slots=True)
class LogMatch:
    """Real queries with the chunk that answers them, and those for which none was plain."""

    pairs: tuple[Pair, ...]
    unmatched: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Distance:
    """How unlike real and synthetic queries are.

    own_kind          share of queries whose nearest other query is of their own kind, from as many of each; 0.5
                      where nobody could tell (Schilling 1986, doi:10.1080/01621459.1986.10478337)
    real_characters, synthetic_characters  median length
    """

    own_kind: float
    real_characters: float
    synthetic_characters: float


def match_queries(
    queries: Sequence[str],
    chunks: Sequence[Chunk],
    *,
    embedder: Embedder | None,
    advance: Callable[[int], None] = lambda done: None,
) -> LogMatch:
    """A pair for each query whose best chunk by words is also near the top by vectors, and the other way about.

    Without ``embedder``, or where the two disagree, a query stays unmatched: a wrong positive does more harm than a
    missing one. Repeated queries count once. ``advance``: called with how many more chunks are ready.
    """
    asked = list(dict.fromkeys(" ".join(query.split()) for query in queries if query.strip()))
    if embedder is None or not asked:
        return LogMatch((), tuple(asked))
    lexical = LexicalIndex([chunk.text for chunk in chunks])
    documents = embed_corpus([chunk.text for chunk in chunks], embedder=embedder, advance=advance)
    vectors = normalize(embedder.embed(asked, role="query").vectors)
    dense = rank_corpus(vectors, documents, depth=min(LOOKED_AT, len(chunks))).tolist()
    pairs, unmatched = [], []
    for query, by_vectors in zip(asked, dense, strict=True):
        by_words = [hit.index for hit in lexical.search(query, top=LOOKED_AT)]
        if by_words and by_words[0] in by_vectors and by_vectors[0] in by_words:
            pairs.append(_pair(query, chunks[by_words[0]]))
        else:
            unmatched.append(query)
    return LogMatch(tuple(pairs), tuple(unmatched))


def measure_distance(real: Sequence[str], synthetic: Sequence[str], *, embedder: Embedder) -> Distance | None:
    """How far the two kinds lie apart; None with fewer than ten of one of them.

    Repeated queries count once: else each would have its own copy for its nearest.
    """
    real, synthetic = list(dict.fromkeys(real)), list(dict.fromkeys(synthetic))
    count = min(len(real), len(synthetic), 2000)
    if count < 10:
        return None
    draw = np.random.default_rng(0)
    some_real = [real[row] for row in draw.permutation(len(real))[:count]]
    some_synthetic = [synthetic[row] for row in draw.permutation(len(synthetic))[:count]]
    vectors = normalize(embedder.embed([*some_real, *some_synthetic], role="query").vectors)
    kinds = np.repeat([0, 1], count)
    near = nearest(vectors, k=1).index[:, 0]
    return Distance(
        float((kinds[near] == kinds).mean()),
        float(np.median([len(query) for query in real])),
        float(np.median([len(query) for query in synthetic])),
    )


def _pair(query: str, chunk: Chunk) -> Pair:
    return Pair(
        id=build_id("log", chunk.id, query),
        query=query,
        positive=chunk.text,
        chunk_id=chunk.id,
        document_id=chunk.document_id,
        source=chunk.source,
        page=chunk.place.page,
        style="log",
        language=chunk.language,
        origin="log",
    )
