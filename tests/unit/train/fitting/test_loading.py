"""Which models can be trained, what is said of the others, and in which shape they are trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kit.fitting import PROMPTS, open_base, save_base
from kit.gguf_files import write_bert
from kit.model_folders import edit_json, write_json
from kit.tiny_models import save_tiny_decoder, save_tiny_reranker
from umekomi.errors import ConfigError, UmekomiError, UnsupportedModel
from umekomi.train.fitting import loading
from umekomi.train.fitting.loading import build_model, check_base

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("http://localhost:8000/v1#model", UnsupportedModel, "weights are not here.*multilingual-e5-small"),
        ("hashing:64", UnsupportedModel, "has no weights.*bge"),
        ("multilingual-e5-small:int8", ConfigError, "write -m multilingual-e5-small"),
    ],
)
def test_names_of_what_has_no_weights(name: str, error: type[UmekomiError], said: str) -> None:
    with pytest.raises(error, match=said):
        loading.open_base(name)


@pytest.mark.parametrize("file", ["modules.json", "config.json"])
def test_a_static_model_is_told_apart(tmp_path: Path, file: str) -> None:
    content = [{"type": "sentence_transformers.models.StaticEmbedding", "path": ""}], {"model_type": "model2vec"}
    write_json(tmp_path / file, content[file == "config.json"])
    with pytest.raises(UnsupportedModel, match=r"static model.*train intfloat"):
        loading.open_base(str(tmp_path))


def test_a_gguf_file_is_told_what_to_use_instead(tmp_path: Path) -> None:
    write_bert(tmp_path / "model.gguf", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "apple"], pooling=1)
    with pytest.raises(UnsupportedModel, match=r"GGUF file.*train the safetensors model"):
        loading.open_base(str(tmp_path / "model.gguf"))


def test_safetensors_are_trained_where_the_model_runs_from_a_shipped_onnx_file(tmp_path: Path) -> None:
    folder = save_base(tmp_path / "mpnet", architecture="mpnet", dense=["Tanh"])
    expected = open_base(folder)
    (folder / "onnx").mkdir()
    (folder / "onnx/model.onnx").write_bytes(b"a graph, as repositories ship one")
    assert open_base(folder).card.format == "onnx"
    told: list[str] = []
    bundle = loading.open_base(str(folder), notify=told.append)
    assert (bundle.card.fingerprint, bundle.weights) == (expected.card.fingerprint, expected.weights)
    assert ["the safetensors beside it are trained" in line for line in told] == [True]
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnsupportedModel, match=r"has onnx weights only.*train the safetensors model"):
        loading.open_base(str(folder))
    pulled = replace(bundle, card=replace(bundle.card, format="onnx", source="hub:someone/mpnet@4f5e"))
    with pytest.raises(UnsupportedModel, match=r"hf download someone/mpnet --revision 4f5e --include '\*"):
        check_base(pulled)


def test_rerankers_and_generators_are_refused(tmp_path: Path) -> None:
    for folder, said in (
        (save_tiny_reranker(tmp_path / "reranker", "bert"), "makes no vectors"),
        (save_tiny_decoder(tmp_path / "decoder"), "generating text"),
    ):
        with pytest.raises(UnsupportedModel, match=said):
            check_base(open_base(folder))


def test_weights_in_half_precision_are_trained_in_full(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_base(tmp_path / "model")
    weights = {name: value.half() for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    edit_json(folder / "config.json", dtype="float16")
    model = build_model(open_base(folder), max_length=None)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_the_card_decides_about_prompts_and_length(tmp_path: Path) -> None:
    folder = save_base(tmp_path / "model", prompts={"query": "query: ", "passage": "text "}, max_tokens=40)
    bundle = open_base(folder)
    for asked, expected in ((None, 40), (16, 16), (999, 40)):
        model = build_model(bundle, max_length=asked)
        assert model.max_seq_length == expected
        assert {role: model.prompts[role] for role in PROMPTS} == PROMPTS


def test_a_model_without_a_pooling_of_its_own_gets_that_of_its_card(tmp_path: Path) -> None:
    folder = save_base(tmp_path / "model", pooling="cls")
    bundle = open_base(folder)
    expected = build_model(bundle, max_length=None).encode(["apple"])
    (folder / "modules.json").unlink()
    for pooling, same in (("cls", True), ("mean", False)):
        card = replace(bundle.card, pooling=pooling)
        found = build_model(replace(bundle, card=card), max_length=None).encode(["apple"])
        assert torch.allclose(torch.tensor(found), torch.tensor(expected), atol=1e-6) == same
