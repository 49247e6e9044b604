"""A checkpoint counts once its list of files is there and true, and never before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from umekomi.train.fitting.keeping.checkpoints import SEAL, best_of, find_whole, remove_others, seal


def write(folder: Path, step: int, dev: float | None = None, *, sealed: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    (path / "1_Pooling").mkdir(parents=True)
    for name in ("model.safetensors", "1_Pooling/config.json", "training_args.bin"):
        (path / name).write_bytes(bytes(100))
    if sealed:
        seal(path, step=step, dev=dev, seconds=float(step))
    return path


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: (path / SEAL).unlink(),
        lambda path: (path / SEAL).write_bytes((path / SEAL).read_bytes()[:-9]),
        lambda path: (path / SEAL).write_text("[]"),
        lambda path: (path / SEAL).write_bytes((path / SEAL).read_bytes().replace(b'"step":8', b'"step":"x"')),
        lambda path: (path / "model.safetensors").unlink(),
        lambda path: (path / "1_Pooling/config.json").write_bytes(bytes(99)),
    ],
)
def test_what_is_not_whole_is_not_there(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    write(tmp_path, 4)
    spoil(write(tmp_path, 8))
    assert [each.step for each in find_whole(tmp_path)] == [4]
    assert find_whole(tmp_path / "nowhere") == []


def test_no_pickle_is_kept_and_all_else_comes_back(tmp_path: Path) -> None:
    path = write(tmp_path, 12, 0.5)
    assert not (path / "training_args.bin").exists()
    (found,) = find_whole(tmp_path)
    assert (found.step, found.path, found.dev, found.seconds) == (12, path, 0.5, 12.0)


def test_the_best_is_the_first_of_the_highest_score(tmp_path: Path) -> None:
    for step, dev in ((9, 0.7), (3, 0.7), (6, 0.2), (12, None)):
        write(tmp_path, step, dev)
    best = best_of(find_whole(tmp_path))
    assert best is not None and best.step == 3
    assert best_of([each for each in find_whole(tmp_path) if each.dev is None]) is None


def test_only_what_is_asked_for_and_whole_stays(tmp_path: Path) -> None:
    for step in (1, 2, 10):
        write(tmp_path, step)
    write(tmp_path, 11, sealed=False)
    (tmp_path / "notes.txt").touch()
    remove_others(tmp_path, keep={2, 10, 11})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-2", "notes.txt"]
