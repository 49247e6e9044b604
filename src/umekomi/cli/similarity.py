"""``umekomi similarity``: which texts of a file lie nearest to a query, without an index."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from umekomi.cli import options
from umekomi.errors import ConfigError, InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from umekomi.documents.rows import Row
    from umekomi.types import Hit, Precision, Vectors


def similarity(
    file: Annotated[Path, typer.Argument(help="Texts: lines, .jsonl, .csv or .tsv; - for standard input.")],
    query: Annotated[str, typer.Argument(help="What to look for.")],
    model: options.Model = options.DEFAULT_MODEL,
    top: Annotated[int, typer.Option("--top", "-k", min=1, help="How many to show.")] = 10,
    column: options.Column = None,
    encoding: options.Encoding = None,
    precision: options.PrecisionOption = "fp32",
    base_url: Annotated[
        str | None, typer.Option(help="Ask a running server instead, such as http://127.0.0.1:8000/v1.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines instead of a table.")] = False,
    threads: options.Threads = None,
) -> None:
    """Rank the texts of a file by their likeness to a query.

    The query gets the model's query prompt, the texts its document prompt. A server's key is read from
    UMEKOMI_API_KEY.
    """
    from umekomi.documents.rows import iter_rows
    from umekomi.search.exact import nearest

    path = None if str(file) == "-" else file
    rows = list(iter_rows(path, column=column, encoding=encoding, notify=options.notify))
    if not rows:
        raise InvalidInput(f"{file}: no texts in it")
    texts = [row.text for row in rows]
    if base_url is None:
        documents, asked = _embed_here(texts, query, model, precision=precision, threads=threads)
    else:
        if precision != "fp32" or threads is not None:
            raise ConfigError(
                "--precision and --threads are the server's to choose; leave them out with --base-url"
            )
        documents, asked = _embed_there(texts, query, model, base_url)
    hits = nearest(asked, documents, top=top)
    if as_json:
        _print_json(hits, rows)
    else:
        _print_table(hits, rows, query)


def _embed_here(
    texts: list[str], query: str, model: str, *, precision: Precision, threads: int | None
) -> tuple[Vectors, NDArray[np.float32]]:
    from umekomi.embedding.embedder import open_embedder

    with (
        open_embedder(model, precision=precision, threads=threads, notify=options.notify) as embedder,
        options.progress("embedding", total=len(texts)) as advance,
    ):
        asked = embedder.embed([query], role="query").vectors[0]
        documents = embedder.embed(texts, role="document")
        advance(len(texts))
    if cut := int(documents.truncated.sum()):
        options.notify(
            f"{cut} of {len(texts)} texts were longer than {embedder.card.max_tokens} tokens and were cut"
        )
    return documents.vectors, asked


def _embed_there(texts: list[str], query: str, model: str, base_url: str) -> tuple[Vectors, NDArray[np.float32]]:
    from umekomi.config import api_key
    from umekomi.embedding.endpoint import Endpoint

    with Endpoint(base_url, model, api_key=api_key()) as endpoint:
        return endpoint.embed(texts, role="document"), endpoint.embed([query], role="query")[0]


def _print_json(hits: list[Hit], rows: list[Row]) -> None:
    for rank, hit in enumerate(hits, start=1):
        row = rows[hit.index]
        record = {"rank": rank, "score": hit.score, "line": row.line, "title": row.title, "text": row.text}
        sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")


def _print_table(hits: list[Hit], rows: list[Row], query: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    titled = any(row.title for row in rows)
    table = Table(title=Text(options.printable(query)))
    table.add_column("rank", justify="right")
    table.add_column("score", justify="right")
    if titled:
        table.add_column("name")
    table.add_column("text", overflow="fold")
    for rank, hit in enumerate(hits, start=1):
        row = rows[hit.index]
        cells = [Text(options.printable(row.title or ""))] if titled else []
        table.add_row(str(rank), f"{hit.score:.4f}", *cells, Text(options.printable(row.text)))
    Console().print(table)
