"""From tuned weights to a folder that is served: files, graphs, model card, and the gate that they must pass."""

from __future__ import annotations

from umekomi.train.exporting.disk import ExportSize, plan_export_size
from umekomi.train.exporting.export import Exported, check_exportable, export
from umekomi.train.exporting.gate import Gate, check_parity
from umekomi.train.exporting.readme import Provenance, add_proof

__all__ = [
    "ExportSize",
    "Exported",
    "Gate",
    "Provenance",
    "add_proof",
    "check_exportable",
    "check_parity",
    "export",
    "plan_export_size",
]
