"""training_report.json there and back, and the files of a model that was proved."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from umekomi.errors import BrokenModel, InvalidInput
from umekomi.prove.files import REPORT_JSON, check_proved, describe_model, read_training_report


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "onnx").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "onnx" / "model.onnx").write_bytes(b"graph")
    (folder / "README.md").write_text("about")
    return folder


def test_what_was_proved_may_be_promoted_wherever_it_lies(model: Path, tmp_path: Path) -> None:
    proved = describe_model(model, "f" * 32, folder=tmp_path)
    assert (proved.path, proved.fingerprint) == ("model", "f" * 32)
    assert set(proved.files) == {"model.safetensors", "onnx/model.onnx"}
    (model / "README.md").write_text("written anew by a person")
    (model / "onnx" / ".DS_Store").write_bytes(b"left by a desktop")
    moved = model.rename(tmp_path / "elsewhere")
    check_proved(moved, proved)
    assert describe_model(moved, "f" * 32, folder=tmp_path).weights_digest == proved.weights_digest
    assert describe_model(moved, "f" * 32, folder=tmp_path / "away").path == moved.as_posix()


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("model.safetensors", b"other weights", "model.safetensors has changed"),
        ("onnx/model.onnx", None, "onnx/model.onnx is gone"),
        ("1_Pooling.json", b"{}", "1_Pooling.json has come"),
    ],
)
def test_a_changed_model_was_not_proved(
    model: Path, tmp_path: Path, name: str, content: bytes | None, what: str
) -> None:
    proved = describe_model(model, "f" * 32, folder=tmp_path)
    if content is None:
        (model / name).unlink()
    else:
        (model / name).write_bytes(content)
    with pytest.raises(BrokenModel, match=f"{what} since the model was proved"):
        check_proved(model, proved)


def test_a_model_without_files_cannot_be_proved(tmp_path: Path) -> None:
    with pytest.raises(BrokenModel, match="has no files"):
        describe_model(tmp_path / "nothing", "f" * 32, folder=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file .* finished umekomi train"),
        (b"\xff{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "its schema is not"),
        (b'{"schema": "umekomi-results-1"}', "its schema is not"),
        (
            json.dumps({"schema": "umekomi-training-report-1", "verdict": "GREAT"}).encode(),
            "umekomi: Field required",
        ),
    ],
)
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / REPORT_JSON).write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        read_training_report(tmp_path)


def test_a_file_that_is_too_large_is_no_report(tmp_path: Path) -> None:
    path = tmp_path / REPORT_JSON
    path.write_text("{")
    os.truncate(path, 257 << 20)
    with pytest.raises(InvalidInput, match="a file of at most 256 MB"):
        read_training_report(tmp_path)
