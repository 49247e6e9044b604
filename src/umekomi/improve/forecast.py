"""What an improvement would do and how long it would take, before anything is asked of an LLM or trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from umekomi.documents.corpus.journal import single_run
from umekomi.improve.inputs import Ground, open_ground
from umekomi.improve.run import IMPROVE_LOCK, Steps, read
from umekomi.improve.settings import ImproveSettings
from umekomi.improve.sizes import check_plan
from umekomi.improve.state import State, load_state
from umekomi.prove.files import REPORT_JSON
from umekomi.synthesize.corpus import read_corpus
from umekomi.synthesize.making import expect_time
from umekomi.synthesize.output.files import LOCK, SUMMARY
from umekomi.synthesize.pairs import SPLITS, Split
from umekomi.synthesize.planning import KEPT_SHARE, Plan, build_plan, iter_sentences
from umekomi.synthesize.settings import Watch
from umekomi.train.data import read_training_data
from umekomi.train.examples import Example, Passage, TrainingData
from umekomi.train.fitting.estimating import estimate_fit

QUERY_CHARACTERS = 40
"""Of a chunk, to stand for a query that is not written yet: about as long as the ones that LLMs write."""


def forecast(settings: ImproveSettings, folder: Path, watch: Watch) -> Iterator[str]:
    """What each step would do, a line each. Documents are read, and a few training steps are timed.

    Raises what `improve` raises before its first call of an LLM.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with single_run(folder / IMPROVE_LOCK):
        ground = open_ground(settings, folder, notify=watch.notify)
        state = load_state(folder)
        ground.pairs.mkdir(exist_ok=True)
        with single_run(ground.pairs / LOCK):
            read(ground, Steps(state, watch))
            if state.holds("synthesize", ground.digest_writing()) and (ground.pairs / SUMMARY).exists():
                yield "synthesize: finished before; the LLM is not asked"
                yield from _training(ground, state, watch)
                return
        corpus = read_corpus(ground.corpus)
        plan = build_plan(corpus, settings.synthesis)
        for sentence in iter_sentences(plan, chunks=len(corpus.chunks)):
            yield f"synthesize: {sentence}"
        check_plan(plan)
        yield f"synthesize: {expect_time(plan, ground.pairs, slots=settings.writer.slots)}"
        yield f"train: supposing that {KEPT_SHARE:.0%} of the queries are kept"
        yield from _lines(_stand_in(plan), ground, watch)


def _training(ground: Ground, state: State, watch: Watch) -> Iterator[str]:
    if state.holds("train", ground.digest_training()) and (ground.training / REPORT_JSON).exists():
        yield "train: finished before, and proved"
        return
    yield from _lines(read_training_data(ground.pairs, notify=watch.notify), ground, watch)


def _lines(data: TrainingData, ground: Ground, watch: Watch) -> Iterator[str]:
    estimate = estimate_fit(data, ground.settings.training, bundle=ground.base, watch=watch)
    for line in estimate.lines():
        yield f"train: {line}"


def _stand_in(plan: Plan) -> TrainingData:
    """As many pairs of the texts that will be trained as may be expected; their queries are starts of the texts."""
    splits: dict[Split, list[Example]] = {split: [] for split in SPLITS}
    for number, wanted in enumerate(plan.wanted):
        chunk = wanted.chunk
        query = f"{number} {chunk.text[:QUERY_CHARACTERS]}"
        splits[plan.splits[chunk.document_id]].append(
            Example(str(number), query, chunk.text, chunk_id=chunk.id, document_id=chunk.document_id)
        )
    kept = {split: found[: max(1, round(KEPT_SHARE * len(found)))] for split, found in splits.items()}
    chunks = {wanted.chunk.id: wanted.chunk for wanted in plan.wanted}
    corpus = tuple(Passage(chunk.id, chunk.text, chunk.document_id, chunk.start) for chunk in chunks.values())
    return TrainingData(
        "ranking", tuple(kept["train"]), tuple(kept["dev"]), tuple(kept["test"]), corpus, digests={}, skipped={}
    )
