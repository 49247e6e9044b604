"""``umekomi serve``: the models behind OpenAI's protocol, until the process is told to stop."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from umekomi.cli import options
from umekomi.types import Precision

if TYPE_CHECKING:
    from umekomi.config import Settings

LogLevel = Literal["debug", "info", "warning", "error"]


def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Folders, hub ids, starter names, or names from the configuration; the starter model by default.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="umekomi.yaml; $UMEKOMI_CONFIG by default.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to bind; 127.0.0.1 by default.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 8000 by default, 0 takes a free one.")
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Of every model: int8 is about three times as fast as fp32.")
    ] = None,
    threads: options.Threads = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let other machines in. There are no keys: all of them.")
    ] = False,
    log_level: Annotated[
        LogLevel, typer.Option(help="info logs a line for each request, never its text.")
    ] = "info",
) -> None:
    """Serve models to OpenAI's clients: embeddings at /v1/embeddings.

    Stops on Ctrl-C or SIGTERM, after the requests in flight.
    """
    from umekomi.config import load_settings
    from umekomi.serve.listening import bind, url_of
    from umekomi.serve.selection import select
    from umekomi.serve.server import run

    _log_to_stderr(log_level)
    settings = select(
        load_settings(config), models or [], host=host, port=port, precision=precision, threads=threads
    )
    listener = bind(settings.server.host, settings.server.port, allow_remote=allow_remote)
    url = url_of(listener)
    options.notify(f"{url} is starting; loading {', '.join(model.name for model in settings.models)}")
    run(settings, listener, on_ready=lambda: options.notify(_invitation(settings, url)))


def _invitation(settings: Settings, url: str) -> str:
    """One line: where, what, and a command to try."""
    first = settings.models[0].name
    body = json.dumps({"model": first, "input": "こんにちは"}, ensure_ascii=False)
    names = ", ".join(_with_aliases(model.name, model.aliases) for model in settings.models)
    return f"serving {names} at {url}/v1; try: curl {url}/v1/embeddings -d '{body}'"


def _with_aliases(name: str, aliases: tuple[str, ...]) -> str:
    return f"{name} (also as {', '.join(aliases)})" if aliases else name


def _log_to_stderr(level: LogLevel) -> None:
    """umekomi's own lines from ``level`` on, and what others have to warn of."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    logging.getLogger("umekomi").setLevel(level.upper())
