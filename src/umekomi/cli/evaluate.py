"""``umekomi evaluate``: which model is better on your data, with intervals, a report and a map."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from umekomi.cli import options
from umekomi.cli.evaluate_mteb import mteb
from umekomi.cli.evaluate_parity import parity
from umekomi.errors import ConfigError
from umekomi.types import Role

if TYPE_CHECKING:
    from rich.table import Table

    from umekomi.evaluate.results import Results
    from umekomi.evaluate.tasks import Origin

DEFAULT_OUTPUT = Path("evaluation")
Language = Literal["en", "ja"]

Datasets = Annotated[
    list[str],
    typer.Argument(help="Files (.csv, .jsonl, .parquet, .xlsx, zipped too), retrieval folders, or sample."),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        help="Repeat it: a folder, hub id or starter name, with :int8 for that precision, or "
        "http://host:8000/v1#name for a server.",
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")]
TextColumn = Annotated[str | None, typer.Option("--text", help="Column of the text; guessed where left out.")]
LabelColumn = Annotated[str | None, typer.Option("--label", help="Column of the label; guessed where left out.")]
GroupColumn = Annotated[
    str | None, typer.Option("--group", help="Column of what belongs together, such as one document's texts.")
]
Neighbours = Annotated[int, typer.Option("-k", min=1, help="Neighbours for precision@k and knn_accuracy@k.")]
Legacy = Annotated[
    bool,
    typer.Option("--legacy", help="Add the published notebook's own loop; texts without prompts unless --role."),
]
Projection = Annotated[
    Literal["tsne", "pca", "umap", "none"], typer.Option("--projection", help="How the maps are drawn.")
]
RoleChoice = Annotated[
    Role | None,
    typer.Option("--role", help="Role of the texts of labels and pairs: document by default, raw with --legacy."),
]
ReportLanguage = Annotated[Language, typer.Option("--language", help="Language of the report.")]


evaluate_app = typer.Typer(
    cls=options.RunByDefault,
    no_args_is_help=True,
    help="Compare embedding models on your own data. umekomi evaluate DATASET… -m MODEL… is short for "
    "umekomi evaluate run DATASET… -m MODEL….",
)
evaluate_app.command("parity")(parity)
evaluate_app.command("mteb")(mteb)


class TerminalWatch:
    """A progress bar for each stage, and notices, on standard error."""

    def stage(self, title: str, *, total: int) -> AbstractContextManager[Callable[[int], None]]:
        return options.progress(title, total=total)

    def notify(self, message: str) -> None:
        options.notify(message)


@evaluate_app.command("run")
def run(
    datasets: Datasets,
    models: Models = None,
    output: Output = DEFAULT_OUTPUT,
    text: TextColumn = None,
    label: LabelColumn = None,
    group: GroupColumn = None,
    columns: options.TaskColumns = None,
    encoding: options.Encoding = None,
    k: Neighbours = 3,
    role: RoleChoice = None,
    legacy: Legacy = False,
    projection: Projection = "tsne",
    resamples: Annotated[int, typer.Option(min=200, help="Bootstrap resamples.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same figures and pictures.")] = 0,
    cost: Annotated[bool, typer.Option("--cost/--no-cost", help="Measure speed and memory.")] = True,
    curves: Annotated[bool, typer.Option("--curves/--no-curves", help="Fewer dimensions, coarser numbers.")] = True,
    audits: Annotated[bool, typer.Option("--audits/--no-audits", help="What prompts and boilerplate do.")] = True,
    language: ReportLanguage = "en",
    threads: options.Threads = None,
    cache: options.VectorCache = None,
) -> None:
    """Compare embedding models on your own data: scores with intervals, a ranking, a report and maps.

    Started again, an interrupted run goes on where it stopped. A server's key is read from UMEKOMI_API_KEY.
    """
    from umekomi.evaluate.candidates.opening import parse_candidate
    from umekomi.evaluate.datasets import open_task
    from umekomi.evaluate.output.files import RESULTS, SCORES
    from umekomi.evaluate.output.publishing import REPORT, check_output, publish
    from umekomi.evaluate.run import evaluate
    from umekomi.evaluate.settings import EvaluationSettings
    from umekomi.extras import check_installed

    check_installed("sklearn", "scipy", "plotly", "matplotlib", "openTSNE", extra="evaluate")
    if projection == "umap":
        check_installed("umap", extra="maps")
    if not models:
        raise ConfigError("no model: name one or more with -m, for example -m multilingual-e5-small")
    settings = EvaluationSettings(
        k=k,
        role=role or ("raw" if legacy else "document"),
        legacy=legacy,
        resamples=resamples,
        seed=seed,
        projection=projection,
        cost=cost,
        curves=curves,
        audits=audits,
        threads=threads,
        cache=cache,
    )
    check_output(output)
    named = options.task_columns(columns)
    tasks = [
        open_task(source, text=text, label=label, group=group, columns=named, encoding=encoding)
        for source in datasets
    ]
    for task in tasks:
        _say_how_read(task.name, task.origin)
    watch = TerminalWatch()
    evaluation = evaluate([*tasks], [parse_candidate(model) for model in models], settings, watch)
    for note in evaluation.results.notes:
        options.notify(note)
    publish(output, evaluation, language=language, watch=watch)
    print_ranking(evaluation.results)
    options.notify(f"report: {output / REPORT}; figures: {output / RESULTS} and {SCORES}")


@evaluate_app.command("compare")
def compare(
    first: Annotated[Path, typer.Argument(help="results.json of a run, or its folder.")],
    second: Annotated[Path, typer.Argument(help="results.json of another run, or its folder.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for the joined results.")] = None,
    language: ReportLanguage = "en",
) -> None:
    """Join two runs over the same data sets and compare all their models, paired text by text.

    A model that both runs name is told apart by its folder where its fingerprint, role or address's answers differ.
    """
    from umekomi.evaluate.output.files import read_results
    from umekomi.evaluate.output.joining import join_runs
    from umekomi.evaluate.output.publishing import check_output, publish

    if output is not None:
        check_output(output)
    joined = join_runs(read_results(first), read_results(second), names=(str(first), str(second)))
    for note in joined.results.notes:
        options.notify(note)
    if output is not None:
        publish(output, joined, language=language, watch=TerminalWatch())
    print_ranking(joined.results)


def _say_how_read(name: str, origin: Origin) -> None:
    """What was guessed about a file and what was left out of it: the user must be able to object."""
    guessed = ", ".join(f"{use} = '{origin.columns[use]}'" for use in origin.guessed)
    if guessed:
        options.notify(
            f"{name}: columns guessed: {guessed}; choose others with --text, --label, --group or --columns"
        )
    for reason, count in origin.skipped.items():
        options.notify(f"{name}: {count} rows left out: {reason}")
    if origin.preparation:
        options.notify(f"{name}: {'; '.join(origin.preparation)}")


def print_ranking(results: Results) -> None:
    """For each data set the models by rank, with interval and cost, and the verdict, on standard output."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    primary: dict[str, str] = results.settings["primary"]
    for dataset in results.datasets:
        metric = primary[dataset.name]
        console.print(_ranking_table(results, dataset.name, metric))
        for comparison in results.comparisons:
            if (comparison.dataset, comparison.metric) == (dataset.name, metric):
                console.print(Text(options.printable(comparison.sentence)))
    for audit in results.audits:
        if audit.warning:
            console.print(Text(options.printable(f"warning: {audit.dataset}, {audit.model}: {audit.finding}")))


def _ranking_table(results: Results, dataset: str, metric: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title = Text(options.printable(f"{dataset}: {metric}"))
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("rank", "score", "95 % interval", "dim", "tokens/s", "ms/text", "MB"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("model", overflow="fold")
    intervals = {
        score.model: score.ci95 for score in results.scores if (score.dataset, score.metric) == (dataset, metric)
    }
    models = {model.name: model for model in results.models}
    for rank in sorted(results.ranking, key=lambda rank: (rank.rank, -rank.value)):
        if (rank.dataset, rank.metric) != (dataset, metric):
            continue
        model = models[rank.model]
        low, high = intervals[rank.model] or (float("nan"), float("nan"))
        table.add_row(
            str(rank.rank),
            f"{rank.value:.4f}",
            f"{low:.3f} to {high:.3f}",
            str(model.dim),
            _figure(model.cost.tokens_per_s, "{:,.0f}"),
            _figure(model.cost.latency_ms, "{:.1f}"),
            _figure(model.cost.peak_memory_bytes, "{:,.0f}", scale=1e-6),
            Text(options.printable(model.name)),
        )
    return table


def _figure(value: float | None, form: str, *, scale: float = 1.0) -> str:
    return "–" if value is None else form.format(value * scale)
