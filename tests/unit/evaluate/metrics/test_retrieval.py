"""Retrieval measures are trec_eval's, query by query."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from umekomi.embedding.vectors import normalize
from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.retrieval import rank_corpus, retrieval_outcomes

Judged = list[dict[int, float]]

THEIRS = {
    "ndcg@10": "ndcg_cut_10",
    "recall@1": "recall_1",
    "recall@5": "recall_5",
    "recall@10": "recall_10",
    "recall@100": "recall_100",
    "map": "map",
}


def random_run(seed: int, *, documents: int, depth: int) -> tuple[NDArray[np.int64], Judged]:
    rng = np.random.default_rng(seed)
    ranked = np.stack([rng.permutation(documents)[:depth] for _ in range(6)])
    relevant: Judged = []
    for _ in range(6):
        rows = rng.choice(documents, rng.integers(1, min(30, documents)), replace=False)
        relevant.append({int(row): float(rng.integers(1, 4)) for row in rows} | {int(rng.integers(documents)): 1.0})
    return ranked, relevant


@given(seed=st.integers(0, 10_000), documents=st.integers(2, 300))
@settings(deadline=None, max_examples=60)
def test_they_are_those_of_trec_eval(seed: int, documents: int) -> None:
    ranked, relevant = random_run(seed, documents=documents, depth=min(documents, 120))
    qrels = {f"q{q}": {f"d{row}": int(gain) for row, gain in each.items()} for q, each in enumerate(relevant)}
    run = {f"q{q}": {f"d{row}": float(-place) for place, row in enumerate(rows)} for q, rows in enumerate(ranked)}
    measures = {"ndcg_cut.10", "recall.1,5,10,100", "map"}
    expected = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    found = {outcome.metric: outcome for outcome in retrieval_outcomes(ranked, relevant, corpus_size=documents)}
    for name, their in THEIRS.items():
        want = [expected[f"q{q}"][their] for q in range(6)]
        np.testing.assert_allclose(found[name].items, want, atol=1e-6, err_msg=name)
    # trec_eval cuts no reciprocal rank: give it the first ten of each ranking
    top = {q: dict(list(places.items())[:10]) for q, places in run.items()}
    cut = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(top)
    want = [cut[f"q{q}"]["recip_rank"] for q in range(6)]
    np.testing.assert_allclose(found["mrr@10"].items, want, atol=1e-6)


@given(seed=st.integers(0, 10_000))
def test_a_relevant_document_that_moves_up_lowers_nothing(seed: int) -> None:
    ranked, relevant = random_run(seed, documents=40, depth=40)
    better = ranked.copy()
    for query, judged in enumerate(relevant):
        place = next(
            (p for p in range(1, 40) if ranked[query, p] in judged and ranked[query, p - 1] not in judged), 0
        )
        if place:
            better[query, [place - 1, place]] = ranked[query, [place, place - 1]]
    for before, after in zip(
        retrieval_outcomes(ranked, relevant), retrieval_outcomes(better, relevant), strict=True
    ):
        assert (after.items >= before.items - 1e-12).all(), before.metric


def test_the_corpus_is_ranked_by_cosine_and_then_by_row() -> None:
    corpus = normalize(np.array([[0, 1], [1, 1], [1, 0], [1, 1]], np.float32))
    assert rank_corpus(corpus[2:3], corpus, depth=1000).tolist() == [[2, 1, 3, 0]]
    assert rank_corpus(corpus[2:3], corpus, depth=2).tolist() == [[2, 1]]


def test_what_cannot_be_scored_is_refused() -> None:
    ranked = np.arange(200)[None, :]
    with pytest.raises(InvalidInput, match="query 0 has no relevant document"):
        retrieval_outcomes(ranked, [{3: 0.0}])
    with pytest.raises(InvalidInput, match="query 1 and 1 other"):
        retrieval_outcomes(np.tile(ranked, (3, 1)), [{3: 1.0}, {}, {}])
    with pytest.raises(InvalidInput, match="20 deep, but recall@100"):
        retrieval_outcomes(ranked[:, :20], [{3: 1.0}], corpus_size=200)
    with pytest.raises(InvalidInput, match="1 rankings and 2"):
        retrieval_outcomes(ranked, [{3: 1.0}, {4: 1.0}])
