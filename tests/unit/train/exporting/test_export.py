"""Exported folders: opened by everybody, of the base in all but the weights, and whole or not there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import umekomi
from kit.evaluating import RecordingWatch
from kit.model_folders import edit_json
from kit.server import serving
from kit.tiny_models import save_tiny_model
from kit.tuning import DATA, provenance, save_tuned
from umekomi.config import ModelSettings
from umekomi.errors import BrokenModel, StoreError
from umekomi.models.bundle import Bundle, Origin, open_bundle
from umekomi.models.catalog import CatalogEntry
from umekomi.models.digests import DigestCache
from umekomi.models.sources import open_model
from umekomi.train.exporting import (
    Exported,
    check_exportable,
    check_parity,
    export,
    plan_export_size,
)
from umekomi.train.merging import open_merge

torch = pytest.importorskip("torch")

TEXTS = ["the green apple is a sweet fruit", "東京は日本の首都です。", "", "long " * 200]


def exported(base: Bundle, out: Path, *, spread: float, alpha: float = 0.5, watch: Any = None) -> Exported:
    """``base`` tuned, exported and passed through the gate."""
    watch = watch or RecordingWatch()
    tuned = save_tuned(base, out.with_name(f"{out.name}-tuned"), spread=spread)
    with open_merge(base, tuned, device="cpu", threads=1) as merge:
        written = export(merge, alpha=alpha, out=out, provenance=provenance(base), watch=watch)
    gate, accepted = check_parity(written, data=DATA, threads=1, watch=watch)
    assert gate.passed
    return accepted


def names(folder: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", framework="np") as file:
        return sorted(file.keys())


def rename(folder: Path, **changes: Any) -> None:
    """Save a model's tensors again: under ``prefix``, without some, or in another number format."""
    from safetensors.torch import load_file, save_file

    prefix, without, dtype = changes.get("prefix", ""), changes.get("without"), changes.get("dtype")
    tensors = {prefix + name: value for name, value in load_file(folder / "model.safetensors").items()}
    kept = {name: value.to(dtype) if dtype else value for name, value in tensors.items() if without not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("bert", {}),
        ("roberta", {"pooling": "cls", "normalize": False}),
        ("distilbert", {}),
        ("modernbert", {"dense": ["Tanh", "Identity"], "layer_norm": True}),
        ("mpnet", {}),
        ("t5", {}),
    ],
)
def test_everybody_opens_an_exported_model_and_gets_the_same_vectors(
    architecture: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    folder = save_tiny_model(tmp_path / architecture, architecture, **settings)
    if architecture == "bert":  # as checkpoints of pretraining are named, and without a pooler
        rename(folder, prefix="bert.", without="pooler")
    base = open_model(str(folder))
    found = exported(base, tmp_path / "out", spread=0.3)
    assert found.folder == tmp_path / "out" / "model"
    assert names(found.folder) == names(folder)
    plain = SentenceTransformer(str(found.folder), device="cpu").encode(TEXTS)
    with umekomi.open_embedder(str(found.folder), threads=1) as embedder:
        assert embedder.fingerprint == found.card.fingerprint != base.card.fingerprint
        assert replace(embedder.card, weights_digest=base.card.weights_digest).fingerprint == base.card.fingerprint
        vectors = embedder.embed(TEXTS, role="raw")
    np.testing.assert_allclose(vectors.vectors, plain, atol=1e-5)
    assert vectors.truncated.tolist() == [False, False, False, True]
    if found.graphs:
        with umekomi.open_embedder(str(found.folder), precision="int8", threads=1) as embedder:
            assert embedder.embed(TEXTS, role="raw").vectors.shape == plain.shape
        assert not found.notes
    else:
        assert "runs in torch only" in found.notes[0]
        assert not (found.folder / "onnx").exists()


def test_an_exported_model_is_served(tmp_path: Path) -> None:
    base = open_model(str(save_tiny_model(tmp_path / "base")))
    found = exported(base, tmp_path / "out", spread=0.3)
    with serving(ModelSettings(name="tuned", source=str(found.folder))) as server:
        answer = server.post({"model": "tuned", "input": TEXTS[:2]}).json()
    with umekomi.open_embedder(str(found.folder), threads=1) as embedder:
        expected = embedder.embed(TEXTS[:2], role="raw").vectors
    np.testing.assert_allclose([row["embedding"] for row in answer["data"]], expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16"])
@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_a_training_that_changed_nothing_gives_the_bases_own_fingerprint(
    dtype: str | None, alpha: float, tmp_path: Path
) -> None:
    folder = save_tiny_model(tmp_path / "base", dense=["Tanh"])
    rename(folder, without="pooler", dtype=getattr(torch, dtype) if dtype else None)
    base = open_model(str(folder))
    found = exported(base, tmp_path / "out", spread=0, alpha=alpha)
    assert found.card.fingerprint == base.card.fingerprint
    assert (found.folder / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_half_precision_that_changed_is_exported_in_float32_and_says_so(tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from sentence_transformers import SentenceTransformer

    folder = save_tiny_model(tmp_path / "base")
    rename(folder, without="pooler", dtype=torch.bfloat16)
    edit_json(folder / "config.json", dtype="bfloat16")
    watch = RecordingWatch()
    # Far under a step of bfloat16: rounded to it, nothing would be left of the training.
    found = exported(open_model(str(folder)), tmp_path / "out", spread=0.001, alpha=1, watch=watch)
    assert "float32" in watch.notices[0]
    tuned = load_file(tmp_path / "out-tuned" / "model.safetensors")
    written = load_file(found.folder / "model.safetensors")
    for name, value in written.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, tuned[name])
    assert SentenceTransformer(str(found.folder), device="cpu").dtype == torch.float32


def test_what_the_catalog_knows_of_a_base_stands_in_the_files(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "base", pooling="cls")
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    prompts = {"query": "質問: ", "document": "text: "}
    entry = CatalogEntry("someone/known", 32, 40, "cls", True, "Apache-2.0", ("ja", "en"), prompts)
    edit_json(folder / "tokenizer_config.json", model_max_length=...)
    origin = Origin(name="someone/known", source="hub:someone/known@abc", entry=entry)
    base = open_bundle(folder, origin, digests=DigestCache(tmp_path / "digests"))
    assert (base.card.max_tokens, base.card.pooling) == (40, "cls")
    found = exported(base, tmp_path / "out", spread=0, alpha=1)
    assert found.card.fingerprint == base.card.fingerprint
    assert (found.card.prompts, found.card.licence, found.card.languages) == (prompts, "apache-2.0", ("ja", "en"))


def test_shards_stay_shards_and_a_head_of_pretraining_stays_what_it_was(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_tiny_model(tmp_path / "base")
    tensors = load_file(folder / "model.safetensors") | {"cls.predictions.bias": torch.arange(3.0)}
    (folder / "model.safetensors").unlink()
    parts = {f"model-0000{part + 1}-of-00002.safetensors": sorted(tensors)[part::2] for part in range(2)}
    for file, own in parts.items():
        save_file({name: tensors[name] for name in own}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, own in parts.items() for name in own}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    found = exported(open_model(str(folder)), tmp_path / "out", spread=0.3)
    for file, own in parts.items():
        written = load_file(found.folder / file)
        assert sorted(written) == sorted(own)
        for name in own:
            assert torch.equal(written[name], tensors[name]) == ("cls" in name or "pooler" in name)


def test_of_a_bases_folder_only_the_model_and_its_licence_come_along(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "base")
    blobs = tmp_path / "blobs"
    folder.joinpath("tokenizer.json").rename(blobs)
    folder.joinpath("tokenizer.json").symlink_to(blobs)  # as in the hub's cache
    (folder / "onnx").mkdir()
    strangers = ("pytorch_model.bin", "training_args.bin", "trainer_state.json", "adapter_model.bin", "modeling.py")
    for name in (*strangers, "LICENSE", "onnx/model.onnx", "pytorch_model.bin.index.json", "README.md"):
        (folder / name).write_text("of the base")
    found = exported(open_model(str(folder)), tmp_path / "out", spread=0.3)
    files = {str(path.relative_to(found.folder)) for path in found.folder.rglob("*") if path.is_file()}
    assert files == {
        "1_Pooling/config.json",
        "2_Normalize/config.json",
        "LICENSE",
        "README.md",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "onnx/fp32/graph.onnx",
        "onnx/fp32/weights.bin",
        "onnx/int8/graph.onnx",
        "onnx/int8/weights.bin",
        "sentence_bert_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert not (found.folder / "tokenizer.json").is_symlink()
    assert "of the base\n" not in (found.folder / "README.md").read_text()


def test_an_export_that_is_stopped_leaves_the_earlier_model_and_nothing_else(tmp_path: Path) -> None:
    class Stopping(RecordingWatch):
        def notify(self, message: str) -> None:
            raise KeyboardInterrupt

        def stage(self, title: str, *, total: int) -> Any:
            raise KeyboardInterrupt

    base = open_model(str(save_tiny_model(tmp_path / "base", "mpnet")))
    out = tmp_path / "out"
    before = exported(base, out, spread=0.3).card.fingerprint
    for left in (".model.partial", "model.unchecked", "model.failed"):  # as kill -9 leaves them
        (out / left).mkdir()
        (out / left / "model.safetensors").write_bytes(b"half")
    tuned = save_tuned(base, tmp_path / "other", spread=0.3, seed=2)
    with open_merge(base, tuned, device="cpu", threads=1) as merge:
        with pytest.raises(KeyboardInterrupt):
            export(merge, alpha=1, out=out, provenance=provenance(base), watch=Stopping())
        assert sorted(path.name for path in out.iterdir()) == ["gate.json", "model"]
        assert open_model(str(out / "model")).card.fingerprint == before
        (out / "model").rename(out / ".model.old")  # killed between two names
        written = export(merge, alpha=1, out=out, provenance=provenance(base), watch=RecordingWatch())
        assert open_model(str(out / "model")).card.fingerprint == before, "it is not replaced before the gate"
    _, accepted = check_parity(written, data=None, threads=1, watch=RecordingWatch())
    assert sorted(path.name for path in out.iterdir()) == ["gate.json", "model"]
    assert open_model(str(out / "model")).card.fingerprint == accepted.card.fingerprint != before


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    base = open_model(str(save_tiny_model(tmp_path / "base", "mpnet")))
    (tmp_path / "file").write_text("in the way")
    with open_merge(base, save_tuned(base, tmp_path / "tuned", spread=0), device="cpu", threads=1) as merge:
        with pytest.raises(StoreError, match="file"):
            export(merge, alpha=1, out=tmp_path / "file", provenance=provenance(base), watch=RecordingWatch())
        (base.folder / "model.safetensors").unlink()
        with pytest.raises(BrokenModel, match=r"model\.safetensors"):
            export(merge, alpha=1, out=tmp_path / "out", provenance=provenance(base), watch=RecordingWatch())


def test_what_cannot_be_exported_is_said_at_the_start(tmp_path: Path) -> None:
    told: list[str] = []
    bert = open_model(str(save_tiny_model(tmp_path / "bert")))
    check_exportable(bert, notify=told.append)
    check_exportable(open_model(str(save_tiny_model(tmp_path / "t5", "t5"))), notify=told.append)
    assert ["licence" in line for line in told] == [True, False, True]
    assert "torch only" in told[1]


def test_an_export_takes_no_more_disk_than_was_planned(tmp_path: Path) -> None:
    base = open_model(str(save_tiny_model(tmp_path / "base", dense=["Tanh"])))
    planned = plan_export_size(base)
    found = exported(base, tmp_path / "out", spread=0.3)
    used = sum(path.stat().st_size for path in found.folder.rglob("*") if path.is_file())
    weights = (base.folder / "model.safetensors").stat().st_size
    assert 2 * weights < used < planned.out_bytes
    assert planned.store_bytes > 2 * weights
