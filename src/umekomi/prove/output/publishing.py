"""Everything that a proof leaves in its folder."""

from __future__ import annotations

from pathlib import Path

from umekomi.prove.files import write_training_report
from umekomi.prove.output.report import REPORT, write_report
from umekomi.prove.results import TrainingReport


def publish(folder: Path, report: TrainingReport) -> None:
    """Write report.html, then training_report.json, each in one step. Raises `StoreError`."""
    write_report(folder / REPORT, report)
    write_training_report(folder, report)
