"""Ratings of texts as pairs to steer a model with, and groups that are held out to prove that it was steered.

Two texts are alike as their ratings are: 1 where these have the same place among all, 0 at the two ends. Held-out
groups are cut into small blocks, and pairs are made inside of a block only: blocks share no text, so they are what
a proof may resample.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets import open_table
from umekomi.evaluate.datasets.building import digest, guess_language
from umekomi.evaluate.datasets.columns import listed, plan_columns
from umekomi.evaluate.tasks import Origin, PairTask
from umekomi.explain.reading import Study, read_study
from umekomi.explain.settings import Question
from umekomi.synthesize.pairs import build_id
from umekomi.train.data.splitting import cluster_examples
from umekomi.train.examples import Example

HELD_OUT = 0.2
MIN_GROUPS = 20
"""Fewest groups that are no near-duplicates of one another; of so few, half are held out."""

PARTNERS = 4
"""Texts that each text of train is paired with, but for repeats and its own group."""

_FEW_HELD_OUT = 24
"""Held out where a fifth would be fewer, as far as half of the groups goes: a proof needs some pairs."""

_WANTED_BLOCKS = 8
_BLOCK_GROUPS = 8
_BLOCK_PAIRS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Preferences:
    """What ratings teach, and what they are proved on; no group and no near-duplicate is in both.

    train           scored pairs, see `Example.score`
    task            pairs of held-out groups, resampled by block
    groups          how many there are, near-duplicates as one; ``held_out`` of them are in ``task``
    digest          of the table's usable rows
    skipped, notes  as in `TrainingData`
    """

    train: tuple[Example, ...]
    task: PairTask
    groups: int
    held_out: int
    digest: str
    skipped: dict[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Rated:
    """A text with its mean rating; ``group`` is that of its row and of all that share a text with it or nearly."""

    text: str
    rating: float
    group: str


def read_preferences(
    source: str,
    *,
    target: str,
    text: Sequence[str] = (),
    group: str | None = None,
    seed: int = 0,
    encoding: str | None = None,
    notify: Callable[[str], None],
) -> Preferences:
    """The rated texts of the table at ``source``, read as `umekomi.explain.reading.read_study` does.

    target  the column of ratings, numbers of any scale
    text    columns of texts, joined by line breaks to one; the longest column of texts where none is named
    group   whose rows belong together (``movie_id``); rows of the same texts where None
    seed    which texts of train are paired; what is held out does not depend on it

    Raises `InvalidInput` as `read_study`, and for fewer than `MIN_GROUPS` groups or ratings that are all the same.
    """
    named = tuple(text) or (_longest_texts(source, target, encoding),)
    study = read_study(source, Question(target, named, (), group), encoding=encoding)
    rated = _rate_texts(study)
    held_out = _hold_out(study.name, rated)
    train = [each for each in rated if each.group not in held_out]
    proof = [each for each in rated if each.group in held_out]
    task = _build_task(study, source, proof)
    _check_ratings(study, [each.rating for each in train], target)
    _check_ratings(study, task.scores.tolist(), target)
    groups = len({each.group for each in rated})
    notes = [*study.notes, f"{len(held_out)} of {groups} groups are held out for the proof, in {len(task)} pairs"]
    if not text:
        notes.insert(0, f"the texts are those of '{named[0]}'; name others with --text")
    for reason, count in study.skipped.items():
        notify(f"{study.name}: {count} rows left out: {reason}")
    for note in notes:
        notify(f"{study.name}: {note}")
    return Preferences(
        train=tuple(_build_examples(train, np.random.default_rng(seed))),
        task=task,
        groups=groups,
        held_out=len(held_out),
        digest=study.digest,
        skipped=dict(study.skipped),
        notes=tuple(notes),
    )


def _longest_texts(source: str, target: str, encoding: str | None) -> str:
    table = open_table(source, encoding=encoding)
    if target not in table.columns:
        raise InvalidInput(
            f"{table.name}: no column '{target}' for --target; there are {listed(table.columns)}", param="target"
        )
    return plan_columns(table, {"label": target}, "labels").columns["text"]


def _rate_texts(study: Study) -> list[_Rated]:
    """Every text once with the mean of its ratings, in an order that owes to the content alone."""
    ratings: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row, parts in enumerate(zip(*study.texts.values(), strict=True)):
        ratings["\n".join(parts), int(study.groups[row])].append(float(study.target[row]))
    leaders = cluster_examples([Example("", text, text, document_id=str(group)) for text, group in ratings])
    members: dict[int, set[str]] = defaultdict(set)
    for leader, (text, _) in zip(leaders, ratings, strict=True):
        members[leader].add(text)
    names = {leader: build_id("group", *sorted(texts)) for leader, texts in members.items()}
    merged: dict[tuple[str, str], list[float]] = defaultdict(list)
    for leader, ((text, _), values) in zip(leaders, ratings.items(), strict=True):
        merged[names[leader], text] += values
    return [_Rated(text, float(np.mean(sorted(values))), name) for (name, text), values in sorted(merged.items())]


def _hold_out(name: str, rated: Sequence[_Rated]) -> set[str]:
    """The groups of the proof. Their names are hashes, so the first of them are a fair draw."""
    groups = sorted({each.group for each in rated})
    if len(groups) < MIN_GROUPS:
        raise InvalidInput(
            f"{name}: {len(groups)} groups of texts that are no near-duplicates; ratings need at least "
            f"{MIN_GROUPS} to teach and to prove something; give more of them, or name a finer --group",
            param="preference",
        )
    return set(groups[: max(int(HELD_OUT * len(groups)), min(_FEW_HELD_OUT, len(groups) // 2))])


def _check_ratings(study: Study, values: Sequence[float], target: str) -> None:
    if len(set(values)) == 1:
        raise InvalidInput(
            f"{study.name}: the ratings in '{target}' are the same for all that is trained, or for all that is "
            "held out; there is nothing to learn or to prove: give more ratings that differ",
            param="target",
        )


def _build_examples(rated: Sequence[_Rated], draws: np.random.Generator) -> Iterator[Example]:
    """Neighbours in random rings through all texts: each text is in as many pairs as any other."""
    places = _places(rated)
    seen: set[tuple[int, int]] = set()
    for _ in range(PARTNERS // 2):
        ring = draws.permutation(len(rated)).tolist()
        for one, other in zip(ring, [*ring[1:], ring[0]], strict=True):
            key = (min(one, other), max(one, other))
            if key not in seen and rated[one].group != rated[other].group:
                seen.add(key)
                yield Example(
                    id=f"rated {len(seen)}",
                    query=rated[one].text,
                    positive=rated[other].text,
                    score=_likeness(places, one, other),
                    document_id=rated[one].group,
                )


def _build_task(study: Study, source: str, rated: Sequence[_Rated]) -> PairTask:
    places = _places(rated)
    groups = sorted({each.group for each in rated})
    size = min(_BLOCK_GROUPS, max(2, len(groups) // _WANTED_BLOCKS))
    blocks = {
        group: number
        for number, block in enumerate(np.array_split(np.array(groups), len(groups) // size))
        for group in block.tolist()
    }
    members: dict[int, list[int]] = defaultdict(list)
    for row, each in enumerate(rated):
        members[blocks[each.group]].append(row)
    pairs = [(block, *pair) for block, rows in sorted(members.items()) for pair in _pairs_of(rated, rows, block)]
    first, second = ([rated[pair[side]].text for pair in pairs] for side in (1, 2))
    scores = [_likeness(places, one, other) for _, one, other in pairs]
    return PairTask(
        name="preference",
        first=tuple(first),
        second=tuple(second),
        scores=np.array(scores, np.float64),
        ids=tuple(str(number) for number in range(1, len(pairs) + 1)),
        origin=Origin(
            digest=digest("pairs", first, second, map(repr, scores)),
            source=source,
            language=guess_language(first),
            preparation=(f"likeness of ratings in '{study.question.target}', held-out groups",),
            skipped=dict(study.skipped),
        ),
        groups=tuple(f"block {block + 1}" for block, _, _ in pairs),
    )


def _pairs_of(rated: Sequence[_Rated], rows: Sequence[int], block: int) -> list[tuple[int, int]]:
    """Pairs of texts of different groups, `_BLOCK_PAIRS` at most: those of large blocks are drawn."""
    pairs = [(one, other) for one, other in combinations(rows, 2) if rated[one].group != rated[other].group]
    if len(pairs) <= _BLOCK_PAIRS:
        return pairs
    kept = np.random.default_rng(block).choice(len(pairs), _BLOCK_PAIRS, replace=False)
    return [pairs[at] for at in sorted(kept.tolist())]


def _places(rated: Sequence[_Rated]) -> NDArray[np.float64]:
    """The place of each text's rating among all, 0 for the lowest and 1 for the highest; equal ones share it.

    Zeros where all are equal.
    """
    _, inverse, counts = np.unique([each.rating for each in rated], return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - counts / 2
    spread = (middles[-1] - middles[0]) or 1.0
    places: NDArray[np.float64] = ((middles - middles[0]) / spread)[inverse]
    return places


def _likeness(places: NDArray[np.float64], one: int, other: int) -> float:
    return float(1 - abs(places[one] - places[other]))
