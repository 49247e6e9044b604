"""How much disk an export takes, known before a training starts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from umekomi.models.architectures import BUILDABLE
from umekomi.models.bundle import Bundle
from umekomi.models.checkpoint import read_header
from umekomi.models.weights import SINGLE

_SMALL_BYTES = 64 * 1024 * 1024
"""Tokenizer, settings and README: of a multilingual model 17 MB."""

_INT8_SHARE = 0.3
"""Of the fp32 graph: 0.255 for multilingual-e5-small, 0.262 for all-MiniLM-L6-v2 (2026-11-21)."""


@dataclass(frozen=True, slots=True)
class ExportSize:
    """Bytes that are needed at once.

    out    in the output: the new folder, beside one of an earlier run
    store  in umekomi's store: the graphs, and a scratch copy while int8 is calibrated
    """

    out_bytes: int
    store_bytes: int


def plan_export_size(base: Bundle) -> ExportSize:
    """What `export` takes for a model tuned from ``base``, generously. Raises `BrokenModel`."""
    files = [*base.weights, *(base.folder / layer.path / SINGLE for layer in base.card.dense)]
    weights = 4 * sum(math.prod(stored.shape) for path in files for stored in read_header(path).values())
    graphs = weights + int(weights * _INT8_SHARE) if base.card.architecture in BUILDABLE else 0
    return ExportSize(weights + graphs + _SMALL_BYTES, graphs + weights if graphs else 0)
