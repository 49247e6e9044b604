"""``umekomi models``: what the commands print, what they take away, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kit.model_folders import write_model
from umekomi.cli.models import models_app
from umekomi.errors import BrokenModel, UnknownModel
from umekomi.models.store import Store

NAME = "owner/kept"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store and a hub cache of the test's own, with one converted model."""
    monkeypatch.setenv("UMEKOMI_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    store = Store(tmp_path / "home")
    about = {"name": NAME, "hub_id": NAME, "revision": "main", "source": f"hub:{NAME}@0123"}
    store.build("converted", f"{NAME}@0123", lambda files: write_model(files) and None, about=about)
    return store


def run(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(models_app, list(arguments), input=typed)


def cached(cache: Path, commit: str = "c" * 40) -> Path:
    """A model in a hub cache, in the shape that the hub's client gives it."""
    repository = cache / "models--someone--else"
    folder = write_model(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(commit)
    return folder


def test_list_shows_the_store_and_the_hub_cache(tmp_path: Path) -> None:
    cached(tmp_path / "cache")
    models = json.loads(run("list", "--json").stdout)
    assert [(model["name"], model["place"]) for model in models] == [
        (NAME, "converted"),
        ("someone/else", "hub cache"),
    ]
    assert all(model["size_bytes"] > 0 and Path(model["folder"]).is_dir() for model in models)
    assert "someone/else" in run("list").stdout


def test_a_cache_entry_that_cannot_be_opened_is_not_listed(tmp_path: Path) -> None:
    folder = cached(tmp_path / "cache")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert [model["name"] for model in json.loads(run("list", "--json").stdout)] == [NAME]


def test_an_empty_store_says_what_to_do(store: Store) -> None:
    store.remove("converted", f"{NAME}@0123")
    result = run("list")
    assert result.exit_code == 0
    assert "umekomi models pull" in result.stderr
    assert json.loads(run("list", "--json").stdout) == []


def test_show_prints_the_card_its_fingerprint_and_the_files() -> None:
    shown = json.loads(run("show", NAME, "--json").stdout)
    assert (shown["name"], shown["dim"], shown["pooling"]) == (NAME, 8, "mean")
    assert len(shown["fingerprint"]) == 32
    assert shown["files"]["model.safetensors"] > 0
    assert shown["fingerprint"] in run("show", NAME).stdout


def test_verify_says_which_file_differs(store: Store) -> None:
    assert "as fetched" in run("verify", NAME).stdout
    (entry,) = store.entries("converted")
    weights = entry.files / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    result = run("verify")
    assert isinstance(result.exception, BrokenModel)
    assert "model.safetensors: content differs" in result.stderr


def test_remove_asks_first(store: Store) -> None:
    assert run("remove", NAME, typed="n\n").exit_code == 1
    assert store.entries("converted")
    assert run("remove", NAME, typed="y\n").exit_code == 0
    assert store.entries("converted") == []


def test_remove_takes_a_model_out_of_the_hub_cache(tmp_path: Path) -> None:
    folder = cached(tmp_path / "cache")
    assert run("remove", "someone/else", "--yes").exit_code == 0
    assert not folder.exists()


def test_prune_takes_the_graphs_of_old_trainings_and_nothing_else(store: Store) -> None:
    for key, model in (("1-fp32", "base"), ("2-fp32", "base (tuned)"), ("2-int8", "base (tuned)")):
        store.build(
            "graphs",
            key,
            lambda files: (files / "weights.bin").write_bytes(bytes(900)) and None,
            about={"model": model},
        )
    asked = run("prune", "base (tuned)", typed="n\n")
    assert (asked.exit_code, len(store.entries("graphs"))) == (1, 3)
    assert "base (tuned): graphs 2, 1.8 kB" in asked.stderr
    assert "removed 1.8 kB" in run("prune", "base (tuned)", typed="y\n").stdout
    assert [entry.key for entry in store.entries("graphs")] == ["1-fp32"]
    missing = run("prune", "base (tuned)", "--yes").exception
    assert isinstance(missing, UnknownModel) and "there are those of base" in str(missing)
    assert run("prune", "--yes").exit_code == run("prune").exit_code == 0
    assert (store.entries("graphs"), len(store.entries("converted"))) == ([], 1)


@pytest.mark.parametrize("command", ["remove", "verify"])
def test_an_unknown_name_is_refused_with_what_there_is(command: str) -> None:
    result = run(command, "owner/kep")
    assert isinstance(result.exception, UnknownModel)
    assert NAME in str(result.exception)


def test_pull_of_a_folder_checks_it(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    assert str(folder) in run("pull", str(folder)).stdout.replace("\n", "")


def test_a_converted_model_opens_by_name_without_its_hub() -> None:
    assert run("pull", NAME).exit_code == 0
