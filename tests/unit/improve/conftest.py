"""A workshop's notes, a model that does not know its words, and one improvement on them for many tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.chat_server import chat_server
from kit.jargon import Note, build_writer, save_word_model, write_documents, write_notes

QUICKLY = ("--epochs", "12", "--batch-size", "16", "--learning-rate", "0.01")
"""How the model of words learns in a few seconds."""


def run_improve(*arguments: str | Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """The command as users give it, in a process of its own, on one thread."""
    return subprocess.run(
        [sys.executable, "-m", "umekomi", "improve", *map(str, arguments), "--threads", "1"],
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )


@dataclass(frozen=True)
class Workshop:
    """Documents, the notes that they hold, and a model. ``improve`` gives the LLM's requests beside the run."""

    documents: Path
    notes: list[Note]
    model: Path

    def improve(
        self,
        output: Path,
        *more: str | Path,
        base: Path | None = None,
        documents: Path | None = None,
        wrong: Callable[[Note], bool] = lambda note: False,
    ) -> tuple[subprocess.CompletedProcess[str], int]:
        with chat_server(build_writer(self.notes, wrong=wrong)) as llm:
            done = run_improve(documents or self.documents, "-o", output, *self.options(llm.url, base=base), *more)
            return done, len(llm.asked)

    def options(self, url: str, *, base: Path | None = None) -> list[str | Path]:
        few = ("--no-judge", "--styles", "question", "--per-document", "1", "--general", "none")
        return ["--llm", f"{url}#m", "--base", base or self.model, *few]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("workshop")
    notes = write_notes(20)
    documents = write_documents(folder / "notes", notes)
    (documents / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of a PDF follows")
    return Workshop(documents, notes, save_word_model(folder / "words", notes))
