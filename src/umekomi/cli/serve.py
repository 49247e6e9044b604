"""``umekomi serve``: the models behind OpenAI's protocol, until the process is told to stop."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from umekomi.cli import options
from umekomi.errors import ConfigError
from umekomi.types import Precision

if TYPE_CHECKING:
    from umekomi.config import ModelSettings, Settings

LogLevel = Literal["debug", "info", "warning", "error"]

MAX_CAPTURE = timedelta(days=1)
"""Long enough to see a mistake happen; whatever keeps texts for longer has been forgotten."""


def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Folders, hub ids, starter names, or names from the configuration; the starters by default.",
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
        bool, typer.Option("--allow-remote", help="Let other machines in where no keys were made: all of them.")
    ] = False,
    capture: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Keep what clients send and get in the request log, for 30m, 2h or up to 1d."
        ),
    ] = None,
    log_level: Annotated[
        LogLevel, typer.Option(help="info logs a line for each request, never its text.")
    ] = "info",
) -> None:
    """Serve models to OpenAI's clients: embeddings, chat and rerank under /v1.

    Stops on Ctrl-C or SIGTERM, after the requests in flight.
    """
    from umekomi.config import load_settings
    from umekomi.serve.listening import bind, url_of
    from umekomi.serve.selection import select
    from umekomi.serve.server import run

    _log_to_stderr(log_level)

    def read() -> Settings:
        return select(
            load_settings(config), models or [], host=host, port=port, precision=precision, threads=threads
        )

    settings = read()
    capture_s = _capture_s(capture, settings)
    keyed = _keys_needed(settings)
    listener = bind(settings.server.host, settings.server.port, allow_remote=allow_remote or keyed)
    url = url_of(listener)
    loading = ", ".join(model.name for model in settings.models if model.preload)
    options.notify(f"{url} is starting; " + (f"loading {loading}" if loading else "models load at their first use"))
    if capture_s is not None:
        options.notify(f"keeping texts for {capture}, in {settings.request_log.file}: tell those who send them")
    invitation = _invitation(settings, url, keyed=keyed)
    run(settings, listener, on_ready=lambda: options.notify(invitation), capture_s=capture_s, reread=read)


def _keys_needed(settings: Settings) -> bool:
    """Whether requests need a key by now. Raises `StoreError` where nobody can tell."""
    from umekomi.serve.access.gate import Gate

    gate = Gate.open(settings.keys.database)
    try:
        return gate.keys_needed
    finally:
        gate.close()


def _capture_s(text: str | None, settings: Settings) -> float | None:
    if text is None:
        return None
    span = options.span(text)
    if span is None or not timedelta(0) < span <= MAX_CAPTURE:
        raise ConfigError(f"--capture {text}: not a time such as 30m or 2h, of at most 1d")
    if settings.request_log.file is None:
        raise ConfigError(f"--capture {text}: there is no request log; name its file in request_log.file")
    return span.total_seconds()


def _invitation(settings: Settings, url: str, *, keyed: bool) -> str:
    """One line: where, what, and a command to try."""
    from umekomi.config import CHAT_ENGINE
    from umekomi.extras import is_installed
    from umekomi.serve.opening import ADD_CHAT

    names = ", ".join(_with_aliases(model.name, model.aliases) for model in settings.models)
    hint = "" if is_installed(CHAT_ENGINE) else f" (for chat models: {ADD_CHAT})"
    route, body = _example(settings.models[0])
    key = ' -H "Authorization: Bearer $UMEKOMI_API_KEY"' if keyed else ""
    return f"serving {names} at {url}/v1{hint}; try: curl {url}{route}{key} -d '{body}'"


def _example(model: ModelSettings) -> tuple[str, str]:
    """A route and a body that the model answers."""
    content: dict[str, Any]
    match model.kind:
        case "chat":
            route, content = "/v1/chat/completions", {"messages": [{"role": "user", "content": "こんにちは"}]}
        case "rerank":
            route, content = "/v1/rerank", {"query": "果物", "documents": ["りんご", "電車"]}
        case _:
            route, content = "/v1/embeddings", {"input": "こんにちは"}
    return route, json.dumps({"model": model.name, **content}, ensure_ascii=False)


def _with_aliases(name: str, aliases: tuple[str, ...]) -> str:
    return f"{name} (also as {', '.join(aliases)})" if aliases else name


def _log_to_stderr(level: LogLevel) -> None:
    """umekomi's own lines from ``level`` on, and what others have to warn of."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    logging.getLogger("umekomi").setLevel(level.upper())
