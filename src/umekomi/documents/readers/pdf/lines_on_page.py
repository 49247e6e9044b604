"""A line of a PDF page, and where it stands there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from umekomi.documents.cleaning.passages import Part


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a page: raw text, offset in the page's, and its box in points from the lower left corner."""

    text: str
    offset: int
    page: int
    left: float
    right: float
    bottom: float
    height: float

    @property
    def part(self) -> Part:
        return Part(self.text, self.offset, self.page)

    @property
    def is_upright(self) -> bool:
        """False for vertical writing, whose lines are columns."""
        return self.right - self.left >= self.height or len(self.text) < 3

    def moved(self, offset: int) -> Line:
        """The same line, said to stand at ``offset`` of the page's raw text."""
        return replace(self, offset=offset)
