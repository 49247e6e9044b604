"""Whether there is enough to train and to test on: asked of a plan before any call, of pairs before any step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from umekomi.errors import InvalidInput
from umekomi.synthesize.output.files import REJECTED, read_pairs, read_rejections
from umekomi.synthesize.pairs import Split
from umekomi.synthesize.planning import Plan

FEWEST: Mapping[Split, int] = {"train": 4, "dev": 1, "test": 2}
"""Pairs without which nothing can be trained or compared at all."""

USUAL: Mapping[Split, int] = {"train": 200, "test": 50}
"""Pairs below which a training seldom shows anything: said, and not refused. Published gains on synthetic pairs
come from a thousand and more; a test of 50 queries shows a difference in nDCG@10 from about 0.14 on."""

_ADVICE = "give more documents, ask for more queries of each with --per-document, or name a larger LLM with --llm"


def check_plan(plan: Plan) -> None:
    """Raise `InvalidInput` where a split would stay too small even if every query were kept."""
    if empty := [split for split in FEWEST if not plan.queries[split]]:
        raise InvalidInput(
            f"{len(plan.splits)} documents leave {' and '.join(empty)} empty: train, dev and test take at least "
            "three that are no near-duplicates, and thirty or more to show an improvement; give more documents"
        )
    for split, fewest in FEWEST.items():
        if plan.queries[split] < fewest:
            raise InvalidInput(
                f"only {plan.queries[split]} queries are wanted for {split}, and {fewest} is the least; give more "
                "documents, or ask for more queries of each with --per-document"
            )


def check_pairs(folder: Path, *, notify: Callable[[str], None]) -> None:
    """Raise `InvalidInput` where too few pairs were kept to train on; say where there are few."""
    counts = {split: len(pairs) for split, pairs in read_pairs(folder).items()}
    for split, fewest in FEWEST.items():
        if counts[split] < fewest:
            raise InvalidInput(
                f"{counts[split]} pairs are left for {split}, and {fewest} is the least; {_reasons(folder)}; "
                f"{_ADVICE}"
            )
    if few := [f"{counts[split]} for {split}" for split, usual in USUAL.items() if counts[split] < usual]:
        wanted = " and ".join(f"{usual} for {split}" for split, usual in USUAL.items())
        notify(f"few pairs: {', '.join(few)}; an improvement seldom shows below {wanted}")


def _reasons(folder: Path) -> str:
    """What took the others out, most frequent first."""
    counts = Counter(each.filter for each in read_rejections(folder))
    if not counts:
        return "none were left out by filters"
    listed = ", ".join(f"{count} by {name}" for name, count in counts.most_common())
    return f"{counts.total()} were left out ({listed}), each with its reason in {folder / REJECTED}"
