"""Builds the graph of a model from its safetensors, once, and keeps it in the store."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from umekomi import config
from umekomi.engines.onnx.architectures import read_blueprint
from umekomi.engines.onnx.arithmetic import ARITHMETICS
from umekomi.engines.onnx.blueprint import Blueprint
from umekomi.engines.onnx.checkpoint import Checkpoint
from umekomi.engines.onnx.graph import WEIGHTS_FILE, Graph, WeightFile
from umekomi.engines.onnx.layers import Writer, write_encoder
from umekomi.engines.onnx.settings import Settings
from umekomi.models.bundle import Bundle
from umekomi.models.store import Store
from umekomi.types import Precision

BUILDER_VERSION = 1
"""Raise it with every change to what the builder writes: graphs of other versions are not used."""

IDS, LENGTHS, STATES = "ids", "lengths", "states"
"""Inputs and output of a built graph: int32 ``(batch, length)``, int32 ``(batch,)`` and float32
``(batch, length, hidden)``."""

_GRAPH_FILE = "graph.onnx"


def open_graph(bundle: Bundle, blueprint: Blueprint, checkpoint: Checkpoint, *, precision: Precision) -> Path:
    """File of the graph for ``bundle``, from the store, built first where it is not there.

    The key leaves out what a graph does not depend on (prompts, pooling, tokenizer), so that a model with other
    prompts shares it. Raises `BrokenModel`, `UnsupportedModel`, `StoreError`.
    """
    key = f"{bundle.card.weights_digest}-{precision}-{BUILDER_VERSION}"
    folder = Store(config.home()).build(
        "graphs",
        key,
        lambda out: build_graph(blueprint, checkpoint, out, precision=precision),
        about={
            "model": bundle.card.name,
            "architecture": bundle.card.architecture,
            "fingerprint": bundle.card.with_precision(precision).fingerprint,
            "precision": precision,
            "builder": BUILDER_VERSION,
        },
    )
    return folder / _GRAPH_FILE


def read_model(bundle: Bundle) -> tuple[Blueprint, Checkpoint]:
    """The bundle's architecture and tensors. Raises `BrokenModel`, `UnsupportedModel`."""
    checkpoint = Checkpoint(bundle.weights)
    settings = Settings(bundle.config, bundle.folder / "config.json")
    return read_blueprint(settings, checkpoint), checkpoint


def build_graph(blueprint: Blueprint, checkpoint: Checkpoint, folder: Path, *, precision: Precision) -> None:
    """Write the graph and its weights into ``folder``. Tensors are read, converted and written one at a time."""
    with WeightFile(folder / WEIGHTS_FILE) as weights:
        graph = Graph(weights)
        writer = Writer(graph, checkpoint, ARITHMETICS[precision])
        states = write_encoder(writer, blueprint, ids=IDS, lengths=LENGTHS)
        graph.name_result(states, STATES)
    graph.save(folder / _GRAPH_FILE, inputs=_inputs(), output=_output(blueprint))


def _inputs() -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(IDS, TensorProto.INT32, ["batch", "length"]),
        helper.make_tensor_value_info(LENGTHS, TensorProto.INT32, ["batch"]),
    ]


def _output(blueprint: Blueprint) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(STATES, TensorProto.FLOAT, ["batch", "length", blueprint.hidden])
