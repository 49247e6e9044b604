"""Poolings, dense layers and unit length against sentence-transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit.parity import TEXTS, cosines, reference_vectors
from kit.tiny_models import save_tiny_model
from umekomi.engines.registry import open_encoder
from umekomi.models.sources import open_model

MODES = ("mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid")


@pytest.mark.parametrize("mode", MODES)
def test_every_pooling(mode: str, home: Path, tmp_path: Path) -> None:
    _compare(save_tiny_model(tmp_path / "model", pooling=mode, normalize=False))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_of_a_dense_layer(activation: str, home: Path, tmp_path: Path) -> None:
    _compare(save_tiny_model(tmp_path / "model", dense=[activation], normalize=False))


def test_several_dense_layers_and_unit_length(home: Path, tmp_path: Path) -> None:
    vectors = _compare(save_tiny_model(tmp_path / "model", dense=["Tanh", "Identity"], normalize=True))
    assert vectors.shape[1] == 8
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def _compare(folder: Path) -> np.ndarray:
    """Our vectors, after they were found equal in direction and in length."""
    encoder = open_encoder(open_model(str(folder)), threads=1)
    vectors = encoder.run(encoder.prepare(TEXTS))
    expected = reference_vectors(folder, TEXTS)
    assert cosines(vectors, expected).min() >= 0.99999
    np.testing.assert_allclose(vectors, expected, atol=2e-5, rtol=1e-4)
    return vectors
