"""Options that several commands share, and how every command speaks to a person: on standard error."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from umekomi.errors import ConfigError
from umekomi.types import Precision, Role, Truncation

if TYPE_CHECKING:
    from umekomi.models.sources import Progress

DEFAULT_MODEL = "multilingual-e5-small"

Model = Annotated[
    str,
    typer.Option("--model", "-m", help="Folder, hub id with optional @revision, starter name, or hashing:DIM."),
]
RoleOption = Annotated[
    Role, typer.Option("--role", help="What the texts are for; raw: they carry their prompt already.")
]
PrecisionOption = Annotated[
    Precision, typer.Option("--precision", help="int8 is about three times as fast as fp32.")
]
TruncationOption = Annotated[
    Truncation, typer.Option("--truncation", help="What to do with texts over the model's context.")
]
VectorCache = Annotated[
    Path | None, typer.Option("--cache", help="Folder that keeps vectors between runs; in the store by default.")
]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads; all cores by default.")]
Column = Annotated[
    str | None, typer.Option("--column", help="Column or key that holds the text in a .csv, .tsv or .jsonl file.")
]
Encoding = Annotated[
    str | None,
    typer.Option("--encoding", help="The file's encoding, such as cp932; found by itself where it is left out."),
]
TaskColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--columns",
        help="Repeat it: USE=COLUMN, where USE is text, label, group, first, second, score, query, positive or id.",
    ),
]

Epochs = Annotated[float, typer.Option(min=0, help="Passes over the training pairs.")]
BatchSize = Annotated[int, typer.Option(min=2, help="Pairs that are told apart from one another.")]
LearningRate = Annotated[float, typer.Option(min=0, help="At its highest, after the warm-up.")]
MaxLength = Annotated[
    int | None, typer.Option(min=8, help="Tokens of a text in training; the model's own limit by default.")
]
GeneralSets = Annotated[
    list[str] | None,
    typer.Option(
        help="Repeat it: a data set on which nothing may be lost, as umekomi evaluate takes them; the shipped "
        "samples by default, 'none' for none."
    ),
]


class RunByDefault(TyperGroup):
    """A group whose command ``run`` is meant where the first word names none: ``umekomi evaluate DATASET…``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return list(super().parse_args(ctx, args))


_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def span(text: str) -> timedelta | None:
    """The time that ``90m``, ``12h``, ``30d`` or ``2w`` means; None where ``text`` is no such thing."""
    parts = re.fullmatch(r"(\d{1,5})([mhdw])", text)
    return timedelta(**{_UNITS[parts[2]]: int(parts[1])}) if parts else None


_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Unicode's marks and overrides of writing direction, which make a line read as another."""


def printable(text: str) -> str:
    """``text`` in one line, with what would steer a terminal written out: control and direction characters."""
    return "".join(repr(char)[1:-1] if _steers(char) else char for char in text)


def _steers(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _DIRECTIONS


def notify(message: str) -> None:
    """One line on standard error, so that standard output stays data."""
    typer.echo(f"umekomi: {printable(message)}", err=True)


def task_columns(pairs: list[str] | None) -> dict[str, str]:
    """What ``--columns`` names. Raises `ConfigError` for what is not ``USE=COLUMN``, and for a use named twice."""
    columns: dict[str, str] = {}
    for pair in pairs or ():
        use, _, column = pair.partition("=")
        if not use or not column or use in columns:
            raise ConfigError(
                f"--columns {pair}: write USE=COLUMN, each use once, for example --columns score=rating"
            )
        columns[use] = column
    return columns


@contextmanager
def progress(title: str, *, total: int | None, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error while the block runs; yields a function that advances it.

    ``title`` is shown as it is: a file's name in it may look like markup. Draws nothing where standard error is no
    terminal.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task(printable(title), total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def download_bar() -> Iterator[Progress]:
    """Bars on standard error, one for each thing that is fetched; nothing where it is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bars:

        def report(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(printable(what), total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield report
