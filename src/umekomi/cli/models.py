"""``umekomi models``: fetch, list, show, check, convert and remove models, and the graphs built of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from umekomi.cli import options
from umekomi.errors import BrokenModel, UnknownModel, UnsupportedCapability

if TYPE_CHECKING:
    from rich.table import Table

    from umekomi.models.bundle import Bundle
    from umekomi.models.inventory import Installed
    from umekomi.models.store import Entry

models_app = typer.Typer(help="Fetch, list, show, check, convert and remove models.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Folder, GGUF file, hub id with optional @revision, or starter name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@models_app.command()
def pull(name: Name) -> None:
    """Fetch a model, or the newest commit of one that is here already; a cut download goes on where it stopped."""
    from umekomi.models.sources import default_store, locate_model, open_located

    store = default_store()
    with options.download_bar() as progress:
        located = locate_model(name, notify=options.notify, progress=progress, store=store, refresh=True)
    try:
        card = open_located(located, store=store, notify=options.notify).card
    except UnsupportedCapability:  # a chat model: here, and of no use for embeddings
        typer.echo(f"{name} → {located.path}")
        return
    typer.echo(f"{card.name} → {located.path} ({card.source}, fingerprint {card.fingerprint})")


@models_app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the models that can be opened without a network: in the store, and in the hub's cache."""
    from umekomi.models.inventory import list_models
    from umekomi.models.sources import default_store

    store = default_store()
    models = list_models(store)
    if as_json:
        _print_json([_row(model) for model in models])
        return
    if not models:
        options.notify(f"no models yet in {store.home}; fetch one: umekomi models pull {options.DEFAULT_MODEL}")
        return
    table = _table("model", "kept in", "size", "source", "notice")
    for model in models:
        cells = (model.name, model.place, _size(model.size_bytes), model.source, model.notice or "")
        table.add_row(*map(options.printable, cells))
    _print(table)


@models_app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show a model's card, fingerprint and files; fetched first where it is not here yet."""
    from umekomi.models.inventory import bundle_files
    from umekomi.models.sources import open_model

    with options.download_bar() as progress:
        bundle = open_model(name, notify=options.notify, progress=progress)
    files = bundle_files(bundle)
    facts = _facts(bundle)
    if as_json:
        _print_json({**facts, "files": files})
        return
    table = _table("", "")
    for key, value in facts.items():
        table.add_row(key.replace("_", " "), "\n".join(map(options.printable, _text(value).split("\n"))))
    _print(table)
    listing = _table("file", "size")
    for file, size in files.items():
        listing.add_row(options.printable(file), _size(size))
    _print(listing)


@models_app.command()
def verify(name: Annotated[str | None, typer.Argument(help="One model; all by default.")] = None) -> None:
    """Read the files of a model again and compare them with the checksums they came with."""
    from umekomi.models.inventory import find_models, list_models, verify_model
    from umekomi.models.sources import default_store

    store = default_store()
    models = find_models(name, store) if name else list_models(store)
    problems: list[str] = []
    for model in models:
        with options.progress(f"reading {model.name}", total=model.size_bytes) as advance:
            result = verify_model(model, store, progress=advance)
        problems += result.problems
        state = f"{len(result.problems)} of {result.files} files differ" if result.problems else "as fetched"
        unknown = f", {result.unknown} without a checksum" if result.unknown else ""
        typer.echo(f"{model.name} ({model.place}): {state}{unknown}")
    for problem in problems:
        options.notify(problem)
    if problems:
        raise BrokenModel(
            f"{len(problems)} files differ; take the model away with 'umekomi models remove' and pull it again"
        )


@models_app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Name as 'umekomi models list' shows it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take a model's files away, wherever they are kept."""
    from umekomi.models.inventory import find_models, remove_model
    from umekomi.models.sources import default_store

    store = default_store()
    models = find_models(name, store)
    for model in models:
        options.notify(f"{model.name}: {_size(model.size_bytes)} in {model.folder} ({model.place})")
    if not yes:
        typer.confirm("Remove?", abort=True, err=True)
    for model in models:
        remove_model(model, store)
        typer.echo(f"removed {model.name} from the {model.place}")


@models_app.command()
def prune(
    name: Annotated[str | None, typer.Argument(help="One model, as this command names it; all by default.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take away built graphs: every training leaves some of its model.

    A model that is opened again builds its graph anew, in seconds; a server keeps what it has open.
    """
    from umekomi.models.sources import default_store

    store = default_store()
    graphs: dict[str, list[Entry]] = {}
    for entry in store.entries("graphs"):
        graphs.setdefault(str(entry.about.get("model", entry.key)), []).append(entry)
    if name is not None and name not in graphs:
        raise UnknownModel(f"no graphs of {name!r} are kept; there are those of {', '.join(graphs) or 'no model'}")
    chosen = graphs if name is None else {name: graphs[name]}
    for model, entries in chosen.items():
        options.notify(f"{model}: graphs {len(entries)}, {_size(sum(entry.size_bytes for entry in entries))}")
    if chosen and not yes:
        typer.confirm("Remove?", abort=True, err=True)
    going = [entry for entries in chosen.values() for entry in entries]
    for entry in going:
        store.remove(entry.kind, entry.key)
    typer.echo(f"removed {_size(sum(entry.size_bytes for entry in going))} from {store.home / 'graphs'}")


@models_app.command()
def convert(name: Name) -> None:
    """Turn a model's pickled weights into safetensors once, reading tensors and nothing else (extra: train)."""
    from umekomi.train.convert import convert as convert_model

    with options.download_bar() as progress:
        bundle = convert_model(name, notify=options.notify, progress=progress)
    typer.echo(f"{bundle.card.name} → {bundle.folder} (fingerprint {bundle.card.fingerprint})")


def _facts(bundle: Bundle) -> dict[str, Any]:
    card = bundle.card
    return {
        "name": card.name,
        "source": card.source,
        "folder": str(bundle.folder),
        "format": card.format,
        "architecture": card.architecture,
        "dim": card.dim,
        "max_tokens": card.max_tokens,
        "pooling": card.pooling,
        "normalize": card.normalize,
        "dense": [asdict(layer) for layer in card.dense],
        "in_pieces": card.in_pieces,
        "prompts": dict(card.prompts),
        "licence": card.licence,
        "languages": list(card.languages),
        "fingerprint": card.fingerprint,
        "weights_digest": card.weights_digest,
        "tokenizer_digest": card.tokenizer_digest,
        "notice": card.notice,
    }


def _row(model: Installed) -> dict[str, Any]:
    return {
        "name": model.name,
        "place": model.place,
        "size_bytes": model.size_bytes,
        "source": model.source,
        "folder": str(model.folder),
        "notice": model.notice,
    }


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {text!r}" for key, text in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(str(each) for each in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _size(size_bytes: int) -> str:
    from rich.filesize import decimal

    return decimal(size_bytes)


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    Console(markup=False, highlight=False).print(table)  # a prompt may look like markup


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(content, ensure_ascii=False, indent=2))
