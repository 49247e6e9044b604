"""The LLM as a judge of its own pairs, believed only where it tells right pairs from wrong ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from umekomi.documents.languages import language_of
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.tasks import RetrievalTask
from umekomi.synthesize.calls.asking import Call
from umekomi.synthesize.calls.ledger import Reply
from umekomi.synthesize.pairs import Pair, Rejection

FILTER = "judge"

TRIALS = 20
"""Pairs with a known answer, half of them right and half mismatched, that a judge is tried on."""

NEEDED = 16
"""Trials to get right: a coin does so in 6 of 1,000 cases (binomial)."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A pair whose answer is known."""

    query: str
    passage: str
    language: str
    right: bool


def plan_trials(languages: Sequence[str]) -> list[Trial]:
    """Questions of the shipped sample with their own passage, and as many with another's."""
    task = open_task("sample-retrieval")
    assert isinstance(task, RetrievalTask)
    rows = [row for row, query in enumerate(task.queries) if language_of(query) in languages]
    count = min(TRIALS, len(rows))
    chosen = [rows[place * len(rows) // count] for place in range(count)]
    trials = []
    for place, row in enumerate(chosen):
        right = place % 2 == 0
        own = row if right else chosen[(place + 2) % count]
        passage = task.corpus[next(iter(task.relevant[own]))]
        trials.append(Trial(task.queries[row], passage, language_of(task.queries[row]), right))
    return trials


def count_right(trials: Sequence[Trial], replies: Sequence[Reply | None]) -> int:
    """Trials that the judge got right; no answer is a wrong one."""
    return sum(
        reply is not None and reply.content is not None and reply.content["answers"] == trial.right
        for trial, reply in zip(trials, replies, strict=True)
    )


def is_able(right: int, trials: int) -> bool:
    """Whether so many right ones of ``trials`` are more than luck."""
    return right >= trials * NEEDED / TRIALS


def without_condemned(
    pairs: Sequence[Pair], calls: Mapping[str, Call], replies: Mapping[str, Reply]
) -> tuple[list[Pair], list[Rejection]]:
    """``pairs`` that the judge passed, and those that it could not judge, in their order.

    calls    by the pair's identifier
    replies  by the call's key
    """
    kept, rejected = [], []
    for pair in pairs:
        reply = replies.get(calls[pair.id].key)
        content = reply.content if reply is not None else None
        if content is None or (content["answers"] and content["natural"]):
            kept.append(pair)
            continue
        failed = "the chunk does not answer it" if not content["answers"] else "nobody would ask it so"
        rejected.append(Rejection(pair, FILTER, f"{failed}: {content['reason']}"))
    return kept, rejected
