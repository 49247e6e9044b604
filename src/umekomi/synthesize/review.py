"""What people decided about pairs, kept beside them: it holds for every later run over the same texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from umekomi.errors import InvalidInput
from umekomi.synthesize.output.files import pair_row
from umekomi.synthesize.output.spreadsheet import Changes
from umekomi.synthesize.pairs import Pair, Rejection
from umekomi.writing import replacing

REVIEW = "review.json"
FILTER = "review"


@dataclass(frozen=True, slots=True)
class Review:
    """Decisions by the pair's id.

    edited   query and answer as a person wrote them
    deleted  pairs that a person dropped
    added    pairs that a person wrote, whole
    """

    edited: Mapping[str, tuple[str, str | None]]
    deleted: frozenset[str]
    added: tuple[Pair, ...]

    def apply(self, pairs: Iterable[Pair]) -> tuple[list[Pair], list[Rejection]]:
        """``pairs`` as people want them, with those that they added behind, and the ones that they dropped."""
        kept, dropped = [], []
        for pair in pairs:
            if pair.id in self.deleted:
                dropped.append(Rejection(pair, FILTER, "deleted by a person"))
            elif pair.id in self.edited:
                query, answer = self.edited[pair.id]
                kept.append(replace(pair, query=query, answer=answer, origin="human"))
            else:
                kept.append(pair)
        there = {pair.id for pair in kept}
        return [*kept, *(pair for pair in self.added if pair.id not in there)], dropped

    def with_changes(self, changes: Changes) -> Review:
        """These decisions and the newer ones of a spreadsheet."""
        own = {pair.id: pair for pair in (*self.added, *changes.added)}
        edited = dict(self.edited)
        for pair in changes.edited:
            if pair.id in own:
                own[pair.id] = pair
            else:
                edited[pair.id] = (pair.query, pair.answer)
        deleted = set(changes.deleted)
        return Review(
            edited={name: value for name, value in edited.items() if name not in deleted},
            deleted=self.deleted | (deleted - set(own)),
            added=tuple(pair for name, pair in own.items() if name not in deleted),
        )


EMPTY = Review({}, frozenset(), ())


def load_review(folder: Path) -> Review:
    """The decisions kept in ``folder``; none where nobody has reviewed. Raises `InvalidInput` for a damaged one."""
    path = folder / REVIEW
    if not path.exists():
        return EMPTY
    try:
        content: Any = json.loads(path.read_bytes())
        return Review(
            {name: (value["query"], value["answer"]) for name, value in content["edited"].items()},
            frozenset(content["deleted"]),
            tuple(Pair(**row) for row in content["added"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path}: no review as umekomi writes it: {error}") from None


def save_review(folder: Path, review: Review) -> None:
    """Write review.json. Raises `StoreError`."""
    content = {
        "edited": {name: {"query": query, "answer": answer} for name, (query, answer) in review.edited.items()},
        "deleted": sorted(review.deleted),
        "added": [pair_row(pair) for pair in review.added],
    }
    with replacing(folder / REVIEW) as file:
        file.write(json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n")
