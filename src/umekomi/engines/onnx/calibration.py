"""How large each input feature of a linear layer gets, measured on random tokens with the fp32 graph.

Which features are large belongs to a model rather than to a text, so that no corpus is needed: on
all-MiniLM-L6-v2, random tokens and real texts agree on the largest features (correlation of the logarithms 0.75 to
0.83 after the first layer), and smoothing by either brings int8 equally near to fp32 (2026-11-21).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from umekomi.engines.onnx.arithmetic import Float32, LinearWeights, Matrix
from umekomi.engines.onnx.blueprint import Blueprint
from umekomi.engines.onnx.graph import WEIGHTS_FILE, Graph, Value, WeightFile
from umekomi.engines.onnx.layers import Writer, write_encoder
from umekomi.engines.onnx.session import Session
from umekomi.engines.onnx.signature import IDS, LENGTHS, float_output, inputs
from umekomi.models.checkpoint import Checkpoint
from umekomi.types import TokenIds


class _Observer(Float32):
    """fp32, and the largest absolute value of each feature that comes to a linear layer."""

    def __init__(self) -> None:
        self.largest: dict[str, Value] = {}

    def linear(self, graph: Graph, x: Value, weights: LinearWeights) -> Value:
        first = graph.constant([0], np.int64)
        self.largest[weights.name] = graph.op("ReduceMax", graph.op("Abs", x), first, keepdims=0)
        return super().linear(graph, x, weights)


def largest_inputs(
    blueprint: Blueprint, checkpoint: Checkpoint, samples: Sequence[TokenIds], *, scratch: Path
) -> Mapping[str, Matrix]:
    """By name of each linear layer, the largest absolute value of its inputs, float32 ``(in,)``.

    samples  texts to run
    scratch  folder for the fp32 graph, which is removed again
    """
    observer = _Observer()
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder) / "observed.onnx"
        with WeightFile(path.with_name(WEIGHTS_FILE)) as weights:
            graph = Graph(weights)
            write_encoder(Writer(graph, checkpoint, observer), blueprint, ids=IDS, lengths=LENGTHS)
        graph.save(
            path, inputs=inputs(), outputs=[float_output(value, "features") for value in observer.largest.values()]
        )
        session = Session(path)
        batch = {IDS: np.concatenate(samples), LENGTHS: np.array([len(ids) for ids in samples], np.int32)}
        measured = session.run(list(observer.largest.values()), batch)
        session.close()
    return dict(zip(observer.largest, measured, strict=True))
