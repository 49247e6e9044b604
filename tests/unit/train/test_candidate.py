"""A model in memory under evaluation: vectors, tokens and truncation as the engines give them for its folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import umekomi
from kit.awkward_texts import AWKWARD
from kit.model_folders import edit_json
from kit.tiny_models import save_tiny_model
from umekomi.embedding.embedder import Embedder
from umekomi.errors import BrokenModel, EngineError, InputTooLong, InvalidInput
from umekomi.evaluate.candidates.opening import Candidate
from umekomi.models.sources import open_model
from umekomi.train.candidate import TorchCandidate
from umekomi.train.fitting.loading import open_sentence_model
from umekomi.types import Role

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_tiny_model(tmp_path_factory.mktemp("model") / "mpnet", "mpnet")
    edit_json(folder / "config_sentence_transformers.json", prompts={"query": "query: ", "document": ""})
    return folder


@pytest.fixture(scope="module")
def candidate(folder: Path) -> TorchCandidate:
    return TorchCandidate("mine", open_sentence_model(folder), open_model(str(folder)).card, batch_tokens=100)


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Iterator[Embedder]:
    with umekomi.open_embedder(str(folder), engine="torch", threads=1) as embedder:
        yield embedder


@pytest.mark.parametrize("role", ["query", "document", "raw"])
def test_it_gives_what_the_engine_gives_for_the_same_folder(
    candidate: TorchCandidate, embedder: Embedder, role: Role
) -> None:
    shared: Candidate = candidate
    parts = list(shared.iter_embed(AWKWARD, role=role, truncation="end", dimensions=None, window_texts=5))
    assert [len(part) for part in parts] == [5, 5, 5, 5, 2]
    expected = embedder.embed(AWKWARD, role=role)
    np.testing.assert_allclose(np.concatenate([part.vectors for part in parts]), expected.vectors, atol=1e-5)
    np.testing.assert_array_equal(np.concatenate([part.tokens for part in parts]), expected.tokens)
    np.testing.assert_array_equal(np.concatenate([part.truncated for part in parts]), expected.truncated)
    prepared = embedder.prepare(AWKWARD, role=role)
    lost = sum(text.total_tokens - text.tokens for text in prepared)
    assert candidate.lost_tokens(AWKWARD, role=role) == lost > 0
    assert list(candidate.iter_embed([], role=role)) == []


def test_its_fingerprint_is_of_torch_and_of_these_weights(candidate: TorchCandidate, folder: Path) -> None:
    card = open_model(str(folder)).card
    again = TorchCandidate("other name", open_sentence_model(folder), card)
    assert again.fingerprint == candidate.fingerprint != card.fingerprint
    model = open_sentence_model(folder)
    with torch.no_grad():
        next(model.parameters())[3, 5] += 1e-6
    assert TorchCandidate("mine", model, card).fingerprint != candidate.fingerprint
    assert TorchCandidate("mine", model, card.with_prompts({"query": "q: "})).fingerprint != candidate.fingerprint
    assert (candidate.record.prompts, candidate.record.precision) == ({"query": "query: "}, "fp32")


def test_cutting_and_dimensions_are_as_asked_or_refused(candidate: TorchCandidate) -> None:
    [part] = candidate.iter_embed(["green apple"], role="document", dimensions=8)
    [whole] = candidate.iter_embed(["green apple"], role="document")
    cut = whole.vectors[:, :8] / np.linalg.norm(whole.vectors[:, :8])
    np.testing.assert_allclose(part.vectors, cut, atol=1e-6)
    with pytest.raises(InputTooLong, match="takes 48"):
        list(candidate.iter_embed(["word " * 200], role="document", truncation="error"))
    with pytest.raises(InvalidInput, match="end only"):
        list(candidate.iter_embed(["a"], role="document", truncation="start"))
    with pytest.raises(InvalidInput, match="NUL"):
        list(candidate.iter_embed(["a\0"], role="document"))


def test_broken_weights_and_folders_are_named(folder: Path, tmp_path: Path) -> None:
    model = open_sentence_model(folder)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    broken = TorchCandidate("mine", model, open_model(str(folder)).card)
    with pytest.raises(EngineError, match="mine gave a vector that is not finite"):
        list(broken.iter_embed(["a"], role="document"))
    with pytest.raises(BrokenModel, match="nothing"):
        open_sentence_model(tmp_path / "nothing")
