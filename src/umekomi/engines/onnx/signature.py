"""What a built graph takes and gives."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

IDS = "ids"
"""int32 ``(tokens,)``: the texts end to end."""

LENGTHS = "lengths"
"""int32 ``(texts,)``: tokens of each text; none is 0."""

STATES = "states"
"""float32 ``(tokens, hidden)``: the last hidden states."""


def inputs() -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(IDS, TensorProto.INT32, ["tokens"]),
        helper.make_tensor_value_info(LENGTHS, TensorProto.INT32, ["texts"]),
    ]


def float_output(name: str, *shape: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
