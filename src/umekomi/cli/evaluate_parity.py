"""``umekomi evaluate parity``: whether a server gives the vectors that its model should give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from umekomi.cli import options, parity_view
from umekomi.cli.exit_codes import CANNOT_REPLACE
from umekomi.types import Role

if TYPE_CHECKING:
    from umekomi.evaluate.parity import Comparison
    from umekomi.evaluate.tasks import Task
    from umekomi.models.card import ModelCard


def parity(
    reference: Annotated[
        str, typer.Option("--reference", "-r", help="The model as it should be: folder, hub id or starter name.")
    ],
    endpoint: Annotated[
        str,
        typer.Option(
            "--endpoint", "-e", help="The server: http://host:8000/v1#name; the reference's name by default."
        ),
    ],
    texts: Annotated[
        Path | None,
        typer.Option("--texts", "-f", help="Lines, .jsonl, .csv or .tsv; the sample data set by default."),
    ] = None,
    column: options.Column = None,
    role: Annotated[
        Role,
        typer.Option("--role", help="raw sends and embeds texts as they are; query and document name the role."),
    ] = "raw",
    precision: options.PrecisionOption = "fp32",
    sample: parity_view.Sample = parity_view.DEFAULT_SAMPLE,
    output: parity_view.ComparisonOutput = None,
    as_json: parity_view.AsJson = False,
    threads: options.Threads = None,
) -> None:
    """Compare a server's vectors with those of the model run here, and name the cause of a difference.

    A server's key is read from UMEKOMI_API_KEY. Ends with 0 where the vectors are the same, and with 4 where not.
    """
    from umekomi.config import api_key
    from umekomi.embedding.endpoint import Endpoint
    from umekomi.evaluate.parity import EndpointSide, ReferenceSide, compare, open_reference
    from umekomi.evaluate.parity.recipes import Recipe
    from umekomi.evaluate.parity.writing import check_output

    if output is not None:
        check_output(output)
    wanted = parity_view.read_texts(texts, column, sample=sample) if texts else _sample_texts(sample)
    url, _, name = endpoint.partition("#")
    if not name:
        name = reference
        options.notify(f"--endpoint names no model after '#': '{name}' is asked for")
    with (
        open_reference(reference, precision=precision, threads=threads, notify=options.notify) as opened,
        Endpoint(parity_view.base_url(url), name, api_key=api_key()) as served,
        options.progress("comparing", total=len(wanted)) as advance,
    ):
        own = ReferenceSide("reference", opened, Recipe(prompt=opened.card.prompt_for(role)))
        comparison = compare(own, EndpointSide("endpoint", served, role=role), wanted, advance=advance)
        comparison = _with_prompt_warning(comparison, opened.card, name, role)
    parity_view.show(comparison, wanted, output=output, as_json=as_json)
    if not comparison.same:
        raise typer.Exit(CANNOT_REPLACE)


def _with_prompt_warning(comparison: Comparison, card: ModelCard, served: str, role: Role) -> Comparison:
    """With a note where the alias embeds texts as they come although the model's card has prompts."""
    from umekomi.evaluate.served_prompts import missing_prompts

    prompts = {name: card.prompts[name] for name in ("query", "document") if card.prompts.get(name)}
    prefixed = any(cause.kind == "prefix" for cause in comparison.causes)
    if role != "raw" or not prompts or prefixed or comparison.verdict == "rebuild":
        return comparison
    warning = f"{served}: {missing_prompts(served, prompts).finding}"
    return replace(comparison, notes=(*comparison.notes, warning))


def _sample_texts(sample: int) -> list[str]:
    from umekomi.evaluate.datasets import open_task

    return parity_view.spread(texts_of(open_task("sample")), sample)


def texts_of(task: Task) -> list[str]:
    """The texts that ``task`` embeds, in order."""
    match task.kind:
        case "labels":
            return list(task.texts)
        case "pairs":
            return [*task.first, *task.second]
        case "retrieval":
            return [*task.queries, *task.corpus]
