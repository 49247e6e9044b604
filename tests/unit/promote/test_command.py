"""Promotion in a file alone: what is written, and when nothing is."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path

import pytest

from kit.promotions import Verdict, copy_trained, umekomi, words, write_trained
from umekomi.config import load_settings
from umekomi.extras import is_installed
from umekomi.promote.running import RunningServer
from umekomi.prove.files import read_training_report, write_training_report
from umekomi.serve.access.keys import KeyStore


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_trained(tmp_path_factory.mktemp("trained") / "out")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "umekomi.yaml"
    path.write_text(
        "models:\n- {name: old, source: 'hashing:8', aliases: [search], role: query}\n", encoding="utf-8"
    )
    return path


def promote(trained: Path, alias: str = "search", *more: str | Path) -> str:
    """In umekomi.yaml of this folder; returns all that was told."""
    result = umekomi("promote", trained, "--alias", alias, "--file-only", *more)
    assert result.exit_code == 0, words(result)
    return words(result)


def refused(trained: Path, alias: str = "search", *more: str | Path) -> str:
    result = umekomi("promote", trained, "--alias", alias, "--file-only", *more)
    assert result.exit_code == 2, words(result)
    return words(result)


def owner(config: Path, alias: str = "search") -> str:
    models = load_settings(config).with_defaults().models
    return next(model.name for model in models if alias in (model.name, *model.aliases))


def test_it_says_that_a_file_alone_was_changed_and_the_new_model_behaves_as_the_old(
    config: Path, trained: Path
) -> None:
    assert "takes effect at the server's next start or reload" in promote(trained)
    old, new = load_settings(config).models
    assert (new.role, new.keep_alive_s, old.keep_alive_s) == ("query", None, None)
    assert Path(new.open_name) == trained / "model"
    assert umekomi("rollback", "search", "--file-only").exit_code == 0
    assert owner(config) == "old"


def test_without_a_file_the_starters_stay_served(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "umekomi.yaml"
    before = load_settings_of_nothing()
    promote(trained, "text-embedding-3-small")
    after = load_settings(config).with_defaults()
    names = {name for model in after.models for name in (model.name, *model.aliases)}
    assert before <= names
    assert owner(config, "text-embedding-3-small").startswith("text-embedding-3-small@")
    assert owner(config, "text-embedding-3-large") == "multilingual-e5-small"
    assert umekomi("rollback", "text-embedding-3-small", "--file-only").exit_code == 0
    assert owner(config, "text-embedding-3-small") == "multilingual-e5-small"
    if is_installed("xllamacpp"):
        assert "a model for chat" in refused(trained, "smollm2-135m-instruct")


def load_settings_of_nothing() -> set[str]:
    models = load_settings(None).with_defaults().models
    return {name for model in models for name in (model.name, *model.aliases)}


def test_a_trial_shows_and_changes_nothing(config: Path, trained: Path) -> None:
    before = sorted(config.parent.iterdir()), config.read_bytes()
    told = promote(trained, "search", "--dry-run")
    assert "+- name: search@" in told
    assert "nothing was changed" in told
    assert (sorted(config.parent.iterdir()), config.read_bytes()) == before


def test_no_key_goes_to_a_machine_that_only_the_file_names(config: Path, trained: Path) -> None:
    config.write_text("server: {host: 192.0.2.1}\n" + config.read_text())
    result = umekomi("promote", trained, "--alias", "search")
    assert result.exit_code == 2
    assert "'192.0.2.1' is no address of this machine" in words(result)


def test_no_password_of_an_address_is_kept_or_shown(config: Path, trained: Path) -> None:
    result = umekomi("promote", trained, "--alias", "search", "--base-url", "http://me:secret@127.0.0.1:1")
    assert result.exit_code == 2
    assert "UMEKOMI_API_KEY" in words(result)
    assert "secret" not in words(result)


def test_a_server_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy, socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
        gone.close()
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        proxy.settimeout(0)
        with RunningServer(f"http://127.0.0.1:{port}", api_key="secret") as server:
            assert not server.runs()
        with pytest.raises(BlockingIOError):
            proxy.accept()


@pytest.mark.parametrize("path", ["../elsewhere", "/", "model\0"])
def test_a_report_names_no_model_outside_of_its_folder(
    trained: Path, tmp_path: Path, config: Path, path: str
) -> None:
    folder = copy_trained(trained, tmp_path / "out")
    report = read_training_report(folder)
    assert report.model is not None
    model = report.model.model_copy(update={"path": path})
    write_training_report(folder, report.model_copy(update={"model": model}))
    assert "is not in that folder" in refused(folder)


@pytest.mark.parametrize("verdict", ["IMPROVED", "TIED"])
def test_a_report_whose_verdict_was_changed_is_refused_whatever_the_reason(
    verdict: Verdict, config: Path, trained: Path, tmp_path: Path
) -> None:
    folder = copy_trained(trained, tmp_path / "changed", verdict="REGRESSED")
    report = read_training_report(folder)
    write_training_report(folder, report.model_copy(update={"verdict": verdict}))
    before = config.read_bytes()
    for force in ((), ("--force", "I know better")):
        told = refused(folder, "search", *force)
        assert f"its verdict is {verdict}, and its comparisons come to REGRESSED" in told
    assert config.read_bytes() == before


def test_a_gate_of_which_a_check_failed_did_not_pass(config: Path, trained: Path, tmp_path: Path) -> None:
    folder = copy_trained(trained, tmp_path / "changed", gate=False)
    report = read_training_report(folder)
    assert report.gate is not None
    gate = report.gate.model_copy(update={"passed": True})
    write_training_report(folder, report.model_copy(update={"gate": gate}))
    assert "the gate failed (int8)" in refused(folder)


@pytest.mark.parametrize(
    "line",
    [
        {"alias": ["search"], "step": "promoted", "model": {"name": "other"}},
        {"alias": "search", "step": "promoted", "model": {"name": ["other"]}},
        {"alias": "search", "step": "promoted", "model": {"name": "other", "entry": "text"}},
        {"alias": "search", "step": "lost", "model": {"name": "other"}},
        "[" * 100_000,
    ],
)
def test_a_line_of_the_history_that_is_none_is_left_out_and_said(config: Path, line: object) -> None:
    text = line if isinstance(line, str) else json.dumps(line)
    config.with_name("umekomi.history.jsonl").write_text(text + "\n", encoding="utf-8")
    result = umekomi("history", "search")
    assert result.exit_code == 0, words(result)
    assert "1 lines of" in words(result)
    assert "never promoted" in words(result)


def test_a_link_stays_a_link_and_the_mode_stays(config: Path, trained: Path, tmp_path: Path) -> None:
    real = tmp_path / "real" / "server.yaml"
    real.parent.mkdir()
    config.rename(real)
    config.symlink_to(real)
    real.chmod(0o640)
    promote(trained)
    assert config.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert owner(config).startswith("search@")
    assert (real.parent / "server.history.jsonl").is_file()


def test_a_read_only_file_is_left_alone(config: Path, trained: Path) -> None:
    before = config.read_bytes()
    config.chmod(0o444)
    assert "is read-only" in refused(trained)
    assert config.read_bytes() == before


@pytest.mark.parametrize("alias", ["", " search", "a\nb", "x" * 201])
def test_names_that_cannot_be_told_apart(config: Path, trained: Path, alias: str) -> None:
    assert "--alias" in refused(trained, alias)


def test_an_edit_by_hand_is_told_and_not_guessed_over(config: Path, trained: Path) -> None:
    promote(trained)
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("search@", "by hand@"), encoding="utf-8")
    told = umekomi("history", "search")
    assert "was edited by hand: search is by hand@" in words(told)
    rows = [json.loads(line) for line in umekomi("history", "search", "--json").stdout.splitlines()]
    assert rows[-1]["model"].startswith("by hand@")
    assert rows[-1]["how"] == "edited by hand since"
    result = umekomi("rollback", "search", "--file-only")
    assert (result.exit_code, "what to go back to cannot be told" in words(result)) == (2, True)
    nobody = umekomi("history", "nobody")
    assert (nobody.exit_code, "promoted names: search" in words(nobody)) == (2, True)


def test_a_model_that_is_gone_back_to_is_shown_with_its_verdict(config: Path, trained: Path) -> None:
    promote(trained)
    promote(trained, "search", "--precision", "int8")
    assert umekomi("rollback", "search", "--file-only").exit_code == 0
    lines = umekomi("history", "search", "--json").stdout.splitlines()
    told = [json.loads(line) for line in lines]
    assert [(each["how"].split()[0], each["verdict"]) for each in told] == [
        ("found", None),
        ("promoted", "IMPROVED"),
        ("promoted", "IMPROVED"),
        ("rolled", "IMPROVED"),
    ]


def test_a_history_whose_last_line_was_cut_off_goes_on(config: Path, trained: Path, tmp_path: Path) -> None:
    promote(trained)
    history = tmp_path / "umekomi.history.jsonl"
    history.write_bytes(history.read_bytes() + b'{"at": "2026-')
    assert umekomi("rollback", "search", "--file-only").exit_code == 0
    told = umekomi("history", "search", "--json")
    assert "1 lines of" in told.stderr
    assert [json.loads(line)["how"] for line in told.stdout.splitlines()] == [
        "found in the file",
        "promoted (in the file only)",
        "rolled back",
    ]


def test_a_model_that_moved_or_was_taken_out_of_the_file_comes_back(
    config: Path, trained: Path, tmp_path: Path
) -> None:
    other = copy_trained(trained, tmp_path / "copy")
    promote(trained)
    promote(other)
    names = [model.name for model in load_settings(config).models]
    assert names[2] == f"{names[1]}-2"
    lines = config.read_text(encoding="utf-8").splitlines(keepends=True)
    start = next(at for at, line in enumerate(lines) if line.strip() == f"- name: {names[1]}")
    end = next(at for at, line in enumerate(lines) if at > start and line.startswith("- "))
    config.write_text("".join(lines[:start] + lines[end:]), encoding="utf-8")
    assert [model.name for model in load_settings(config).models] == [names[0], names[2]]
    result = umekomi("rollback", "search", "--file-only")
    assert (result.exit_code, "it is listed again" in words(result)) == (0, True)
    assert owner(config) == names[1]


def test_a_key_that_loses_a_name_is_told_of(config: Path, trained: Path, tmp_path: Path) -> None:
    with KeyStore(tmp_path / "keys.sqlite") as store:
        store.create("ci", models=["old"])
        store.create("shop", models=["search", "old"])
    config.write_text(config.read_text(encoding="utf-8") + "keys: {file: keys.sqlite}\n", encoding="utf-8")
    told = promote(trained)
    assert "the key 'ci'" in told
    assert "may not ask for search" in told
    assert "shop" not in told


def test_fallbacks_are_told_of_and_not_taken_over(config: Path, trained: Path) -> None:
    config.write_text(
        "models:\n- {name: old, source: 'hashing:8', aliases: [search], fallbacks: [spare]}\n"
        "- {name: spare, source: 'hashing:8', fallbacks: [search]}\n",
        encoding="utf-8",
    )
    told = promote(trained)
    assert "gets no fallbacks: spare" in told
    assert "spare falls back on search" in told
    assert [model.fallbacks for model in load_settings(config).models] == [("spare",), ("search",), ()]


def test_where_one_model_at_a_time_is_in_memory_the_new_one_alone_stays(
    config: Path, trained: Path, tmp_path: Path
) -> None:
    config.write_text(config.read_text(encoding="utf-8") + "single_active: true\n", encoding="utf-8")
    promote(trained)
    promote(copy_trained(trained, tmp_path / "copy"))
    models = load_settings(config).models
    assert [(model.pinned, model.keep_alive_s) for model in models] == [(False, 900), (False, 900), (True, None)]


def test_a_folder_that_is_not_there(config: Path, trained: Path) -> None:
    told = refused(trained, "search", "--config", config.parent / "nowhere" / "umekomi.yaml")
    assert "does not exist" in told
