"""``umekomi chat``: a conversation with a chat model, here or behind a server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from umekomi.cli import options
from umekomi.errors import ConfigError, UmekomiError

if TYPE_CHECKING:
    from umekomi.cli.conversation import Ask, Conversation

DEFAULT_MODEL = "smollm2-135m-instruct"
DEFAULT_SERVED = "gpt-4o-mini"

_HELP = "/new begins anew, /quit or Ctrl-D ends; Ctrl-C stops an answer"


def chat(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help=f"GGUF file or starter name, or a name on the server; {DEFAULT_MODEL} by default, "
            f"{DEFAULT_SERVED} with --base-url.",
            show_default=False,
        ),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Talk to a running server instead, such as http://127.0.0.1:8000/v1.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="Instructions for the model, before the conversation.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer, in tokens; as long as the context by default.")
    ] = None,
    threads: options.Threads = None,
) -> None:
    """Talk with a chat model in the terminal.

    Lines from a pipe are answered one after the other. A server's key is read from UMEKOMI_API_KEY.
    """
    from umekomi.cli.conversation import Conversation

    if base_url is not None and threads is not None:
        raise ConfigError("--threads is the server's to choose; leave it out with --base-url")
    opened = _open_there(base_url, model) if base_url is not None else _open_here(model, threads)
    with opened as ask:
        conversation = Conversation(ask, system=system, max_tokens=max_tokens)
        if sys.stdin.isatty():
            talk(conversation)
        else:
            for line in sys.stdin:
                if text := line.strip():
                    _say(conversation, text)


@contextmanager
def _open_here(model: str | None, threads: int | None) -> Iterator[Ask]:
    from umekomi.engines.registry import open_generator
    from umekomi.models.sources import open_model

    bundle = open_model(model or DEFAULT_MODEL, notify=options.notify)
    with closing(open_generator(bundle, threads=threads)) as generator:
        yield generator.stream_chat


@contextmanager
def _open_there(base_url: str, model: str | None) -> Iterator[Ask]:
    from umekomi.config import api_key
    from umekomi.engines.chat_endpoint import ChatEndpoint

    with ChatEndpoint(base_url, model or DEFAULT_SERVED, api_key=api_key()) as endpoint:
        yield endpoint.stream_chat


def talk(conversation: Conversation) -> None:
    """Until the person ends it. An error is told, and the conversation goes on."""
    options.notify(_HELP)
    while True:
        try:
            text = input("> ").strip()
        except EOFError:
            typer.echo()
            return
        except KeyboardInterrupt:
            typer.echo()
            options.notify(_HELP)
            continue
        match text:
            case "":
                continue
            case "/quit" | "/exit":
                return
            case "/new":
                conversation.forget()
            case "/help":
                options.notify(_HELP)
            case _:
                try:
                    _say(conversation, text)
                except KeyboardInterrupt:
                    typer.echo()
                except UmekomiError as error:
                    options.notify(str(error))


def _say(conversation: Conversation, text: str) -> None:
    """Print the answer as it comes."""
    with closing(conversation.answer(text)) as pieces:
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
    sys.stdout.write("\n")
    sys.stdout.flush()
