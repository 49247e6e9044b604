"""A real model from tuned weights to its folder: what tiny ones cannot show, such as a vocabulary of 250,000."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import umekomi
from conftest import CACHE
from kit.awkward_texts import AWKWARD
from kit.evaluating import RecordingWatch
from kit.tuning import DATA, provenance, save_tuned
from umekomi.models.sources import open_model
from umekomi.models.store import Store
from umekomi.train.exporting import check_parity, export, plan_export_size
from umekomi.train.merging import open_merge

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.starter, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Path]:
    """A folder whose gigabytes do not outlive the test."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_the_starter_is_exported_in_full_and_agrees_with_torch(room: Path) -> None:
    from sentence_transformers import SentenceTransformer

    base = open_model("multilingual-e5-small", store=Store(CACHE / "umekomi"))
    tuned = save_tuned(base, room / "tuned", spread=0.02)
    with open_merge(base, tuned, device="cpu", threads=1) as merge:
        written = export(merge, alpha=0.5, out=room / "out", provenance=provenance(base), watch=RecordingWatch())
    gate, accepted = check_parity(written, data=DATA, threads=1, watch=RecordingWatch())
    fp32, int8 = gate.checks
    assert fp32.least >= 0.9999
    assert int8.least >= 0.99
    assert (accepted.card.licence, accepted.card.prompts) == ("mit", base.card.prompts)
    assert accepted.card.fingerprint != base.card.fingerprint
    assert base.card.notice
    assert base.card.notice in (accepted.folder / "README.md").read_text(encoding="utf-8")

    texts = [text for text in AWKWARD if len(text) < 1000]
    theirs = SentenceTransformer(str(accepted.folder), device="cpu").encode_query(texts)
    with umekomi.open_embedder(str(accepted.folder), threads=1) as embedder:
        np.testing.assert_allclose(embedder.embed(texts, role="query").vectors, theirs, atol=1e-5)

    planned = plan_export_size(base)
    used = sum(path.stat().st_size for path in accepted.folder.rglob("*") if path.is_file())
    assert used <= planned.out_bytes <= 1.2 * used
