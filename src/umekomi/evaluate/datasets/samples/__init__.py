"""The sample data sets, written for this project and given to the public domain (CC0 1.0)."""

from __future__ import annotations

from importlib.resources import files

from umekomi.evaluate.datasets.building import Notes, build_labels
from umekomi.evaluate.datasets.columns import plan_columns
from umekomi.evaluate.datasets.tables import read_table
from umekomi.evaluate.tasks import Task

LICENCE = "CC0-1.0"
SAMPLES = {
    "sample": "216 texts of 9 subjects, Japanese and English",
    "sample-ja": "the 108 Japanese texts of sample",
    "sample-en": "the 108 English texts of sample",
}
"""Names of the samples, and what they hold."""


def open_sample(name: str) -> Task | None:
    """The sample of that name; None where there is none."""
    if name not in SAMPLES:
        return None
    language = name.removeprefix("sample-") if name != "sample" else ""
    table = read_table("subjects.jsonl", files(__package__).joinpath("subjects.jsonl").read_bytes())
    if language:
        table = table.only([row["language"] == language for row in table.rows])
    notes = Notes(name=name, source=name, licence=LICENCE, language=language)
    return build_labels(table, plan_columns(table, {"text": "text", "label": "label", "id": "id"}, "labels"), notes)
