"""What a built graph takes and gives."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

IDS = "ids"
"""int32 ``(tokens,)``: the texts end to end."""

LENGTHS = "lengths"
"""int32 ``(texts,)``: tokens of each text; none is 0."""

TYPES = "types"
"""int32 ``(tokens,)``: the type of each token, for graphs that run pairs of texts."""

STATES = "states"
"""float32 ``(tokens, hidden)``: the last hidden states."""


def inputs(*, types: bool = False) -> list[onnx.ValueInfoProto]:
    names = {IDS: "tokens", LENGTHS: "texts"} | ({TYPES: "tokens"} if types else {})
    return [helper.make_tensor_value_info(name, TensorProto.INT32, [axis]) for name, axis in names.items()]


def float_output(name: str, *shape: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
