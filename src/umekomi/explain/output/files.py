"""An explanation to its folder: coefficients.csv, report.html, and explain.json last."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from umekomi.evaluate.run import describe_machine
from umekomi.explain.output.report import REPORT, write_report
from umekomi.explain.results import SCHEMA, Explanation
from umekomi.explain.run import Explained
from umekomi.explain.settings import RISK
from umekomi.writing import replacing

RESULTS = "explain.json"
COEFFICIENTS = "coefficients.csv"
KEPT = 20
"""Coefficients that explain.json holds, beside those with a q that counts."""
HEAD = (
    *("model", "rank", "block", "column", "coefficient", "ci95_low", "ci95_high", "p", "q"),
    *("lasso_stability", "lasso_stable"),
)


def publish(folder: Path, explained: Explained) -> None:
    """Write everything, each file in one step. Raises `StoreError` where ``folder`` cannot be written."""
    with replacing(folder / COEFFICIENTS) as file:
        # Without a BOM, spreadsheets take UTF-8 for the system's own encoding.
        file.write(_coefficients_csv(explained.explanations).encode("utf-8-sig"))
    write_report(folder / REPORT, explained.study, explained.explanations, explained.comparison)
    with replacing(folder / RESULTS) as file:
        file.write(orjson.dumps(_summary(explained), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _summary(explained: Explained) -> Mapping[str, Any]:
    """One model's findings stand at the top; those of two under ``models``, beside their ``comparison``."""
    study = explained.study
    about = {
        "schema": SCHEMA,
        "umekomi": version("umekomi"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "settings": explained.settings.record(),
        "table": {
            "name": study.name,
            "columns": asdict(study.question),
            "rows": len(study),
            "groups": study.group_count,
            "skipped": dict(study.skipped),
            "notes": list(study.notes),
            "digest": study.digest,
        },
    }
    found = [_plain(each) for each in explained.explanations]
    if explained.comparison is None:
        return about | found[0]
    return about | {"comparison": asdict(explained.comparison), "models": found}


def _plain(explanation: Explanation) -> dict[str, Any]:
    """Without the points of the picture; coefficients in full stand in the CSV."""
    plain = asdict(explanation)
    del plain["predicted"]
    plain["coefficients"] = [each for each in plain["coefficients"] if each["q"] <= RISK or each["rank"] <= KEPT]
    return plain


def _coefficients_csv(explanations: tuple[Explanation, ...]) -> str:
    """All columns by the size of their coefficients; without a signal only the head."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(HEAD)
    for explanation in explanations:
        for each in explanation.coefficients:
            name = _cell(each.column)
            table.writerow(
                [
                    *(explanation.model["name"], each.rank, _cell(each.block), name, each.coefficient, *each.ci95),
                    *(each.p, each.q, each.stability, int(each.stable)),
                ]
            )
    return out.getvalue()


def _cell(text: str) -> str:
    """A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
