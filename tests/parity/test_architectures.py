"""Every architecture that is built here, random and tiny, against sentence-transformers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from kit.parity import TEXTS, cosines, reference_vectors
from kit.tiny_models import ARCHITECTURES, save_tiny_model
from umekomi.engines.base import Encoder
from umekomi.engines.registry import open_encoder
from umekomi.models.sources import open_model
from umekomi.types import Prepared, Vectors

LONG = 1200
"""Over the length from which attention goes head by head."""


@dataclass(frozen=True)
class Case:
    """One model in both precisions, and its texts' vectors, each alone."""

    folder: Path
    fp32: Encoder
    int8: Encoder
    prepared: list[Prepared]
    alone: Vectors
    alone_int8: Vectors


@pytest.fixture(scope="module", params=ARCHITECTURES)
def case(request: pytest.FixtureRequest, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = save_tiny_model(tmp_path_factory.mktemp("models") / request.param, request.param, max_tokens=96)
    bundle = open_model(str(folder))
    fp32, int8 = (open_encoder(bundle, precision=precision, threads=1) for precision in ("fp32", "int8"))
    prepared = fp32.prepare(TEXTS)
    yield Case(folder, fp32, int8, prepared, *(_each_alone(encoder, prepared) for encoder in (fp32, int8)))
    fp32.close()
    int8.close()


def _each_alone(encoder: Encoder, prepared: list[Prepared]) -> Vectors:
    return np.concatenate([encoder.run([text]) for text in prepared])


def test_fp32_agrees_with_sentence_transformers(case: Case) -> None:
    assert cosines(case.alone, reference_vectors(case.folder, TEXTS)).min() >= 0.99999


def test_int8_is_near_fp32(case: Case) -> None:
    near = cosines(case.alone_int8, case.alone)
    assert near.mean() >= 0.998
    assert near.min() >= 0.995


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=16))
def test_a_vector_does_not_depend_on_its_batch(case: Case, rows: list[int]) -> None:
    together = case.fp32.run([case.prepared[row] for row in rows])
    np.testing.assert_allclose(together, case.alone[rows], atol=1e-5, rtol=0)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=16))
def test_an_int8_vector_does_not_depend_on_its_batch(case: Case, rows: list[int]) -> None:
    together = case.int8.run([case.prepared[row] for row in rows])
    assert cosines(together, case.alone_int8[rows]).min() >= 0.99999


def test_texts_differ(case: Case) -> None:
    """Random weights must tell texts apart, or the other tests would prove nothing."""
    distinct = case.alone[-4:]
    assert (cosines(distinct, np.roll(distinct, 1, axis=0)) < 0.99).all()


def test_int8_bears_features_that_are_far_larger(home: Path, tmp_path: Path) -> None:
    """As in trained models: behind norms and behind the gate, a few are 50 times the rest."""
    folder = save_tiny_model(tmp_path / "modernbert", "modernbert")
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    for name, tensor in tensors.items():
        if name.endswith("mlp_norm.weight"):
            tensor[:2] *= 50
        if name.endswith("mlp.Wi.weight"):
            tensor[:, :2] /= 50
            tensor[-2:] *= 50
        if name.endswith("mlp.Wo.weight"):
            tensor[:, -2:] /= 50
    save_file(tensors, weights)
    bundle = open_model(str(folder))
    fp32, int8 = (open_encoder(bundle, precision=precision, threads=1) for precision in ("fp32", "int8"))
    near = cosines(*(_each_alone(encoder, fp32.prepare(TEXTS)) for encoder in (int8, fp32)))
    assert near.min() >= 0.998


@pytest.mark.parametrize("architecture", ["xlm-roberta", "modernbert"])
def test_a_very_long_text(architecture: str, home: Path, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / architecture, architecture, max_tokens=LONG)
    texts = ["緑の果物 apple " * LONG, "the green apple is a fruit " * (LONG // 8), "apple"]
    encoder = open_encoder(open_model(str(folder)), threads=1)
    prepared = encoder.prepare(texts)
    assert prepared[0].tokens == LONG
    assert cosines(encoder.run(prepared), reference_vectors(folder, texts)).min() >= 0.99999
