"""How the commands that compare two sources of vectors read their texts and show what came out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from umekomi.cli import options
from umekomi.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umekomi.evaluate.parity import Comparison

DEFAULT_SAMPLE = 200

Sample = Annotated[
    int, typer.Option("--sample", min=1, help="Compare at most so many texts, drawn evenly from all of the file.")
]
ComparisonOutput = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write: .json with everything, .csv with a line for each text."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON instead of a table.")]


def read_texts(file: Path, column: str | None, *, sample: int) -> list[str]:
    """At most ``sample`` texts of ``file``, spread over all of it. Raises `InvalidInput` where there are none."""
    from umekomi.documents.rows import iter_rows

    rows = [row.text for row in iter_rows(None if str(file) == "-" else file, column=column) if row.text.strip()]
    if not rows:
        raise InvalidInput(f"{file}: no texts in it")
    return spread(rows, sample)


def spread(texts: Sequence[str], sample: int) -> list[str]:
    """``sample`` of ``texts`` at even distances, in order; the same ones every time."""
    if len(texts) <= sample:
        return list(texts)
    options.notify(f"{sample} of {len(texts)} texts are compared; --sample {len(texts)} compares all")
    return [texts[number * len(texts) // sample] for number in range(sample)]


def base_url(text: str) -> str:
    """An address as clients of OpenAI's protocol take it, up to and including /v1; a change is told."""
    url = text.rstrip("/").removesuffix("/embeddings")
    host = url.partition("://")[2]
    if host and "/" not in host:
        url += "/v1"
    if url != text.rstrip("/"):
        options.notify(f"{text}: taken as {url}")
    return url


def show(comparison: Comparison, texts: Sequence[str], *, output: Path | None, as_json: bool) -> None:
    """The comparison on standard output, and in ``output`` where it is named."""
    from umekomi.evaluate.parity.writing import as_record, write_comparison

    if as_json:
        sys.stdout.write(json.dumps(as_record(comparison, texts), ensure_ascii=False, indent=2) + "\n")
    else:
        _print(comparison)
    if output is not None:
        write_comparison(output, comparison, texts)
        options.notify(f"{len(texts)} texts → {output}")


def _print(comparison: Comparison) -> None:
    from umekomi.evaluate.parity.writing import verdict_sentences

    _print_sides(comparison)
    if comparison.summary is not None:
        summary = comparison.summary
        typer.echo(
            f"cosine of {summary.rows} texts: least {summary.least:.5f}, "
            f"1st percentile {summary.percentile_1:.5f}, median {summary.median:.5f}, mean {summary.mean:.5f}"
        )
        typer.echo(
            f"below 0.9999: {summary.below_0_9999:.1%}; below 0.999: {summary.below_0_999:.1%}; "
            f"below 0.99: {summary.below_0_99:.1%}"
        )
    if comparison.overlap is not None:
        typer.echo(f"nearest neighbours that stay: {comparison.overlap:.1%}")
    for cause in comparison.causes:
        evidence = ""
        if cause.before is not None and cause.after is not None:
            evidence = f" [cosine {cause.before:.4f} → {cause.after:.5f} with that change]"
        typer.echo(options.printable(f"cause ({cause.kind}, {cause.confidence}): {cause.sentence}{evidence}"))
    for refusal in comparison.refusals[:_SHOWN_REFUSALS]:
        typer.echo(options.printable(f"text {refusal.row} refused by {refusal.side}: {refusal.message}"))
    if (more := len(comparison.refusals) - _SHOWN_REFUSALS) > 0:
        typer.echo(f"and {more} more texts refused")
    for note in comparison.notes:
        typer.echo(options.printable(f"note: {note}"))
    for sentence in verdict_sentences(comparison):
        typer.echo(sentence)


_SHOWN_REFUSALS = 5


def _print_sides(comparison: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("side")
    for title in ("dim", "vector length", "texts/s", "tokens/s"):
        table.add_column(title, justify="right")
    for name, dim, lengths, speed in zip(
        comparison.names, comparison.dimensions, comparison.lengths, comparison.speeds, strict=True
    ):
        shown = f"{lengths.least:.3g}" if lengths.unit else f"{lengths.least:.3g} to {lengths.greatest:.3g}"
        table.add_row(
            Text(options.printable(name)), str(dim), shown, _rate(speed.texts_per_s), _rate(speed.tokens_per_s)
        )
    Console().print(table)


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"
