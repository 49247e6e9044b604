"""Models that run in torch, against sentence-transformers and, for decoders, against what FastChat computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.parity import TEXTS, cosines, reference_vectors
from kit.tiny_models import DECODERS, OTHERS, save_tiny_decoder, save_tiny_model
from umekomi.engines.base import Encoder
from umekomi.engines.registry import open_encoder
from umekomi.models.sources import open_model
from umekomi.types import Prepared, Vectors

CONTEXT = 24
LONG = "緑の果物は甘くて、長いバナナは黄色い。the green apple is a fruit. " * 5


@pytest.mark.parametrize("architecture", [*OTHERS, "bert"])
def test_encoders_agree_with_sentence_transformers(architecture: str, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / architecture, architecture)
    engine = "torch" if architecture == "bert" else "auto"
    _compare(folder, engine=engine)


@pytest.mark.parametrize("mode", ["cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"])
def test_every_pooling(mode: str, tmp_path: Path) -> None:
    _compare(save_tiny_model(tmp_path / "model", pooling=mode, normalize=False), engine="torch")


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_modules_after_the_pooling(engine: str, home: Path, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "model", layer_norm=True, dense=["Tanh"], normalize=False)
    _compare(folder, engine=engine)


def _compare(folder: Path, *, engine: str) -> None:
    """Alone and together, in direction and in length."""
    encoder = open_encoder(open_model(str(folder)), engine=engine, threads=1)
    prepared = encoder.prepare(TEXTS)
    expected = reference_vectors(folder, TEXTS)
    for vectors in (encoder.run(prepared), np.concatenate([encoder.run([text]) for text in prepared])):
        assert cosines(vectors, expected).min() >= 0.99999
        np.testing.assert_allclose(vectors, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("architecture", DECODERS)
def test_decoders_agree_with_fastchat(architecture: str, tmp_path: Path) -> None:
    """Its formula: the sum of last hidden states, piece by piece of the context, over all tokens; unit length."""
    from transformers import AutoTokenizer

    folder = save_tiny_decoder(tmp_path / architecture, architecture, max_tokens=CONTEXT)
    encoder = open_encoder(open_model(str(folder)), threads=1)
    texts = [LONG, *TEXTS]
    prepared = encoder.prepare(texts)
    assert prepared[0].tokens > 4 * CONTEXT
    assert not prepared[0].truncated
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert all(
        text.ids.tolist() == tokenizer(own).input_ids for text, own in zip(prepared, texts, strict=True) if own
    )
    vectors = encoder.run(prepared)
    np.testing.assert_allclose(vectors, _fastchat(folder, prepared), atol=1e-6, rtol=0)
    distinct = vectors[-4:]
    assert (cosines(distinct, np.roll(distinct, 1, axis=0)) < 0.99).all()


def _fastchat(folder: Path, prepared: list[Prepared]) -> Vectors:
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    rows = []
    for text in prepared:
        ids = torch.from_numpy(text.ids.astype(np.int64))[None]
        with torch.inference_mode():
            pieces = [
                model(ids[:, i : i + CONTEXT], output_hidden_states=True) for i in range(0, text.tokens, CONTEXT)
            ]
        total = sum(piece.hidden_states[-1].sum(1) for piece in pieces) / text.tokens
        rows.append(torch.nn.functional.normalize(total, dim=1).numpy())
    return np.concatenate(rows)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = save_tiny_decoder(tmp_path_factory.mktemp("models") / "gpt_neox", "gpt_neox", max_tokens=CONTEXT)
    return open_encoder(open_model(str(folder)), threads=1, options={"batch_tokens": 100})


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=12))
def test_pieces_and_companions_never_change_a_vector(decoder: Encoder, texts: list[str]) -> None:
    """With texts that end at, before and after the border of a piece."""
    prepared = decoder.prepare(texts)
    together = decoder.run(prepared)
    alone = np.concatenate([decoder.run([text]) for text in prepared])
    np.testing.assert_allclose(together, alone, atol=1e-5, rtol=0)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
