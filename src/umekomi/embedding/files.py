"""Vectors to files: JSON Lines, NPY or Parquet, written beside their place and renamed into it when complete."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import numpy as np
import orjson

from umekomi.extras import require
from umekomi.types import Embeddings

VectorFormat: TypeAlias = Literal["jsonl", "npy", "parquet"]


def write_jsonl(parts: Iterable[Embeddings], texts: Sequence[str], out: IO[bytes]) -> None:
    """One object a line: ``index``, ``text``, ``embedding``, ``tokens``, ``truncated``."""
    index = 0
    for part in parts:
        for vector, tokens, truncated in zip(part.vectors, part.tokens, part.truncated, strict=True):
            row = {
                "index": index,
                "text": texts[index],
                "embedding": vector,
                "tokens": int(tokens),
                "truncated": bool(truncated),
            }
            out.write(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))
            index += 1


def write_npy(parts: Iterable[Embeddings], texts: Sequence[str], out: IO[bytes], *, dim: int) -> None:
    """A float32 array ``(len(texts), dim)`` that `numpy.load` can map into memory."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(texts), dim)}
    np.lib.format.write_array_header_1_0(out, header)
    for part in parts:
        out.write(np.ascontiguousarray(part.vectors, "<f4").tobytes())


def write_parquet(
    parts: Iterable[Embeddings], texts: Sequence[str], out: IO[bytes], *, dim: int, manifest: dict[str, Any]
) -> None:
    """Columns ``text``, ``embedding`` (list of ``dim`` float32), ``tokens``, ``truncated``; manifest as metadata.

    Raises `MissingExtra` without pyarrow.
    """
    arrow = require("pyarrow", extra="evaluate")
    parquet = require("pyarrow.parquet", extra="evaluate")
    schema = arrow.schema(
        [
            ("text", arrow.string()),
            ("embedding", arrow.list_(arrow.float32(), dim)),
            ("tokens", arrow.int64()),
            ("truncated", arrow.bool_()),
        ],
        metadata={"umekomi": json.dumps(manifest, ensure_ascii=False)},
    )
    start = 0
    with parquet.ParquetWriter(out, schema) as writer:
        for part in parts:
            flat = arrow.array(part.vectors.reshape(-1))
            columns = [
                arrow.array(texts[start : start + len(part)], arrow.string()),
                arrow.FixedSizeListArray.from_arrays(flat, dim),
                arrow.array(part.tokens),
                arrow.array(part.truncated),
            ]
            writer.write_batch(arrow.record_batch(columns, schema=schema))
            start += len(part)


def manifest_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")
