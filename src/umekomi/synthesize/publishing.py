"""A synthesis to its folder: review applied, real queries mixed in, every file written, synthesis.json last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from umekomi.synthesize.corpus import Corpus
from umekomi.synthesize.filters.repeating import without_repeats
from umekomi.synthesize.logs import Distance, LogMatch
from umekomi.synthesize.output.files import (
    begin_writing,
    write_pairs_json,
    write_rejections,
    write_retrieval,
    write_splits,
    write_summary,
)
from umekomi.synthesize.output.report import REPORT, write_report
from umekomi.synthesize.output.spreadsheet import write_spreadsheet
from umekomi.synthesize.pairs import Pair, Rejection, Split
from umekomi.synthesize.planning import Plan
from umekomi.synthesize.review import FILTER, load_review
from umekomi.synthesize.run import Synthesis
from umekomi.synthesize.settings import SynthesisSettings

__all__ = ["REPORT", "Logs", "publish", "without_test"]

SPREADSHEET = "pairs.xlsx"


@dataclass(frozen=True, slots=True)
class Logs:
    """What became of real queries. ``tested`` were matched to a document of the test split, and left out."""

    match: LogMatch
    distance: Distance | None
    tested: int


def publish(
    folder: Path,
    corpus: Corpus,
    plan: Plan,
    synthesis: Synthesis,
    *,
    settings: SynthesisSettings,
    llm_name: str,
    logs: Logs | None,
) -> dict[Split, int]:
    """Write everything into ``folder``; returns the pairs of each split. Raises `StoreError`.

    What each filter took out, with repeats of real queries and the decisions of people, stands in synthesis.json.
    """
    pairs, repeated = mix(synthesis.pairs, logs.match.pairs if logs else (), plan.splits)
    reviewed, dropped = load_review(folder).apply(pairs)
    pairs, lost = _without_lost(reviewed, corpus)
    rejections = [*synthesis.rejections, *repeated, *dropped, *lost]
    begin_writing(folder)
    write_retrieval(folder, pairs, corpus.chunks, plan.splits)
    write_pairs_json(folder, pairs)
    write_spreadsheet(folder / SPREADSHEET, pairs)
    write_rejections(folder, rejections)
    counts = write_splits(folder, pairs, plan.splits)
    summary = _summarise(plan, synthesis, settings, llm_name=llm_name, logs=logs)
    own = corpus.path.parent == folder.resolve()
    # By name where it is the folder's own, so that the folder may be moved.
    summary |= {"corpus": corpus.path.name if own else str(corpus.path), "splits": dict(plan.splits)}
    summary |= {"pairs": counts, "rejected": dict(Counter(each.filter for each in rejections))}
    write_report(folder, corpus, pairs, rejections, splits=plan.splits, summary=summary)
    write_summary(folder, summary)
    return counts


def mix(
    synthetic: Sequence[Pair], real: Sequence[Pair], splits: Mapping[str, Split]
) -> tuple[list[Pair], list[Rejection]]:
    """Both kinds together: no query twice, whoever asked it, and a real one before the LLM's in the same split."""
    return without_repeats([*real, *synthetic], splits) if real else (list(synthetic), [])


def _without_lost(pairs: Sequence[Pair], corpus: Corpus) -> tuple[list[Pair], list[Rejection]]:
    """``pairs`` without those that people wrote for a text that is gone or changed."""
    there = {chunk.id for chunk in corpus.chunks}
    lost = [Rejection(pair, FILTER, "its chunk is no longer there") for pair in pairs if pair.chunk_id not in there]
    return [pair for pair in pairs if pair.chunk_id in there], lost


def without_test(match: LogMatch, splits: Mapping[str, Split]) -> tuple[LogMatch, int]:
    """``match`` without queries of test documents, and how many those were: the model to be tuned matched them, and
    a test of only what it finds would flatter it."""
    kept = tuple(pair for pair in match.pairs if splits[pair.document_id] != "test")
    return LogMatch(kept, match.unmatched), len(match.pairs) - len(kept)


def _summarise(
    plan: Plan, synthesis: Synthesis, settings: SynthesisSettings, *, llm_name: str, logs: Logs | None
) -> dict[str, Any]:
    return {
        "schema": "umekomi-synthesis-1",
        "umekomi": version("umekomi"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "llm": {"name": llm_name, "schema_enforced": synthesis.schema_enforced, **asdict(settings.sampling)},
        "target": settings.target,
        "queries_asked": len(plan.wanted),
        "passed_over": dict(plan.passed_over),
        "calls": synthesis.calls,
        "calls_missing": synthesis.missing,
        "prompt_tokens": synthesis.prompt_tokens,
        "completion_tokens": synthesis.completion_tokens,
        "detectable_effect": plan.detectable_effect,
        "judge": None if synthesis.judge is None else {"right": synthesis.judge[0], "trials": synthesis.judge[1]},
        "logs": None if logs is None else _logs_summary(logs),
        "notes": _notes(plan, synthesis, logs),
    }


def _logs_summary(logs: Logs) -> dict[str, Any]:
    return {
        "matched": len(logs.match.pairs),
        "unmatched": len(logs.match.unmatched),
        "matched_in_test": logs.tested,
        "distance": None if logs.distance is None else asdict(logs.distance),
    }


def _notes(plan: Plan, synthesis: Synthesis, logs: Logs | None) -> list[str]:
    """What a reader must know before training on the pairs."""
    notes = []
    if plan.detectable_effect is not None:
        notes.append(
            f"The test split will show a difference in nDCG@10 of about {plan.detectable_effect:.3f} or more; "
            "smaller ones may be there and stay unseen."
        )
    for split, count in plan.queries.items():
        if not count:
            notes.append(f"Nothing was asked for {split}: it takes three documents that are no near-duplicates.")
    if not synthesis.schema_enforced:
        notes.append("The server of the LLM did not keep to JSON schemas; every answer was checked.")
    if synthesis.judge is not None:
        right, trials = synthesis.judge
        notes.append(f"Tried as a judge, the LLM got {right} of {trials} known pairs right.")
    if synthesis.missing:
        notes.append(f"{synthesis.missing} calls failed and were left out; run the same command again to ask them.")
    if logs is not None:
        notes.append(_logs_note(logs))
    return notes


def _logs_note(logs: Logs) -> str:
    said = f"Of the real queries, {len(logs.match.pairs)} were matched to a chunk, {len(logs.match.unmatched)} not"
    if logs.tested:
        said += f"; {logs.tested} belong to test documents and were left out: the model to be tuned found them"
    if logs.distance is not None:
        said += (
            f". A query's nearest other is of its own kind in {logs.distance.own_kind:.0%} of cases (50 %: the "
            f"kinds cannot be told apart); median length {logs.distance.real_characters:.0f} characters against "
            f"{logs.distance.synthetic_characters:.0f} of the synthetic ones"
        )
    return said + "."
