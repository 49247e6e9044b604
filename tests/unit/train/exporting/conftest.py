"""A store of its own for every test: graphs of models that were made for a test are of no use to another."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UMEKOMI_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
