"""The header of a safetensors file: read as the format's own library reads it, and refused where that refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from umekomi.errors import BrokenModel
from umekomi.models.checkpoint import read_header

TENSORS = {"a": np.ones((2, 3), np.float32), "b": np.zeros(4, np.float16), "c": np.zeros((0, 5), np.float32)}


def write(path: Path, header: Any, data: bytes) -> Path:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(content).to_bytes(8, "little") + content + data)
    return path


def test_names_and_shapes(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "x")
    assert {name: stored.shape for name, stored in read_header(tmp_path / "x").items()} == {
        name: tensor.shape for name, tensor in TENSORS.items()
    }


def entry(first: int, end: int, shape: list[int] | None = None, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [(end - first) // 4] if shape is None else shape, "data_offsets": [first, end]}


DAMAGED: dict[str, tuple[Any, bytes]] = {
    "a gap": ({"a": entry(0, 8), "b": entry(12, 16)}, bytes(16)),
    "an overlap": ({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)),
    "a gap at the start": ({"a": entry(4, 8)}, bytes(8)),
    "bytes left over": ({"a": entry(0, 8)}, bytes(9)),
    "bytes that are missing": ({"a": entry(0, 8)}, bytes(7)),
    "another size": ({"a": entry(0, 8, [3])}, bytes(8)),
    "a negative size": ({"a": entry(0, 8, [-2])}, bytes(8)),
    "backwards": ({"a": entry(8, 0, [0])}, bytes(8)),
    "no table": ([1], b""),
    "no entry": ({"a": 5}, b""),
    "no JSON": (b"{\x00}", b""),
    "too deep": (b"[" * 200_000, b""),
}


@pytest.mark.parametrize(("header", "data"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_refused_as_the_library_refuses_it(header: Any, data: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "x", header, data)
    with pytest.raises(SafetensorError), safe_open(path, framework="np"):
        pass
    with pytest.raises(BrokenModel, match="not a whole safetensors file"):
        read_header(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 400), value=st.integers(0, 255))
def test_what_the_library_refuses_is_refused_and_nothing_else(tmp_path: Path, place: int, value: int) -> None:
    """With any byte changed; a number format that we do not know is refused where it is read."""
    save_file(TENSORS, tmp_path / "x")
    content = bytearray((tmp_path / "x").read_bytes())
    content[place % len(content)] = value
    (tmp_path / "x").write_bytes(content)
    try:
        with safe_open(tmp_path / "x", framework="np") as opened:
            expected = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError:
        expected = None
    try:
        stored = read_header(tmp_path / "x")
    except BrokenModel:
        assert expected is None
        return
    if expected is None:
        assert any(each.dtype not in {"F64", "F32", "F16", "BF16"} for each in stored.values())
    else:
        assert {name: each.shape for name, each in stored.items()} == expected
