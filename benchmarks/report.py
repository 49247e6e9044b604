"""What a run of the benchmark found: the numbers, as tables and as JSON."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

PACKAGES = ("umekomi", "onnxruntime", "sentence-transformers", "torch", "tokenizers", "numpy")
FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "asimddp", "i8mm")
"""Processor features that decide how fast small integers multiply."""


@dataclass(frozen=True, slots=True)
class Row:
    """One contender on one set of texts. Cosines are to sentence-transformers' vectors of the same run.

    ratio           median over the rounds of its speed by that of sentence-transformers
    ratio_range     the middle half of those ratios
    batched_cosine  worst cosine between a text's vector alone and in the batch
    ceiling_share   speed by that of the bare matrix products of the same precision
    """

    label: str
    batch_size: int | None = None
    tokens_per_s: float = 0.0
    ratio: float = 0.0
    ratio_range: tuple[float, float] = (0.0, 0.0)
    mean_cosine: float | None = None
    worst_cosine: float | None = None
    batched_cosine: float | None = None
    ceiling_share: float | None = None


@dataclass(frozen=True, slots=True)
class SetResult:
    """All rows on one set of texts."""

    name: str
    about: str
    texts: int
    tokens: int
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a contender's process costs. ``first_start_s`` includes building graphs where that was needed."""

    label: str
    peak_bytes: int
    start_s: float
    first_start_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one run found.

    disturbed_turns  how many turns counted although other processes ran beside them
    """

    model: str
    rounds: int
    threads: int
    machine: dict[str, Any]
    versions: dict[str, str]
    disturbed_turns: int
    sets: list[SetResult]
    footprints: list[Footprint]

    def as_json(self) -> dict[str, Any]:
        return {"date": date.today().isoformat(), **asdict(self)}


def median_ratio(speeds: Sequence[float], base: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """Median and middle half of two contenders' ratios, round by round. At least two rounds."""
    ratios = [own / other for own, other in zip(speeds, base, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return middle, (low, high)


def cosines(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of each row with the other's, in float64: float32 itself errs by 1e-7."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    result: NDArray[np.float64] = (
        np.einsum("ij,ij->i", a, b) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    )
    return result


def describe_machine() -> dict[str, Any]:
    """What a reader needs to compare these numbers with others: processor, features, cores."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines() if cpuinfo.exists() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    present = set(fields.get("flags", fields.get("Features", "")).split())
    return {
        "processor": fields.get("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in present],
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }


def installed_versions() -> dict[str, str]:
    return {package: version(package) for package in PACKAGES}


def print_report(report: Report, console: Console) -> None:
    for result in report.sets:
        console.print(_speed_table(result, report.rounds))
    console.print(_footprint_table(report.footprints))
    machine = report.machine
    console.print(
        f"{machine['processor']}, {machine['cores']} cores ({' '.join(machine['flags'])}), {machine['system']}"
    )
    console.print(", ".join(f"{name} {number}" for name, number in report.versions.items()))
    console.print(
        f"{report.model}, {report.threads} threads; {report.disturbed_turns} turns disturbed by other processes"
    )


def _speed_table(result: SetResult, rounds: int) -> Table:
    mean = result.tokens / result.texts
    table = Table(
        title=f"{result.name}: {result.texts} texts, {result.about}, {mean:.0f} tokens on average; "
        f"medians of {rounds} rounds"
    )
    table.add_column("contender")
    for heading in ("batch", "tokens/s", "ratio", "middle half", "cosine", "worst", "alone/batch", "of ceiling"):
        table.add_column(heading, justify="right")
    for row in result.rows:
        low, high = row.ratio_range
        table.add_row(
            row.label,
            "" if row.batch_size is None else str(row.batch_size),
            f"{row.tokens_per_s:,.0f}",
            f"{row.ratio:.2f}",
            f"{low:.2f} to {high:.2f}",
            *(_decimal(value) for value in (row.mean_cosine, row.worst_cosine, row.batched_cosine)),
            "" if row.ceiling_share is None else f"{row.ceiling_share:.0%}",
        )
    return table


def _footprint_table(footprints: Sequence[Footprint]) -> Table:
    table = Table(title="process")
    table.add_column("contender")
    for heading in ("peak memory", "start to first vector", "the first time"):
        table.add_column(heading, justify="right")
    for each in footprints:
        size = f"{each.peak_bytes / 1e6:,.0f} MB"
        table.add_row(each.label, size, f"{each.start_s:.2f} s", f"{each.first_start_s:.2f} s")
    return table


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
