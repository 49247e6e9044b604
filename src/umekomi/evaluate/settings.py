"""What a user may choose about an evaluation, and how it speaks while it runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from umekomi import config
from umekomi.evaluate.scoring import DEFAULT_K
from umekomi.types import Role

ProjectionChoice: TypeAlias = Literal["tsne", "pca", "umap", "none"]


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """How models are compared. ``role`` is that of the texts of labels and pairs; see `embed_task` for retrieval.

    legacy  adds the published notebook's own loop, and embeds texts as they are unless a role was chosen
    cost    measure speed and memory, each model in a process of its own
    curves  scores with fewer dimensions and coarser numbers
    audits  what a model's prompts are worth, and whether boilerplate tells the label
    """

    k: int = DEFAULT_K
    role: Role = "document"
    legacy: bool = False
    resamples: int = 2000
    seed: int = 0
    projection: ProjectionChoice = "tsne"
    cost: bool = True
    curves: bool = True
    audits: bool = True
    threads: int | None = None
    cache: Path | None = None

    @property
    def cache_folder(self) -> Path:
        """Where vectors are kept between runs. It may be deleted at any time."""
        return self.cache or config.home() / "vectors"

    def record(self) -> dict[str, Any]:
        """What of this decides the results."""
        return {key: value for key, value in asdict(self).items() if key != "cache"}


class Watch(Protocol):
    """Who is told how a long run gets on."""

    def stage(self, title: str, *, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A part of the work; yields what is called with the number of items that were done."""
        ...

    def notify(self, message: str) -> None:
        """Something that the user must know: a substitution, something left out."""
        ...
