"""``umekomi usage``: who used how much, from what a server on this machine has counted."""

from __future__ import annotations

import csv
import io
import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from umekomi.cli import options
from umekomi.errors import InvalidInput

if TYPE_CHECKING:
    from umekomi.serve.access.usage import UsageRow

_SUMS = ("requests", "input_tokens", "output_tokens", "errors")
_COLUMNS = ("day", "key_id", "key", "model", *_SUMS)


def usage(
    since: Annotated[
        str | None, typer.Option("--since", help="First day, such as 2026-11-01; else from the beginning.")
    ] = None,
    by: Annotated[
        Literal["key", "model", "day"] | None, typer.Option("--by", help="What to add up by; else by all three.")
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write this CSV file instead of a table; - for standard output.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="umekomi.yaml; else $UMEKOMI_CONFIG, else the defaults.")
    ] = None,
) -> None:
    """Show requests, tokens and errors by key, model and day (in UTC)."""
    from umekomi.config import load_settings
    from umekomi.serve.access.usage import read_usage

    rows = read_usage(load_settings(config).keys.database, since=_day(since), by=by)
    if csv_file is None:
        _print_table(rows)
    elif str(csv_file) == "-":
        sys.stdout.write(_csv(rows))
    else:
        from umekomi.writing import replacing

        with replacing(csv_file) as out:
            out.write(_csv(rows).encode())
        options.notify(f"{len(rows)} rows → {csv_file}")


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise InvalidInput(f"--since {text}: not a day such as 2026-11-01", param="since") from None


def _shown(rows: list[UsageRow]) -> list[str]:
    """Columns that say something: not those over which the rows add up."""
    return [column for column in _COLUMNS if column in _SUMS or any(getattr(r, column) is not None for r in rows)]


def _csv(rows: list[UsageRow]) -> str:
    columns = _shown(rows)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([getattr(row, column) for column in columns] for row in rows)
    return out.getvalue()


def _print_table(rows: list[UsageRow]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        options.notify("nothing was counted yet")
        return
    columns = [column for column in _shown(rows) if column != "key_id"]
    table = Table()
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right" if column in _SUMS else "left")
    for row in rows:
        cells = [getattr(row, column) for column in columns]
        table.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else cell or "–") for cell in cells))
    Console().print(table)
