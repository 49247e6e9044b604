"""``umekomi embed``: texts to vectors."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from umekomi.cli import options
from umekomi.errors import ConfigError, InvalidInput

if TYPE_CHECKING:
    from umekomi.embedding.embedder import Embedder
    from umekomi.embedding.files import VectorFormat
    from umekomi.types import Embeddings, Role, Truncation

_FORMATS: dict[str, VectorFormat] = {".jsonl": "jsonl", ".npy": "npy", ".parquet": "parquet"}


def embed(
    texts: Annotated[list[str] | None, typer.Argument(help="Texts; else --file, else standard input.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Lines, .jsonl, .csv or .tsv; - for standard input.")
    ] = None,
    column: options.Column = None,
    encoding: options.Encoding = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write: .jsonl, .npy or .parquet; else standard output."),
    ] = None,
    model: options.Model = options.DEFAULT_MODEL,
    role: options.RoleOption = "document",
    precision: options.PrecisionOption = "fp32",
    dimensions: Annotated[
        int | None, typer.Option(help="Keep the first components only, scaled to unit length again.")
    ] = None,
    truncation: options.TruncationOption = "end",
    threads: options.Threads = None,
) -> None:
    """Turn texts into vectors: JSON Lines on standard output, or a .jsonl, .npy or .parquet file.

    A run that was interrupted goes on where it stopped when it is started again with the same output.
    """
    vector_format = _format_for(output)
    rows = _read(texts, file, column=column, encoding=encoding)
    if not rows:
        raise InvalidInput(f"{file or 'standard input'}: no texts in it")
    from umekomi.embedding.embedder import open_embedder

    with open_embedder(model, precision=precision, threads=threads, notify=options.notify) as embedder:
        _embed(
            embedder,
            rows,
            output,
            vector_format,
            role=role,
            truncation=truncation,
            dimensions=dimensions,
            origin=_origin(file, column=column, encoding=encoding),
        )


def _origin(file: Path | None, *, column: str | None, encoding: str | None) -> dict[str, str] | None:
    """Where the texts are, for whoever has to embed them anew; None where only this run has seen them."""
    if file is None or str(file) == "-":
        return None
    given = {"column": column, "encoding": encoding}
    return {"file": str(file.resolve())} | {flag: value for flag, value in given.items() if value is not None}


def _format_for(output: Path | None) -> VectorFormat:
    if output is None:
        return "jsonl"
    suffix = output.suffix.lower()
    if suffix not in _FORMATS:
        raise ConfigError(f"--output {output}: unknown suffix '{suffix}'; use {', '.join(_FORMATS)}")
    if not output.parent.is_dir():
        raise ConfigError(f"--output {output}: the folder {output.parent} does not exist")
    if suffix == ".parquet":  # asked now rather than after the work
        from umekomi.extras import require

        require("pyarrow", extra="evaluate")
    return _FORMATS[suffix]


def _read(texts: list[str] | None, file: Path | None, *, column: str | None, encoding: str | None) -> list[str]:
    if texts and file:
        raise ConfigError("texts were given both as arguments and with --file; use one of them")
    if texts:
        return texts
    from umekomi.documents.rows import iter_rows

    if file is None and sys.stdin.isatty():
        raise ConfigError("no texts: give them as arguments, with --file, or on standard input")
    path = None if file is None or str(file) == "-" else file
    return [row.text for row in iter_rows(path, column=column, encoding=encoding, notify=options.notify)]


def _embed(
    embedder: Embedder,
    texts: list[str],
    output: Path | None,
    vector_format: VectorFormat,
    *,
    role: Role,
    truncation: Truncation,
    dimensions: int | None,
    origin: dict[str, str] | None,
) -> None:
    from umekomi.embedding import files
    from umekomi.embedding.bulk import embed_resumably
    from umekomi.writing import replacing

    card = embedder.card
    counts = {"tokens": 0, "truncated": 0}
    dim = dimensions or card.dim
    manifest: dict[str, Any] = {
        "model": card.name,
        "source": card.source,
        "fingerprint": card.fingerprint,
        "precision": card.precision,
        "role": role,
        "truncation": truncation,
        "normalized": card.normalize or dimensions is not None,
        "count": len(texts),
        "dim": dim,
        "dimensions": dimensions,
        "input": origin,
    }

    parts_folder = output.with_name(f".{output.name}.parts") if output else None
    with options.progress("embedding", total=len(texts), shown=output is not None) as advance:
        if parts_folder is None:
            parts = embedder.iter_embed(texts, role=role, truncation=truncation, dimensions=dimensions)
        else:
            parts = embed_resumably(
                embedder,
                texts,
                folder=parts_folder,
                role=role,
                truncation=truncation,
                dimensions=dimensions,
                progress=advance,
            )
        counted = _counting(parts, counts)
        with replacing(output) if output else nullcontext(sys.stdout.buffer) as out:
            if vector_format == "jsonl":
                files.write_jsonl(counted, texts, out)
            elif vector_format == "npy":
                files.write_npy(counted, texts, out, dim=dim)
            else:
                files.write_parquet(counted, texts, out, dim=dim, manifest=manifest)
    if output and parts_folder:
        with replacing(files.manifest_path(output)) as out:
            out.write(json.dumps(manifest | counts, ensure_ascii=False, indent=2).encode() + b"\n")
        shutil.rmtree(parts_folder, ignore_errors=True)
        options.notify(f"{len(texts)} texts, {counts['tokens']} tokens → {output} (fingerprint {card.fingerprint})")
    if counts["truncated"]:
        options.notify(
            f"{counts['truncated']} of {len(texts)} texts were longer than {card.max_tokens} tokens and were cut "
            f"at the {truncation}; --truncation error refuses them instead"
        )


def _counting(parts: Iterable[Embeddings], counts: dict[str, int]) -> Iterator[Embeddings]:
    """``parts`` as they are, while their tokens and truncated texts are added to ``counts``."""
    for part in parts:
        counts["tokens"] += int(part.tokens.sum())
        counts["truncated"] += int(part.truncated.sum())
        yield part
