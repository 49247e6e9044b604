"""``umekomi datasets``: what there is, how a data set would be read, and building those that cannot be shipped."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from umekomi.cli import options
from umekomi.errors import ConfigError, SourceUnavailable

if TYPE_CHECKING:
    from umekomi.evaluate.tasks import Task

datasets_app = typer.Typer(help="Show and build data sets to evaluate models on.", no_args_is_help=True)
build_app = typer.Typer(help="Build a data set that may not be passed on from its original.", no_args_is_help=True)
datasets_app.add_typer(build_app, name="build")

_SHOWN_LABELS = 20
_SHOWN_CHARACTERS = 60


@datasets_app.command("list")
def list_() -> None:
    """List the data sets that need no file, and those that can be built."""
    from rich.table import Table

    from umekomi.evaluate.datasets.samples import SAMPLES

    table = Table("data set", "kind", "holds", box=None)
    for sample in SAMPLES.values():
        table.add_row(sample.name, sample.kind, sample.about)
    about = "livedoor news, 9 categories; build it: umekomi datasets build livedoor -o livedoor_300.csv.zip"
    table.add_row("livedoor", "labels", about)
    _print(table)


@datasets_app.command()
def show(
    source: Annotated[str, typer.Argument(help="File, folder, archive, or sample; # names a part of it.")],
    text: Annotated[str | None, typer.Option(help="Column of the texts.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of their labels.")] = None,
    group: Annotated[str | None, typer.Option(help="Column of what belongs together.")] = None,
    columns: options.TaskColumns = None,
    encoding: options.Encoding = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show how a data set is read: its kind, columns, counts, what was left out, and its first item."""
    from rich.table import Table

    from umekomi.evaluate.datasets import open_task

    named = options.task_columns(columns)
    facts = _facts(open_task(source, text=text, label=label, group=group, columns=named, encoding=encoding))
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    table = Table("", "", box=None, show_header=False)
    for key, value in facts.items():
        table.add_row(key.replace("_", " "), options.printable(_line(value)))
    _print(table)


@build_app.command()
def livedoor(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .csv or .csv.zip.")],
    archive: Annotated[
        Path | None, typer.Option(help="ldcc-20140209.tar.gz; fetched from its publisher by default.")
    ] = None,
    per_category: Annotated[int, typer.Option(min=1, help="Articles of each category.")] = 300,
    characters: Annotated[int, typer.Option(min=1, help="Characters of each article.")] = 512,
    order: Annotated[
        Literal["archive", "name"],
        typer.Option(help="First by the archive, as published, or by file name, however it was packed."),
    ] = "archive",
) -> None:
    """Build the livedoor news data set of the published scores. It may not be passed on; a notice says so."""
    from umekomi.evaluate.datasets.livedoor import ARTICLES, build_livedoor

    if not output.parent.is_dir():  # asked now rather than after the work
        raise ConfigError(f"--output {output}: the folder {output.parent} does not exist")
    built = build_livedoor(
        archive or _fetch_livedoor(), output, per_category=per_category, characters=characters, order=order
    )
    for category, count in built.rows.items():
        if count < per_category:
            options.notify(f"{category}: only {count} articles; {per_category} were asked for")
    if built.archive_articles != ARTICLES:
        options.notify(f"the archive holds {built.archive_articles} articles; the published one has {ARTICLES}")
    typer.echo(f"{sum(built.rows.values())} texts → {built.output} (SHA-256 of the CSV {built.csv_sha256[:16]})")
    options.notify(f"CC BY-ND 2.1 JP: do not pass {built.output.name} on; see {built.notice.name}")


def _fetch_livedoor() -> Path:
    """The archive in the store, downloaded at the first call."""
    from umekomi import config
    from umekomi.evaluate.datasets import livedoor as source
    from umekomi.evaluate.datasets.download import fetch

    target = config.home() / "datasets" / source.ARCHIVE
    try:
        with options.download_bar() as progress:
            return fetch(
                source.ARCHIVE_URL,
                target,
                max_bytes=source.MAX_ARCHIVE_BYTES,
                check=source.read_archive,
                progress=progress,
            )
    except SourceUnavailable as error:
        raise SourceUnavailable(f"{error}; or fetch it elsewhere and name it with --archive") from None


def _facts(task: Task) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": task.name, "kind": task.kind, "items": len(task)}
    match task.kind:
        case "labels":
            facts |= {"labels": dict(Counter(task.labels).most_common()), "first": [task.labels[0], task.texts[0]]}
        case "pairs":
            scores = [float(task.scores.min()), float(task.scores.max())]
            facts |= {"scores": scores, "first": [task.first[0], task.second[0], float(task.scores[0])]}
        case "retrieval":
            judgements = sum(map(len, task.relevant))
            first = task.corpus[next(iter(task.relevant[0]))]
            facts |= {"documents": len(task.corpus), "judgements": judgements, "first": [task.queries[0], first]}
    facts["groups"] = len(set(task.groups)) if task.groups else None
    return facts | asdict(task.origin)


def _line(value: Any) -> str:
    """A fact in one cell of a table."""
    match value:
        case dict():
            parts = [f"{key}: {each}" for key, each in list(value.items())[:_SHOWN_LABELS]]
            return (
                ", ".join(parts) + (f" and {len(value) - len(parts)} more" if len(value) > len(parts) else "")
                or "none"
            )
        case list() | tuple():
            return " | ".join(_short(each) for each in value) or "none"
        case _:
            return "none" if value in (None, "") else str(value)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _print(table: Any) -> None:
    from rich.console import Console

    Console(markup=False, highlight=False).print(table)  # a text may look like markup
