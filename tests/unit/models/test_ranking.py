"""Which folders hold rerankers, which weights are opened of them, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from kit.model_folders import edit_json, write_json, write_model, write_modules
from kit.tiny_models import save_tiny_reranker
from umekomi.engines.registry import open_encoder, open_reranker
from umekomi.errors import BrokenModel, EngineError, UnsupportedCapability, UnsupportedModel, UserError
from umekomi.models.ranking import is_reranker, read_score_activation, tells_types
from umekomi.models.sources import open_model
from umekomi.models.sources.hub_files import choose_weights, prefers_onnx

CLASSIFIER = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}


@pytest.mark.parametrize(
    ("config", "modules", "expected"),
    [
        ({"architectures": ["BertModel"]}, None, False),
        ({"architectures": None}, None, False),
        (CLASSIFIER, None, True),
        (CLASSIFIER, ["Transformer"], True),
        (CLASSIFIER, ["Transformer", "Pooling"], False),
        ({"architectures": ["BertModel"]}, ["Transformer"], False),
    ],
)
def test_a_classifier_is_a_reranker_unless_its_modules_pool(
    config: dict[str, Any], modules: list[str] | None, expected: bool, tmp_path: Path
) -> None:
    if modules is not None:
        write_modules(tmp_path, modules)
    assert is_reranker(tmp_path, config) is expected


def test_a_shipped_onnx_file_goes_first_for_encoders_only(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    files = ["model.safetensors", "onnx/model.onnx"]
    for changes, first in (
        ({"model_type": "mpnet"}, True),
        ({"model_type": "bert"}, False),
        ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, False),
    ):
        edit_json(folder / "config.json", **changes)
        assert prefers_onnx(folder) is first
        assert choose_weights(files, onnx_first=first) == (files[1:] if first else files[:1])
    (folder / "modules.json").unlink()
    edit_json(folder / "config.json", model_type="deberta-v2", architectures=["DebertaV2ForSequenceClassification"])
    assert prefers_onnx(folder) is False


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"tokenizer_class": "BertTokenizer"}, True),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, True),
        ({"tokenizer_class": "TokenizersBackend"}, False),
        ({"model_input_names": ["input_ids", "attention_mask"], "tokenizer_class": "BertTokenizer"}, False),
        ({"model_input_names": ["input_ids", "token_type_ids"]}, True),
    ],
)
def test_token_types_are_as_the_tokenizer_says(settings: dict[str, Any], expected: bool, tmp_path: Path) -> None:
    write_json(tmp_path / "tokenizer_config.json", settings)
    assert tells_types(tmp_path) is expected


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, "tells 3 labels apart"),
        ({}, "tells 2 labels apart"),
        ({"num_labels": 5}, "tells 5 labels apart"),
        ({"num_labels": 1, "sentence_transformers": {"activation_fn": "own.Code"}}, "activation_fn is 'own.Code'"),
        ({"num_labels": 1, "sbert_ce_default_activation_function": "torch.nn.Mish"}, "torch.nn.Mish"),
    ],
)
def test_what_gives_no_single_score_is_refused(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=message):
        read_score_activation(tmp_path, config)


def test_a_sigmoid_is_the_default(tmp_path: Path) -> None:
    assert read_score_activation(tmp_path, {"num_labels": 1, "sentence_transformers": "odd"}) == "sigmoid"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_reranker(tmp_path_factory.mktemp("originals") / "bert", "bert")


@pytest.fixture
def folder(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UMEKOMI_HOME", str(tmp_path / "home"))
    return Path(shutil.copytree(original, tmp_path / "model"))


def drop_head(folder: Path) -> None:
    weights = folder / "model.safetensors"
    save_file({k: v for k, v in load_file(weights).items() if k != "classifier.weight"}, weights)


def score_by_words(folder: Path) -> None:
    write_modules(folder, ["Transformer"])
    modules = [
        {"path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"},
        {"path": "1_LogitScore", "type": "sentence_transformers.cross_encoder.modules.logit_score.LogitScore"},
    ]
    write_json(folder / "modules.json", modules)


def prompted(folder: Path) -> None:
    write_modules(folder, ["Transformer"])
    write_json(folder / "config_sentence_transformers.json", {"default_prompt_name": "query"})


DAMAGED: dict[str, tuple[Callable[[Path], None], type[UserError], str]] = {
    "no head": (drop_head, BrokenModel, r"classifier\.weight"),
    "a score from words": (score_by_words, UnsupportedModel, "LogitScore"),
    "a prompt": (prompted, UnsupportedModel, "default_prompt_name"),
    "a head of another size": (
        lambda folder: edit_json(folder / "config.json", id2label={"0": "a", "1": "b"}),
        UnsupportedModel,
        "2 labels",
    ),
}


@pytest.mark.parametrize("engine", ["onnx", "torch"])
@pytest.mark.parametrize(("damage", "kind", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_named(
    damage: Callable[[Path], None], kind: type[UserError], message: str, engine: str, folder: Path
) -> None:
    damage(folder)
    with pytest.raises(kind, match=message):
        open_reranker(open_model(str(folder)), engine=engine, threads=1)


def test_a_reranker_makes_no_vectors_and_a_closed_one_no_scores(folder: Path) -> None:
    bundle = open_model(str(folder))
    with pytest.raises(UnsupportedCapability, match="scores documents for a query"):
        open_encoder(bundle)
    for engine in ("onnx", "torch"):
        reranker = open_reranker(bundle, engine=engine, threads=1)
        assert reranker.score("a", []).scores == ()
        reranker.close()
        reranker.close()
        with pytest.raises(EngineError, match="closed"):
            reranker.score("a", ["b"])
