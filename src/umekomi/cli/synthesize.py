"""``umekomi synthesize``: training pairs from documents, written by an LLM, filtered, split, and reviewed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from umekomi.cli import options
from umekomi.cli.synthesize_inputs import (
    LANGUAGES_AUTO,
    build_eligibility,
    check_before,
    parse_styles,
    read_examples,
    read_queries,
    read_splits,
)
from umekomi.cli.synthesize_progress import TerminalWatch, cost_of
from umekomi.errors import ConfigError

if TYPE_CHECKING:
    from umekomi.synthesize.corpus import Corpus
    from umekomi.synthesize.making import Made
    from umekomi.synthesize.pairs import Rejection
    from umekomi.synthesize.planning import Plan

synthesize_app = typer.Typer(
    cls=options.RunByDefault,
    no_args_is_help=True,
    help="Make training pairs from documents. umekomi synthesize DOCS… is short for umekomi synthesize run DOCS….",
)
review_app = typer.Typer(help="Review pairs in a spreadsheet.", no_args_is_help=True)
synthesize_app.add_typer(review_app, name="review")

Folder = Annotated[Path, typer.Argument(help="Folder of a finished synthesis.")]


@synthesize_app.command("run")
def run(
    documents: Annotated[
        list[Path], typer.Argument(help="Documents, folders of them, or a corpus.jsonl of umekomi documents read.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")],
    llm: Annotated[
        str, typer.Option("--llm", help="GGUF file or starter name, or http://host:8080/v1#name for a server.")
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Model that will be tuned: counts tokens, makes the round trip."),
    ] = None,
    per_document: Annotated[int, typer.Option(min=1, help="Queries for each document, in all styles.")] = 20,
    languages: Annotated[str, typer.Option(help="auto, or some of en,ja: chunks in others are passed over.")] = (
        LANGUAGES_AUTO
    ),
    styles: Annotated[str, typer.Option(help="Some of question,keyword,claim.")] = "question,keyword,claim",
    answers: Annotated[bool, typer.Option("--answers", help="Have an answer written for each query.")] = False,
    judge: Annotated[bool, typer.Option("--judge/--no-judge", help="Have the LLM judge its own pairs.")] = True,
    keywords: Annotated[
        Path | None, typer.Option(help="File with a keyword a line: only chunks with one of them, in any case.")
    ] = None,
    min_chars: Annotated[int, typer.Option(min=0, help="Only chunks of at least so many characters.")] = 0,
    max_chars: Annotated[int | None, typer.Option(min=1, help="Only chunks of at most so many.")] = None,
    examples: Annotated[Path | None, typer.Option(help="File with a real query a line, shown to the LLM.")] = None,
    queries: Annotated[
        Path | None, typer.Option(help="File of real queries: matched to chunks, mixed in and compared.")
    ] = None,
    splits: Annotated[
        Path | None, typer.Option(help="CSV with the columns source and split, for every document.")
    ] = None,
    prompts: Annotated[Path | None, typer.Option(help="Folder with prompts that replace umekomi's own.")] = None,
    slots: Annotated[int | None, typer.Option(min=1, max=256, help="Calls of the LLM at once.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Longest wait for one answer, in seconds.")] = 300.0,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="How freely the LLM chooses words.")] = 0.7,
    max_tokens: Annotated[int, typer.Option(min=16, help="Longest answer of the LLM, in tokens.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="The same seed asks for the same answers.")] = 0,
    prompt_price: Annotated[float, typer.Option(min=0, help="Price of a million prompt tokens, to show.")] = 0.0,
    completion_price: Annotated[float, typer.Option(min=0, help="Price of a million written tokens.")] = 0.0,
    explain: Annotated[bool, typer.Option("--explain", help="Print every pair that went, and why.")] = False,
    threads: options.Threads = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked, and stop.")] = False,
) -> None:
    """Turn documents into training pairs: train, dev and test, with everything that was left out and why.

    Started again, an interrupted run goes on where it stopped. A server's key is read from UMEKOMI_API_KEY.
    """
    from umekomi.documents.corpus.journal import single_run
    from umekomi.synthesize.calls.llm import Sampling
    from umekomi.synthesize.making import RealQueries, Writer, make_pairs
    from umekomi.synthesize.output.files import LOCK
    from umekomi.synthesize.planning import build_plan
    from umekomi.synthesize.settings import SynthesisSettings

    settings = SynthesisSettings(
        per_document=per_document,
        styles=parse_styles(styles),
        eligibility=build_eligibility(languages, keywords, min_chars, max_chars),
        sampling=Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed),
        target=model,
        answers=answers,
        judge=judge,
        examples=read_examples(examples) if examples else (),
        prompts=prompts,
        splits=read_splits(splits) if splits else None,
    )
    watch = TerminalWatch(prompt_price=prompt_price, completion_price=completion_price)
    real = RealQueries(read_queries(queries), model or options.DEFAULT_MODEL) if queries else None
    check_before(documents, output, prompts)
    with single_run(output / LOCK):
        corpus = open_corpus(documents, output, model)
        plan = build_plan(corpus, settings)
        print_plan(plan, corpus, prices=(prompt_price, completion_price))
        print_time(plan, output, slots=slots)
        if dry_run:
            return
        made = make_pairs(
            corpus, plan, Writer(llm, slots, timeout, threads), settings, folder=output, watch=watch, real=real
        )
        _report(made, output, explain=explain)


def _report(made: Made, output: Path, *, explain: bool) -> None:
    from umekomi.synthesize.output.files import REJECTED
    from umekomi.synthesize.publishing import REPORT

    if explain:
        _print_rejections(made.rejections)
    for name, count in Counter(each.filter for each in made.rejections).most_common():
        options.notify(f"left out by {name}: {count}")
    kept = ", ".join(f"{split} {count}" for split, count in made.counts.items())
    options.notify(f"{kept} pairs → {output}; {len(made.rejections)} left out, for reasons in {output / REJECTED}")
    options.notify(f"report: {output / REPORT}")


@review_app.command("export")
def export(
    folder: Folder,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; pairs.xlsx by default.")
    ] = None,
) -> None:
    """Write the pairs to a spreadsheet for people to correct, delete and add."""
    from umekomi.synthesize.output.files import read_pairs
    from umekomi.synthesize.output.spreadsheet import write_spreadsheet

    pairs = [pair for split in read_pairs(folder).values() for pair in split]
    path = output or folder / "pairs.xlsx"
    if path.suffix.lower() != ".xlsx":
        raise ConfigError(f"--output {path}: the table is XLSX; name it {path.with_suffix('.xlsx').name}")
    write_spreadsheet(path, pairs)
    options.notify(
        f"{len(pairs)} pairs → {path}; change questions and answers, delete rows, or add rows without an id"
    )


@review_app.command("import")
def import_(folder: Folder, sheet: Annotated[Path, typer.Argument(help="The spreadsheet, corrected.")]) -> None:
    """Take over what people changed in a spreadsheet; it holds for later runs, too."""
    from umekomi.synthesize.reviewing import import_review

    changes, counts = import_review(folder, sheet)
    if changes.other_texts:
        options.notify(
            f"{changes.other_texts} rows have another doc than was exported, which is not taken over: texts come "
            "from the documents; correct those and run umekomi synthesize again"
        )
    options.notify(
        f"{changes.kept} unchanged, {len(changes.edited)} edited, {len(changes.deleted)} deleted, "
        f"{len(changes.added)} added; now " + ", ".join(f"{split} {count}" for split, count in counts.items())
    )


def open_corpus(documents: list[Path], output: Path, model: str | None) -> Corpus:
    """The corpus of ``documents``, with progress."""
    from umekomi.synthesize.making import read_corpus_for

    with options.progress("reading documents", total=None) as advance:
        return read_corpus_for(
            model or options.DEFAULT_MODEL, documents, output, progress=advance, notify=options.notify
        )


def print_plan(plan: Plan, corpus: Corpus, *, prices: tuple[float, float]) -> None:
    """What is wanted, what it takes and what it could show."""
    from umekomi.synthesize.planning import iter_sentences

    cost = cost_of(plan.prompt_tokens, plan.completion_tokens, *prices)
    for sentence in iter_sentences(plan, chunks=len(corpus.chunks), cost=f"{cost:.2f}" if cost else ""):
        options.notify(sentence)


def print_time(plan: Plan, output: Path, *, slots: int | None) -> None:
    """How long the calls will take: by those that were made, or by an assumption that is stated."""
    from umekomi.synthesize.making import expect_time

    options.notify(expect_time(plan, output, slots=slots))


def _print_rejections(rejections: Sequence[Rejection]) -> None:
    for each in rejections:
        typer.echo(
            options.printable(f"{each.filter}: {each.pair.query or '(no query)'}: {each.evidence} [{each.pair.id}]")
        )
