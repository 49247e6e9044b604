"""``umekomi import``: a umekomi.yaml from the configuration of LocalAI, LiteLLM or FastChat."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from umekomi.cli import options
from umekomi.errors import ConfigError

if TYPE_CHECKING:
    from umekomi.migrate.draft import Migration
    from umekomi.migrate.ledger import Note

import_app = typer.Typer(help="Write a umekomi.yaml from what another server is run with.", no_args_is_help=True)

Output = Annotated[Path, typer.Option("--output", "-o", help="File to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the file where it exists.")]


@import_app.command()
def localai(
    path: Annotated[Path, typer.Argument(help="Models folder with *.yaml, or a config file.")],
    models: Annotated[
        Path | None, typer.Option("--models", help="Folder with the model files; else that of the configuration.")
    ] = None,
    output: Output = Path("umekomi.yaml"),
    force: Force = False,
) -> None:
    """Carry over LocalAI's models: embeddings, GGUF chat models, rerankers and proxies."""
    from umekomi.migrate.localai import read_localai

    _finish(read_localai(path, models_folder=models), output, made_by="umekomi import localai", force=force)


@import_app.command()
def litellm(
    path: Annotated[Path, typer.Argument(help="The config.yaml of LiteLLM's proxy.")],
    output: Output = Path("umekomi.yaml"),
    force: Force = False,
) -> None:
    """Carry over LiteLLM's models as remote models, with their fallbacks and aliases. Keys are never copied."""
    from umekomi.migrate.litellm import read_litellm

    _finish(read_litellm(path), output, made_by="umekomi import litellm", force=force)


@import_app.command()
def fastchat(
    command: Annotated[
        list[str] | None, typer.Argument(help="Its command lines, after --; each may be one quoted argument.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="A script with its command lines instead.")
    ] = None,
    output: Output = Path("umekomi.yaml"),
    force: Force = False,
) -> None:
    """Carry over FastChat's model workers and API server from their command lines."""
    from umekomi.migrate.fastchat import read_fastchat

    if bool(command) == bool(file):
        raise ConfigError("give FastChat's command lines after --, or a script with --file")
    words = [_text(file)] if file else list(command or ())
    _finish(read_fastchat(words), output, made_by="umekomi import fastchat", force=force)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None


def _finish(migration: Migration, output: Path, *, made_by: str, force: bool) -> None:
    from umekomi.migrate.draft import write_settings

    _print("carried over", migration.carried, "→")
    _print("left out", migration.left, "–")
    if not migration.model_names:
        raise ConfigError("no model could be carried over; nothing was written")
    write_settings(migration.settings, output, made_by=made_by, force=force)
    options.notify(f"{len(migration.model_names)} models → {output}: {', '.join(migration.model_names)}")
    options.notify(
        "before clients move, see whether indexes can stay: umekomi compare-endpoints OLD NEW -m NAME --texts FILE"
    )


def _print(title: str, notes: tuple[Note, ...], mark: str) -> None:
    if notes:
        typer.echo(f"{title}:")
    for note in notes:
        typer.echo(f"  {note.place}: {note.key} {mark} {note.text}")
