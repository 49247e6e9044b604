"""Reading safetensors: number formats, prefixes, old names, shards, and any damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from kit.model_folders import write_json
from umekomi.engines.registry import open_encoder
from umekomi.errors import BrokenModel
from umekomi.models.checkpoint import Checkpoint
from umekomi.models.sources import open_model
from umekomi.types import Vectors

CopyModel = Callable[..., Path]
TEXTS = ["the green apple", "緑の果物", ""]


def _vectors(folder: Path) -> Vectors:
    encoder = open_encoder(open_model(str(folder)), threads=1)
    try:
        return encoder.run(encoder.prepare(TEXTS))
    finally:
        encoder.close()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_number_formats_are_widened(dtype: str, copy_model: CopyModel) -> None:
    """Exactly: the stored numbers, in float32."""
    folder = copy_model()
    weights = folder / "model.safetensors"
    stored = {
        name: tensor.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
        for name, tensor in load_file(weights).items()
    }
    save_file({name: tensor.astype(np.float32) for name, tensor in stored.items()}, weights)
    expected = _vectors(folder)
    save_file(stored, weights)
    np.testing.assert_array_equal(_vectors(folder), expected)


@pytest.mark.parametrize(
    ("architecture", "prefix"), [("bert", "bert."), ("xlm-roberta", "roberta."), ("modernbert", "model.")]
)
def test_prefixes_of_models_with_a_head(architecture: str, prefix: str, copy_model: CopyModel) -> None:
    folder = copy_model(architecture)
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    expected = _vectors(folder)
    head = {"classifier.weight": np.zeros((2, 32), np.float32)}
    save_file({prefix + name: tensor for name, tensor in tensors.items()} | head, weights)
    np.testing.assert_array_equal(_vectors(folder), expected)


def test_norms_under_their_old_names(copy_model: CopyModel) -> None:
    folder = copy_model()
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    expected = _vectors(folder)
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    renamed = {}
    for name, tensor in tensors.items():
        end = next((end for end in old if name.endswith(end)), "")
        renamed[name.removesuffix(end) + old.get(end, "")] = tensor
    save_file(renamed, weights)
    np.testing.assert_array_equal(_vectors(folder), expected)


def test_shards(copy_model: CopyModel) -> None:
    folder = copy_model()
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    expected = _vectors(folder)
    weights.unlink()
    names = sorted(tensors)
    shards = {f"model-{i}-of-2.safetensors": names[i::2] for i in range(2)}
    for shard, own in shards.items():
        save_file({name: tensors[name] for name in own}, folder / shard)
    index = {name: shard for shard, own in shards.items() for name in own}
    write_json(folder / "model.safetensors.index.json", {"weight_map": index})
    np.testing.assert_array_equal(_vectors(folder), expected)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_one_clear_error(data: st.DataObject, tmp_path: Path) -> None:
    """Cut anywhere, or any bytes of the header replaced: read, or refused with the file's name."""
    path = tmp_path / "model.safetensors"
    save_file({"a": np.ones((3, 4), np.float32), "b": np.ones(5, np.float16)}, path)
    content = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    start = data.draw(st.integers(0, header - 1))
    replacement = data.draw(st.binary(max_size=12))
    content[start : start + len(replacement)] = replacement
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        checkpoint = Checkpoint([path])
        for name in checkpoint.names & {"a"}:
            checkpoint.read(name, (3, 4))
    except BrokenModel as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
