"""``umekomi compare-endpoints``: whether a team can move from one server to another with its index intact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from umekomi.cli import options, parity_view
from umekomi.cli.exit_codes import CANNOT_REPLACE
from umekomi.errors import ConfigError
from umekomi.types import Role


def compare_endpoints(
    old: Annotated[str, typer.Argument(help="Address of the server in use, such as http://127.0.0.1:8080/v1.")],
    new: Annotated[str, typer.Argument(help="Address of the server to move to.")],
    texts: Annotated[
        Path, typer.Option("--texts", "-f", help="Your texts: lines, .jsonl, .csv or .tsv; - for standard input.")
    ],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The model's name on both servers.", show_default=False)
    ] = None,
    old_model: Annotated[str | None, typer.Option(help="Its name on OLD, where it is another one.")] = None,
    new_model: Annotated[str | None, typer.Option(help="Its name on NEW, where it is another one.")] = None,
    old_key_env: Annotated[
        str | None, typer.Option(help="Environment variable with OLD's key; UMEKOMI_API_KEY by default.")
    ] = None,
    new_key_env: Annotated[
        str | None, typer.Option(help="Environment variable with NEW's key; UMEKOMI_API_KEY by default.")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Folder, hub id or starter name of the model that both serve: finds more causes."),
    ] = None,
    role: Annotated[
        Role, typer.Option("--role", help="Role to name in requests; raw names none, as most clients.")
    ] = "raw",
    column: options.Column = None,
    sample: parity_view.Sample = parity_view.DEFAULT_SAMPLE,
    output: parity_view.ComparisonOutput = None,
    as_json: parity_view.AsJson = False,
    threads: options.Threads = None,
) -> None:
    """Compare two servers' vectors: cosine, speed, the likely cause of a difference, and whether an index may stay.

    Ends with 0 where the index can stay as it is, and with 4 where it cannot.
    """
    from contextlib import ExitStack

    from umekomi.embedding.endpoint import Endpoint
    from umekomi.evaluate.parity import EndpointSide, compare, open_reference
    from umekomi.evaluate.parity.writing import check_output

    old_name, new_name = old_model or model, new_model or model
    if old_name is None or new_name is None:
        raise ConfigError("no model: name it with -m, or with --old-model and --new-model where the names differ")
    if output is not None:
        check_output(output)
    keys = (_key(old_key_env), _key(new_key_env))
    wanted = parity_view.read_texts(texts, column, sample=sample)
    with ExitStack() as stack:
        sides = [
            EndpointSide(
                label, stack.enter_context(Endpoint(parity_view.base_url(url), name, api_key=key)), role=role
            )
            for label, url, name, key in zip(("OLD", "NEW"), (old, new), (old_name, new_name), keys, strict=True)
        ]
        opened = None
        if reference is not None:
            opened = stack.enter_context(open_reference(reference, threads=threads, notify=options.notify))
        advance = stack.enter_context(options.progress("comparing", total=len(wanted)))
        comparison = compare(sides[0], sides[1], wanted, reference=opened, model=old_name, advance=advance)
    parity_view.show(comparison, wanted, output=output, as_json=as_json)
    if not comparison.same:
        raise typer.Exit(CANNOT_REPLACE)


def _key(variable: str | None) -> str | None:
    from umekomi.config import api_key
    from umekomi.config.environment import secret

    if variable is None:
        return api_key()
    key = secret(variable)
    if key is None:
        raise ConfigError(f"the environment variable {variable} is not set or empty; it should hold the key")
    return key
