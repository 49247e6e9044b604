"""The model card: what the hub reads, what people need, nothing private, and code that runs."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import umekomi
from kit.evaluating import RecordingWatch
from kit.tiny_models import save_tiny_model
from kit.tuning import DATA, provenance, save_tuned
from umekomi.models.bundle import Bundle
from umekomi.models.files import front_matter
from umekomi.models.sources import open_model
from umekomi.train.exporting import Provenance, add_proof, export
from umekomi.train.exporting.readme import write_readme
from umekomi.train.merging import Sweep, Trial, open_merge
from umekomi.train.settings import TrainingSettings

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_model(str(save_tiny_model(tmp_path_factory.mktemp("private") / "our-base")))


def card(base: Bundle, folder: Path, made: Provenance | None = None) -> str:
    write_readme(folder, base, alpha=0.5, provenance=made or provenance(base), graphs=True)
    return (folder / "README.md").read_text(encoding="utf-8")


def test_licence_origin_and_languages_are_carried_over(base: Bundle, tmp_path: Path) -> None:
    known = replace(
        base.card, source="hub:someone/base@abc", licence="Apache-2.0", languages=("no", "ja"), notice="quantised"
    )
    text = card(replace(base, card=known), tmp_path)
    stated = front_matter(tmp_path / "README.md")
    assert (stated["license"], stated["base_model"], stated["language"]) == (
        "apache-2.0",
        "someone/base",
        ["no", "ja"],
    )
    assert "Apache-2.0, holds" in text
    assert "About the base: quantised." in text
    assert base.card.fingerprint in text


def test_words_of_a_base_and_of_file_names_stay_words(base: Bundle, tmp_path: Path) -> None:
    evil = "mit\n---\n## Proof\n\n<script>"
    known = replace(base.card, licence=evil, notice=evil, prompts={"query": "`\n# "})
    data = replace(DATA, digests={"a|<b>\r\n# c.jsonl": "0"}, notes=(evil,))
    card(replace(base, card=known), tmp_path, replace(provenance(base), data=data))
    add_proof(tmp_path, ["**TIED.** on <b>"])
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert front_matter(tmp_path / "README.md")["library_name"] == "sentence-transformers"
    body = text.partition("\n---\n")[2]
    assert not re.search(r"^(---|# c|# `)", body, re.MULTILINE)
    assert body.count("\n## Proof\n") == body.count("\n## Training\n") == 1
    assert "<script>" not in body
    assert body.endswith("**TIED.** on &lt;b>\n")


def test_an_unknown_licence_is_said_and_no_path_of_the_makers_machine(base: Bundle, tmp_path: Path) -> None:
    data = replace(DATA, notes=(f"3 negatives mined with {base.card.name}",))
    made = Provenance(TrainingSettings(base=base.card.name, distill="/home/someone/secret/reranker"), data)
    text = card(base, tmp_path, made)
    assert "license" not in front_matter(tmp_path / "README.md")
    assert "licence of the base is not known" in text
    assert front_matter(tmp_path / "README.md")["base_model"] == "our-base"
    assert str(base.folder.parent) not in text
    assert "secret" not in text
    assert "| distill | reranker |" in text
    assert "- 3 negatives mined with our-base" in text


def test_how_it_was_made_can_be_read_and_repeated(base: Bundle, tmp_path: Path) -> None:
    trials = (Trial(0.3, {"dev": 0.5, "sample": 0.4}, 0.5, 0.0), Trial(0.5, {"dev": 0.6, "sample": 0.4}, 0.6, 0.0))
    swept = Sweep(
        0.5,
        "alpha 0.5 scores best",
        replace(trials[0], alpha=0.0),
        trials,
        {"dev": "ndcg@10", "sample": "x"},
        True,
        0.01,
    )
    made = Provenance(TrainingSettings(base="x", seed=7), DATA, swept, {"steps": 12})
    text = card(base, tmp_path, made)
    for words in (
        "| seed | 7 |",
        "| steps | 12 |",
        "ab" * 32,
        "| torch |",
        "dev (ndcg@10)",
        "| 0.5 | 0.6000 | 0.4000 |",
    ):
        assert words in text


def test_the_proof_is_added_once_it_is_known_and_again(base: Bundle, tmp_path: Path) -> None:
    before = card(base, tmp_path)
    assert "Not proved yet." in before
    for lines in (["IMPROVED"], ["TIED", "又 no more"]):
        add_proof(tmp_path, lines)
        text = (tmp_path / "README.md").read_text(encoding="utf-8")
        assert text.split("## Proof")[0] == before.split("## Proof")[0]
        assert text.split("## Proof")[1] == "\n\n" + "\n\n".join(lines) + "\n"


def test_its_code_for_the_graphs_gives_the_models_vectors(base: Bundle, tmp_path: Path) -> None:
    with open_merge(base, save_tuned(base, tmp_path / "tuned", spread=0.3), device="cpu", threads=1) as merge:
        made = export(merge, alpha=1, out=tmp_path / "out", provenance=provenance(base), watch=RecordingWatch())
    text = (made.folder / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(import numpy.*?)```", text, flags=re.DOTALL)
    texts = ["the green apple", "東京は日本の首都です。", "long " * 200]
    script = (
        f"prompt, texts = '', {texts!r}\n{code}\n"
        "pooled = np.stack([own.mean(axis=0) for own in states])\n"
        "np.save('vectors.npy', pooled / np.linalg.norm(pooled, axis=1, keepdims=True))\n"
    )
    assert "the mean of its states, scaled to unit length" in text
    subprocess.run([sys.executable, "-c", script], cwd=made.folder, check=True)
    with umekomi.open_embedder(str(made.folder), threads=1) as embedder:
        np.testing.assert_allclose(
            np.load(made.folder / "vectors.npy"), embedder.embed(texts, role="raw").vectors, atol=1e-6
        )
