"""Builds the graph of a model from its safetensors, once, and keeps it in the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from umekomi import config
from umekomi.engines.onnx.architectures import read_blueprint
from umekomi.engines.onnx.arithmetic import Arithmetic, Float32, Int8
from umekomi.engines.onnx.blueprint import Blueprint
from umekomi.engines.onnx.calibration import largest_inputs
from umekomi.engines.onnx.graph import WEIGHTS_FILE, Graph, WeightFile
from umekomi.engines.onnx.layers import Writer, write_encoder
from umekomi.engines.onnx.settings import Settings
from umekomi.engines.onnx.signature import IDS, LENGTHS, STATES, TYPES, float_output, inputs
from umekomi.models.bundle import Bundle
from umekomi.models.checkpoint import Checkpoint
from umekomi.models.store import Store
from umekomi.types import Precision, TokenIds

BUILDER_VERSION = 5
"""Raise it with every change to what the builder writes: graphs of other versions are not used."""

_GRAPH_FILE = "graph.onnx"


def open_graph(
    bundle: Bundle,
    blueprint: Blueprint,
    checkpoint: Checkpoint,
    *,
    precision: Precision,
    samples: Sequence[TokenIds],
    pairs: bool = False,
) -> Path:
    """File of the graph for ``bundle``, from the store, built first where it is not there.

    The key leaves out what a graph does not depend on (prompts, pooling, tokenizer), so that a model with other
    prompts shares it. ``pairs``: it runs pairs of texts. Raises `BrokenModel`, `UnsupportedModel`, `StoreError`.
    """
    types = pairs and blueprint.token_type_rows > 1
    key = f"{bundle.card.weights_digest}-{precision}-{BUILDER_VERSION}{'-types' if types else ''}"
    folder = Store(config.home()).build(
        "graphs",
        key,
        lambda out: build_graph(blueprint, checkpoint, out, precision=precision, samples=samples, types=types),
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


def build_graph(
    blueprint: Blueprint,
    checkpoint: Checkpoint,
    folder: Path,
    *,
    precision: Precision,
    samples: Sequence[TokenIds],
    types: bool,
) -> None:
    """Write the graph and its weights into ``folder``. Tensors are read, converted and written one at a time.

    ``samples`` are texts, on which int8 measures how large each layer's inputs get. The graph takes token types
    with ``types``.
    """
    arithmetic: Arithmetic = Float32()
    if precision == "int8":
        arithmetic = Int8(largest_inputs(blueprint, checkpoint, samples, scratch=folder))
    with WeightFile(folder / WEIGHTS_FILE) as weights:
        graph = Graph(weights)
        writer = Writer(graph, checkpoint, arithmetic)
        states = write_encoder(writer, blueprint, ids=IDS, lengths=LENGTHS, types=TYPES if types else None)
        graph.name_result(states, STATES)
    output = float_output(STATES, "tokens", blueprint.hidden)
    graph.save(folder / _GRAPH_FILE, inputs=inputs(types=types), outputs=[output])
