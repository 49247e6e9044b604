"""Folders that are damaged or not supported: one error that names the file, and nothing half left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from kit.model_folders import edit_json
from umekomi.engines.registry import open_encoder
from umekomi.errors import BrokenModel, UnsupportedModel
from umekomi.models.sources import open_model

CopyModel = Callable[..., Path]


def _open(folder: Path, **options: Any) -> None:
    open_encoder(open_model(str(folder)), engine="onnx", threads=1, **options).close()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_missing_tensor(precision: str, copy_model: CopyModel, home: Path) -> None:
    folder = copy_model()
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    del tensors["encoder.layer.1.output.dense.bias"]
    save_file(tensors, weights)
    with pytest.raises(BrokenModel, match=r"model\.safetensors: lacks the tensor encoder\.layer\.1\.output\.dense"):
        _open(folder, precision=precision)
    assert not list((home / "graphs").glob("*"))
    assert not list((home / "building").glob("*"))


def test_a_tensor_of_another_shape(copy_model: CopyModel) -> None:
    folder = copy_model()
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    tensors["encoder.layer.0.intermediate.dense.weight"] = np.zeros((63, 32), np.float32)
    save_file(tensors, weights)
    expected = r"intermediate\.dense\.weight has shape \[63, 32\]; config\.json asks for \[64, 32\]"
    with pytest.raises(BrokenModel, match=expected):
        _open(folder)


def test_no_word_table(copy_model: CopyModel) -> None:
    folder = copy_model()
    save_file({"other": np.zeros(4, np.float32)}, folder / "model.safetensors")
    with pytest.raises(BrokenModel, match=r"lacks the tensor embeddings\.word_embeddings\.weight"):
        _open(folder)


@pytest.mark.parametrize("kept", [0, 4, 100, 5_000])
def test_weights_that_are_cut_short(kept: int, copy_model: CopyModel) -> None:
    folder = copy_model()
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(BrokenModel, match=r"model\.safetensors: "):
        _open(folder)


def test_a_number_format_that_is_not_known(copy_model: CopyModel) -> None:
    folder = copy_model()
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    tensors["embeddings.LayerNorm.weight"] = np.ones(32, np.int8)
    save_file(tensors, weights)
    with pytest.raises(
        UnsupportedModel, match=r"LayerNorm\.weight is stored as I8; supported: F64, F32, F16, BF16"
    ):
        _open(folder)


@pytest.mark.parametrize(
    ("architecture", "changes", "complaint"),
    [
        ("bert", {"hidden_act": "mish"}, r"hidden_act is 'mish'; supported: gelu"),
        ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ("bert", {"is_decoder": True}, "is_decoder is True; supported: False"),
        ("bert", {"add_cross_attention": True}, "add_cross_attention is True"),
        ("bert", {"model_type": "mpnet"}, r"model_type is 'mpnet'; supported: bert.*onnx/model\.onnx"),
        ("modernbert", {"hidden_activation": "relu6"}, "hidden_activation is 'relu6'"),
        ("modernbert", {"layer_types": ["chunked_attention"] * 4}, "found 'chunked_attention'"),
        ("modernbert", {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "rope_type is 'yarn'"),
    ],
)
def test_settings_that_are_not_supported(
    architecture: str, changes: dict[str, Any], complaint: str, copy_model: CopyModel
) -> None:
    folder = copy_model(architecture)
    edit_json(folder / "config.json", **changes)
    with pytest.raises(UnsupportedModel, match=rf"config\.json: .*{complaint}"):
        _open(folder)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"num_attention_heads": 5}, "hidden_size 32 is no multiple of num_attention_heads 5"),
        ({"num_hidden_layers": "3"}, "num_hidden_layers is '3'; expected a whole number"),
        ({"intermediate_size": ...}, "intermediate_size is None"),
        ({"layer_norm_eps": 0}, "layer_norm_eps is 0; expected a number over 0"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, Any], complaint: str, copy_model: CopyModel) -> None:
    folder = copy_model()
    edit_json(folder / "config.json", **changes)
    with pytest.raises(BrokenModel, match=rf"config\.json: {complaint}"):
        _open(folder)


def test_a_tokenizer_that_is_larger_than_the_word_table(copy_model: CopyModel) -> None:
    folder = copy_model()
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    tensors["embeddings.word_embeddings.weight"] = tensors["embeddings.word_embeddings.weight"][:20]
    save_file(tensors, weights)
    edit_json(folder / "config.json", vocab_size=20)
    with pytest.raises(BrokenModel, match=r"the tokenizer has \d+ tokens, but the word table only 20"):
        _open(folder)


def test_weights_that_went_away_after_the_bundle_was_opened(copy_model: CopyModel) -> None:
    folder = copy_model()
    bundle = open_model(str(folder))
    (folder / "model.safetensors").unlink()
    with pytest.raises(BrokenModel, match=r"model\.safetensors: is missing"):
        open_encoder(bundle, engine="onnx", threads=1)


def test_a_graph_in_the_store_that_is_damaged(copy_model: CopyModel, home: Path) -> None:
    folder = copy_model()
    _open(folder)
    [graph] = (home / "graphs").rglob("graph.onnx")
    graph.write_bytes(b"\0" * graph.stat().st_size)
    with pytest.raises(BrokenModel, match=r"graph\.onnx"):
        _open(folder)


@pytest.mark.parametrize(
    ("key", "value", "error", "message"),
    [
        ("num_hidden_layers", 10**9, BrokenModel, "num_hidden_layers is 1000000000; expected .* from 1 to 1000"),
        ("vocab_size", 10**12, BrokenModel, "vocab_size is 1000000000000"),
        ("hidden_act", ["gelu"], UnsupportedModel, r"hidden_act is \['gelu'\]; supported: gelu"),
    ],
)
def test_a_hostile_setting(key: str, value: object, error: type, message: str, copy_model: CopyModel) -> None:
    folder = copy_model()
    edit_json(folder / "config.json", **{key: value})
    with pytest.raises(error, match=message):
        _open(folder)
