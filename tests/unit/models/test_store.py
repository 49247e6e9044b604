"""The store under the things that happen to it: two processes at once, kill -9, a full disk, no right to write."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umekomi.errors import BrokenModel, EngineError, StoreError
from umekomi.models.store import KINDS, Store

KEY = "owner/model@0123"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def write_two_files(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner/a").write_bytes(b"a" * 1000)
    (folder / "b").write_bytes(b"b")


def test_an_entry_is_built_once_and_keeps_what_was_said_about_it(store: Store) -> None:
    built: list[Path] = []
    for _ in range(2):
        files = store.build("graphs", KEY, lambda f: (built.append(f), write_two_files(f))[1], about={"name": "x"})
    assert len(built) == 1
    assert (files / "inner/a").read_bytes() == b"a" * 1000
    entry = store.find("graphs", KEY)
    assert entry is not None
    assert (entry.key, entry.files, entry.size_bytes, entry.about) == (KEY, files, 1001, {"name": "x"})
    assert set(entry.digests) == {"inner/a", "b"}
    assert store.entries("graphs") == [entry]
    assert store.find("models", KEY) is None


def test_many_threads_build_one_entry(store: Store) -> None:
    built: list[Path] = []

    def build(files: Path) -> None:
        built.append(files)
        time.sleep(0.05)
        write_two_files(files)

    with ThreadPoolExecutor(8) as pool:
        places = set(pool.map(lambda _: store.build("graphs", KEY, build), range(8)))
    assert len(built) == len(places) == 1


def test_an_entry_that_failed_leaves_nothing(store: Store) -> None:
    def fail(files: Path) -> None:
        write_two_files(files)
        raise EngineError("no graph")

    with pytest.raises(EngineError):
        store.build("graphs", KEY, fail)
    assert store.find("graphs", KEY) is None
    assert list((store.home / "building").iterdir()) == []
    store.build("graphs", KEY, write_two_files)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_what_the_disk_refuses_is_said_in_one_line(store: Store, code: int) -> None:
    def fail(files: Path) -> None:
        raise OSError(code, os.strerror(code), str(files / "model.safetensors"))

    with pytest.raises(StoreError, match=r"model\.safetensors") as raised:
        store.build("models", KEY, fail)
    assert os.strerror(code) in str(raised.value)
    assert "UMEKOMI_HOME" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_over_the_limit_of_the_process_is_a_store_error(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys; from pathlib import Path; from umekomi.models.store import Store\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "Store(Path(sys.argv[1])).build('models', 'x', lambda f: (f / 'big').write_bytes(bytes(9999)) and None)"
    )
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    assert "StoreError" in run.stderr.splitlines()[-1]
    assert Store(tmp_path).entries("models") == []


def test_a_store_where_no_folder_can_be_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file/home")
    assert store.entries("models") == []
    with pytest.raises(StoreError, match="file"):
        store.build("models", KEY, write_two_files)


def test_a_whole_entry_is_read_without_writing(store: Store) -> None:
    store.build("models", KEY, write_two_files)
    before = sorted((path, path.stat().st_mtime_ns) for path in store.home.rglob("*"))
    assert store.build("models", KEY, write_two_files) == store.entries("models")[0].files
    assert sorted((path, path.stat().st_mtime_ns) for path in store.home.rglob("*")) == before


@pytest.mark.parametrize("damage", ["cut", "gone", "manifest", "no manifest"])
def test_a_damaged_entry_is_told_and_built_anew(store: Store, damage: str) -> None:
    files = store.build("models", KEY, write_two_files)
    if damage == "cut":
        (files / "inner/a").write_bytes(b"a")
    elif damage == "gone":
        (files / "b").unlink()
    elif damage == "manifest":
        (files.parent / "manifest.json").write_text('{"files": 3}')
    else:
        (files.parent / "manifest.json").unlink()
    if damage == "no manifest":
        assert store.find("models", KEY) is None
    else:
        with pytest.raises(BrokenModel, match=str(files.parent)):
            store.find("models", KEY)
    again = store.build("models", KEY, write_two_files)
    assert (again / "inner/a").stat().st_size == 1000
    assert store.find("models", KEY)


def test_verify_names_the_file_whose_content_changed(store: Store) -> None:
    files = store.build("models", KEY, write_two_files)
    (entry,) = store.entries("models")
    assert store.verify(entry) == []
    (files / "inner/a").write_bytes(b"x" * 1000)
    (files / "b").unlink()
    problems = store.verify(entry)
    assert len(problems) == 2
    assert any("inner/a: content differs" in problem for problem in problems)


def test_remove_takes_an_entry_away_and_no_other(store: Store) -> None:
    for key in (KEY, "other"):
        store.build("models", key, write_two_files)
    store.remove("models", KEY)
    store.remove("models", "never there")
    assert [entry.key for entry in store.entries("models")] == ["other"]
    assert list((store.home / "building").iterdir()) == []


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200), min_size=2, unique=True)
)
def test_keys_of_any_text_stay_apart_and_inside_the_store(keys: list[str]) -> None:
    store = Store(Path("/home-of-models"))
    places = {store.place(kind, key) for kind in KINDS for key in keys}
    assert len(places) == len(keys) * len(KINDS)
    for place in places:
        assert place.parent.parent == store.home
        assert len(place.name.encode()) <= 200
        assert not place.name.startswith(".")


SLOW_BUILD = """
import sys, time
from pathlib import Path
from umekomi.models.store import Store
def build(files):
    (files / "half").write_bytes(b"half")
    print("building", flush=True)
    time.sleep(float(sys.argv[2]))
    (files / "whole").write_bytes(b"whole")
print(Store(Path(sys.argv[1])).build("models", "slow", build))
"""


def building(home: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD, str(home), str(seconds)], stdout=subprocess.PIPE, text=True
    )


def test_two_processes_build_one_entry(tmp_path: Path) -> None:
    both = [building(tmp_path, 0.5), building(tmp_path, 0.5)]
    outputs = [process.communicate()[0].split() for process in both]
    assert sorted(len(words) for words in outputs) == [1, 2]  # one of them built
    assert len({words[-1] for words in outputs}) == 1


def test_a_killed_build_leaves_nothing_to_open_and_is_swept_by_the_next(store: Store) -> None:
    with building(store.home, 600) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "building\n"
        process.send_signal(signal.SIGKILL)
    assert store.find("models", "slow") is None
    assert store.entries("models") == []
    assert len(list((store.home / "building").iterdir())) == 1
    store.build("models", "another", write_two_files)  # any build sweeps
    assert list((store.home / "building").iterdir()) == []
    files = store.build("models", "slow", write_two_files)
    assert json.loads((files.parent / "manifest.json").read_text())["key"] == "slow"


def test_a_running_build_is_not_swept(store: Store) -> None:
    with building(store.home, 1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        store.build("models", "another", write_two_files)
        assert process.wait() == 0
    assert [entry.key for entry in store.entries("models")] == ["another", "slow"]


def test_an_empty_key_never_names_the_whole_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.build("models", "kept", lambda out: (out / "file").write_text("x") and None)
    with pytest.raises(StoreError, match="needs a key"):
        store.build("models", "", lambda out: None)
    with pytest.raises(StoreError, match="needs a key"):
        store.remove("models", "")
    assert [entry.key for entry in store.entries("models")] == ["kept"]


def test_a_manifest_nested_without_end_counts_as_damaged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for key in ("kept", "broken"):
        store.build("models", key, lambda out: (out / "file").write_text("x") and None)
    (tmp_path / "models" / "broken" / "manifest.json").write_text("[" * 100_000)
    assert [entry.key for entry in store.entries("models")] == ["kept"]
