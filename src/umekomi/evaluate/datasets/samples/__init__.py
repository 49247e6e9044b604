"""The sample data sets, written for this project and given to the public domain (CC0 1.0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from umekomi.evaluate.datasets.building import Notes
from umekomi.evaluate.datasets.columns import ColumnRole
from umekomi.evaluate.datasets.tables import Table, read_table
from umekomi.evaluate.tasks import TaskKind

LICENCE = "CC0-1.0"


@dataclass(frozen=True, slots=True)
class Sample:
    """A file beside this module, or the rows of one language in it."""

    name: str
    kind: TaskKind
    about: str
    file: str
    columns: Mapping[ColumnRole, str]
    language: str = ""

    def read(self) -> Table:
        table = read_table(self.file, files(__package__).joinpath(self.file).read_bytes())
        if not self.language:
            return table
        return table.only([row["language"] == self.language for row in table.rows])

    def notes(self) -> Notes:
        return Notes(name=self.name, source=self.name, licence=LICENCE, language=self.language)


_SUBJECTS: dict[ColumnRole, str] = {"text": "text", "label": "label", "id": "id"}
_QUESTIONS: dict[ColumnRole, str] = {"query": "query", "positive": "positive", "id": "id"}
_PAIRS: dict[ColumnRole, str] = {"first": "sentence1", "second": "sentence2", "score": "score", "id": "id"}

SAMPLES = {
    sample.name: sample
    for sample in (
        Sample(
            "sample", "labels", "216 texts of 9 subjects, half Japanese, half English", "subjects.jsonl", _SUBJECTS
        ),
        Sample("sample-ja", "labels", "the Japanese half of sample", "subjects.jsonl", _SUBJECTS, "ja"),
        Sample("sample-en", "labels", "the English half of sample", "subjects.jsonl", _SUBJECTS, "en"),
        Sample("sample-retrieval", "retrieval", "40 questions and their passages", "questions.jsonl", _QUESTIONS),
        Sample("sample-sts", "pairs", "40 pairs of sentences, scored from 0 to 5", "pairs.jsonl", _PAIRS),
    )
}
"""By the names under which `open_task` opens them."""
