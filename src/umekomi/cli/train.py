"""``umekomi train``: tune a model on pairs, and prove whether that made it better."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from umekomi.cli import options
from umekomi.cli.exit_codes import CANNOT_REPLACE
from umekomi.cli.train_progress import TrainingWatch
from umekomi.errors import ConfigError

if TYPE_CHECKING:
    from umekomi.prove.results import TrainingReport
    from umekomi.train.materials import PreferenceTable

NO_GENERAL = "none"
Number = TypeVar("Number", int, float)

Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")]
Pairs = Annotated[
    Path | None,
    typer.Argument(
        metavar="[PAIRS]",
        help="A folder of umekomi synthesize or of train, dev and test; or a file (.jsonl, .csv, .parquet, "
        ".xlsx) of query and positive, or of two texts and a score. May be left out with --preference.",
    ),
]
PairColumns = Annotated[
    list[str] | None,
    typer.Option(
        help="Repeat it: USE=COLUMN, where USE is query, positive, negatives, first, second, score, group or "
        "id; guessed where left out.",
    ),
]
Base = Annotated[
    str, typer.Option("--model", "-m", help="The base: a folder, hub id or starter name, in safetensors.")
]
MaxSteps = Annotated[int | None, typer.Option(min=1, help="End after so many steps at most.")]
MiniBatchSize = Annotated[int, typer.Option(min=1, help="Texts that run at once; lower it where memory is short.")]
Scale = Annotated[float, typer.Option(min=0.1, help="Cosines are multiplied by it: 1 / temperature.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same curve.")]
LoraRank = Annotated[
    int | None, typer.Option(min=1, help="Train LoRA adapters of this rank and merge them; try 1e-4 or more.")
]
Matryoshka = Annotated[
    str | None, typer.Option(metavar="256,128", help="Fewer dimensions that shall do on their own.")
]
Distill = Annotated[
    str | None, typer.Option(metavar="RERANKER", help="Teach the order that this reranker gives the texts.")
]
Negatives = Annotated[int, typer.Option(min=0, help="Hard negatives that are mined for each pair.")]
NegativeMargin = Annotated[
    float, typer.Option(min=0, max=1, help="A negative is less like the query than the positive by this share.")
]
Alphas = Annotated[
    str, typer.Option(help="Shares of the way from base to tuned weights that are tried afterwards.")
]
ToleratedLoss = Annotated[
    float, typer.Option(min=0, max=1, help="Of the general sets' scores, for an alpha to be chosen.")
]
Preference = Annotated[
    Path | None, typer.Option(metavar="TABLE", help="A table with ratings of texts to steer the model by.")
]
Target = Annotated[str | None, typer.Option(help="Column of the ratings.")]
RatedTexts = Annotated[list[str] | None, typer.Option(help="Repeat it: a column of the texts that were rated.")]
RatedGroup = Annotated[str | None, typer.Option(help="Column of what belongs together, such as one film.")]
GradientCheckpointing = Annotated[
    bool, typer.Option("--gradient-checkpointing", help="Less memory for about a third more time.")
]
Patience = Annotated[int, typer.Option(min=0, help="Scores of dev without a better one that end it; 0 never does.")]
Evaluations = Annotated[int, typer.Option(min=1, help="How often dev is scored and a checkpoint kept.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with what lies in the output, after an interruption.")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Time a few steps, say what it will all take, and stop.")]


def train(
    output: Output,
    source: Pairs = None,
    columns: PairColumns = None,
    model: Base = options.DEFAULT_MODEL,
    epochs: options.Epochs = 2.0,
    max_steps: MaxSteps = None,
    batch_size: options.BatchSize = 64,
    mini_batch_size: MiniBatchSize = 16,
    learning_rate: options.LearningRate = 2e-5,
    scale: Scale = 50.0,
    max_length: options.MaxLength = None,
    seed: Seed = 0,
    lora_rank: LoraRank = None,
    matryoshka: Matryoshka = None,
    distill: Distill = None,
    negatives: Negatives = 1,
    negative_margin: NegativeMargin = 0.05,
    alphas: Alphas = "0.3,0.5,0.7,1",
    tolerated_loss: ToleratedLoss = 0.01,
    general: options.GeneralSets = None,
    preference: Preference = None,
    target: Target = None,
    text: RatedTexts = None,
    group: RatedGroup = None,
    gradient_checkpointing: GradientCheckpointing = False,
    patience: Patience = 3,
    evaluations: Evaluations = 4,
    resume: Resume = False,
    device: Device = "auto",
    threads: options.Threads = None,
    cache: options.VectorCache = None,
    encoding: options.Encoding = None,
    dry_run: DryRun = False,
) -> None:
    """Tune a model on your pairs, and prove on pairs it has not seen whether that made it better.

    An interrupted run goes on where it stopped with --resume. Exit code 4: the model became worse, and nothing that
    is served has changed. Several GPUs: accelerate launch -m umekomi train …
    """
    from umekomi.train import run
    from umekomi.train.settings import TrainingSettings

    settings = TrainingSettings(
        base=model,
        epochs=epochs,
        max_steps=max_steps,
        batch_size=batch_size,
        mini_batch_size=mini_batch_size,
        learning_rate=learning_rate,
        scale=scale,
        max_length=max_length,
        seed=seed,
        lora_rank=lora_rank,
        matryoshka=_numbers("--matryoshka", matryoshka, int),
        distill=distill,
        negatives=negatives,
        negative_margin=negative_margin,
        gradient_checkpointing=gradient_checkpointing,
        patience=patience or None,
        evaluations=evaluations,
        alphas=_numbers("--alphas", alphas, float),
        tolerated_loss=tolerated_loss,
        device=device,
        threads=threads,
        cache=cache,
    )
    table = parse_preference(preference, target, text, group)
    named = options.task_columns(columns)
    if named and source is None:
        raise ConfigError("--columns is about pairs: give them before --preference")
    names = parse_general(general)
    watch = TrainingWatch()
    if dry_run:
        estimate = run.estimate_training(
            source, settings, preference=table, columns=named, encoding=encoding, watch=watch
        )
        for line in estimate.lines():
            typer.echo(options.printable(line))
        return
    report = run.train(
        source,
        settings,
        output,
        watch=watch,
        general=names,
        preference=table,
        columns=named,
        encoding=encoding,
        resume=resume,
    )
    if report is not None:
        print_verdict(report, output)
        if report.verdict == "REGRESSED":
            raise typer.Exit(CANNOT_REPLACE)


def print_verdict(report: TrainingReport, output: Path) -> None:
    """The verdict and why, on standard output; where the model and its report lie, on standard error."""
    from umekomi.prove.files import REPORT_JSON
    from umekomi.prove.output.report import REPORT
    from umekomi.train.exporting.export import CHECKED

    typer.echo(options.printable(f"{report.verdict}: {report.sentence}"))
    for reason in report.reasons:
        typer.echo(options.printable(f"  {reason}"))
    options.notify(f"model: {output / CHECKED}; report: {output / REPORT}; figures: {output / REPORT_JSON}")
    if report.verdict == "IMPROVED":
        options.notify(f"to serve it: umekomi promote {shlex.quote(str(output))} --alias NAME")


def parse_general(names: list[str] | None) -> tuple[str, ...]:
    """The data sets that ``--general`` names. Raises `ConfigError` for ``none`` beside others."""
    from umekomi.train.materials import GENERAL

    if names is None:
        return GENERAL
    if NO_GENERAL in names:
        if len(names) > 1:
            raise ConfigError(f"--general {NO_GENERAL}: leave it out, or leave the others out")
        return ()
    return tuple(names)


def parse_preference(
    table: Path | None, target: str | None, text: list[str] | None, group: str | None
) -> PreferenceTable | None:
    """What ``--preference`` and the options about it name. Raises `ConfigError` where one needs the other."""
    from umekomi.train.materials import PreferenceTable

    if table is None:
        if target or text or group:
            raise ConfigError(
                "--target, --text and --group are about a table of ratings: name it with --preference"
            )
        return None
    if target is None:
        raise ConfigError(f"--preference {table}: name the column of the ratings with --target")
    return PreferenceTable(str(table), target, tuple(text or ()), group)


def _numbers(option: str, text: str | None, kind: Callable[[str], Number]) -> tuple[Number, ...]:
    try:
        return tuple(kind(part) for part in text.split(",")) if text else ()
    except ValueError:
        which = "whole numbers" if kind is int else "numbers"
        raise ConfigError(f"{option} {text}: write {which} with commas between them") from None
