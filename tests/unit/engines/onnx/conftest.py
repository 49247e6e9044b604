"""One tiny BERT for all tests of this folder to copy, and a store of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit.tiny_models import save_tiny_model

CopyModel = Callable[[str], Path]


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A tiny model of an architecture, made at its first use. Not to be changed."""
    folder = tmp_path_factory.mktemp("originals")

    def find(architecture: str) -> Path:
        path = folder / architecture
        return path if path.exists() else save_tiny_model(path, architecture)

    return find


@pytest.fixture
def copy_model(originals: Callable[[str], Path], tmp_path: Path) -> CopyModel:
    """A copy of a tiny model of an architecture, for the test to change."""

    def copy(architecture: str = "bert") -> Path:
        target = tmp_path / architecture
        shutil.copytree(originals(architecture), target)
        return target

    return copy


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UMEKOMI_HOME", str(tmp_path / "home"))
        yield tmp_path / "home"
