"""``umekomi evaluate mteb``: mteb's result files in the tables of this project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from umekomi.cli import options

if TYPE_CHECKING:
    from umekomi.evaluate.results import Results


def mteb(
    folder: Annotated[Path, typer.Argument(help="Folder that mteb wrote its results to, of any number of models.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for results.json and scores.csv.")
    ] = None,
) -> None:
    """Show scores that mteb measured, and write them as results.json and scores.csv.

    mteb's files hold values without items, so there are no intervals, tests or ranks.
    """
    from umekomi.evaluate.mteb import load_mteb_results
    from umekomi.evaluate.output.files import RESULTS, SCORES, write_results
    from umekomi.evaluate.output.publishing import check_output

    if output is not None:
        check_output(output)
    results = load_mteb_results(folder)
    _print(results)
    for note in results.notes:
        options.notify(note)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        write_results(output, results, ())
        options.notify(f"figures: {output / RESULTS} and {SCORES}")


def _print(results: Results) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("data set", "metric", "model"):
        table.add_column(column, overflow="fold")
    table.add_column("score", justify="right", no_wrap=True)
    for score in sorted(results.scores, key=lambda score: (score.dataset, score.metric, -score.value)):
        names = (score.dataset, score.metric, score.model)
        table.add_row(*(Text(options.printable(name)) for name in names), f"{score.value:.4f}")
    Console().print(table)
