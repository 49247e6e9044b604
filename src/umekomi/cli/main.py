"""The ``umekomi`` command: mounts the subcommands, and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from umekomi import __version__
from umekomi.cli import options
from umekomi.cli.chat import chat
from umekomi.cli.compare_endpoints import compare_endpoints
from umekomi.cli.config import config_app
from umekomi.cli.datasets import datasets_app
from umekomi.cli.documents import documents_app
from umekomi.cli.embed import embed
from umekomi.cli.evaluate import evaluate_app
from umekomi.cli.exit_codes import INTERRUPTED, exit_code
from umekomi.cli.explain import explain
from umekomi.cli.import_ import import_app
from umekomi.cli.improve import improve
from umekomi.cli.keys import keys_app
from umekomi.cli.models import models_app
from umekomi.cli.promote import history, promote, rollback
from umekomi.cli.serve import serve
from umekomi.cli.similarity import similarity
from umekomi.cli.synthesize import synthesize_app
from umekomi.cli.train import train
from umekomi.cli.usage import usage
from umekomi.errors import UmekomiError

app = typer.Typer(
    name="umekomi",
    help="Run, measure and improve your own embedding models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(embed)
app.command()(similarity)
app.command()(serve)
app.command()(chat)
app.add_typer(models_app, name="models")
app.add_typer(datasets_app, name="datasets")
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(documents_app, name="documents")
app.add_typer(synthesize_app, name="synthesize")
app.command()(train)
app.command()(improve)
app.command()(explain)
app.command()(promote)
app.command()(rollback)
app.command()(history)
app.add_typer(config_app, name="config")
app.add_typer(keys_app, name="keys")
app.command()(usage)
app.add_typer(import_app, name="import")
app.command("compare-endpoints")(compare_endpoints)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"umekomi {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point. Errors of ours are one line on standard error; others keep their traceback, for a bug report."""
    try:
        app()
    except UmekomiError as error:
        options.notify(str(error))
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        options.notify("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader (head, less) went away: end quietly, and keep Python from flushing into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
