"""``umekomi explain``: what numbers in a table owe to the texts beside them, if anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from umekomi.cli import options
from umekomi.cli.evaluate import TerminalWatch
from umekomi.errors import ConfigError
from umekomi.types import Role

if TYPE_CHECKING:
    from umekomi.explain.reading import Study
    from umekomi.explain.run import Explained

DEFAULT_OUTPUT = Path("explanation")


def explain(
    table: Annotated[str, typer.Argument(help="A file (.csv, .jsonl, .parquet, .xlsx, zipped too).")],
    target: Annotated[str, typer.Option("--target", help="Column of the numbers to explain.")],
    text: Annotated[list[str], typer.Option("--text", help="Repeat it: a column of texts.")],
    categorical: Annotated[
        list[str] | None, typer.Option("--categorical", help="Repeat it: a column of categories.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", help="Column of what belongs together; rows with the same texts where left out."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A folder, hub id or starter name, with :int8 for that precision, or http://host:8000/v1#name; "
            f"{options.DEFAULT_MODEL} where left out.",
        ),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option("--compare", metavar="BASE TUNED", help="Two models instead of one: what tuning moved."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = DEFAULT_OUTPUT,
    folds: Annotated[int, typer.Option(min=3, help="Parts of the groups, each predicted from the others.")] = 5,
    permutations: Annotated[int, typer.Option(min=20, help="Shuffled targets, to see what noise gives.")] = 200,
    resamples: Annotated[int, typer.Option(min=200, help="Bootstrap resamples of the groups.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same figures.")] = 0,
    role: Annotated[Role, typer.Option("--role", help="Role of the texts.")] = "document",
    encoding: options.Encoding = None,
    threads: options.Threads = None,
    cache: options.VectorCache = None,
) -> None:
    """Say whether numbers can be told from texts, and only then by what: blocks, directions, coefficients.

    Started again, an interrupted run goes on where it stopped. A server's key is read from UMEKOMI_API_KEY.
    """
    from umekomi.evaluate.candidates.opening import parse_candidate
    from umekomi.evaluate.output.publishing import check_output
    from umekomi.explain.output.files import COEFFICIENTS, RESULTS, publish
    from umekomi.explain.output.report import REPORT
    from umekomi.explain.reading import read_study
    from umekomi.explain.run import compare_models, explain_model
    from umekomi.explain.settings import ExplainSettings, Question

    settings = ExplainSettings(
        folds=folds,
        permutations=permutations,
        resamples=resamples,
        seed=seed,
        role=role,
        threads=threads,
        cache=cache,
    )
    question = Question(target, tuple(text), tuple(categorical or ()), group)
    check_output(output, mark=RESULTS)
    study = read_study(table, question, encoding=encoding)
    _say_how_read(study)
    watch = TerminalWatch()
    if compare is not None:
        if model is not None:
            raise ConfigError("--compare names two models already: leave -m out")
        base, tuned = (parse_candidate(each) for each in compare)
        explained = compare_models(study, base, tuned, settings, watch=watch)
    else:
        explained = explain_model(study, parse_candidate(model or options.DEFAULT_MODEL), settings, watch)
    publish(output, explained)
    print_findings(explained)
    options.notify(f"report: {output / REPORT}; figures: {output / RESULTS} and {COEFFICIENTS}")


def print_findings(explained: Explained) -> None:
    """The verdict of each model, and under a signal its blocks and checks, on standard output."""
    for each in explained.explanations:
        typer.echo(options.printable(f"{each.model['name']}: {each.sentence}"))
        for block in each.blocks:
            if block.contribution is not None and block.ci95 is not None:
                low, high = block.ci95
                typer.echo(
                    options.printable(f"  {block.name}: {block.contribution:+.3f} [{low:.3f}, {high:.3f}] of R²")
                )
        for check in each.rotation:
            typer.echo(options.printable(f"  {check.sentence}"))
    if explained.comparison is not None:
        typer.echo(options.printable(explained.comparison.sentence))


def _say_how_read(study: Study) -> None:
    options.notify(f"{study.name}: {len(study)} rows in {study.group_count} groups")
    for reason, count in study.skipped.items():
        options.notify(f"{study.name}: {count} rows left out: {reason}")
    for note in study.notes:
        options.notify(f"{study.name}: {note}")
