"""What stands before the data of a GGUF file, versions 2 and 3: metadata, array lengths and the table of tensors.

Nothing here trusts the file: every count and length is bounded before memory is taken for it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from umekomi.errors import BrokenModel, UnsupportedModel

MAGIC = b"GGUF"
TOKEN_TYPES = "tokenizer.ggml.token_type"  # noqa: S105 - a key of the format
_VERSIONS = (2, 3)
_MAX_ENTRIES = 10_000
_MAX_TENSORS = 200_000
_MAX_DIMENSIONS = 4
_MAX_STRING_BYTES = 16 * 1024 * 1024
_MAX_ARRAY = 16_000_000
_MAX_ALIGNMENT = 1 << 20

# Value types of the format: struct codes by number; 8 is a string, 9 an array.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

# ggml's tensor types: values in a block, and bytes of a block. A type that is not here is newer than this table.
_BLOCKS: Mapping[int, tuple[int, int]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """``offset`` counts bytes from the start of the data; ``size_bytes`` is None for a type unknown to us."""

    name: str
    shape: tuple[int, ...]
    offset: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """metadata    scalar and string entries by key
    lengths     lengths of the array entries by key
    token_types  ggml's kind of each token (3 is a control token); empty where the file states none
    data_start  position of the tensors' data in the file, in bytes
    """

    metadata: Mapping[str, Any]
    lengths: Mapping[str, int]
    token_types: tuple[int, ...]
    tensors: tuple[GgufTensor, ...]
    data_start: int


def read_header(path: Path) -> GgufHeader:
    """The header of ``path``, checked against the size of the file.

    Raises `BrokenModel` for a file that is cut short, damaged or no GGUF, `UnsupportedModel` for another version.
    """
    try:
        with path.open("rb") as file:
            header = _read_header(file, path)
            _check_data(header, path, file_bytes=path.stat().st_size)
            return header
    except (struct.error, UnicodeDecodeError, EOFError, OverflowError, ValueError):
        raise BrokenModel(f"{path}: the GGUF header is cut short or damaged; fetch it again") from None
    except OSError as error:
        raise BrokenModel(f"{path}: cannot be read: {error.strerror}") from None


def _read_header(file: BinaryIO, path: Path) -> GgufHeader:
    magic = file.read(4)
    if magic != MAGIC:
        raise BrokenModel(f"{path}: starts with {magic!r}, not with {MAGIC!r}: no GGUF file")
    version = _unpack(file, "I")
    if version not in _VERSIONS:
        raise UnsupportedModel(f"{path}: GGUF version {version}; supported are {', '.join(map(str, _VERSIONS))}")
    tensors, entries = _unpack(file, "Q"), _unpack(file, "Q")
    for count, limit, noun in ((entries, _MAX_ENTRIES, "header entries"), (tensors, _MAX_TENSORS, "tensors")):
        if count > limit:
            raise BrokenModel(f"{path}: claims {count} {noun}; the limit is {limit}")
    metadata, lengths, token_types = _read_entries(file, entries)
    table = tuple(_read_tensor(file, path) for _ in range(tensors))
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= _MAX_ALIGNMENT or alignment & (alignment - 1):
        raise BrokenModel(f"{path}: general.alignment is {alignment!r}; expected a power of two")
    data_start = -(-file.tell() // alignment) * alignment
    return GgufHeader(metadata, lengths, token_types, table, data_start)


def _read_entries(file: BinaryIO, entries: int) -> tuple[dict[str, Any], dict[str, int], tuple[int, ...]]:
    metadata: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    token_types: tuple[int, ...] = ()
    for _ in range(entries):
        key = _read_string(file)
        kind = _unpack(file, "I")
        if kind != _ARRAY:
            metadata[key] = _read_value(file, kind)
            continue
        kind, lengths[key] = _unpack(file, "I"), _unpack(file, "Q")
        if key == TOKEN_TYPES:
            token_types = _read_numbers(file, kind, lengths[key])
        else:
            _skip_array(file, kind, lengths[key])
    return metadata, lengths, token_types


def _read_tensor(file: BinaryIO, path: Path) -> GgufTensor:
    name = _read_string(file)
    dimensions = _unpack(file, "I")
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise BrokenModel(f"{path}: tensor '{name}' has {dimensions} dimensions; the limit is {_MAX_DIMENSIONS}")
    shape = tuple(_unpack(file, "Q") for _ in range(dimensions))
    kind, offset = _unpack(file, "I"), _unpack(file, "Q")
    if kind not in _BLOCKS:
        return GgufTensor(name, shape, offset, None)
    values, block_bytes = _BLOCKS[kind]
    if not all(shape) or shape[0] % values:
        raise BrokenModel(f"{path}: tensor '{name}' has shape {shape}, which does not fit blocks of {values}")
    return GgufTensor(name, shape, offset, math.prod(shape) // values * block_bytes)


def _check_data(header: GgufHeader, path: Path, *, file_bytes: int) -> None:
    for tensor in header.tensors:
        end = header.data_start + tensor.offset + (tensor.size_bytes or 0)
        if end > file_bytes:
            raise BrokenModel(
                f"{path}: tensor '{tensor.name}' ends at byte {end}, but the file has {file_bytes}: it is cut "
                "short or damaged; fetch it again"
            )


def _read_value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _read_string(file)
    if kind not in _SCALARS:
        raise EOFError
    return _unpack(file, _SCALARS[kind])


def _read_numbers(file: BinaryIO, kind: int, count: int) -> tuple[int, ...]:
    if kind not in (4, 5) or count > _MAX_ARRAY:
        raise EOFError
    content = file.read(4 * count)
    return struct.unpack(f"<{count}{_SCALARS[kind]}", content)


def _skip_array(file: BinaryIO, kind: int, count: int) -> None:
    if count > _MAX_ARRAY:
        raise EOFError
    if kind == _STRING:
        for _ in range(count):
            file.seek(_unpack(file, "Q"), 1)
    elif kind in _SCALARS:
        file.seek(struct.calcsize("<" + _SCALARS[kind]) * count, 1)
    else:
        raise EOFError  # arrays of arrays are not written by anybody


def _read_string(file: BinaryIO) -> str:
    length = _unpack(file, "Q")
    if length > _MAX_STRING_BYTES:
        raise EOFError
    content = file.read(length)
    if len(content) != length:
        raise EOFError
    return content.decode()


def _unpack(file: BinaryIO, code: str) -> Any:
    return struct.unpack("<" + code, file.read(struct.calcsize("<" + code)))[0]
