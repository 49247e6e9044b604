"""`Graph`: writes an ONNX graph node by node, and its large weights into a file beside it. Knows no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

Value: TypeAlias = str
"""Name of a tensor in the graph."""

MICROSOFT = "com.microsoft"
"""Domain of the runtime's own operators."""

_OPSET = 21
_IR_VERSION = 10
_ALIGNMENT = 4096
"""Weights start at page borders, so that the runtime maps the file instead of copying it."""

WEIGHTS_FILE = "weights.bin"


class WeightFile:
    """The file of weights while it is written; a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def append(self, name: str, array: NDArray[Any]) -> onnx.TensorProto:
        """Write ``array``; the result refers to it by name, place and shape."""
        array = np.ascontiguousarray(array)
        self._file.write(b"\0" * (-self._file.tell() % _ALIGNMENT))
        offset = self._file.tell()
        self._file.write(array.data)
        tensor = onnx.TensorProto(
            name=name,
            dims=array.shape,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            data_location=onnx.TensorProto.EXTERNAL,
        )
        for key, value in (("location", WEIGHTS_FILE), ("offset", offset), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class Graph:
    """A graph being written. Methods that add nodes return the names of their results."""

    def __init__(self, weights: WeightFile) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: dict[str, onnx.TensorProto] = {}
        self._names = 0
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Value] = {}
        self._written: dict[object, Value] = {}

    def op(self, kind: str, *inputs: Value, domain: str = "", **attributes: Any) -> Value:
        """The result of one operator that gives one."""
        return self.ops(kind, *inputs, results=1, domain=domain, **attributes)[0]

    def ops(self, kind: str, *inputs: Value, results: int, domain: str = "", **attributes: Any) -> list[Value]:
        """The results of one operator that gives several."""
        outputs = [self._new_name(kind) for _ in range(results)]
        self._nodes.append(helper.make_node(kind, inputs, outputs, name=outputs[0], domain=domain, **attributes))
        return outputs

    def constant(self, value: Any, dtype: Any) -> Value:
        """A small tensor kept in the graph itself; equal ones are kept once."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = self._new_name("constant")
            self._tensors[name] = onnx.numpy_helper.from_array(array, name)
            self._constants[key] = name
        return self._constants[key]

    def weight(self, name: str, array: NDArray[Any]) -> Value:
        """A large tensor kept in the file of weights."""
        self._tensors[name] = self._weights.append(name, array)
        return name

    def once(self, key: object, write: Callable[[], Value]) -> Value:
        """What ``write`` gave at its first call under ``key``. Not inside of a branch: its values end with it."""
        if key not in self._written:
            self._written[key] = write()
        return self._written[key]

    def choose(self, condition: Value, then: Callable[[], Value], otherwise: Callable[[], Value]) -> Value:
        """One of two results; only the nodes of the branch taken run. ``condition`` is a single bool."""
        return self.op(
            "If",
            condition,
            then_branch=self._branch("then", then),
            else_branch=self._branch("otherwise", otherwise),
        )

    def for_each(self, axis: int, inputs: Sequence[Value], body: Callable[[list[Value]], Value]) -> Value:
        """``body`` over slices of ``inputs`` along ``axis``, one after another; results are stacked along it."""
        slices = [self._new_name("slice") for _ in inputs]
        parameters = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in slices]
        return self.op(
            "Scan",
            *inputs,
            body=self._branch("each", lambda: body(slices), parameters),
            num_scan_inputs=len(slices),
            scan_input_axes=[axis] * len(slices),
            scan_output_axes=[axis],
        )

    def save(
        self, path: Path, *, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
    ) -> None:
        """Write the graph to ``path``; ``outputs`` are named after values."""
        graph = helper.make_graph(
            self._nodes, "encoder", list(inputs), list(outputs), initializer=list(self._tensors.values())
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="umekomi")
        onnx.save(model, path)

    def name_result(self, value: Value, name: str) -> None:
        """Give ``value`` a fixed name, as a result of the graph."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=name))

    def _branch(
        self, name: str, write: Callable[[], Value], parameters: Sequence[onnx.ValueInfoProto] = ()
    ) -> onnx.GraphProto:
        """The nodes that ``write`` adds, as a graph of their own. It may use any value from outside."""
        outer, self._nodes = self._nodes, []
        try:
            result = write()
            output = helper.make_tensor_value_info(result, onnx.TensorProto.FLOAT, None)
            return helper.make_graph(self._nodes, self._new_name(name), list(parameters), [output])
        finally:
            self._nodes = outer

    def _new_name(self, stem: str) -> str:
        self._names += 1
        return f"{stem}_{self._names}"
