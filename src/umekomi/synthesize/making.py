"""Documents to published pairs: the steps that ``umekomi synthesize`` and ``umekomi improve`` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from umekomi.documents import load_counter
from umekomi.embedding.embedder import open_embedder
from umekomi.synthesize.calls.ledger import Ledger
from umekomi.synthesize.calls.llm import DEFAULT_SLOTS, TIMEOUT_S, open_llm
from umekomi.synthesize.corpus import Corpus, open_corpus
from umekomi.synthesize.logs import match_queries, measure_distance
from umekomi.synthesize.output.files import read_rejections
from umekomi.synthesize.pairs import Rejection, Split
from umekomi.synthesize.planning import READ_PER_S, WRITTEN_PER_S, Plan, in_words
from umekomi.synthesize.publishing import Logs, publish, without_test
from umekomi.synthesize.run import LEDGER, synthesize
from umekomi.synthesize.settings import SynthesisSettings, Watch


@dataclass(frozen=True, slots=True)
class Writer:
    """The LLM that writes, not open yet.

    name     GGUF file or starter, or ``http://host:8080/v1#name``
    slots    calls at once; as many as the LLM says where None
    threads  of an LLM in this process; all cores where None
    """

    name: str
    slots: int | None = None
    timeout_s: float = TIMEOUT_S
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class RealQueries:
    """Queries of real users, and the model whose vectors match them to chunks."""

    queries: Sequence[str]
    model: str


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """What was published: pairs by split, and everything that was left out."""

    counts: Mapping[Split, int]
    rejections: tuple[Rejection, ...]


def read_corpus_for(
    model: str,
    documents: Sequence[Path],
    folder: Path,
    *,
    progress: Callable[[int], None],
    notify: Callable[[str], None],
) -> Corpus:
    """The corpus of ``documents`` in ``folder``, in chunks that suit ``model``; says how the files ended.

    A file that has not changed since an earlier run is not read again. Raises what `open_corpus` raises.
    """
    corpus = open_corpus(documents, folder, load_counter(model, notify=notify), progress=progress)
    if corpus.report is not None:
        totals = ", ".join(f"{count} {status}" for status, count in corpus.report.totals.items() if count)
        notify(f"documents: {totals}; see {folder / 'documents.json'}")
    return corpus


def expect_time(plan: Plan, folder: Path, *, slots: int | None) -> str:
    """How long the calls of ``plan`` will take, by those that were made or by an assumption, which is stated."""
    timed = None
    if (folder / LEDGER).exists():
        with Ledger(folder / LEDGER) as ledger:
            timed = ledger.mean_seconds()
    count = slots or DEFAULT_SLOTS
    basis = (
        f"{timed:.1f} s a call, as earlier calls took"
        if timed is not None
        else f"assuming {READ_PER_S} tokens read and {WRITTEN_PER_S} written a second"
    )
    needed = in_words(plan.expected_seconds(slots=count, call_seconds=timed))
    return f"expected time {needed} for all calls, with {count} at once and {basis}"


def make_pairs(
    corpus: Corpus,
    plan: Plan,
    writer: Writer,
    settings: SynthesisSettings,
    *,
    folder: Path,
    watch: Watch,
    real: RealQueries | None = None,
) -> Made:
    """Open the LLM, have it write what ``plan`` wants, filter that, and publish it in ``folder``.

    Every answer is kept as it comes, so an interrupted run goes on where it stopped. Raises what `open_llm`,
    `synthesize` and `publish` raise.
    """
    llm = open_llm(
        writer.name, slots=writer.slots, timeout_s=writer.timeout_s, threads=writer.threads, notify=watch.notify
    )
    try:
        synthesis = synthesize(corpus, plan, llm, settings, folder=folder, watch=watch)
    finally:
        llm.close()
    logs = None
    if real is not None:
        logs = _match(real, corpus, plan, synthetic=[pair.query for pair in synthesis.pairs], watch=watch)
    counts = publish(folder, corpus, plan, synthesis, settings=settings, llm_name=llm.name, logs=logs)
    return Made(counts, tuple(read_rejections(folder)))


def _match(real: RealQueries, corpus: Corpus, plan: Plan, *, synthetic: Sequence[str], watch: Watch) -> Logs:
    with open_embedder(real.model, notify=watch.notify) as embedder:
        with watch.stage("matching real queries", total=len(corpus.chunks)) as advance:
            match = match_queries(real.queries, corpus.chunks, embedder=embedder, advance=advance)
        distance = measure_distance(real.queries, synthetic, embedder=embedder)
    match, tested = without_test(match, plan.splits)
    return Logs(match, distance, tested)
