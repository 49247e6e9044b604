"""Models of other architectures, which run from the ONNX file that they ship."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kit.model_folders import edit_json
from umekomi.engines.registry import open_encoder
from umekomi.errors import BrokenModel, UnsupportedModel
from umekomi.models.sources import open_model

CopyModel = Callable[..., Path]
WIDTH = 32
TABLE = np.random.default_rng(0).standard_normal((400, WIDTH)).astype(np.float32)


@pytest.fixture
def folder(copy_model: CopyModel) -> Path:
    """A model of an architecture that is not built here."""
    folder = copy_model()
    (folder / "model.safetensors").unlink()
    edit_json(folder / "config.json", model_type="mpnet")
    return folder


def _ship(
    folder: Path, *, output: str = "last_hidden_state", extra: str = "token_type_ids", width: int = WIDTH
) -> None:
    """An ONNX file whose states are rows of a table, plus 1 for each token that another input marks."""
    ids, mask, more = ("input_ids", "attention_mask", extra)
    nodes = [
        helper.make_node("Gather", ["table", ids], ["words"]),
        helper.make_node("Cast", [more], ["marked"], to=TensorProto.FLOAT),
        helper.make_node("Cast", [mask], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["marked", "real"], ["both"]),
        helper.make_node("Unsqueeze", ["both", "axis"], ["column"]),
        helper.make_node("Add", ["words", "column"], [output]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in (ids, mask, more)
    ]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", "length", width])]
    tensors = [
        numpy_helper.from_array(TABLE[:, :width].copy(), "table"),
        numpy_helper.from_array(np.array([2], np.int64), "axis"),
    ]
    graph = helper.make_graph(nodes, "shipped", inputs, outputs, tensors)
    (folder / "onnx").mkdir(exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "onnx" / "model.onnx")


@pytest.mark.parametrize("output", ["last_hidden_state", "token_embeddings"])
def test_states_are_pooled_by_our_pooling(output: str, folder: Path) -> None:
    _ship(folder, output=output)
    encoder = open_encoder(open_model(str(folder)), threads=1)
    prepared = encoder.prepare(["the green apple", "緑", "the long banana is yellow"])
    expected = np.stack([TABLE[text.ids].mean(axis=0) for text in prepared])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.run(prepared), expected, atol=1e-6)
    encoder.close()


def test_positions_are_counted_where_they_are_asked_for(folder: Path) -> None:
    _ship(folder, extra="position_ids")
    encoder = open_encoder(open_model(str(folder)), threads=1)
    prepared = encoder.prepare(["the green apple is a fruit", "緑"])
    expected = np.stack([(TABLE[text.ids] + np.arange(text.tokens)[:, None]).mean(axis=0) for text in prepared])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.run(prepared), expected, atol=1e-6)
    encoder.close()


def test_int8_needs_a_graph_that_is_built_here(folder: Path) -> None:
    _ship(folder)
    with pytest.raises(UnsupportedModel, match=r"precision int8 needs a graph built .*use fp32"):
        open_encoder(open_model(str(folder)), precision="int8", threads=1)


def test_inputs_and_outputs_that_are_not_known(folder: Path) -> None:
    _ship(folder, extra="pixel_values")
    with pytest.raises(UnsupportedModel, match=r"model\.onnx: has an input pixel_values"):
        open_encoder(open_model(str(folder)), threads=1)
    _ship(folder, output="logits")
    with pytest.raises(UnsupportedModel, match=r"model\.onnx: its outputs are logits; one of last_hidden_state"):
        open_encoder(open_model(str(folder)), threads=1)


def test_another_width_than_config_json_says(folder: Path) -> None:
    _ship(folder, width=16)
    with pytest.raises(BrokenModel, match=r"last_hidden_state has shape .*; expected \[batch, length, 32\]"):
        open_encoder(open_model(str(folder)), threads=1)


def test_a_file_that_is_no_onnx(folder: Path) -> None:
    (folder / "onnx").mkdir()
    (folder / "onnx/model.onnx").write_bytes(b"not a graph")
    with pytest.raises(BrokenModel, match=r"model\.onnx: cannot be loaded"):
        open_encoder(open_model(str(folder)), threads=1)


@pytest.mark.parametrize("location", ["../../secret", "/etc/hostname"])
def test_tensors_outside_of_the_folder_are_never_read(location: str, folder: Path) -> None:
    _ship(folder)
    (folder.parent / "secret").write_bytes(TABLE.tobytes())
    path = folder / "onnx" / "model.onnx"
    model = onnx.load(path)
    table = model.graph.initializer[0]
    table.ClearField("raw_data")
    table.data_location = TensorProto.EXTERNAL
    table.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BrokenModel, match=r"model\.onnx: cannot be loaded"):
        open_encoder(open_model(str(folder)), threads=1)
