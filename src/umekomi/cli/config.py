"""``umekomi config``: check umekomi.yaml, and print its JSON Schema for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from umekomi.cli import options

if TYPE_CHECKING:
    from umekomi.config import Settings

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
    from umekomi.evaluate.served_prompts import audit_settings

    settings = load_settings(path).with_defaults()
    table = Table("model")
    for heading in ("source", "precision", "role", "aliases", "fallbacks"):
        table.add_column(heading, overflow="fold")
    for model in settings.models:
        places = [server.base_url for server in model.remote.servers] if model.remote else [model.open_name]
        precision = "" if model.remote else model.precision
        names = (", ".join(each) for each in (model.aliases, model.fallbacks))
        table.add_row(model.name, "\n".join(places), precision, model.role, *names)
    Console().print(table)
    for variable in _missing_keys(settings):
        options.notify(f"the environment variable {variable} is not set here; its model cannot be asked without")
    for warning in audit_settings(settings):
        options.notify(f"{warning.model}: {warning.finding}")


def _missing_keys(settings: Settings) -> list[str]:
    from umekomi.config import secret

    servers = [server for model in settings.models if model.remote for server in model.remote.servers]
    named = {server.api_key_env for server in servers if server.api_key_env is not None}
    return sorted(variable for variable in named if secret(variable) is None)


@config_app.command()
def schema() -> None:
    """Print the JSON Schema of umekomi.yaml."""
    from umekomi.config import json_schema

    typer.echo(json.dumps(json_schema(), ensure_ascii=False, indent=2))
