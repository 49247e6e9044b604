"""The gate: what differs from torch gets no name under which it would be served."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kit.evaluating import RecordingWatch
from kit.model_folders import edit_json
from kit.tiny_models import save_tiny_model
from kit.tuning import DATA, provenance, save_tuned
from umekomi.errors import EngineError, GateFailed
from umekomi.models.bundle import Bundle
from umekomi.models.sources import open_model
from umekomi.train.exporting import Exported, check_parity, export
from umekomi.train.exporting.texts import DATA_TEXTS, build_gate_texts
from umekomi.train.merging import open_merge

torch = pytest.importorskip("torch")


@pytest.fixture
def base(tmp_path: Path) -> Bundle:
    return open_model(str(save_tiny_model(tmp_path / "base")))


@pytest.fixture
def unchecked(base: Bundle, tmp_path: Path) -> Exported:
    with open_merge(base, save_tuned(base, tmp_path / "tuned", spread=0.3), device="cpu", threads=1) as merge:
        return export(merge, alpha=1, out=tmp_path / "out", provenance=provenance(base), watch=RecordingWatch())


def refused(unchecked: Exported, words: str) -> dict[str, object]:
    """gate.json of what the gate must not let through."""
    with pytest.raises(GateFailed, match=words) as raised:
        check_parity(unchecked, data=DATA, threads=1, watch=RecordingWatch())
    assert isinstance(raised.value, EngineError)
    assert "model.failed" in str(raised.value)
    out = unchecked.out
    assert sorted(path.name for path in out.iterdir()) == ["gate.json", "model.failed"]
    found = json.loads((out / "gate.json").read_text())
    assert (found["schema"], found["passed"], found["model"]) == ("umekomi-gate-1", False, "model.failed")
    return dict(found)


def test_what_agrees_is_called_model_and_its_figures_are_kept(unchecked: Exported) -> None:
    assert unchecked.folder.name == "model.unchecked"
    gate, accepted = check_parity(unchecked, data=DATA, threads=1, watch=RecordingWatch())
    assert accepted.folder == unchecked.out / "model"
    assert not unchecked.folder.exists()
    found = json.loads((unchecked.out / "gate.json").read_text())
    assert found == json.loads(json.dumps(gate.record()))
    assert found["fingerprint"] == open_model(str(accepted.folder)).card.fingerprint
    fp32, int8 = found["checks"]
    assert (fp32["precision"], int8["precision"]) == ("fp32", "int8")
    assert fp32["least"] >= fp32["bound"] == 0.9999
    assert int8["mean"] >= int8["bound"] == 0.99
    assert found["truncated"] >= 2


def test_other_weights_than_were_measured_do_not_pass(unchecked: Exported, base: Bundle) -> None:
    shutil.copyfile(base.folder / "model.safetensors", unchecked.folder / "model.safetensors")
    assert refused(unchecked, "not those that were measured")["checks"] == []


def test_a_graph_that_computes_something_else_does_not_pass(unchecked: Exported, home: Path) -> None:
    """The weights of our graph are wrong, as a fault of its builder would make them."""
    [weights] = home.glob("graphs/*-fp32-*/files/weights.bin")
    content = bytearray(weights.read_bytes())
    content[4096:8192] = content[8192:12288]
    weights.write_bytes(content)
    found = refused(
        unchecked, r"fp32 by onnx against torch: the least cosine is .* 0\.9999 is needed; the worst text"
    )
    checks = {check["precision"]: check["passed"] for check in found["checks"]}  # type: ignore[attr-defined]
    assert checks == {"fp32": False, "int8": True}


@pytest.mark.parametrize(
    ("file", "changes", "words"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "cls"}, "is not the model that was exported"),
        ("config_sentence_transformers.json", {"prompts": {"query": "q: "}}, "the query prompt is 'q: '"),
        ("sentence_bert_config.json", {"max_seq_length": 16}, "cuts at 16 tokens, umekomi at 48"),
    ],
)
def test_settings_that_are_not_the_bases_do_not_pass(
    unchecked: Exported, file: str, changes: dict[str, object], words: str
) -> None:
    edit_json(unchecked.folder / file, **changes)
    refused(unchecked, words)


def test_its_texts_hold_japanese_emoji_nothing_too_much_and_the_data() -> None:
    texts = build_gate_texts(DATA, max_tokens=512)
    assert len(set(texts)) == len(texts)
    documents = [each.text for each in texts if each.role == "document"]
    queries = [each.text for each in texts if each.role == "query"]
    for wanted in ("", "埋め込み", "👨‍👩‍👧‍👦"):
        assert any(wanted in text for text in documents)
        assert any(wanted in text for text in queries)
    assert sum(len(text) >= 512 * 8 for text in documents) == 2
    assert {example.query for example in (*DATA.test, *DATA.train)} <= set(queries)
    assert {passage.text for passage in DATA.corpus} <= set(documents)
    many = DATA.__class__("ranking", DATA.train * 1000, (), (), DATA.corpus * 1000, {}, {})
    assert len(build_gate_texts(many, max_tokens=8192)) <= len(texts) + 2 * DATA_TEXTS
