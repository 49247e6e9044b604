"""What an explanation found, as plain data: the content of explain.json."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

SCHEMA = "umekomi-explain-1"

Verdict: TypeAlias = Literal["signal", "no detectable signal"]


@dataclass(frozen=True, slots=True)
class GroupedR2:
    """The share of the target's variation that was predicted in groups that were not seen, and its interval."""

    value: float
    ci95: tuple[float, float]


@dataclass(frozen=True, slots=True)
class NullRecord:
    """The same with shuffled targets. ``p``: how often these reach the real one."""

    p: float
    mean: float
    highest: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """A block of columns; figures only under a signal.

    contribution  how much R² falls where the block is shuffled in groups that were not seen
    q             the share of false ones in a list of blocks up to this one
    """

    name: str
    columns: int
    contribution: float | None = None
    ci95: tuple[float, float] | None = None
    q: float | None = None


@dataclass(frozen=True, slots=True)
class CoefficientRecord:
    """A column's ridge coefficient, in units of the target for one standard deviation of the column.

    stability  the share of lassos on half of the groups that chose it
    """

    rank: int
    block: str
    column: str
    coefficient: float
    ci95: tuple[float, float]
    p: float
    q: float
    stability: float
    stable: bool


@dataclass(frozen=True, slots=True)
class ExtremeText:
    """A text at an end of a direction.

    score   what it adds to the prediction, out of fold, in units of the target
    target  the mean of its rows
    """

    text: str
    score: float
    target: float
    rows: int


@dataclass(frozen=True, slots=True)
class Direction:
    """A block of texts along its direction: the texts at both ends, and how well it follows the target."""

    block: str
    correlation: float
    highest: tuple[ExtremeText, ...]
    lowest: tuple[ExtremeText, ...]


@dataclass(frozen=True, slots=True)
class RotationRecord:
    """What remains when the vectors of a block are turned at random. See `check_rotation` for the figures.

    single_dimensions  whether one dimension stands out more than in random turns
    """

    block: str
    r2: tuple[float, ...]
    dimension: int
    ranks: tuple[int, ...]
    share: float
    p: float
    single_dimensions: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """All about one model on one table. Without a signal nothing is ranked: the parts below ``null`` stay empty.

    predicted  by row, out of fold, with the ``target``; for the picture
    """

    model: dict[str, Any]
    grouped_r2: GroupedR2
    verdict: Verdict
    sentence: str
    null: NullRecord
    penalty: float
    blocks: tuple[BlockRecord, ...]
    coefficients: tuple[CoefficientRecord, ...] = ()
    lasso_columns: int | None = None
    directions: tuple[Direction, ...] = ()
    rotation: tuple[RotationRecord, ...] = ()
    predicted: tuple[tuple[float, float], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Placebo:
    """A figure beside what it would be if nothing had changed.

    value    between base and tuned
    placebo  the range that the base shows against itself
    p        how often the placebo goes as far
    """

    name: str
    value: float
    placebo: tuple[float, float]
    p: float
    moved: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class MovedText:
    """A text that moved by more than any does in the placebo. ``distance``: 1 - cosine after alignment."""

    text: str
    distance: float


@dataclass(frozen=True, slots=True)
class MovedBlock:
    """One column of texts in both spaces.

    before    mean 1 - cosine of a text's two vectors as they are; None where the lengths differ
    after     the same after the best rotation, found on other groups
    placebo   the same of the base against itself, only turned: what the alignment itself cannot undo
    ci95      of the difference of these two; the texts moved where it is above 0
    direction how alike the directions towards the target are after alignment, beside resampled groups of the base;
              None without a signal in both
    """

    block: str
    before: float | None
    after: float
    placebo: float
    ci95: tuple[float, float]
    moved: bool
    direction: Placebo | None
    texts: tuple[MovedText, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What tuning moved.

    r2_difference  tuned minus base, of the same rows, with its interval
    """

    base: str
    tuned: str
    r2_difference: float
    ci95: tuple[float, float]
    verdict: Literal["better", "worse", "tied"]
    sentence: str
    blocks: tuple[MovedBlock, ...]
