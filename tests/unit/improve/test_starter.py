"""Documents to a verdict with the starter models alone, and nothing that reaches for the network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kit.office_files import write_docx
from kit.outside import watched_outside
from kit.pdf_files import write_pdf
from umekomi.cli.exit_codes import CANNOT_REPLACE
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.tasks import LabelTask

pytestmark = [pytest.mark.starter, pytest.mark.slow, pytest.mark.timeout(900)]

PROMPT = """\
# system
You name the subject of a text. Answer with JSON.
# user
Text: The old cat sleeps on the red sofa in the kitchen.
{"query": "old cat red sofa"}

Text: Trains to Osaka leave every ten minutes.
{"query": "trains Osaka ten minutes"}

Text: $passage
"""
"""The starter LLM only goes on with what it sees; umekomi's own prompts are for models that follow rules."""


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A document of a sentence for some texts of each subject: PDF, DOCX, and plain text."""
    folder = tmp_path_factory.mktemp("documents")
    task = open_task("sample-en")
    assert isinstance(task, LabelTask)
    for row in range(0, len(task.texts), 4):
        text, name = task.texts[row], f"{task.labels[row]}-{row}"
        match row // 4 % 3:
            case 0:
                write_pdf(folder / f"{name}.pdf", [[text]], font="Helvetica")
            case 1:
                write_docx(folder / f"{name}.docx", [text])
            case _:
                (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


def test_the_starters_alone_take_documents_to_a_verdict_without_network(documents: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "keyword.en.md").write_text(PROMPT, encoding="utf-8")
    output = tmp_path / "out"
    llm = ("--llm", "smollm2-135m-instruct", "--prompts", str(prompts), "--no-judge", "--slots", "1")
    few = ("--styles", "keyword", "--per-document", "1", "--max-tokens", "40", "--general", "none")
    short = ("--max-steps", "2", "--batch-size", "8", "--max-length", "32", "--threads", "1")
    command = [sys.executable, "-m", "umekomi", "improve", str(documents), "-o", str(output), *llm, *few, *short]
    with watched_outside() as outside:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=800, env=outside.environment)
    assert not outside.asked
    assert done.returncode in (0, CANNOT_REPLACE), done.stderr
    (training,) = output.glob("training-*")
    report = json.loads((training / "training_report.json").read_text(encoding="utf-8"))
    assert done.stdout.startswith(f"{report['verdict']}: ")
    assert (done.returncode == CANNOT_REPLACE) is (report["verdict"] == "REGRESSED")
    assert report["gate"]["passed"]
    kept = [output / "pairs" / f"{name}.jsonl" for name in ("train", "dev", "test")]
    pairs = [line for path in kept for line in path.read_bytes().splitlines()]
    files = json.loads((output / "pairs" / "documents.json").read_text(encoding="utf-8"))["totals"]
    assert files["ok"] == 27
    assert 7 <= len(pairs) <= 27
    assert report["verdict"] in (output / "report.html").read_text(encoding="utf-8")
