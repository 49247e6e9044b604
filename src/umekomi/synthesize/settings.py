"""What a user may choose about synthesis, and how it speaks while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from umekomi.synthesize.calls.driving import Progress
from umekomi.synthesize.calls.llm import Sampling
from umekomi.synthesize.pairs import STYLES, Split, Style
from umekomi.synthesize.prompts import LANGUAGES
from umekomi.synthesize.selection import DEFAULT_PER_DOCUMENT, Eligibility


@dataclass(frozen=True, slots=True)
class SynthesisSettings:
    """How pairs are made.

    target    the model that will be tuned: its tokens size the chunks, its vectors make the round trip; None: BM25
              alone
    answers   have an answer written for each query that is kept
    judge     have the LLM judge each pair, where it proves able to
    examples  queries of real users, shown to the LLM
    prompts   folder with prompts that replace umekomi's own
    splits    split by the path of a document; assigned where None
    """

    per_document: int = DEFAULT_PER_DOCUMENT
    styles: tuple[Style, ...] = STYLES
    eligibility: Eligibility = field(default_factory=lambda: Eligibility(languages=LANGUAGES))
    sampling: Sampling = field(default_factory=Sampling)
    target: str | None = None
    answers: bool = False
    judge: bool = True
    examples: tuple[str, ...] = ()
    prompts: Path | None = None
    splits: Mapping[str, Split] | None = None


class Watch(Protocol):
    """Who is told how a long run gets on."""

    def stage(self, title: str, *, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A part of the work; yields what is called with the number of items that were done."""
        ...

    def calls(self, title: str) -> AbstractContextManager[Callable[[Progress], None]]:
        """Calls of the LLM; yields what is called after each."""
        ...

    def notify(self, message: str) -> None:
        """Something that the user must know."""
        ...
