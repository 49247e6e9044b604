"""A `Comparison` as plain data, as sentences, and as files: .json with everything, .csv with a line a text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from umekomi.errors import ConfigError
from umekomi.evaluate.parity import agreement
from umekomi.evaluate.parity.comparison import Comparison
from umekomi.writing import replacing

SCHEMA = "umekomi-parity-1"
SUFFIXES = (".json", ".csv")

_TEXT_CHARACTERS = 200


def check_output(path: Path) -> None:
    """Raises `ConfigError` at the start for what could not be written at the end."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--output {path}: unknown suffix '{path.suffix}'; use {' or '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise ConfigError(f"--output {path}: the folder {path.parent} does not exist")


def verdict_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Whether the index can stay, and on what condition."""
    old, new = comparison.names
    match comparison.verdict:
        case "keep":
            first = f"The index can stay: {new} gives the same vectors as {old} ({_figures(comparison)})."
        case "drift":
            first = (
                f"The index works on, with slightly other rankings ({_figures(comparison)}): "
                "embed its texts again when convenient."
            )
        case "rebuild":
            figures = f" ({_figures(comparison)})" if comparison.summary else ""
            first = f"The index cannot stay{figures}: embed its texts again, or remove the cause."
    sentences = [first]
    if comparison.cosine_only:
        sentences.append("This holds for an index that compares by cosine; one by dot product needs equal lengths.")
    if comparison.refusals:
        sentences.append(f"It says nothing of the {len(comparison.refusals)} texts that one side refused.")
    return tuple(sentences)


def as_record(comparison: Comparison, texts: Sequence[str]) -> dict[str, Any]:
    """Everything about ``comparison`` as JSON takes it; ``texts`` are those that it was made on."""
    return {
        "schema": SCHEMA,
        "old": _side(comparison, 0),
        "new": _side(comparison, 1),
        "verdict": comparison.verdict,
        "same": comparison.same,
        "cosine_only": comparison.cosine_only,
        "sentences": verdict_sentences(comparison),
        "rule": _RULE,
        "cosine": asdict(comparison.summary) if comparison.summary else None,
        "neighbour_overlap": comparison.overlap,
        "causes": [asdict(cause) for cause in comparison.causes],
        "notes": comparison.notes,
        "rows": [
            {"row": row, "cosine": cosine, "text": text[:_TEXT_CHARACTERS]}
            for row, cosine, text in _rows(comparison, texts)
        ],
        "refusals": [asdict(refusal) for refusal in comparison.refusals],
    }


def write_comparison(path: Path, comparison: Comparison, texts: Sequence[str]) -> None:
    """``path`` whole or not at all: .json or, one line a text, .csv. Raises `ConfigError` for another suffix."""
    check_output(path)
    if path.suffix.lower() == ".json":
        content = json.dumps(as_record(comparison, texts), ensure_ascii=False, indent=2) + "\n"
    else:
        content = _csv(comparison, texts)
    with replacing(path) as file:
        file.write(content.encode())


def _csv(comparison: Comparison, texts: Sequence[str]) -> str:
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["row", "cosine", "refused_by", "text"])
    refused = {refusal.row: refusal.side for refusal in comparison.refusals}
    cosines = {row: cosine for row, cosine, _ in _rows(comparison, texts)}
    for row, text in enumerate(texts):
        cosine = cosines.get(row)
        shown = "" if cosine is None else f"{cosine:.7f}"
        writer.writerow([row, shown, refused.get(row, ""), text[:_TEXT_CHARACTERS]])
    return table.getvalue()


def _rows(comparison: Comparison, texts: Sequence[str]) -> list[tuple[int, float | None, str]]:
    values: Sequence[float | None]
    values = [None] * len(comparison.rows) if comparison.cosines is None else comparison.cosines.tolist()
    return [(row, value, texts[row]) for row, value in zip(comparison.rows, values, strict=True)]


def _side(comparison: Comparison, number: int) -> dict[str, Any]:
    return {
        "name": comparison.names[number],
        "dimensions": comparison.dimensions[number],
        "lengths": asdict(comparison.lengths[number]),
        "speed": asdict(comparison.speeds[number]),
    }


def _figures(comparison: Comparison) -> str:
    assert comparison.summary is not None
    figures = f"least cosine {comparison.summary.least:.5f}"
    if comparison.overlap is not None:
        figures += f", {comparison.overlap:.1%} of nearest neighbours stay"
    return figures


_RULE = {
    "keep": {"least_cosine": agreement.KEEP_COSINE, "neighbour_overlap": agreement.KEEP_OVERLAP},
    "drift": {"least_cosine": agreement.DRIFT_COSINE, "neighbour_overlap": agreement.DRIFT_OVERLAP},
}
