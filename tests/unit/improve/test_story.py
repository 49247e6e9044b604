"""The page of an improvement: whatever documents and people wrote stays text, and each verdict has its advice."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_args

import pytest

from kit.proofs import open_hashing, questions, story
from umekomi.evaluate.settings import Watch
from umekomi.improve.story import write_story
from umekomi.prove.inputs import ProofSettings, ProofTasks
from umekomi.prove.results import TrainingReport, Verdict
from umekomi.prove.run import prove
from umekomi.synthesize.output.files import write_splits, write_summary
from umekomi.synthesize.pairs import Pair

HOSTILE = "<script>alert(1)</script> & \"'><img src=x onerror=y>"


class Silent:
    def stage(self, title: str, *, total: int) -> Any:
        return nullcontext(lambda count: None)

    def notify(self, message: str) -> None: ...


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> TrainingReport:
    folder = tmp_path_factory.mktemp("proof")
    watch: Watch = Silent()
    candidates = open_hashing(16), open_hashing(64)
    try:
        return prove(
            *candidates,
            ProofTasks(questions()),
            ProofSettings(cache=folder / "vectors"),
            folder=folder,
            watch=watch,
            story=story(),
        )
    finally:
        for each in candidates:
            each.close()


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A synthesis of one pair for each split, all of it hostile."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    made = [
        Pair(f"p{at}", f"{at} {HOSTILE}", HOSTILE, f"c{at}", f"d{at}", f"{HOSTILE}.txt", at, "question", "en")
        for at in range(3)
    ]
    counts = write_splits(folder, made, {"d0": "train", "d1": "dev", "d2": "test"})
    summary = {
        "llm": {"name": HOSTILE},
        "pairs": counts,
        "rejected": {HOSTILE: 2},
        "queries_asked": 5,
        "notes": [HOSTILE],
    }
    write_summary(folder, summary)
    return folder


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_texts_stay_texts_and_the_verdict_has_its_advice(
    report: TrainingReport, pairs: Path, tmp_path: Path, verdict: Verdict
) -> None:
    documents = tmp_path / "documents.json"
    statuses = dict.fromkeys(("ok", "warned", "quarantined", "failed", "skipped", "chunks"), 1)
    files = [{"path": HOSTILE, "status": "quarantined", "reason": HOSTILE}]
    documents.write_text(json.dumps({"totals": statuses, "files": files}), encoding="utf-8")
    training = tmp_path / "it's a folder; rm -rf x" / "training-0"
    page = tmp_path / "report.html"
    proved = report.model_copy(update={"verdict": verdict, "sentence": HOSTILE})
    write_story(page, proved, documents=documents, pairs=pairs, training=training)
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<img" not in text
    assert text.count("alert(1)") >= 8
    offered = "umekomi promote" in text
    assert offered is (verdict == "IMPROVED")
    if offered:  # quoted for a shell, then for HTML
        assert "&#x27;&quot;&#x27;&quot;&#x27;s a folder; rm -rf x/training-0&#x27; --alias NAME" in text
    write_story(page, proved, documents=None, pairs=pairs, training=training)
    assert "Documents read" not in page.read_text(encoding="utf-8")
