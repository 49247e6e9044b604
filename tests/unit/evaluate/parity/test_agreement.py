"""The figures of an agreement: laws that hold for all vectors, and the rule by which an index stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from umekomi.embedding.endpoint import Answer
from umekomi.engines.hashing import HashingEncoder, hashing_bundle
from umekomi.evaluate.parity import compare
from umekomi.evaluate.parity.agreement import (
    Summary,
    Verdict,
    cosines,
    judge,
    matched_share,
    neighbour_overlap,
    order_between,
    same_lengths,
    summarise,
)
from umekomi.types import Vectors

from .conftest import TEXTS


def _vectors(count: int, dim: int = 24, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


class NoisySide:
    """Hashed texts, turned by a fixed angle in a direction of each text's own."""

    def __init__(self, name: str, *, angle: float = 0.0, seed: int = 0) -> None:
        self.name = name
        self._encoder = HashingEncoder(hashing_bundle("hashing:256").card, lanes=1)
        self._angle = angle
        self._seed = seed

    def ask(self, texts: list[str]) -> Answer:
        return Answer(np.stack([self._vector(text) for text in texts]), None)

    def _vector(self, text: str) -> Vectors:
        [vector] = self._encoder.run(self._encoder.prepare([text]))
        other = np.random.default_rng([self._seed, *text.encode()]).normal(size=len(vector))
        other -= vector * (vector @ other)
        turned = np.cos(self._angle) * vector + np.sin(self._angle) * other / np.linalg.norm(other)
        return np.asarray(turned, np.float32)


@settings(max_examples=25, deadline=None)
@given(angle=st.floats(0, 0.014), seed=st.integers(0, 1000))  # a cosine of at least 0.9999
def test_noise_of_a_ten_thousandth_never_names_a_cause(angle: float, seed: int) -> None:
    comparison = compare(NoisySide("OLD"), NoisySide("NEW", angle=angle, seed=seed), TEXTS)
    assert comparison.causes == ()
    assert comparison.verdict == "keep"
    assert comparison.summary is not None
    assert comparison.summary.least == pytest.approx(np.cos(angle), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100), count=st.integers(3, 60))
def test_scaling_rows_changes_lengths_and_nothing_else(seed: int, scale: float, count: int) -> None:
    assume(abs(abs(scale - 1) - 0.05 * max(1, scale)) > 1e-6)  # nearer to the limit, float32 decides
    old = _vectors(count, seed=seed)
    new = (old * np.float32(scale)).astype(np.float32)
    assert cosines(old, new) == pytest.approx(np.ones(count))
    assert neighbour_overlap(old, new) == 1
    assert same_lengths(old, new) == (abs(scale - 1) <= 0.05 * max(1, scale))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(2, 40))
def test_another_order_is_found_and_the_same_order_is_not_called_one(seed: int, count: int) -> None:
    vectors = _vectors(count, seed=seed)
    order = np.random.default_rng(seed).permutation(count)
    found = order_between(vectors, vectors[order])
    if (order == np.arange(count)).all():
        assert found is None
    else:
        assert found is not None
        np.testing.assert_array_equal(order[found], np.arange(count))
    assert order_between(vectors, vectors) is None


def test_overlap_is_that_of_a_plain_search() -> None:
    old, new = _vectors(40, seed=1), _vectors(40, seed=1) + 0.4 * _vectors(40, seed=2)
    unit = old / np.linalg.norm(old, axis=1, keepdims=True)
    asked = new / np.linalg.norm(new, axis=1, keepdims=True)
    kept = 0
    for row in range(40):
        others = [other for other in range(40) if other != row]
        before = sorted(others, key=lambda other: -float(unit[row] @ unit[other]))[:10]
        after = sorted(others, key=lambda other: -float(asked[row] @ unit[other]))[:10]
        kept += len(set(before) & set(after))
    overlap = neighbour_overlap(old, new)
    assert overlap is not None
    assert overlap == pytest.approx(kept / 400, abs=0.01)  # near ties count as the same
    assert 0.3 < overlap < 0.99


def test_duplicates_are_no_loss_of_neighbours() -> None:
    vectors = np.repeat(_vectors(4), 8, axis=0)
    assert neighbour_overlap(vectors, vectors) == 1
    assert matched_share(vectors, vectors) == 1
    assert order_between(vectors, vectors) is None


def test_too_few_texts_have_no_neighbours() -> None:
    assert neighbour_overlap(_vectors(2), _vectors(2)) is None


def test_unrelated_spaces_match_by_chance_only() -> None:
    assert matched_share(_vectors(50, seed=1), _vectors(50, seed=2)) < 0.15


@pytest.mark.parametrize(
    ("least", "overlap", "verdict"),
    [
        (1.0, 1.0, "keep"),
        (0.9995, 0.99, "keep"),
        (0.9994, 1.0, "drift"),
        (1.0, 0.98, "drift"),
        (0.99, 0.90, "drift"),
        (0.98, 1.0, "rebuild"),
        (1.0, 0.89, "rebuild"),
        (1.0, None, "keep"),
    ],
)
def test_the_rule(least: float, overlap: float | None, verdict: Verdict) -> None:
    assert judge(_summary(least), overlap) == verdict


def test_the_summary_counts_shares() -> None:
    summary = summarise(np.array([1.0, 0.9998, 0.9985, 0.98]))
    assert (summary.below_0_9999, summary.below_0_999, summary.below_0_99) == (0.75, 0.5, 0.25)
    assert (summary.rows, summary.least) == (4, 0.98)


def _summary(least: float) -> Summary:
    return summarise(np.array([1.0, least]))
