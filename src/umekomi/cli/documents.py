"""``umekomi documents``: files to a corpus of chunks."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from umekomi.cli import options
from umekomi.errors import ConfigError

if TYPE_CHECKING:
    from umekomi.documents.corpus.run import CorpusReport

documents_app = typer.Typer(help="Read documents: PDF, DOCX, PPTX, XLSX, HTML, EPUB, Markdown, text, CSV.")

_SHOWN_FILES = 200


@documents_app.callback()
def _group() -> None:
    """Keeps ``read`` a subcommand while it is the only one."""


@documents_app.command()
def read(
    paths: Annotated[list[Path], typer.Argument(help="Files, and folders with everything below them.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write, a chunk a line; documents.json goes beside it.")
    ] = Path("corpus.jsonl"),
    model: options.Model = options.DEFAULT_MODEL,
    min_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a chunk, at least.")] = 256,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a chunk, at most.")] = 384,
    encoding: Annotated[
        str | None,
        typer.Option(
            "--encoding", help="Encoding of the text files, such as cp932; found by itself where left out."
        ),
    ] = None,
    layout: Annotated[
        bool, typer.Option("--layout", help="Read PDF, DOCX and PPTX with docling: layout, tables, OCR. Slow.")
    ] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Files read side by side; one a core, one in all with --layout.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for one file, and one more for each MB.")] = 600,
    memory_mb: Annotated[
        int | None,
        typer.Option("--memory-mb", min=0, help="Memory in MB for one file; 2048, 16384 with --layout; 0 for any."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines, a file a line, instead of a table.")] = False,
) -> None:
    """Read files to chunks of 256 to 384 tokens, counted as the model counts them.

    Each file ends as ok, warned, quarantined or failed, with a reason; none stops the run. Started again, only
    files that are new, changed or failed are read. The folder's hidden files and links to folders are skipped.
    """
    from umekomi.documents.api import ReadOptions
    from umekomi.documents.chunking.counting import load_counter
    from umekomi.documents.chunking.packing import ChunkSize
    from umekomi.documents.corpus.run import build_corpus
    from umekomi.documents.extras import check_installed
    from umekomi.documents.files import Found, find_files
    from umekomi.documents.isolation.pool import Limits

    if output.suffix.lower() != ".jsonl":
        raise ConfigError(
            f"--output {output}: the corpus is JSON Lines; name it {output.with_suffix('.jsonl').name}"
        )
    check_installed(layout=layout)
    size = ChunkSize(min_tokens, max_tokens)
    counter = load_counter(model, notify=options.notify)
    if (fitting := size.within(counter.room)) != size:
        options.notify(
            f"{model} takes {counter.room} tokens of a text: chunks have {fitting.min_tokens} to "
            f"{fitting.max_tokens} tokens"
        )
    if memory_mb is None:
        memory_mb = 16384 if layout else 2048
    limits = Limits(silence_s=min(timeout, 600 if layout else 60), total_s=timeout, memory_bytes=memory_mb << 20)
    side_by_side = processes or (1 if layout else _cores())
    total = sum(isinstance(each, Found) for each in find_files(paths))
    with options.progress("reading", total=total) as advance:
        report = build_corpus(
            paths,
            output,
            counter,
            size=fitting,
            options=ReadOptions(encoding=encoding, layout=layout, processes=side_by_side, limits=limits),
            model=model,
            progress=advance,
        )
    if as_json:
        _print_json(report)
    else:
        _print_table(report)
    _print_summary(report)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _print_json(report: CorpusReport) -> None:
    for record in report.files:
        sys.stdout.write(json.dumps(record.as_json(), ensure_ascii=False) + "\n")


def _print_table(report: CorpusReport) -> None:
    """What needs a look first; where there are very many files, only some of those that are well."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    order = ("failed", "quarantined", "warned", "ok")
    files = sorted(report.files, key=lambda record: order.index(record.outcome.status))
    table = Table()
    for name, justify in (("status", "left"), ("file", "left"), ("format", "left"), ("pages", "right")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    table.add_column("chunks", justify="right")
    table.add_column("reason", overflow="fold")
    for record in files[:_SHOWN_FILES]:
        outcome = record.outcome
        reason = outcome.reason or "; ".join(outcome.warnings)
        pages = "" if outcome.pages is None else str(outcome.pages)
        cells = (outcome.status, outcome.path, outcome.format or "", pages, str(record.chunks or ""), reason)
        table.add_row(*(Text(options.printable(cell)) for cell in cells))
    Console().print(table)
    if len(files) > _SHOWN_FILES:
        options.notify(f"{len(files) - _SHOWN_FILES} more files are in documents.json")


def _print_summary(report: CorpusReport) -> None:
    totals = report.totals
    statuses = ", ".join(f"{totals[name]} {name}" for name in ("ok", "warned", "quarantined", "failed"))
    unread = len(report.files) - report.read
    again = f" ({unread} unchanged since the last run)" if unread else ""
    options.notify(f"{len(report.files)} files{again}: {statuses}")
    dropped: Counter[str] = Counter()
    for record in report.files:
        dropped.update(record.outcome.dropped)
    if dropped:
        options.notify("left out: " + ", ".join(f"{count} {what}" for what, count in sorted(dropped.items())))
    if report.skipped:
        reasons = Counter(why for _, why in report.skipped).most_common(5)
        listed = ", ".join(f"{count} {why}" for why, count in reasons)
        options.notify(f"skipped {len(report.skipped)}: {listed}; all are in documents.json")
    options.notify(f"{totals['chunks']} chunks, {totals['tokens']} tokens → {report.output}")
