"""``umekomi config``: check umekomi.yaml, and print its JSON Schema for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

config_app = typer.Typer(help="Check umekomi.yaml, or print its schema.", no_args_is_help=True)


@config_app.command()
def check(
    path: Annotated[
        Path | None, typer.Argument(help="File to check; else $UMEKOMI_CONFIG, else the defaults.")
    ] = None,
) -> None:
    """Say what a configuration would serve, or what is wrong with it. Loads no model."""
    from rich.console import Console
    from rich.table import Table

    from umekomi.config import load_settings

    settings = load_settings(path).with_defaults()
    table = Table("model", "source", "precision", "role", "aliases")
    for model in settings.models:
        table.add_row(model.name, model.open_name, model.precision, model.role, ", ".join(model.aliases))
    Console().print(table)


@config_app.command()
def schema() -> None:
    """Print the JSON Schema of umekomi.yaml."""
    from umekomi.config import json_schema

    typer.echo(json.dumps(json_schema(), ensure_ascii=False, indent=2))
