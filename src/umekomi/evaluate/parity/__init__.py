"""Whether two sources of vectors agree on the same texts, why they do not, and whether an index may stay."""

from __future__ import annotations

from umekomi.evaluate.parity.causes import Cause
from umekomi.evaluate.parity.comparison import Comparison, compare
from umekomi.evaluate.parity.laboratory import Reference, open_reference
from umekomi.evaluate.parity.sides import EndpointSide, ReferenceSide, Side

__all__ = [
    "Cause",
    "Comparison",
    "EndpointSide",
    "Reference",
    "ReferenceSide",
    "Side",
    "compare",
    "open_reference",
]
