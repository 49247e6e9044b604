"""Trainings from end to end on a tiny base: what they leave, what they refuse, and how they go on."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
import orjson
import pytest

from kit.fitting import STILL, Watching, pairs, save_base, settings, tensors
from kit.training_data import write_rows
from umekomi.documents.corpus.journal import single_run
from umekomi.embedding.embedder import open_embedder
from umekomi.engines.hashing import hashing_bundle
from umekomi.errors import BrokenModel, ConfigError, InvalidInput, StoreError
from umekomi.prove.files import check_proved, read_training_report
from umekomi.prove.results import TrainingReport, Verdict
from umekomi.train import run
from umekomi.train.fitting.wishes import check_wishes
from umekomi.train.materials import PreferenceTable
from umekomi.train.run import train

pytest.importorskip("sentence_transformers")

GENERAL = ("sample-sts",)
SIDES = ("base", "tuned")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, and pairs in a file."""
    folder = tmp_path_factory.mktemp("train")
    save_base(folder / "base", changes=STILL)
    rows = [
        {"query": each.query, "positive": each.positive, "document_id": each.document_id}
        for each in pairs(60, "row")
    ]
    write_rows(folder / "pairs.jsonl", rows)
    return folder


def start(place: Path, folder: Path, *, watch: Watching | None = None, **changes: Any) -> TrainingReport:
    how = {name: changes.pop(name) for name in ("resume", "general", "preference", "columns") if name in changes}
    source = changes.pop("source", place / "pairs.jsonl")
    report = train(
        source,
        settings(place / "base", cache=place / "vectors", **changes),
        folder,
        watch=watch or Watching(),
        **{"general": GENERAL, **how},
    )
    assert report is not None
    return report


@pytest.fixture(scope="module")
def null(place: Path) -> tuple[Path, TrainingReport]:
    """A training that changes nothing."""
    folder = place / "null"
    return folder, start(place, folder, learning_rate=0.0, epochs=1, negatives=1)


def test_a_run_that_changed_nothing_is_tied(place: Path, null: tuple[Path, TrainingReport]) -> None:
    folder, report = null
    assert report.verdict == "TIED"
    assert {comparison.p for comparison in report.comparisons if comparison.decides} == {1.0}
    assert report.model is not None
    assert report.model.fingerprint == report.base.fingerprint
    assert read_training_report(folder).model_dump(mode="json") == report.model_dump(mode="json")


def test_it_leaves_a_model_with_its_story(place: Path, null: tuple[Path, TrainingReport]) -> None:
    folder, report = null
    names = {path.name for path in folder.iterdir()}
    assert names >= {"curve.jsonl", "gate.json", "model", "report.html", "tensorboard", "training.json", "tuned"}
    assert report.model is not None
    check_proved(folder / "model", report.model)
    with open_embedder(str(folder / "model")) as tuned, open_embedder(str(place / "base")) as base:
        assert np.array_equal(*(each.embed(["apple"], role="query").vectors for each in (tuned, base)))
    assert report.training.steps == len([point for point in report.training.curve if point.loss is not None])
    assert report.training.curve[0].dev is not None
    assert report.gate is not None and report.gate.passed
    assert sum((report.data.train, report.data.dev, report.data.test)) == 60
    assert [alpha.alpha for alpha in report.alphas] == [0.0, 0.3, 0.5, 0.7, 1.0]
    proved = {name: [m.value for m in report.metrics if (m.model, m.dataset) == (name, "test")] for name in SIDES}
    chosen = next(alpha for alpha in report.alphas if alpha.chosen)
    assert [m.value for m in chosen.metrics] == proved["tuned"] != []
    assert [m.value for m in report.alphas[0].metrics] == proved["base"]
    assert all(alpha.metrics for alpha in report.alphas)
    assert "TIED" in (folder / "model/README.md").read_text()


def test_a_finished_run_is_given_back_and_no_other_takes_its_folder(
    place: Path, null: tuple[Path, TrainingReport]
) -> None:
    folder, report = null
    same = {"learning_rate": 0.0, "epochs": 1, "negatives": 1}
    again = start(place, folder, resume=True, **same)
    assert again.model_dump(mode="json") == report.model_dump(mode="json")
    with pytest.raises(ConfigError, match="holds a training already; go on with it by --resume"):
        start(place, folder, **same)
    with pytest.raises(ConfigError, match=r"settings\.learning_rate was 0.0 and is 0.001"):
        start(place, folder, resume=True, epochs=1, negatives=1)
    with pytest.raises(ConfigError, match="columns was null and is"):
        start(place, folder, resume=True, columns={"query": "query"}, **same)
    with pytest.raises(ConfigError, match=r"general\.sample"):
        start(place, folder, resume=True, general=(), **same)


def test_a_finished_run_whose_model_is_gone_says_so(
    place: Path, null: tuple[Path, TrainingReport], tmp_path: Path
) -> None:
    shutil.copytree(null[0], tmp_path / "copy")
    (tmp_path / "copy/model/model.safetensors").unlink()
    with pytest.raises(BrokenModel, match=r"model\.safetensors is gone since the model was proved"):
        start(place, tmp_path / "copy", resume=True, learning_rate=0.0, epochs=1, negatives=1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 2**32}, "--seed 4.29497e+09: give 4294967295 or less"),
        ({"epochs": 1e7}, "--epochs 1e+07: give 1000 or less, or --max-steps"),
        ({"epochs": math.nan}, "--epochs nan: give a number over 0"),
        ({"learning_rate": -1.0}, "--learning-rate -1: give 0 or more"),
    ],
)
def test_numbers_out_of_range_are_refused_by_their_flags(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_wishes(settings(Path("base"), **changed), hashing_bundle("hashing:8").card)


def test_a_run_that_failed_late_goes_on_without_training_again(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run, "export", fail)
        start(place, tmp_path, max_steps=2)
    made = (tmp_path / "tuned/model.safetensors").stat().st_mtime_ns
    watch = Watching()
    report = start(place, tmp_path, max_steps=2, resume=True, watch=watch)
    assert report.verdict in ("TIED", "IMPROVED", "REGRESSED")
    assert (tmp_path / "tuned/model.safetensors").stat().st_mtime_ns == made
    assert any("tuned already" in notice for notice in watch.notices)


def test_rows_that_tell_the_test_stop_it_and_are_listed(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "splits"
    folder.mkdir()
    for number, split in enumerate(("train", "dev", "test")):
        rows = [{"query": each.query, "positive": each.positive} for each in pairs(8, split)]
        shared = [{"query": "which fruit is it", "positive": f"the sweet banana {'long ' * number}"}]
        write_rows(folder / f"{split}.jsonl", rows + (shared if split != "dev" else []))
    with pytest.raises(InvalidInput, match="overlap with test"):
        start(place, tmp_path / "out", source=folder)
    listed = [orjson.loads(line) for line in (tmp_path / "out/leakage.jsonl").read_bytes().splitlines()]
    assert {leak["kind"] for leak in listed} >= {"query"}
    (folder / "train.jsonl").write_bytes(b"".join((folder / "train.jsonl").read_bytes().splitlines(True)[:-1]))
    with (folder / "dev.jsonl").open("ab") as dev:
        dev.write((folder / "train.jsonl").read_bytes().splitlines(True)[0])
    data = start(place, tmp_path / "out", source=folder, max_steps=1, alphas=(1.0,)).data
    assert data.train == 8
    assert ["train overlaps with dev in" in note for note in data.notes].count(True) == 1


def test_a_folder_of_something_else_is_not_written_to(place: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").touch()
    with pytest.raises(ConfigError, match=r"holds 'thesis\.docx'"):
        start(place, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_only_one_run_at_a_time(place: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("out").mkdir()
    with single_run(tmp_path / "out/run"), pytest.raises(StoreError, match="another run"):
        start(place, tmp_path / "out")


def test_wrong_wishes_are_told_before_any_work(place: Path, tmp_path: Path) -> None:
    for changes, said in (
        ({"alphas": (0.0, 1.0)}, "alpha 0 cannot be tried"),
        ({"device": "tpu"}, "--device tpu"),
        ({"epochs": 0}, "--epochs 0: give a number over 0"),
        ({"learning_rate": float("nan")}, "--learning-rate nan"),
        ({"batch_size": 1}, "--batch-size 1: give 2 or more"),
        ({"matryoshka": (99,)}, "--matryoshka 99"),
        ({"distill": str(place / "base")}, "this model does not rerank"),
    ):
        watch = Watching()
        with pytest.raises(ConfigError, match=said):
            start(place, tmp_path / said, watch=watch, **changes)
        assert not watch.stages
    with pytest.raises(InvalidInput, match="nothing to train on"):
        start(place, tmp_path / "none", source=None)


def test_ratings_alone_steer_a_model(place: Path, tmp_path: Path) -> None:
    rows = [
        {"title": each.positive, "rating": float(each.positive.count("a")), "film": each.id}
        for each in pairs(60, "film")
    ]
    table = write_rows(tmp_path / "ratings.jsonl", rows)
    rated = PreferenceTable(str(table), "rating", ("title",), "film")
    report = start(place, tmp_path / "out", source=None, preference=rated, max_steps=3, alphas=(1.0,))
    assert {use.part for use in report.datasets} == {"preference", "general"}
    assert report.data.objective == "similarity"
    both = start(place, tmp_path / "both", preference=rated, max_steps=3, alphas=(1.0,))
    assert {use.part for use in both.datasets} == {"domain", "preference", "general"}


def test_a_dry_run_counts_and_keeps_nothing(place: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    estimate = run.estimate_training(
        place / "pairs.jsonl", settings(place / "base", cache=tmp_path / "cache"), watch=Watching()
    )
    assert estimate.negatives == 0
    assert estimate.steps == 3 * -(-estimate.pairs // 8)
    assert 0 < estimate.step_seconds < time.monotonic() - started
    assert estimate.memory_bytes is None or estimate.memory_bytes > 50e6
    assert estimate.disk_bytes > estimate.checkpoint_bytes > 0
    assert len([*estimate.lines()]) == 6
    assert not list(tmp_path.iterdir())


COMMAND = "--batch-size 14 --mini-batch-size 4 --epochs 3 --learning-rate 1e-3 --negatives 0 --threads 1"
SAME = {"batch_size": 14, "general": ()}
"""What `start` is to be told for the same training as the command's."""


def command(place: Path, folder: Path, *more: str) -> list[str]:
    source, base, cache = str(place / "pairs.jsonl"), str(place / "base"), str(place / "vectors")
    plain = ["-m", "umekomi", "train", source, "-m", base, "-o", str(folder), "--cache", cache, "--device", "cpu"]
    return [*plain, *COMMAND.split(), "--general", "none", *more]


STOPPED = """
import time
from umekomi.cli.main import main
from umekomi.train.fitting import steering
seal = steering.seal
def stop(path, **about):
    seal(path, **about)
    print("stopped", flush=True)
    time.sleep(600)
steering.seal = stop
main()
"""
"""The command, which stops of itself once a checkpoint is whole, so that the kill comes before its end."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_command_goes_on_after_kill_9(place: Path, tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    stopped = [sys.executable, "-c", STOPPED, *command(place, killed)[2:]]
    with subprocess.Popen(stopped, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert b"stopped\n" in iter(child.stdout.readline, b"")
        child.send_signal(signal.SIGKILL)
    done = subprocess.run([sys.executable, *command(place, killed, "--resume")], check=False)
    assert done.returncode in (0, 4)
    expected = start(place, whole, **SAME)
    first, second = (tensors(folder / "tuned") for folder in (killed, whole))
    assert all(np.array_equal(first[name], second[name]) for name in second)
    assert read_training_report(killed).metrics == expected.metrics


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_train_as_one_does(place: Path, tmp_path: Path) -> None:
    """Dropout is off in this base, so both see the same batches and make the same steps but for rounding."""
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launcher += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    two = [sys.executable, *launcher, *command(place, tmp_path / "two")]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(two, check=False, capture_output=True, text=True, env=quiet)
    assert done.returncode in (0, 4), done.stderr
    assert done.stderr.count("the base on dev") == 1
    assert sum(done.stdout.count(f"{verdict}: ") for verdict in get_args(Verdict)) == 1
    one = start(place, tmp_path / "one", **SAME)
    report = read_training_report(tmp_path / "two")
    assert "2 processes" in report.training.device
    assert json.loads((tmp_path / "two/training.json").read_text())["processes"] == 2
    both = [[point.loss for point in each.training.curve if point.loss is not None] for each in (report, one)]
    assert np.allclose(*both, rtol=1e-3)
    again = subprocess.run([*two, "--resume"], check=False, capture_output=True, text=True, env=quiet)
    assert (again.returncode, again.stderr.count("this training is finished")) == (done.returncode, 1), again.stderr
