"""``umekomi improve``: from documents to a proved model, in one command that can be given again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from umekomi.cli import options
from umekomi.cli.exit_codes import CANNOT_REPLACE
from umekomi.cli.synthesize_inputs import (
    LANGUAGES_AUTO,
    build_eligibility,
    check_before,
    parse_styles,
    read_examples,
)
from umekomi.cli.synthesize_progress import TerminalWatch
from umekomi.cli.train import parse_general
from umekomi.cli.train_progress import TrainingWatch

if TYPE_CHECKING:
    from umekomi.improve.run import Improved
    from umekomi.synthesize.calls.driving import Progress


class ImproveWatch:
    """Shows calls as synthesis does and all else as training does. What several steps say is said once."""

    def __init__(self) -> None:
        self._calls = TerminalWatch(prompt_price=0, completion_price=0)
        self._training = TrainingWatch()
        self._said: set[str] = set()

    def stage(self, title: str, *, total: int) -> AbstractContextManager[Callable[[int], None]]:
        return self._training.stage(title, total=total)

    def calls(self, title: str) -> AbstractContextManager[Callable[[Progress], None]]:
        return self._calls.calls(title)

    def notify(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            options.notify(message)


def improve(
    documents: Annotated[
        list[Path], typer.Argument(help="Documents, folders of them, or a corpus.jsonl of umekomi documents read.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")],
    llm: Annotated[
        str, typer.Option("--llm", help="GGUF file or starter name, or http://host:8080/v1#name for a server.")
    ],
    base: Annotated[
        str, typer.Option("--base", "-m", help="The model to improve: a folder, hub id or starter, in safetensors.")
    ] = options.DEFAULT_MODEL,
    per_document: Annotated[int, typer.Option(min=1, help="Queries for each document, in all styles.")] = 20,
    languages: Annotated[str, typer.Option(help="auto, or some of en,ja: chunks in others are passed over.")] = (
        LANGUAGES_AUTO
    ),
    styles: Annotated[str, typer.Option(help="Some of question,keyword,claim.")] = "question,keyword,claim",
    judge: Annotated[bool, typer.Option("--judge/--no-judge", help="Have the LLM judge its own pairs.")] = True,
    examples: Annotated[Path | None, typer.Option(help="File with a real query a line, shown to the LLM.")] = None,
    prompts: Annotated[Path | None, typer.Option(help="Folder with prompts that replace umekomi's own.")] = None,
    slots: Annotated[int | None, typer.Option(min=1, max=256, help="Calls of the LLM at once.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Longest wait for one answer, in seconds.")] = 300.0,
    max_tokens: Annotated[int, typer.Option(min=16, help="Longest answer of the LLM, in tokens.")] = 400,
    epochs: options.Epochs = 2.0,
    max_steps: Annotated[int | None, typer.Option(min=1, help="End training after so many steps at most.")] = None,
    batch_size: options.BatchSize = 64,
    learning_rate: options.LearningRate = 2e-5,
    max_length: options.MaxLength = None,
    lora_rank: Annotated[
        int | None, typer.Option(min=1, help="Train LoRA adapters of this rank and merge them.")
    ] = None,
    general: options.GeneralSets = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed asks and trains the same way.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; of training.")] = "auto",
    threads: options.Threads = None,
    cache: options.VectorCache = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read the documents, time a few steps, say what it takes, and stop.")
    ] = False,
) -> None:
    """Read documents, have queries written, train a model on them, and prove whether that made it better.

    Given again, the same command goes on where it stopped, and does again only what rests on something that has
    changed. A server's key is read from UMEKOMI_API_KEY. Exit code 4: the model became worse, and nothing that is
    served has changed.
    """
    from umekomi.improve.forecast import forecast
    from umekomi.improve.run import improve as improve_model
    from umekomi.improve.settings import ImproveSettings
    from umekomi.synthesize.calls.llm import Sampling
    from umekomi.synthesize.making import Writer
    from umekomi.synthesize.settings import SynthesisSettings
    from umekomi.train.settings import TrainingSettings

    settings = ImproveSettings(
        documents=tuple(documents),
        writer=Writer(llm, slots, timeout, threads),
        synthesis=SynthesisSettings(
            per_document=per_document,
            styles=parse_styles(styles),
            eligibility=build_eligibility(languages, None, 0, None),
            sampling=Sampling(max_tokens=max_tokens, seed=seed),
            target=base,
            judge=judge,
            examples=read_examples(examples) if examples else (),
            prompts=prompts,
        ),
        training=TrainingSettings(
            base=base,
            epochs=epochs,
            max_steps=max_steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            max_length=max_length,
            lora_rank=lora_rank,
            seed=seed,
            device=device,
            threads=threads,
            cache=cache,
        ),
        general=parse_general(general),
    )
    check_before(documents, output, prompts)
    watch = ImproveWatch()
    if dry_run:
        for line in forecast(settings, output, watch):
            typer.echo(options.printable(line))
        return
    improved = improve_model(settings, output, watch)
    _print(improved, output)
    if improved.report.verdict == "REGRESSED":
        raise typer.Exit(CANNOT_REPLACE)


def _print(improved: Improved, output: Path) -> None:
    """The verdict and why, on standard output; where everything lies and what to do next, on standard error."""
    from umekomi.improve.inputs import PAIRS
    from umekomi.improve.story import next_steps

    report = improved.report
    typer.echo(options.printable(f"{report.verdict}: {report.sentence}"))
    for reason in report.reasons:
        typer.echo(options.printable(f"  {reason}"))
    options.notify(f"report: {improved.page}")
    for sentence in next_steps(report, pairs=output / PAIRS, training=improved.training):
        options.notify(sentence)
