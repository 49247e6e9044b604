"""What is known of training data while their files are read, and the checks that hold for every kind of source."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.repeats import fold
from umekomi.synthesize.pairs import SPLITS, Split
from umekomi.train.data.passages import with_missing
from umekomi.train.data.rows import Columns, Rows
from umekomi.train.examples import Example, Objective, Passage, TrainingData

MIN_PAIRS = 2
"""Fewest pairs of train: one has nothing to be told from."""

MAX_REPEATS = 64
"""How often one text may stand in train even where that is most of it: two of them are never in one batch."""

_SHOWN_CHARACTERS = 60

_KINDS: dict[Objective, str] = {"ranking": "queries and their texts", "similarity": "pairs with scores"}


@dataclass(slots=True)
class Gathered:
    """The fields are those of `TrainingData`; ``named`` are columns that the user named, and ``advice`` is what to
    do about a split without pairs."""

    source: Path
    named: Columns = field(default_factory=dict)
    splits: dict[Split, list[Example]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    objective: Objective | None = None
    corpus: tuple[Passage, ...] = ()
    digests: dict[str, str] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    advice: str = ""

    def take(self, rows: Rows, name: str) -> list[Example]:
        """The examples of one file, the rest noted. Raises `InvalidInput` where they are of another kind."""
        self.objective = self.objective or rows.objective
        if rows.objective != self.objective:
            raise InvalidInput(
                f"{self.source}: {name} holds {_KINDS[rows.objective]}, the file before it "
                f"{_KINDS[self.objective]}; train on one of them",
                param="source",
            )
        self.skipped.update(rows.skipped)
        self.notes.extend(note for note in rows.notes if note not in self.notes)
        return list(rows.examples)

    def note_digest(self, path: Path, name: str) -> None:
        """Keep the digest of a file that was read."""
        try:
            with path.open("rb") as file:
                self.digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InvalidInput(f"{path}: cannot be read: {error.strerror or error}", param="source") from None

    def build(self) -> TrainingData:
        """The data as they are so far."""
        return TrainingData(
            objective=self.objective or "ranking",
            train=tuple(self.splits["train"]),
            dev=tuple(self.splits["dev"]),
            test=tuple(self.splits["test"]),
            corpus=self.corpus,
            digests=dict(self.digests),
            skipped={reason: count for reason, count in self.skipped.items() if count},
            notes=tuple(self.notes),
        )

    def finish(self) -> TrainingData:
        """The data, checked: no split without pairs, negatives that nothing contradicts, a whole corpus.

        Raises `InvalidInput` for a split without pairs, and where most of train is of one text.
        """
        self._check_sizes()
        self.check_repeats(self.splits["train"])
        self._leave_out_tested_negatives()
        if self.objective == "ranking":
            every = [example for split in SPLITS for example in self.splits[split]]
            given = bool(self.corpus)
            self.corpus, missing = with_missing(self.corpus, every)
            if given and missing:
                self.notes.append(f"{missing} positives were not in the corpus and were added to it")
        return self.build()

    def check_repeats(self, train: Sequence[Example]) -> None:
        """Raise `InvalidInput` where most of ``train`` is of one query or of one positive."""
        if self.objective != "ranking" or not train:
            return
        sides = {"query": [each.query for each in train], "positive": [each.positive for each in train]}
        for side, texts in sides.items():
            folded, times = Counter(map(fold, texts)).most_common(1)[0]
            if times > max(MAX_REPEATS, len(train) / 2):
                text = next(text for text in texts if fold(text) == folded)
                shown = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
                raise InvalidInput(
                    f"{self.source}: the {side} '{shown}' stands in {times} of {len(train)} pairs; two of one text "
                    "are never in a batch, so most pairs would be alone in theirs; leave most of them out",
                    param="source",
                )

    def _check_sizes(self) -> None:
        left_out = "".join(f"; {count} left out: {reason}" for reason, count in self.skipped.items() if count)
        empty = [split for split in SPLITS if not self.splits[split]]
        if empty:
            raise InvalidInput(
                f"{self.source}: no pairs in {' and '.join(empty)}; {self.advice}{left_out}", param="source"
            )
        if (count := len(self.splits["train"])) < MIN_PAIRS:
            raise InvalidInput(
                f"{self.source}: {count} pair in train; training needs at least {MIN_PAIRS}{left_out}",
                param="source",
            )

    def _leave_out_tested_negatives(self) -> None:
        """Leave out negatives of train that answer a query of dev or test: they would be learned as wrong."""
        tested = {fold(example.positive) for split in ("dev", "test") for example in self.splits[split]}
        kept = []
        for example in self.splits["train"]:
            negatives = tuple(text for text in example.negatives if fold(text) not in tested)
            self.skipped["negative that is a text of dev or test"] += len(example.negatives) - len(negatives)
            kept.append(replace(example, negatives=negatives))
        self.splits["train"] = kept


def with_own_ids(gathered: Gathered, examples: Sequence[Example]) -> list[Example]:
    """The examples of one file under ids that do not repeat: counted where those of the file do."""
    if len({example.id for example in examples}) == len(examples):
        return list(examples)
    gathered.notes.append("pairs are counted: their ids repeat")
    return [replace(example, id=str(number)) for number, example in enumerate(examples, start=1)]
