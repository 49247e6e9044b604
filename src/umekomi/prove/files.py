"""A proof to its folder and back, and whether a model's files are those that were proved."""

from __future__ import annotations

from pathlib import Path

from umekomi.errors import BrokenModel
from umekomi.evaluate.output.files import read_record
from umekomi.models.digests import combine, sha256_of_file
from umekomi.prove.results import SCHEMA, ProvedModel, TrainingReport
from umekomi.writing import replacing

REPORT_JSON = "training_report.json"
UNHASHED = "README.md"
"""Words about the model, which a person may edit."""


def write_training_report(folder: Path, report: TrainingReport) -> None:
    """Write training_report.json in one step. Raises `StoreError` where ``folder`` cannot be written."""
    with replacing(folder / REPORT_JSON) as file:
        # Not `json.dumps`, which writes NaN where a loss was none: no reader of JSON takes that.
        file.write(report.model_dump_json(by_alias=True, indent=2).encode() + b"\n")


def read_training_report(folder: Path) -> TrainingReport:
    """The report in ``folder``. Raises `InvalidInput` where there is none, or another file of that name."""
    return read_record(
        folder / REPORT_JSON, TrainingReport, schema=SCHEMA, what="the report of a finished umekomi train"
    )


def describe_model(model: Path, fingerprint: str, *, folder: Path) -> ProvedModel:
    """The files of ``model`` as they are now. ``folder``: where the report will lie. Raises `BrokenModel`."""
    files = digest_files(model)
    if not files:
        raise BrokenModel(f"{model}: has no files; was the model exported?")
    path = model.resolve()
    inside = path.is_relative_to(folder.resolve())
    return ProvedModel(
        path=path.relative_to(folder.resolve()).as_posix() if inside else path.as_posix(),
        fingerprint=fingerprint,
        weights_digest=_digest(files),
        files=files,
    )


def check_proved(model: Path, proved: ProvedModel) -> None:
    """Raise `BrokenModel`, naming a file, unless the files of ``model`` are those that were proved."""
    now = digest_files(model)
    if now == proved.files:
        return
    changed = next(name for name in sorted({*now, *proved.files}) if now.get(name) != proved.files.get(name))
    what = "is gone" if changed not in now else "has changed" if changed in proved.files else "has come"
    raise BrokenModel(
        f"{model}: {changed} {what} since the model was proved; promote what was proved, or train and prove anew"
    )


def digest_files(model: Path) -> dict[str, str]:
    """Name to SHA-256 of every file below ``model``, by name. Raises `BrokenModel`.

    Without the README, and without hidden files, which no engine reads and desktops leave wherever they look.
    """
    try:
        found = sorted(path.relative_to(model) for path in model.rglob("*") if path.is_file())
        return {
            path.as_posix(): sha256_of_file(model / path)
            for path in found
            if path.name != UNHASHED and not any(part.startswith(".") for part in path.parts)
        }
    except OSError as error:
        raise BrokenModel(f"{model}: cannot be read: {error.strerror or error}") from None


def _digest(files: dict[str, str]) -> str:
    return combine([part for name in sorted(files) for part in (name, files[name])])
