"""`Checkpoint`: tensors of safetensors files by name, memory-mapped, strictly checked, widened to float32."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import BrokenModel, UnsupportedModel

_LENGTH_BYTES = 8  # a little-endian count of header bytes opens the file
_MAX_HEADER_BYTES = 100_000_000  # the format's own limit
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}

# Old TensorFlow names of layer norms, still found in files from the time of the first BERT.
_RENAMED = {".gamma": ".weight", ".beta": ".bias"}


@dataclass(frozen=True, slots=True)
class Stored:
    """Where one tensor lies: its file, first byte there, bytes, type and shape."""

    path: Path
    offset: int
    size_bytes: int
    dtype: str
    shape: tuple[int, ...]


class Checkpoint:
    """Every tensor of some safetensors files. Raises `BrokenModel` where a file is not whole."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._stored: dict[str, Stored] = {}
        for path in paths:
            self._stored.update({modern_name(name): stored for name, stored in read_header(path).items()})
        self._where = ", ".join(sorted({str(stored.path) for stored in self._stored.values()}))

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._stored)

    def prefix(self, name: str) -> str:
        """What stands before ``name`` in this file (``bert.``, ``model.``, nothing). Raises `BrokenModel`."""
        found = [stored for stored in self._stored if stored == name or stored.endswith("." + name)]
        if not found:
            raise self._missing(name)
        return min(found, key=len).removesuffix(name)

    def read(self, name: str, shape: Sequence[int]) -> NDArray[np.float32]:
        """The tensor as float32 of this ``shape``: a view of the mapped file where it is stored so.

        Raises `BrokenModel` where it is missing or has another shape, `UnsupportedModel` for its number format.
        """
        stored = self._stored.get(name)
        if stored is None:
            raise self._missing(name)
        if stored.shape != tuple(shape):
            raise BrokenModel(
                f"{stored.path}: the tensor {name} has shape {list(stored.shape)}; "
                f"config.json asks for {list(shape)}"
            )
        if stored.dtype not in _BYTES:
            raise UnsupportedModel(
                f"{stored.path}: the tensor {name} is stored as {stored.dtype}; supported: {', '.join(_BYTES)}"
            )
        return _widen(stored)

    def _missing(self, name: str) -> BrokenModel:
        return BrokenModel(f"{self._where}: lacks the tensor {name}, which config.json asks for")


def _widen(stored: Stored) -> NDArray[np.float32]:
    count = math.prod(stored.shape)
    size = count * _BYTES[stored.dtype]
    raw = np.memmap(stored.path, np.uint8, "r", offset=stored.offset, shape=(size,))
    if stored.dtype == "BF16":  # the upper half of a float32
        wide = (raw.view("<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    else:
        wide = raw.view(f"<f{_BYTES[stored.dtype]}").astype(np.float32, copy=False)
    return wide.reshape(stored.shape)


def read_header(path: Path) -> dict[str, Stored]:
    """Every tensor of one file by its name there; together they fill it, without a gap. Raises `BrokenModel`."""
    if not path.is_file():
        raise BrokenModel(f"{path}: is {'no plain file' if path.exists() else 'missing'}")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if not 2 <= length <= min(_MAX_HEADER_BYTES, size - _LENGTH_BYTES):
                raise _cut_short(path, f"{size} bytes, but a header of {length}")
            header = json.loads(file.read(length))
    except OSError as error:
        raise BrokenModel(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise _cut_short(path, "its header is not JSON") from None
    if not isinstance(header, dict):
        raise _cut_short(path, "its header is no table of tensors")
    start = _LENGTH_BYTES + length
    tensors = {
        name: _read_entry(path, name, entry, data_start=start, size=size)
        for name, entry in header.items()
        if name != "__metadata__"
    }
    _check_cover(path, tensors, start=start, size=size)
    return tensors


def _check_cover(path: Path, tensors: Mapping[str, Stored], *, start: int, size: int) -> None:
    """As the format asks: every byte after the header belongs to one tensor."""
    end = start
    for name, stored in sorted(tensors.items(), key=lambda item: (item[1].offset, item[1].size_bytes)):
        if stored.offset != end:
            raise _cut_short(
                path, f"the tensor {name} starts at byte {stored.offset}, the one before ends at {end}"
            )
        end += stored.size_bytes
    if end != size:
        raise _cut_short(path, f"its tensors end at byte {end}, the file at {size}")


def _read_entry(path: Path, name: str, entry: object, *, data_start: int, size: int) -> Stored:
    try:
        dtype, shape, (first, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]  # type: ignore[index]
        sound = all(isinstance(n, int) and n >= 0 for n in (*shape, first, end)) and first <= end
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise _cut_short(path, f"the tensor {name} is described wrongly")
    if data_start + end > size:
        raise _cut_short(path, f"the tensor {name} ends at byte {data_start + end}, the file at {size}")
    width = _BYTES.get(dtype)
    if width is not None and math.prod(shape) * width != end - first:
        raise _cut_short(
            path, f"the tensor {name} has {end - first} bytes; {dtype} {list(shape)} takes another size"
        )
    return Stored(path, data_start + first, end - first, dtype, shape)


def modern_name(name: str) -> str:
    """The name that the libraries of today give the tensor that a file calls ``name``."""
    for old, new in _RENAMED.items():
        if name.endswith("LayerNorm" + old):
            return name.removesuffix(old) + new
    return name


def _cut_short(path: Path, why: str) -> BrokenModel:
    return BrokenModel(f"{path}: not a whole safetensors file: {why}; fetch it again")
