"""An improvement from end to end; a step that was finished from the same inputs is not done again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umekomi.documents.corpus.journal import single_run
from umekomi.documents.corpus.output import DOCUMENTS_FILE
from umekomi.improve.inputs import Ground, digest_files, open_ground
from umekomi.improve.settings import ImproveSettings
from umekomi.improve.sizes import check_pairs, check_plan
from umekomi.improve.state import STEPS, State, Step, load_state
from umekomi.improve.story import REPORT, write_story
from umekomi.prove.files import REPORT_JSON, read_training_report
from umekomi.prove.results import TrainingReport
from umekomi.synthesize.corpus import read_corpus
from umekomi.synthesize.making import expect_time, make_pairs, read_corpus_for
from umekomi.synthesize.output.files import LOCK, SUMMARY
from umekomi.synthesize.planning import build_plan, iter_sentences
from umekomi.synthesize.settings import Watch
from umekomi.train.run import train

IMPROVE_LOCK = "improve"
"""``improve.lock`` is held by whoever writes into the folder."""


@dataclass(frozen=True, slots=True)
class Improved:
    """How it ended.

    training  folder of the training: what `umekomi promote` takes
    page      the report on all steps
    done      steps that were done in this run; the others were finished before
    """

    report: TrainingReport
    training: Path
    page: Path
    done: tuple[Step, ...]


def improve(settings: ImproveSettings, folder: Path, watch: Watch) -> Improved:
    """Read documents, have queries written, train on them, prove the result, and tell all of it on one page.

    Called again it goes on where it stopped, and does again only what rests on something that has changed.

    Raises `InvalidInput` where documents or pairs are too few, before what needs them; `StoreError` where another
    run writes into ``folder``; and what `open_ground` and the steps raise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with single_run(folder / IMPROVE_LOCK):
        ground = open_ground(settings, folder, notify=watch.notify)
        steps = Steps(load_state(folder), watch)
        ground.pairs.mkdir(exist_ok=True)
        with single_run(ground.pairs / LOCK):
            read(ground, steps)
            _synthesize(ground, steps)
            check_pairs(ground.pairs, notify=watch.notify)
        training = _train(ground, steps)
        report = read_training_report(training)
        _report(ground, steps, training, report)
        return Improved(report, training, folder / REPORT, tuple(steps.done))


class Steps:
    """Does the steps, or leaves them out."""

    def __init__(self, state: State, watch: Watch) -> None:
        self.watch = watch
        self.done: list[Step] = []
        self._state = state

    def do(self, step: Step, inputs: str, work: Callable[[], dict[str, Any] | None], *, made: Path) -> None:
        """Do a step and write it down, unless it was finished from the same inputs and ``made`` is there.

        A step that gives None made something, but not all that was wanted: it is not finished.
        """
        place = f"step {STEPS.index(step) + 1} of {len(STEPS)}, {step}"
        if self._state.holds(step, inputs) and made.exists():
            self.watch.notify(f"{place}: finished before, and nothing that it rests on has changed")
            return
        self.watch.notify(place)
        self._state.begin()
        try:
            facts = work()
        except KeyboardInterrupt:
            self.watch.notify(f"{place}: interrupted; the same command goes on from here")
            raise
        self.done.append(step)
        if facts is not None:
            self._state.finish(step, inputs, **facts)


def read(ground: Ground, steps: Steps) -> None:
    """Documents to chunks."""
    watch = steps.watch

    def work() -> dict[str, Any]:
        with watch.stage("reading documents", total=ground.count_documents()) as advance:
            found = read_corpus_for(
                ground.settings.training.base,
                ground.settings.documents,
                ground.pairs,
                progress=advance,
                notify=watch.notify,
            )
        return {"chunks": len(found.chunks), "totals": found.report.totals if found.report else None}

    steps.do("read", ground.digest_documents(), work, made=ground.corpus)


def _synthesize(ground: Ground, steps: Steps) -> None:
    settings, watch = ground.settings, steps.watch

    def work() -> dict[str, Any] | None:
        corpus = read_corpus(ground.corpus)
        plan = build_plan(corpus, settings.synthesis)
        for sentence in iter_sentences(plan, chunks=len(corpus.chunks)):
            watch.notify(sentence)
        check_plan(plan)
        watch.notify(expect_time(plan, ground.pairs, slots=settings.writer.slots))
        made = make_pairs(corpus, plan, settings.writer, settings.synthesis, folder=ground.pairs, watch=watch)
        if missing := json.loads((ground.pairs / SUMMARY).read_bytes())["calls_missing"]:
            watch.notify(f"{missing} calls of the LLM failed; give the same command again to ask them")
            return None
        return {"pairs": dict(made.counts), "left_out": len(made.rejections)}

    steps.do("synthesize", ground.digest_writing(), work, made=ground.pairs / SUMMARY)


def _train(ground: Ground, steps: Steps) -> Path:
    """The folder of the training with its proof."""
    settings, folder = ground.settings, ground.training

    def work() -> dict[str, Any]:
        train(ground.pairs, settings.training, folder, general=settings.general, resume=True, watch=steps.watch)
        return {"folder": folder.name}

    steps.do("train", ground.digest_training(), work, made=folder / REPORT_JSON)
    return folder


def _report(ground: Ground, steps: Steps, training: Path, report: TrainingReport) -> None:
    told = (training / REPORT_JSON, ground.pairs / SUMMARY, ground.corpus)
    page = ground.folder / REPORT

    def work() -> dict[str, Any]:
        read_here = None if ground.corpus_was_given else ground.pairs / DOCUMENTS_FILE
        write_story(page, report, documents=read_here, pairs=ground.pairs, training=training)
        return {}

    steps.do("report", digest_files(told), work, made=page)
