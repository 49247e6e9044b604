"""What a user may choose about an explanation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from umekomi import config
from umekomi.errors import ConfigError
from umekomi.types import Role

RISK = 0.05
"""How often noise may be taken for a signal, and which share of what is listed may be false."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which columns of a table are what.

    target       the numbers to explain
    texts        columns of texts, each a block of embedding dimensions
    categories   columns of categories, together one block of one-hot columns
    group        whose rows belong together, never on both sides of a fold; rows with the same texts where None
    """

    target: str
    texts: tuple[str, ...]
    categories: tuple[str, ...] = ()
    group: str | None = None

    def __post_init__(self) -> None:
        if not self.texts:
            raise ConfigError("no text: name one or more columns with --text, for example --text title")
        named = [self.target, *self.texts, *self.categories]
        if twice := next((name for name in named if named.count(name) > 1), None):
            raise ConfigError(f"the column '{twice}' is named twice among --target, --text and --categorical")
        if self.group == self.target:
            raise ConfigError(f"--group {self.group}: the target cannot be the group as well")


@dataclass(frozen=True, slots=True)
class ExplainSettings:
    """How it is computed.

    folds         parts of the groups, each predicted from the others
    permutations  targets that are shuffled for the null
    resamples     of the groups, for intervals
    """

    folds: int = 5
    permutations: int = 200
    resamples: int = 2000
    seed: int = 0
    role: Role = "document"
    threads: int | None = None
    cache: Path | None = None

    @property
    def cache_folder(self) -> Path:
        """Where vectors are kept between runs, beside those of evaluations. It may be deleted at any time."""
        return self.cache or config.home() / "vectors"

    def record(self) -> dict[str, Any]:
        """What of this decides the results."""
        return {key: value for key, value in asdict(self).items() if key not in ("cache", "threads")}
