"""Coarser vectors find what their definition says, and the more they keep, the more they find."""

from __future__ import annotations

import numpy as np

from umekomi.embedding.vectors import normalize
from umekomi.evaluate.metrics.neighbours import nearest
from umekomi.evaluate.metrics.variants import Variant, plan_variants, search_variant
from umekomi.types import Vectors


def texts(n: int = 600, dim: int = 96) -> Vectors:
    rng = np.random.default_rng(0)
    topics = rng.standard_normal((12, dim))[rng.integers(0, 12, n)]
    return normalize((rng.standard_normal((n, dim)) + topics).astype(np.float32))


def named(name: str, dim: int = 96) -> Variant:
    return next(each for each in plan_variants(dim) if each.name == name)


def test_every_variant_says_what_it_costs() -> None:
    assert [(each.name, each.bytes_per_vector) for each in plan_variants(96)] == [
        ("dim=32", 128),
        ("dim=64", 256),
        ("dim=96", 384),
        ("float32", 384),
        ("int8", 96),
        ("binary", 12),
        ("binary+rescore", 12),
    ]


def test_what_keeps_more_finds_more() -> None:
    vectors = texts()
    truth = nearest(vectors, k=10).index

    def kept(name: str) -> float:
        found = search_variant(vectors, named(name), k=10)
        assert (found != np.arange(len(vectors))[:, None]).all()
        return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(truth, found, strict=True)]))

    shares = [kept(name) for name in ("binary", "binary+rescore", "int8", "float32")]
    assert shares == sorted(shares)
    assert shares[0] < 0.6 < 0.95 < shares[2] < shares[3] == 1
    assert kept("dim=32") < kept("dim=64") < kept("dim=96") == 1


def test_binary_is_by_hamming_distance_and_then_by_row() -> None:
    vectors = texts(80)
    bits = vectors > 0
    distance = (bits[:, None, :] != bits[None, :, :]).sum(axis=2)
    np.fill_diagonal(distance, 999)
    np.testing.assert_array_equal(
        search_variant(vectors, named("binary"), k=5), np.argsort(distance, axis=1, kind="stable")[:, :5]
    )


def test_rescoring_orders_candidates_by_the_query_itself() -> None:
    vectors = texts(80)
    candidates = search_variant(vectors, named("binary"), k=20)
    signs = np.where(vectors > 0, 1.0, -1.0)
    found = search_variant(vectors, named("binary+rescore"), k=5)
    for row in range(80):
        scores = {int(at): signs[at] @ vectors[row] for at in candidates[row]}
        assert sorted(scores, key=lambda at: -scores[at])[:5] == found[row].tolist()


def test_queries_are_searched_in_the_same_form() -> None:
    vectors = texts(60)
    for variant in plan_variants(96):
        found = search_variant(vectors, variant, k=60, queries=vectors[:7])
        assert (np.sort(found, axis=1) == np.arange(60)).all()
        if variant.form != "binary+rescore":
            assert (found[:, 0] == np.arange(7)).all()
