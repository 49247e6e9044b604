"""Maps: the seed decides, whatever the threads; trustworthiness is scikit-learn's; awkward vectors are told of."""

from __future__ import annotations

import functools
import importlib

import numpy as np
import openTSNE
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.manifold import trustworthiness as reference

from umekomi.errors import InvalidInput, MissingExtra
from umekomi.evaluate.projection import Layout, Method, project, trustworthiness
from umekomi.types import Vectors


def vectors(count: int, *, dim: int = 16, seed: int = 0) -> Vectors:
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(5, dim))[rng.integers(5, size=count)] + 0.4 * rng.normal(size=(count, dim))
    return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)


def draw(rows: Vectors, method: Method = "tsne", **wishes: int) -> tuple[Layout, list[str]]:
    said: list[str] = []
    return project(rows, method=method, notify=said.append, **wishes), said


def test_the_seed_decides_a_tsne_map() -> None:
    rows = vectors(150)
    one, said = draw(rows)
    again, _ = draw(rows)
    other, _ = draw(rows, seed=1)
    assert one.points.tobytes() == again.points.tobytes()
    assert one.points.tobytes() != other.points.tobytes()
    assert (one.method, one.seed, one.points.dtype, one.points.shape) == ("tsne", 0, np.float32, (150, 2))
    assert one.trustworthiness > 0.85
    assert said == []


@pytest.mark.slow
@pytest.mark.parametrize("count", [150, 10_000])
def test_threads_do_not_change_a_tsne_map(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Barnes-Hut and, from 10,000 texts on, by FFT."""
    monkeypatch.setattr("umekomi.evaluate.projection.FEWEST_FOR_THREADS", 0)
    few = {"early_exaggeration_iter": 25, "n_iter": 25}  # of 750: sums in another order differ from the first on
    monkeypatch.setattr("openTSNE.TSNE", functools.partial(openTSNE.TSNE, **few))
    rows = vectors(count, dim=8)
    assert draw(rows, threads=1)[0].points.tobytes() == draw(rows, threads=2)[0].points.tobytes()


def test_a_tsne_map_keeps_groups_together() -> None:
    rows = np.repeat(np.eye(3, 16, dtype=np.float32), 30, axis=0) + vectors(90) * 0.05
    layout, _ = draw(rows)
    centres = layout.points.reshape(3, 30, 2)
    spread = centres.std(axis=1).max()
    apart = min(np.linalg.norm(centres[a].mean(0) - centres[b].mean(0)) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert apart > 2 * spread


def test_pca_is_that_of_the_covariance_with_signs_that_do_not_flip() -> None:
    rows = vectors(60)
    layout, _ = draw(rows, "pca")
    centred = rows - rows.mean(axis=0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    assert np.allclose(np.abs(layout.points), np.abs(left[:, :2] * scale[:2]), atol=1e-5)
    again, _ = draw(rows[::-1].copy(), "pca")
    assert np.allclose(again.points[::-1], layout.points, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(4, 60), k=st.integers(1, 12), seed=st.integers(0, 99))
def test_trustworthiness_is_that_of_scikit_learn(count: int, k: int, seed: int) -> None:
    rows, points = (
        vectors(count, seed=seed),
        np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32),
    )
    k = min(k, (count - 1) // 2)
    assert trustworthiness(rows, points, k=k) == pytest.approx(reference(rows, points, n_neighbors=k), abs=1e-6)


def test_trustworthiness_of_a_sample_is_close_and_in_blocks_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = vectors(600)
    points = rows[:, :2].copy()
    whole = trustworthiness(rows, points)
    assert trustworthiness(rows, points, sample=200) == pytest.approx(whole, abs=0.03)
    monkeypatch.setattr("umekomi.evaluate.projection.BLOCK_BYTES", 5_000)
    assert trustworthiness(rows, points) == pytest.approx(whole, abs=1e-9)


def test_duplicates_do_not_count_as_the_text_itself() -> None:
    rows = np.repeat(vectors(6), 4, axis=0)
    assert trustworthiness(rows, rows[:, :2].copy(), k=3) == 1


@pytest.mark.parametrize("count", [3, 5, 11])
def test_few_texts_get_a_pca_map_and_are_told_so(count: int) -> None:
    layout, said = draw(vectors(count))
    assert layout.method == "pca"
    assert f"there are {count}" in said[0]


def test_equal_vectors_are_one_point() -> None:
    layout, said = draw(np.ones((20, 4), np.float32))
    assert not layout.points.any()
    assert np.isnan(layout.trustworthiness)
    assert "one point" in said[0]


def test_lengths_do_not_matter_however_great() -> None:
    rows = vectors(40)
    scaled = rows * np.logspace(-30, 30, 40, dtype=np.float32)[:, None]
    assert np.allclose(draw(scaled, "pca")[0].points, draw(rows, "pca")[0].points, atol=1e-5)


@pytest.mark.parametrize("copies", [2, 60])
def test_crowds_of_duplicates_are_drawn(copies: int) -> None:
    rows = np.concatenate([np.repeat(vectors(1), copies, axis=0), vectors(30, seed=1)])
    layout, _ = draw(rows)
    assert np.isfinite(layout.points).all()
    assert layout.trustworthiness > 0.8


def test_vectors_of_length_zero_and_of_one_dimension_are_drawn() -> None:
    rows = vectors(40)
    rows[3] = 0
    layout, said = draw(rows)
    assert np.isfinite(layout.points).all()
    assert "1 of 40 vectors have length 0" in said[0]
    flat, _ = draw(np.random.default_rng(0).normal(size=(30, 1)).astype(np.float32), "pca")
    assert flat.points.shape == (30, 2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((2, 4), np.float32), "at least 3 texts; there are 2"),
        (np.array([[1, 0], [np.nan, 0], [0, 1], [0, np.inf]], np.float32), "2 of 4 vectors hold NaN.*row 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(rows: Vectors, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        draw(rows)


def test_unknown_methods_and_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="known: tsne, pca, umap"):
        draw(vectors(20), "mds")  # type: ignore[arg-type]
    real = importlib.import_module

    def absent(name: str) -> object:
        if name.split(".")[0] == "umap":
            raise ModuleNotFoundError(name=name)
        return real(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtra, match=r"umekomi\[maps\]"):
        draw(vectors(20), "umap")
