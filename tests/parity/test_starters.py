"""The starter models, with their real weights, against sentence-transformers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from kit.parity import TEXTS, cosines, reference_vectors
from umekomi.engines.base import Encoder
from umekomi.engines.registry import open_encoder
from umekomi.models.sources import open_model
from umekomi.types import Prepared, Vectors

pytestmark = pytest.mark.starter

PROSE = [
    "Weather forecasts are estimates; carry an umbrella when the chance of rain is above forty per cent.",
    "会議の議事録は、翌営業日の正午までに共有フォルダに保存してください。",
    "How do I reset the password of a shared mailbox?",
    "返品は商品到着後八日以内にご連絡ください。送料はお客様のご負担となります。",
    "La bibliothèque ferme à dix-huit heures le samedi.",
    "1. preheat the oven 2. mix flour, sugar and eggs 3. bake for 35 minutes at 180 °C",
    "東京から大阪まで新幹線で約二時間半かかる。",
    "error: connection refused (os error 111) while calling https://example.com:8443/v1",
]
SAMPLES = [*TEXTS, *PROSE, " ".join(PROSE), *(f"query: {text}" for text in PROSE)]


@dataclass(frozen=True)
class Case:
    reference: Vectors
    fp32: Encoder
    int8: Encoder
    prepared: list[Prepared]


@pytest.fixture(scope="module", params=["multilingual-e5-small", "all-MiniLM-L6-v2"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    bundle = open_model(request.param)
    fp32, int8 = (open_encoder(bundle, precision=precision, threads=2) for precision in ("fp32", "int8"))
    yield Case(reference_vectors(bundle.folder, SAMPLES), fp32, int8, fp32.prepare(SAMPLES))
    fp32.close()
    int8.close()


def _each_alone(encoder: Encoder, prepared: list[Prepared]) -> Vectors:
    return np.concatenate([encoder.run([text]) for text in prepared])


def test_fp32_agrees_with_sentence_transformers(case: Case) -> None:
    alone = _each_alone(case.fp32, case.prepared)
    assert cosines(alone, case.reference).min() >= 0.99999
    np.testing.assert_allclose(case.fp32.run(case.prepared), alone, atol=1e-5, rtol=0)


def test_int8_is_near_fp32_and_does_not_depend_on_its_batch(case: Case) -> None:
    alone = _each_alone(case.int8, case.prepared)
    near = cosines(alone, case.reference)
    assert near.mean() >= 0.998
    assert near.min() >= 0.995
    assert cosines(case.int8.run(case.prepared), alone).min() >= 0.99999
