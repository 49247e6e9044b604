"""Whether lines that many texts share give their labels away: then a score tells of sources, not of meaning."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from umekomi.evaluate.metrics.checks import check_labels
from umekomi.evaluate.metrics.labels import Labels, plan_folds
from umekomi.evaluate.outcomes import Outcome

LINES = 500
"""How many of the most frequent lines are looked at."""

MIN_TEXTS = 3
"""In fewer texts than this, a line is no boilerplate."""

MIN_CHARACTERS = 2
WARNING_SHARE = 0.5

_ENDS = re.compile(r"[\n\r。！？!?]+|\.\s")


@dataclass(frozen=True, slots=True, eq=False)
class Leak:
    """What the most frequent lines alone tell of the labels.

    outcome  whether they predict each text's label, 1 or 0, cross-validated as `labels.linear_probe` is
    chance   share of the most frequent label
    covered  share of texts that hold one of the lines
    lines    the lines that are most unevenly spread over the labels, up to ten
    """

    outcome: Outcome
    chance: float
    covered: float
    lines: tuple[str, ...]

    def share_of(self, probe: Outcome) -> float:
        """How much of what ``probe`` predicts beyond chance the lines predict as well; 0 where it predicts
        nothing."""
        gain = probe.items.mean() - self.chance
        return float(max(0.0, self.outcome.items.mean() - self.chance) / gain) if gain > 0 else 0.0

    def warns(self, probe: Outcome) -> bool:
        """Whether half or more of what ``probe`` knows may come from the lines."""
        return self.share_of(probe) >= WARNING_SHARE


def boilerplate_leak(texts: Sequence[str], labels: Labels, *, groups: Sequence[str] | None, seed: int) -> Leak:
    """Predicts the label from the `LINES` lines, or sentences, that occur in the most texts, and from nothing else.

    Naive Bayes on whether a text holds each line, in the folds of `labels.plan_folds`. Texts without any such line
    are given the most frequent label of the other folds. Raises `InvalidInput` as `linear_probe` does.
    """
    check_labels(labels, len(texts))
    pieces = [{piece.strip() for piece in _ENDS.split(text)} for text in texts]
    counts = Counter(piece for each in pieces for piece in each if len(piece) >= MIN_CHARACTERS)
    shared = [line for line, count in counts.items() if count >= MIN_TEXTS]
    lines = sorted(shared, key=lambda line: (-counts[line], line))[:LINES]
    column = {line: at for at, line in enumerate(lines)}
    held = np.zeros((len(texts), len(lines)), np.bool_)
    for row, each in enumerate(pieces):
        held[row, [column[piece] for piece in each if piece in column]] = True
    kinds, label = np.unique(labels, return_inverse=True)
    fold = plan_folds(labels, groups, seed=seed)
    right = np.zeros(len(texts))
    for each_fold in range(int(fold.max()) + 1):
        out = fold == each_fold
        right[out] = _predicted(held[~out], label[~out], held[out], kinds=len(kinds)) == label[out]
    chance = float(np.bincount(label).max() / len(label))
    covered = float(held.any(axis=1).mean())
    return Leak(Outcome("boilerplate_probe", right), chance, covered, _uneven(lines, held, label))


def _predicted(
    taught: NDArray[np.bool_], label: NDArray[np.int64], asked: NDArray[np.bool_], *, kinds: int
) -> NDArray[np.int64]:
    sizes = np.bincount(label, minlength=kinds)
    holding = np.stack([taught[label == kind].sum(axis=0) for kind in range(kinds)])
    rate = (holding + 0.5) / (sizes[:, None] + 1)
    evidence = asked.astype(np.float32) @ np.log(rate / (1 - rate)).T.astype(np.float32)
    evidence += np.log(1 - rate).sum(axis=1) + np.log((sizes + 0.5) / (sizes.sum() + 0.5 * kinds))
    evidence[~asked.any(axis=1)] = sizes
    return np.asarray(evidence.argmax(axis=1), np.int64)


def _uneven(lines: Sequence[str], held: NDArray[np.bool_], label: NDArray[np.int64]) -> tuple[str, ...]:
    """Lines by how many more texts of one label hold them than an even spread would give."""
    if not lines:
        return ()
    shares = np.bincount(label) / len(label)
    holding = np.stack([held[label == kind].sum(axis=0) for kind in range(len(shares))])
    excess = (holding - shares[:, None] * holding.sum(axis=0)).max(axis=0)
    return tuple(lines[at] for at in np.argsort(-excess, kind="stable")[:10])
