"""The facts in a GGUF file's header that a card needs: metadata only, of versions 2 and 3 of the format."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from umekomi.errors import BrokenModel, UnsupportedCapability, UnsupportedModel
from umekomi.models.architectures import positive_int
from umekomi.models.card import Pooling

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_ENTRIES = 10_000
_MAX_STRING_BYTES = 16 * 1024 * 1024
_MAX_ARRAY = 16_000_000

# Value types of the format: struct codes by number; 8 is a string, 9 an array.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

# llama.cpp's enum llama_pooling_type; 0 is none and 4 a reranker.
_POOLING: Mapping[int, Pooling] = {1: "mean", 2: "cls", 3: "lasttoken"}


@dataclass(frozen=True, slots=True)
class GgufCard:
    """Units and words as in `umekomi.models.card.ModelCard`."""

    architecture: str
    dim: int
    max_tokens: int
    pooling: Pooling
    licence: str | None


def read_gguf_card(path: Path, *, name: str) -> GgufCard:
    """What the header says. Raises `BrokenModel` for a file that is no whole GGUF header, `UnsupportedCapability`
    for a model that generates text, and `UnsupportedModel` for a pooling that makes no vectors."""
    facts = read_metadata(path)
    architecture = facts.get("general.architecture")
    if not isinstance(architecture, str):
        raise BrokenModel(f"{path}: states no general.architecture")
    pooling = facts.get(f"{architecture}.pooling_type")
    if pooling is None:
        raise UnsupportedCapability(
            f"{name}: {path.name} states no pooling; it generates text and makes no embeddings"
        )
    if pooling not in _POOLING:
        raise UnsupportedModel(f"{path}: pooling_type is {pooling!r}; supported are 1 (mean), 2 (cls) and 3 (last)")
    licence = facts.get("general.license")
    return GgufCard(
        architecture=architecture,
        dim=positive_int(facts.get(f"{architecture}.embedding_length"), "embedding_length", path),
        max_tokens=positive_int(facts.get(f"{architecture}.context_length"), "context_length", path),
        pooling=_POOLING[pooling],
        licence=licence if isinstance(licence, str) else None,
    )


def read_metadata(path: Path) -> dict[str, Any]:
    """Scalar and string entries of the header by key; arrays, such as the vocabulary, are skipped."""
    try:
        with path.open("rb") as file:
            return _read_entries(file, path)
    except (struct.error, UnicodeDecodeError, EOFError):
        raise BrokenModel(f"{path}: the GGUF header is cut short or damaged; fetch it again") from None
    except OSError as error:
        raise BrokenModel(f"{path}: cannot be read: {error.strerror}") from None


def _read_entries(file: BinaryIO, path: Path) -> dict[str, Any]:
    magic = file.read(4)
    if magic != MAGIC:
        raise BrokenModel(f"{path}: starts with {magic!r}, not with {MAGIC!r}: no GGUF file")
    version = _unpack(file, "I")
    if version not in _VERSIONS:
        raise UnsupportedModel(f"{path}: GGUF version {version}; supported are {', '.join(map(str, _VERSIONS))}")
    _tensors, entries = _unpack(file, "Q"), _unpack(file, "Q")
    if entries > _MAX_ENTRIES:
        raise BrokenModel(f"{path}: claims {entries} header entries; the limit is {_MAX_ENTRIES}")
    facts: dict[str, Any] = {}
    for _ in range(entries):
        key = _read_string(file)
        kind = _unpack(file, "I")
        if kind == _ARRAY:
            _skip_array(file)
        else:
            facts[key] = _read_value(file, kind)
    return facts


def _read_value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _read_string(file)
    if kind not in _SCALARS:
        raise EOFError
    return _unpack(file, _SCALARS[kind])


def _skip_array(file: BinaryIO) -> None:
    kind, count = _unpack(file, "I"), _unpack(file, "Q")
    if count > _MAX_ARRAY:
        raise EOFError
    if kind == _STRING:
        for _ in range(count):
            _skip(file, _unpack(file, "Q"))
    elif kind in _SCALARS:
        _skip(file, struct.calcsize("<" + _SCALARS[kind]) * count)
    else:
        raise EOFError  # arrays of arrays are not written by anybody


def _skip(file: BinaryIO, size: int) -> None:
    if size > _MAX_ARRAY * 8:
        raise EOFError
    file.seek(size, 1)


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
