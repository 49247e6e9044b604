"""Results to files and back: results.json, scores.csv, and the items that pair a later run with this one."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from pydantic import ValidationError

from umekomi.errors import InvalidInput
from umekomi.evaluate.judgement import Finding
from umekomi.evaluate.outcomes import Outcome, Reduction
from umekomi.evaluate.results import SCHEMA, Record, Results
from umekomi.writing import replacing

RESULTS = "results.json"
SCORES = "scores.csv"
ITEMS = "items.npz"
MAX_RECORD_BYTES = 256 << 20
"""Of a record that comes from somebody else; those of wide comparisons have a few MB."""

AnyRecord = TypeVar("AnyRecord", bound=Record)


def write_results(folder: Path, results: Results, findings: tuple[Finding, ...]) -> None:
    """Write results.json, scores.csv and items.npz, each in one step, results.json last.

    Raises `StoreError` where ``folder`` cannot be written.
    """
    with replacing(folder / ITEMS) as file:
        np.savez_compressed(file, **_arrays(findings))  # type: ignore[arg-type]
    with replacing(folder / SCORES) as file:
        # Without a BOM, spreadsheets take UTF-8 for the system's own encoding.
        file.write(_scores_csv(results).encode("utf-8-sig"))
    with replacing(folder / RESULTS) as file:
        text = json.dumps(results.model_dump(mode="json", by_alias=True), ensure_ascii=False, indent=2)
        file.write(text.encode() + b"\n")


def read_results(path: Path) -> tuple[Results, tuple[Finding, ...]]:
    """Results of an earlier run, and its items where they lie beside it. ``path`` is results.json or its folder.

    Raises `InvalidInput` for what is no such file.
    """
    path = path / RESULTS if path.is_dir() else path
    results = read_record(path, Results, schema=SCHEMA, what="a results.json of umekomi evaluate")
    items = path.with_name(ITEMS)
    return results, _read_findings(items) if items.exists() else ()


def read_record(path: Path, kind: type[AnyRecord], *, schema: str, what: str) -> AnyRecord:
    """The record in a JSON file of ``schema``. ``what`` such a file is, for messages.

    Raises `InvalidInput` for one that cannot be read or is something else.
    """
    try:
        if path.exists() and (not path.is_file() or path.stat().st_size > MAX_RECORD_BYTES):
            raise InvalidInput(f"{path}: not {what}, which is a file of at most {MAX_RECORD_BYTES >> 20} MB")
        content: Any = json.loads(path.read_bytes())
        if not isinstance(content, dict) or content.get("schema") != schema:
            raise InvalidInput(f"{path}: not {what} (its schema is not '{schema}')")
        return kind.model_validate(content)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror or error}; name {what}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{path}: {where}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path}: not JSON: {error}") from None


def _arrays(findings: tuple[Finding, ...]) -> dict[str, np.ndarray[Any, Any]]:
    """One array of names for all findings, and for finding *i* ``items_i``, ``reference_i`` and ``groups_i``."""
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "findings": np.array(
            [
                (
                    *(finding.dataset, finding.kind, finding.model, finding.role),
                    *(finding.outcome.metric, finding.outcome.reduction),
                )
                for finding in findings
            ]
        )
    }
    for number, finding in enumerate(findings):
        arrays[f"items_{number}"] = finding.outcome.items
        if finding.outcome.reference is not None:
            arrays[f"reference_{number}"] = finding.outcome.reference
        if finding.groups is not None:
            arrays[f"groups_{number}"] = np.array(finding.groups)
    return arrays


def _read_findings(path: Path) -> tuple[Finding, ...]:
    findings = []
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            for number, names in enumerate(arrays["findings"].tolist()):
                dataset, kind, model, role, metric, reduction = names
                reference = arrays.get(f"reference_{number}")
                groups = arrays.get(f"groups_{number}")
                outcome = Outcome(metric, arrays[f"items_{number}"], cast(Reduction, reduction), reference)
                findings.append(
                    Finding(dataset, kind, model, outcome, role, None if groups is None else tuple(groups.tolist()))
                )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{path}: cannot be read: {error}; run the evaluation again") from None
    return tuple(findings)


def _scores_csv(results: Results) -> str:
    """One line for each score, with the rank and the cost of its model: the table that people made by hand."""
    ranks = {(rank.dataset, rank.metric, rank.model): rank.rank for rank in results.ranking}
    models = {model.name: model for model in results.models}
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    cost_columns = ("tokens_per_s", "texts_per_s", "latency_ms", "peak_memory_bytes", "gpu_memory_bytes")
    columns = ("dataset", "model", "metric", "value", "ci95_low", "ci95_high", "items", "role", "rank", "dim")
    table.writerow((*columns, "bytes_per_vector", *cost_columns, "fingerprint"))
    for score in results.scores:
        model = models[score.model]
        cost = [getattr(model.cost, column) for column in cost_columns]
        table.writerow(
            [
                *(
                    score.dataset,
                    score.model,
                    score.metric,
                    score.value,
                    *(score.ci95 or ("", "")),
                    score.items,
                    score.role,
                ),
                ranks.get((score.dataset, score.metric, score.model), ""),
                *(model.dim, 4 * model.dim, *cost, model.fingerprint),
            ]
        )
    return out.getvalue()
