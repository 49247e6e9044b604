"""What a run will ask, before any call: chunks, splits, tokens, and the smallest improvement a test could show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from umekomi.evaluate.statistics import minimum_detectable_effect
from umekomi.synthesize.corpus import Corpus
from umekomi.synthesize.pairs import SPLITS, Split
from umekomi.synthesize.selection import Wanted, select
from umekomi.synthesize.settings import SynthesisSettings
from umekomi.synthesize.splits import apply_splits, assign_splits

KEPT_SHARE = 0.6
"""Share of queries that a run is expected to keep, for estimates made before it."""

PROMPT_TOKENS = 200
"""Tokens of a prompt beside its passage, and of its answer; for estimates."""
ANSWER_TOKENS = 40

DEVIATION = 0.35
"""Standard deviation of the difference of two models' nDCG@10 on one query: an assumption, stated with the
estimate; once two models were compared, their own is known."""


WRITTEN_PER_S = 20
READ_PER_S = 400
"""Tokens that an LLM of some billion parameters writes and reads a second in one slot: an assumption for estimates
before any call was timed, and said to be one."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is wanted, and what to expect of it.

    splits             of the documents, by identifier
    passed_over        chunks that may not be asked about, by reason
    queries            wanted, by split
    calls              of the LLM: queries, judgements and answers
    detectable_effect  smallest difference in nDCG@10 that the test split would show; None without a test split
    """

    wanted: tuple[Wanted, ...]
    splits: Mapping[str, Split]
    passed_over: Mapping[str, int]
    queries: Mapping[Split, int]
    calls: int
    prompt_tokens: int
    completion_tokens: int
    detectable_effect: float | None

    def expected_seconds(self, *, slots: int, call_seconds: float | None) -> float:
        """How long the calls will take. ``call_seconds``: of one, where calls were timed; else by assumption."""
        if call_seconds is None:
            each = self.prompt_tokens / READ_PER_S + self.completion_tokens / WRITTEN_PER_S
            return each / slots
        return call_seconds * self.calls / slots


def build_plan(corpus: Corpus, settings: SynthesisSettings) -> Plan:
    """Choose chunks and splits. Raises `InvalidInput` where nothing is left to ask about."""
    selection = select(
        corpus.chunks,
        eligibility=settings.eligibility,
        per_document=settings.per_document,
        styles=settings.styles,
    )
    weights = Counter(each.chunk.document_id for each in selection.wanted)
    documents = corpus.documents(weights)
    splits = assign_splits(documents) if settings.splits is None else apply_splits(documents, settings.splits)
    queries = Counter(splits[each.chunk.document_id] for each in selection.wanted)
    passages = sum(each.chunk.tokens for each in selection.wanted)
    count = len(selection.wanted)
    further = round(KEPT_SHARE * count) * (settings.judge + settings.answers)
    tested = round(KEPT_SHARE * queries["test"])
    return Plan(
        wanted=selection.wanted,
        splits=splits,
        passed_over=selection.passed_over,
        queries={split: queries[split] for split in SPLITS},
        calls=count + further,
        prompt_tokens=round((passages / count + PROMPT_TOKENS) * (count + further)),
        completion_tokens=ANSWER_TOKENS * (count + further),
        detectable_effect=minimum_detectable_effect(tested, deviation=DEVIATION) if tested > 1 else None,
    )


def iter_sentences(plan: Plan, *, chunks: int, cost: str = "") -> Iterator[str]:
    """What a plan means to who must decide on it, a line each.

    chunks  of the corpus
    cost    of the calls, in words; left out where empty
    """
    yield f"{chunks} chunks of {len(plan.splits)} documents"
    for reason, count in plan.passed_over.items():
        yield f"{count} chunks are passed over: {reason}"
    wanted = ", ".join(f"{split} {count}" for split, count in plan.queries.items())
    tokens = plan.prompt_tokens + plan.completion_tokens
    yield f"{len(plan.wanted)} queries wanted ({wanted}), about {plan.calls} calls of {tokens:,} tokens" + (
        f", cost {cost}" if cost else ""
    )
    if plan.detectable_effect is None:
        yield "too few test queries to show any improvement; give more documents"
    else:
        yield f"the test split could show a difference in nDCG@10 of {plan.detectable_effect:.3f} or more"
    for split, count in plan.queries.items():
        if not count:
            yield f"{split} stays empty: ask about three documents that are no near-duplicates"


def in_words(seconds: float) -> str:
    """``45 s``, ``12 min`` or ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
