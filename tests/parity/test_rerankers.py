"""Cross-encoders against sentence-transformers' CrossEncoder, in both engines that run them from safetensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.model_folders import edit_json, write_json, write_modules
from kit.tiny_models import save_tiny_reranker
from umekomi.engines.base import Reranker
from umekomi.engines.registry import open_reranker
from umekomi.models.bundle import Bundle
from umekomi.models.sources import open_model

BUILT = ("bert", "roberta", "xlm-roberta", "distilbert", "modernbert")
QUERY = "what is a sweet fruit"
DOCUMENTS = [
    "the green apple is a sweet fruit",
    "緑の果物は甘くて、長いバナナは黄色い。",
    "",
    "🍏🎌",
    "banana </s> yellow",
    "東京は日本の首都です。" * 20,
    "long " * 100,
]
LONG_QUERY = "the long banana is yellow " * 20


@dataclass(frozen=True)
class Case:
    folder: Path
    bundle: Bundle
    fp32: Reranker


@pytest.fixture(scope="module", params=BUILT)
def case(request: pytest.FixtureRequest, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = save_tiny_reranker(tmp_path_factory.mktemp("models") / request.param, request.param)
    bundle = open_model(str(folder))
    assert bundle.card.capabilities == ("rerank",)
    reranker = open_reranker(bundle, threads=2)
    yield Case(folder, bundle, reranker)
    reranker.close()


def reference(folder: Path, query: str, documents: list[str]) -> np.ndarray[Any, Any]:
    """Each pair alone."""
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    return np.array([model.predict((query, document), show_progress_bar=False) for document in documents])


@pytest.mark.parametrize("query", [QUERY, LONG_QUERY], ids=["short", "long"])
def test_onnx_agrees_with_cross_encoder(case: Case, query: str) -> None:
    from transformers import AutoTokenizer

    found = case.fp32.score(query, DOCUMENTS)
    np.testing.assert_allclose(found.scores, reference(case.folder, query, DOCUMENTS), atol=1e-5)
    tokenizer = AutoTokenizer.from_pretrained(case.folder)
    lengths = [len(ids) for ids in tokenizer([query] * len(DOCUMENTS), DOCUMENTS).input_ids]
    assert found.truncated == sum(length > 48 for length in lengths)
    assert found.tokens == sum(min(length, 48) for length in lengths)
    assert len(set(np.round(found.scores, 4))) >= 4, "random weights must tell pairs apart"


def test_torch_agrees_too(case: Case) -> None:
    run = open_reranker(case.bundle, engine="torch", threads=1, options={"batch_tokens": 100})
    built = case.fp32.score(QUERY, DOCUMENTS)
    found = run.score(QUERY, DOCUMENTS)
    np.testing.assert_allclose(found.scores, built.scores, atol=1e-5)
    assert (found.tokens, found.truncated) == (built.tokens, built.truncated)
    run.close()


def test_int8_is_near_and_does_not_depend_on_companions(case: Case) -> None:
    int8 = open_reranker(case.bundle, precision="int8", threads=2)
    together = np.array(int8.score(QUERY, DOCUMENTS).scores)
    alone = np.array([int8.score(QUERY, [document]).scores[0] for document in DOCUMENTS])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    np.testing.assert_allclose(together, case.fp32.score(QUERY, DOCUMENTS).scores, atol=0.05)
    int8.close()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, len(DOCUMENTS) - 1), max_size=12))
def test_a_score_does_not_depend_on_companions(case: Case, rows: list[int]) -> None:
    alone = [case.fp32.score(QUERY, [document]).scores[0] for document in DOCUMENTS]
    together = case.fp32.score(QUERY, [DOCUMENTS[row] for row in rows])
    np.testing.assert_allclose(together.scores, [alone[row] for row in rows], atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_every_setting_of_modernberts_head(pooling: str, home: Path, tmp_path: Path) -> None:
    changes = {"classifier_pooling": pooling, "classifier_bias": True, "norm_bias": True}
    changes["classifier_activation"] = "relu"
    folder = save_tiny_reranker(tmp_path / "model", "modernbert", changes=changes)
    found = open_reranker(open_model(str(folder)), threads=1).score(QUERY, DOCUMENTS)
    np.testing.assert_allclose(found.scores, reference(folder, QUERY, DOCUMENTS), atol=1e-5)


ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "release 2": ("config.json", {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}),
    "release 4": ("config.json", {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}),
    "release 6": ("config_sentence_transformers.json", {"activation_fn": "torch.nn.modules.activation.Tanh"}),
}


@pytest.mark.parametrize(("file", "values"), ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_stated_activations(file: str, values: dict[str, Any], home: Path, tmp_path: Path) -> None:
    folder = save_tiny_reranker(tmp_path / "model", "bert")
    if file == "config.json":
        edit_json(folder / file, **values)
    else:
        write_modules(folder, ["Transformer"])
        write_json(folder / file, {"model_type": "CrossEncoder", "prompts": {}, **values})
        outputs = {"text": {"method": "forward", "method_output_name": "logits"}}
        task = {"transformer_task": "sequence-classification", "module_output_name": "scores"}
        write_json(folder / "sentence_bert_config.json", {**task, "modality_config": outputs})
    scores = open_reranker(open_model(str(folder)), threads=1).score(QUERY, DOCUMENTS).scores
    np.testing.assert_allclose(scores, reference(folder, QUERY, DOCUMENTS), atol=2e-5)


def test_a_folder_as_cross_encoder_saves_it(home: Path, tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    inner = save_tiny_reranker(tmp_path / "inner", "xlm-roberta")
    CrossEncoder(str(inner), device="cpu", max_length=30).save(str(tmp_path / "saved"))
    bundle = open_model(str(tmp_path / "saved"))
    assert (bundle.card.capabilities, bundle.card.max_tokens) == (("rerank",), 30)
    scores = open_reranker(bundle, threads=1).score(QUERY, DOCUMENTS).scores
    np.testing.assert_allclose(scores, reference(tmp_path / "saved", QUERY, DOCUMENTS), atol=1e-5)


@pytest.mark.parametrize("architecture", ["deberta-v2", "mpnet"])
def test_what_onnx_does_not_build_runs_in_torch(architecture: str, tmp_path: Path) -> None:
    folder = save_tiny_reranker(tmp_path / "model", architecture)
    reranker = open_reranker(open_model(str(folder)), threads=1)
    assert type(reranker).__name__ == "TorchReranker"
    np.testing.assert_allclose(
        reranker.score(QUERY, DOCUMENTS).scores, reference(folder, QUERY, DOCUMENTS), atol=1e-5
    )
