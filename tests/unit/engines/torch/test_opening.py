"""Which engine opens a model, what the torch engine refuses, and what its options change."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from kit.model_folders import edit_json
from kit.tiny_models import save_tiny_decoder, save_tiny_model
from umekomi.engines import registry
from umekomi.engines.registry import open_encoder
from umekomi.engines.torch.encoder import TorchEncoder, plan_groups
from umekomi.errors import (
    BrokenModel,
    ConfigError,
    EngineError,
    InvalidInput,
    MissingExtra,
    UnsupportedModel,
    UserError,
)
from umekomi.models.sources import open_model

LONG = "緑の果物は甘くて長い " * 20


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("originals")
    return {
        "llama": save_tiny_decoder(folder / "llama"),
        "mpnet": save_tiny_model(folder / "mpnet", "mpnet"),
        "bert": save_tiny_model(folder / "bert", "bert"),
    }


@pytest.fixture
def copy(originals: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    import shutil

    monkeypatch.setenv("UMEKOMI_HOME", str(tmp_path / "home"))

    def copy_model(name: str) -> Path:
        return Path(shutil.copytree(originals[name], tmp_path / name))

    return copy_model


def open_torch(folder: Path, **options: Any) -> TorchEncoder:
    encoder = open_encoder(open_model(str(folder)), engine="torch", threads=1, options=options)
    assert isinstance(encoder, TorchEncoder)
    return encoder


def test_onnx_goes_first_and_torch_says_that_it_stands_in(
    copy: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = copy("bert")
    assert not isinstance(open_encoder(open_model(str(folder)), threads=1), TorchEncoder)
    edit_json(folder / "config.json", hidden_act="mish")
    with caplog.at_level(logging.WARNING, "umekomi.engines"):
        stand_in = open_encoder(open_model(str(folder)), threads=1)
    assert isinstance(stand_in, TorchEncoder)
    assert "runs in torch" in caplog.text
    assert "mish" in caplog.text
    with pytest.raises(UnsupportedModel, match="mish"):
        open_encoder(open_model(str(folder)), threads=1, precision="int8")


def test_without_torch_its_extra_is_named(copy: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "is_installed", lambda module: False)
    for name in ("llama", "mpnet"):
        with pytest.raises(MissingExtra, match=rf"{name}.*pip install 'umekomi\[train\]'"):
            open_encoder(open_model(str(copy(name))))
    folder = copy("bert")
    edit_json(folder / "config.json", hidden_act="mish")
    with pytest.raises(UnsupportedModel, match=r"mish.*pip install 'umekomi\[train\]'"):
        open_encoder(open_model(str(folder)))


def test_equal_vectors_have_equal_fingerprints_in_both_engines(copy: Callable[[str], Path]) -> None:
    bundle = open_model(str(copy("bert")))
    built, run = (open_encoder(bundle, engine=engine, threads=1) for engine in ("onnx", "torch"))
    texts = ["", "the green apple", LONG]
    np.testing.assert_allclose(run.run(run.prepare(texts)), built.run(built.prepare(texts)), atol=1e-5, rtol=0)
    assert built.card.fingerprint == run.card.fingerprint


def test_a_long_text_in_pieces_is_another_vector_than_a_cut_one(copy: Callable[[str], Path]) -> None:
    folder = copy("llama")
    whole, cut = open_torch(folder), open_torch(folder, long_texts="cut")
    assert whole.card.fingerprint != cut.card.fingerprint
    assert (whole.card.in_pieces, cut.card.in_pieces) == (True, False)
    vectors = [encoder.run(encoder.prepare(["short", LONG])) for encoder in (whole, cut)]
    np.testing.assert_allclose(vectors[0][0], vectors[1][0], atol=1e-6)
    assert vectors[0][1] @ vectors[1][1] < 0.999
    assert not whole.prepare([LONG])[0].truncated
    assert cut.prepare([LONG])[0].truncated
    assert whole.card.notice is not None
    assert "generating text" in whole.card.notice


@pytest.mark.parametrize(("pooling", "card"), [("last", "lasttoken"), ("cls", "cls"), ("mean", "mean")])
def test_another_pooling(pooling: str, card: str, copy: Callable[[str], Path]) -> None:
    encoder = open_torch(copy("llama"), pooling=pooling)
    assert (encoder.card.pooling, encoder.card.in_pieces) == (card, pooling == "mean")
    assert np.isfinite(encoder.run(encoder.prepare(["", "a", LONG]))).all()


def test_an_encoder_may_run_long_texts_in_pieces_too(copy: Callable[[str], Path]) -> None:
    encoder = open_torch(copy("mpnet"), long_texts="pieces")
    prepared = encoder.prepare([LONG, LONG + LONG])
    assert all(text.tokens > encoder.card.max_tokens for text in prepared)
    assert np.isfinite(encoder.run(prepared)).all()


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_is_near_and_its_fingerprint_another(dtype: str, copy: Callable[[str], Path]) -> None:
    folder = copy("mpnet")
    exact, half = open_torch(folder), open_torch(folder, dtype=dtype)
    texts = ["the green apple", "緑の果物"]
    near = (exact.run(exact.prepare(texts)) * half.run(half.prepare(texts))).sum(axis=1)
    assert (near > 0.98).all()
    assert half.card.precision == dtype
    assert half.card.fingerprint != exact.card.fingerprint


WRONG_OPTIONS: dict[str, dict[str, Any]] = {
    "unknown option 'gpu'": {"gpu": True},
    "dtype is 'int4'": {"dtype": "int4"},
    "pooling is 'max'": {"pooling": "max"},
    "long_texts is 'split'": {"long_texts": "split"},
    "batch_tokens is 0": {"batch_tokens": 0},
    "device is 'tpu9'": {"device": "tpu9"},
    "device is 'cuda:99'": {"device": "cuda:99"},
    "device is 'meta'": {"device": "meta"},
    "'pieces' is for mean pooling": {"long_texts": "pieces", "pooling": "last"},
}


@pytest.mark.parametrize(("message", "options"), WRONG_OPTIONS.items(), ids=WRONG_OPTIONS)
def test_wrong_options(message: str, options: dict[str, Any], copy: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match=message):
        open_torch(copy("llama"), **options)


def test_int8_is_not_for_torch(copy: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match="precision int8 is not for the engine 'torch'"):
        open_encoder(open_model(str(copy("llama"))), precision="int8")


def change_config(**values: Any) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / "config.json", **values)


def drop_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def widen_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = np.ones(17, np.float32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def write_adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "someone/else"}))


DAMAGED: dict[str, tuple[Callable[[Path], None], type[UserError], str]] = {
    "code of its own": (change_config(auto_map={"AutoModel": "evil.Model"}), UnsupportedModel, "trust_remote_code"),
    "an unknown architecture": (change_config(model_type="nobody9"), UnsupportedModel, "nobody9.*does not know"),
    "a seq2seq model": (change_config(model_type="bart", d_model=16), UnsupportedModel, "bart gives no states"),
    "quantised": (change_config(quantization_config={"quant_method": "gptq"}), UnsupportedModel, "quantization"),
    "an adapter": (write_adapter, UnsupportedModel, "adapter"),
    "a missing tensor": (drop_tensor, BrokenModel, r"lacks the tensor layers\.1\.mlp\.up_proj\.weight"),
    "a tensor of another shape": (widen_tensor, BrokenModel, r"norm\.weight has shape \[17\]"),
    "too many layers": (change_config(num_hidden_layers=10**9), BrokenModel, "num_hidden_layers is 1000000000"),
    "a part with too many": (
        change_config(text_config={"n_layers": 10**9}),
        BrokenModel,
        "n_layers is 1000000000",
    ),
    "no count": (change_config(num_hidden_layers="2"), BrokenModel, "num_hidden_layers|cannot be loaded"),
    "a huge word table": (
        change_config(vocab_size=10**12),
        BrokenModel,
        "describes .* numbers, but the files hold",
    ),
    "a small word table": (
        change_config(vocab_size=3),
        BrokenModel,
        "embed_tokens.*has shape",
    ),
    "heads that do not fit": (change_config(num_attention_heads=3), BrokenModel, "not a multiple"),
}


@pytest.mark.parametrize(("damage", "kind", "message"), DAMAGED.values(), ids=DAMAGED)
def test_what_is_refused(
    damage: Callable[[Path], None], kind: type[UserError], message: str, copy: Callable[[str], Path]
) -> None:
    folder = copy("llama")
    damage(folder)
    with pytest.raises(kind, match=message):
        open_torch(folder)


def test_pickles_are_refused_and_their_conversion_named(copy: Callable[[str], Path]) -> None:
    folder = copy("llama")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UnsupportedModel, match="umekomi models convert"):
        open_model(str(folder))


def test_keys_that_name_code_or_files_are_not_taken(copy: Callable[[str], Path]) -> None:
    folder = copy("llama")
    edit_json(
        folder / "config.json",
        transformers_weights="../elsewhere.safetensors",
        _attn_implementation="somebody/kernels",
        attn_implementation="somebody/kernels",
    )
    encoder = open_torch(folder)
    assert np.isfinite(encoder.run(encoder.prepare(["a"]))).all()


def test_a_token_that_only_the_tokenizer_knows_is_named(copy: Callable[[str], Path]) -> None:
    folder = copy("llama")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens(["<extra>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    encoder = open_torch(folder)
    assert np.isfinite(encoder.run(encoder.prepare(["extra"]))).all()
    with pytest.raises(InvalidInput, match="text 1 has the token '<extra>'"):
        encoder.prepare(["extra", "an <extra> token"])


def test_a_closed_encoder_says_so(copy: Callable[[str], Path]) -> None:
    encoder = open_torch(copy("llama"))
    prepared = encoder.prepare(["a"])
    assert len(encoder.run([])) == 0
    encoder.close()
    encoder.close()
    with pytest.raises(EngineError, match="closed"):
        encoder.run(prepared)


def test_groups_keep_to_the_budget_and_to_one_length_where_nothing_hides_padding() -> None:
    lengths = [3, 9, 3, 40, 1, 9]
    groups = list(plan_groups(lengths, 20, pads=True))
    assert sorted(index for group in groups for index in group) == list(range(6))
    assert all(len(group) == 1 or max(lengths[i] for i in group) * len(group) <= 20 for group in groups)
    assert [sorted(group) for group in plan_groups(lengths, 20, pads=False)] == [[3], [1, 5], [0, 2], [4]]
