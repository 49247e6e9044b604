"""What a built graph takes and gives."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

IDS = "ids"
"""int32 ``(batch, length)``, padded at the end."""

LENGTHS = "lengths"
"""int32 ``(batch,)``: tokens of each text."""

STATES = "states"
"""float32 ``(batch, length, hidden)``: the last hidden states."""


def inputs() -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(IDS, TensorProto.INT32, ["batch", "length"]),
        helper.make_tensor_value_info(LENGTHS, TensorProto.INT32, ["batch"]),
    ]


def float_output(name: str, *shape: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
