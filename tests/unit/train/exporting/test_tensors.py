"""Where each weight lies in the base's files: under prefixes and old names, and nowhere is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from umekomi.errors import BrokenModel
from umekomi.models.checkpoint import read_header
from umekomi.train.exporting.tensors import match_names, rewrite_weights

torch = pytest.importorskip("torch")


def test_weights_are_found_under_a_prefix_and_by_their_old_names() -> None:
    state = {
        name: torch.ones(2) for name in ("embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias", "out.weight")
    }
    stored = [
        "bert.embeddings.LayerNorm.gamma",
        "bert.embeddings.LayerNorm.beta",
        "bert.out.weight",
        "cls.out.weight",
    ]
    assert match_names(state, stored) == {
        "bert.embeddings.LayerNorm.gamma": "embeddings.LayerNorm.weight",
        "bert.embeddings.LayerNorm.beta": "embeddings.LayerNorm.bias",
        "bert.out.weight": "out.weight",
    }


def test_a_weight_without_a_place_is_an_error_unless_it_decides_nothing_or_is_kept_elsewhere() -> None:
    words = torch.ones(4)
    state = {"shared.weight": words, "encoder.words.weight": words[:], "pooler.dense.weight": torch.ones(2)}
    assert match_names(state, ["shared.weight"]) == {"shared.weight": "shared.weight"}
    with pytest.raises(BrokenModel, match=r"norm\.weight have no place"):
        match_names({**state, "norm.weight": torch.ones(2)}, ["shared.weight"])


def test_only_what_changed_is_written_anew(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = {
        "b.half": torch.tensor([1.0, 2.0, 3.0], dtype=torch.float16),
        "a.same": torch.tensor([[1.0, -0.0]]),
        "a.changed": torch.tensor([1.0, 2.0]),
        "positions": torch.arange(5),
        "empty": torch.empty(0, 3),
    }
    source = tmp_path / "base" / "model.safetensors"
    source.parent.mkdir()
    save_file(base, source, metadata={"format": "pt", "made": "here"})
    state = {name: value.float() if value.is_floating_point() else value + 1 for name, value in base.items()}
    assert rewrite_weights([source], state, folder=tmp_path / "same") == 0
    assert (tmp_path / "same" / source.name).read_bytes() == source.read_bytes()

    state["a.changed"] = torch.tensor([[1.0, 9.0], [2.0, 9.0]])[:, 0] + torch.tensor([0.0, 0.25])  # lies in strides
    assert rewrite_weights([source], state, folder=tmp_path / "changed") == 0
    state["b.half"] = state["b.half"] + 1e-5
    assert rewrite_weights([source], state, folder=tmp_path / "wide") == 1
    for folder, half in (("changed", torch.float16), ("wide", torch.float32)):
        written = load_file(tmp_path / folder / source.name)
        assert written["a.changed"].tolist() == [1.0, 2.25]
        assert written["b.half"].dtype == half
        assert torch.equal(
            written["b.half"].float(), base["b.half"].float() if half == torch.float16 else state["b.half"]
        )
        assert written["positions"].tolist() == [0, 1, 2, 3, 4]
        assert written["a.same"].numpy().tobytes() == base["a.same"].numpy().tobytes()
        header = read_header(tmp_path / folder / source.name)
        order = sorted(read_header(source), key=lambda name: (read_header(source)[name].offset, name))
        assert sorted(header, key=lambda name: (header[name].offset, name)) == order
