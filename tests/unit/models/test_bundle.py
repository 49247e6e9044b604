"""Opening a model's folder: what a card says, and one clear error for every way a folder can be wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from kit.model_folders import (
    HIDDEN,
    OLD_TYPES,
    edit_json,
    tensors,
    write_dense,
    write_json,
    write_model,
    write_modules,
)
from umekomi.errors import BrokenModel, UmekomiError, UnknownModel, UnsupportedModel
from umekomi.models.bundle import Bundle, Origin, open_bundle
from umekomi.models.catalog import CATALOG, CatalogEntry
from umekomi.models.digests import DigestCache
from umekomi.models.sources import open_model
from umekomi.models.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def opened(folder: Path) -> Bundle:
    return open_model(str(folder), store=Store(folder.parent / "home"))


def opened_as(folder: Path, entry: CatalogEntry, said: list[str] | None = None) -> Bundle:
    """As a source opens a folder that it knows to be a model of the catalog."""
    origin = Origin(name=entry.hub_id, source="hub:test", entry=entry)
    notify = said.append if said is not None else None
    return open_bundle(folder, origin, digests=DigestCache(folder.parent / "digests"), notify=notify)


def test_a_card_says_what_the_files_say(folder: Path) -> None:
    readme = "---\nlicense: mit\nlanguage:\n- ja\n- en\n---\n# A model\n"
    (folder / "README.md").write_text(readme, encoding="utf-8")
    card = opened(folder).card
    assert (card.dim, card.max_tokens, card.pooling, card.normalize) == (HIDDEN, 32, "mean", True)
    assert (card.architecture, card.format, card.licence, card.languages) == (
        "bert",
        "safetensors",
        "mit",
        ("ja", "en"),
    )
    assert card.prompts == {"query": "q: "}
    assert card.source == f"folder:{folder.resolve()}"


def test_a_model_saved_by_an_old_release_is_the_same_model(folder: Path) -> None:
    card = opened(folder).card
    write_modules(folder, ["Transformer", "Pooling", "Normalize"], OLD_TYPES)
    legacy = {"cls_token": False, "mean_tokens": True, "max_tokens": False, "mean_sqrt_len_tokens": False}
    old = {"word_embedding_dimension": HIDDEN} | {f"pooling_mode_{key}": value for key, value in legacy.items()}
    write_json(folder / "1_Pooling/config.json", old)
    assert opened(folder).card.fingerprint == card.fingerprint


@pytest.mark.parametrize(
    ("old", "new", "pooling"),
    [
        ("pooling_mode_cls_token", "cls", "cls"),
        ("pooling_mode_max_tokens", "max", "max"),
        ("pooling_mode_mean_tokens", "mean", "mean"),
        ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", "mean_sqrt_len"),
        ("pooling_mode_weightedmean_tokens", "weightedmean", "weightedmean"),
        ("pooling_mode_lasttoken", "lasttoken", "lasttoken"),
    ],
)
def test_every_pooling_is_read_in_both_spellings(folder: Path, old: str, new: str, pooling: str) -> None:
    for stated in ({old: True}, {"pooling_mode": new}, {"pooling_mode": [new]}, {old: True, "pooling_mode": new}):
        write_json(folder / "1_Pooling/config.json", {"embedding_dimension": HIDDEN, **stated})
        assert opened(folder).card.pooling == pooling


@pytest.mark.parametrize(
    ("stated", "clue"),
    [
        ({}, "0 pooling modes are set"),
        ({"pooling_mode_mean_tokens": False}, "0 pooling modes"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "2 pooling modes"),
        ({"pooling_mode": ["mean", "max"]}, "2 pooling modes"),
        ({"pooling_mode": "median"}, "median"),
        ({"pooling_mode": None}, "None"),
        ({"pooling_mode_median_tokens": True}, "median"),
        ({"pooling_mode_mean_tokens": "yes"}, "yes"),
        ({"pooling_mode": "mean", "pooling_mode_cls_token": True}, "older keys"),
        ({"pooling_mode": "mean", "include_prompt": False}, "include_prompt"),
    ],
)
def test_a_pooling_in_doubt_is_an_error_that_names_file_and_value(
    folder: Path, stated: dict[str, Any], clue: str
) -> None:
    write_json(folder / "1_Pooling/config.json", {"embedding_dimension": HIDDEN, **stated})
    with pytest.raises(UnsupportedModel, match=rf"1_Pooling/config\.json.*{clue}"):
        opened(folder)


def test_without_modules_the_pooling_is_never_guessed(folder: Path) -> None:
    (folder / "modules.json").unlink()
    with pytest.raises(UnsupportedModel, match=r"add modules\.json and 1_Pooling/config\.json"):
        opened(folder)


def test_without_modules_the_catalog_fills_the_gap(folder: Path) -> None:
    (folder / "modules.json").unlink()
    entry = CATALOG["BAAI/bge-m3"]
    card = opened_as(folder, entry).card
    assert (card.pooling, card.normalize) == ("cls", True)
    assert (card.licence, card.languages) == ("MIT", entry.languages)


def test_files_win_over_the_catalog_and_it_is_said(folder: Path) -> None:
    said: list[str] = []
    card = opened_as(folder, CATALOG["intfloat/multilingual-e5-small"], said).card
    assert card.prompts == {"query": "q: ", "document": "passage: "}  # a shipped empty prompt is a gap
    assert {key for key in ("dim", "max_tokens", "query prompt") if any(key in line for line in said)} == {
        "dim",
        "max_tokens",
        "query prompt",
    }
    assert len(said) == 3


def test_dense_layers_decide_the_length_of_a_vector_and_the_fingerprint(folder: Path) -> None:
    before = opened(folder).card
    write_dense(folder, 2, (HIDDEN, 6))
    write_dense(folder, 3, (6, 4), activation_function="torch.nn.modules.linear.Identity")
    write_modules(folder, ["Transformer", "Pooling", "Dense", "Dense", "Normalize"])
    card = opened(folder).card
    assert card.dim == 4
    assert [(layer.path, layer.activation) for layer in card.dense] == [
        ("2_Dense", "tanh"),
        ("3_Dense", "identity"),
    ]
    save_file({"linear.weight": np.ones((4, 6), np.float32) * 2, "linear.bias": np.zeros(4, np.float32)},
              folder / "3_Dense/model.safetensors")  # fmt: skip
    assert len({card.fingerprint, before.fingerprint, opened(folder).card.fingerprint}) == 3


@pytest.mark.parametrize(
    ("architecture", "positions", "stated", "expected"),
    [
        ({"model_type": "bert"}, 64, None, 64),
        ({"model_type": "bert"}, 64, 500, 64),
        ({"model_type": "xlm-roberta", "pad_token_id": 1}, 514, None, 512),
        ({"model_type": "xlm-roberta", "pad_token_id": 1}, 514, 514, 512),
        ({"model_type": "roberta", "pad_token_id": 0}, 514, None, 513),
        ({"model_type": "luke"}, 514, None, 512),
        ({"model_type": "mpnet", "pad_token_id": 1}, 514, None, 512),
        ({"model_type": "modernbert", "pad_token_id": 3}, 8192, None, 8192),
        ({"model_type": "modernbert", "pad_token_id": 3}, 8192, 100, 100),
    ],
)
def test_the_longest_text_is_what_the_position_table_can_hold(
    folder: Path, architecture: dict[str, Any], positions: int, stated: int | None, expected: int
) -> None:
    edit_json(folder / "config.json", **architecture, max_position_embeddings=positions)
    edit_json(folder / "sentence_bert_config.json", max_seq_length=stated)
    edit_json(folder / "tokenizer_config.json", model_max_length=1_000_000_000_000_000_019_884_624_838_656)
    assert opened(folder).card.max_tokens == expected


def test_the_tokenizers_limit_serves_where_a_new_release_states_no_other(folder: Path) -> None:
    write_json(folder / "sentence_bert_config.json", {"transformer_task": "feature-extraction"})
    edit_json(folder / "tokenizer_config.json", model_max_length=48)
    assert opened(folder).card.max_tokens == 48


def test_shards_are_opened_in_order_through_their_index(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    names = list(tensors())
    files = {name: f"model-0000{i + 1}-of-00002.safetensors" for i, name in enumerate(names)}
    for name, file in files.items():
        save_file({name: tensors()[name]}, folder / file)
    write_json(folder / "model.safetensors.index.json", {"weight_map": files})
    assert [path.name for path in opened(folder).weights] == sorted(files.values())


def test_a_copy_of_a_model_has_its_fingerprint_and_a_changed_one_has_not(folder: Path, tmp_path: Path) -> None:
    original = opened(folder).card
    assert opened(write_model(tmp_path / "copy")).card.fingerprint == original.fingerprint
    edit_json(folder / "config.json", transformers_version="9", _name_or_path="x", architectures=["Y"])
    assert opened(folder).card.fingerprint == original.fingerprint
    changes = {
        "config.json": {"hidden_act": "relu"},
        "tokenizer_config.json": {"do_lower_case": True},
        "sentence_bert_config.json": {"do_lower_case": True},
    }
    for file, change in changes.items():
        edit_json(folder / file, **change)
        changed = opened(folder).card
        assert changed.fingerprint != original.fingerprint
        original = changed


def test_weights_that_change_are_seen_although_digests_are_remembered(folder: Path) -> None:
    big = {"x": np.zeros(600_000, np.float32)}
    path = folder / "model.safetensors"
    save_file(big, path)
    os.utime(path, (1e9, 1e9))
    first = opened(folder).card.fingerprint
    assert opened(folder).card.fingerprint == first
    assert list((folder.parent / "home/digests").iterdir())
    big["x"][5] = 1
    save_file(big, path)
    assert opened(folder).card.fingerprint != first


Breaking = Callable[[Path], object]


def lacks(file: str) -> Breaking:
    return lambda folder: (folder / file).unlink()


def holds(file: str, content: bytes) -> Breaking:
    return lambda folder: (folder / file).write_bytes(content)


def states(file: str, **values: Any) -> Breaking:
    return lambda folder: edit_json(folder / file, **values)


def has_modules(*kinds: str) -> Breaking:
    return lambda folder: write_modules(folder, list(kinds))


def is_cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def goes_on(folder: Path) -> None:
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"x")


def is_a_pipe(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


def is_a_folder(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()


BROKEN: list[tuple[str, Breaking, str]] = [
    ("no config", lacks("config.json"), r"config\.json: is missing"),
    ("config is no JSON", holds("config.json", b"{model_type: bert}"), "line 1, column 2"),
    ("config is a list", holds("config.json", b"[]"), r"config\.json.*object"),
    ("config is not UTF-8", holds("config.json", b'{"a": "\xff"}'), "byte 7"),
    ("config is nested deeply", holds("config.json", b"[" * 200_000), r"config\.json"),
    ("config has a huge number", holds("config.json", b'{"a": 1' + b"0" * 9999 + b"}"), r"config\.json"),
    ("config is a folder", is_a_folder, "plain file"),
    ("config is a pipe", is_a_pipe, "plain file"),
    ("no model_type", states("config.json", model_type=...), "model_type"),
    ("no width", states("config.json", hidden_size=...), "hidden_size"),
    ("wrong width", states("config.json", hidden_size=-1), "hidden_size is -1"),
    ("widths differ", states("config.json", hidden_size=16), "1_Pooling.*16"),
    ("no tokenizer", lacks("tokenizer.json"), "no tokenizer"),
    ("no weights", lacks("model.safetensors"), "no weights"),
    ("empty weights", holds("model.safetensors", b""), r"model\.safetensors"),
    ("weights are text", holds("model.safetensors", b"version https://git-lfs"), r"model\.safetensors"),
    ("cut weights", is_cut, r"model\.safetensors.*fetch it again"),
    ("weights that go on", goes_on, r"model\.safetensors.*fetch it again"),
    ("modules are no list", holds("modules.json", b"{}"), r"modules\.json"),
    ("no pooling config", lacks("1_Pooling/config.json"), r"1_Pooling/config\.json"),
    ("limit is no number", states("sentence_bert_config.json", max_seq_length="a"), "'a'"),
    ("prompts are a list", states("config_sentence_transformers.json", prompts=["q: "]), "prompts"),
]
UNSUPPORTED: list[tuple[str, Breaking, str]] = [
    ("remote code", states("config.json", auto_map={"AutoModel": "x.Y"}), r"config\.json: auto_map"),
    (
        "remote tokenizer",
        states("tokenizer_config.json", auto_map={"T": ["x.Y"]}),
        "tokenizer_config.*auto_map",
    ),
    ("empty modules", holds("modules.json", b"[]"), "modules are none"),
    ("no pooling", has_modules("Transformer"), r"modules\.json"),
    ("odd order", has_modules("Transformer", "Normalize", "Pooling"), "in this order"),
    ("another task", states("sentence_bert_config.json", transformer_task="fill-mask"), "fill-mask"),
    ("own limits", states("sentence_bert_config.json", query_length=32), "query_length"),
    ("another kind", states("config_sentence_transformers.json", model_type="SparseEncoder"), "SparseEncoder"),
]
CASES = [(case, BrokenModel) for case in BROKEN] + [(case, UnsupportedModel) for case in UNSUPPORTED]


@pytest.mark.parametrize(("case", "kind"), CASES, ids=[case[0] for case, _ in CASES])
def test_a_wrong_folder_gives_one_line_that_names_the_file(
    folder: Path, case: tuple[str, Breaking, str], kind: type[UmekomiError]
) -> None:
    _, breaking, clue = case
    breaking(folder)
    with pytest.raises(kind, match=clue) as raised:
        opened(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("place", ["../../etc", "/etc", "a/../../b", "..\\x", "C:/x", "a\0b"])
def test_no_path_of_a_model_leads_out_of_its_folder(folder: Path, place: str) -> None:
    outside = write_model(folder.parent / "outside")
    content = json.loads((folder / "modules.json").read_text())
    content[1]["path"] = place
    write_json(folder / "modules.json", content)
    with pytest.raises(BrokenModel, match=r"modules\.json"):
        opened(folder)
    write_modules(folder, ["Transformer", "Pooling"])
    (folder / "model.safetensors").rename(outside / "shard.safetensors")
    shard = "../outside/shard.safetensors" if place == "../../etc" else place
    write_json(folder / "model.safetensors.index.json", {"weight_map": dict.fromkeys(tensors(), shard)})
    with pytest.raises(BrokenModel, match=r"index\.json"):
        opened(folder)


@pytest.mark.parametrize("weight_map", [{}, [], None, {"layer.0.weight": "gone.safetensors"}, {"absent": "there"}])
def test_an_index_that_names_what_is_not_there_is_broken(folder: Path, weight_map: Any) -> None:
    (folder / "model.safetensors").rename(folder / "there")
    write_json(folder / "model.safetensors.index.json", {"weight_map": weight_map})
    with pytest.raises(BrokenModel, match=r"index\.json"):
        opened(folder)


@pytest.mark.parametrize(
    ("kind", "clue"),
    [
        ("custom.Module", "never run"),
        ("os.system", "never run"),
        ("sentence_transformers.models.CNN", "CNN"),
        ("sentence_transformers.sparse_encoder.modules.splade_pooling.SpladePooling", "SpladePooling"),
    ],
)
def test_other_modules_are_refused_by_name(folder: Path, kind: str, clue: str) -> None:
    content = json.loads((folder / "modules.json").read_text())
    content[1]["type"] = kind
    write_json(folder / "modules.json", content)
    with pytest.raises(UnsupportedModel, match=clue):
        opened(folder)


@pytest.mark.parametrize(
    ("settings", "kind", "clue"),
    [
        ({"in_features": HIDDEN + 1}, BrokenModel, "linear.weight"),
        ({"out_features": 3}, BrokenModel, "linear.weight"),
        ({"activation_function": "torch.nn.modules.activation.Softmax"}, UnsupportedModel, "Softmax"),
        ({"activation_function": "evil.Tanh"}, UnsupportedModel, "evil.Tanh"),
        ({"activation_function": None}, UnsupportedModel, "None"),
        ({"use_residual": True}, UnsupportedModel, "use_residual"),
        ({"module_input_name": "token_embeddings"}, UnsupportedModel, "token_embeddings"),
    ],
)
def test_a_dense_layer_that_no_engine_runs_is_refused(
    folder: Path, settings: dict[str, Any], kind: type[UmekomiError], clue: str
) -> None:
    write_dense(folder, 2, (HIDDEN, 4), **settings)
    write_modules(folder, ["Transformer", "Pooling", "Dense"])
    with pytest.raises(kind, match=f"2_Dense.*{clue}"):
        opened(folder)


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "model.pt", "weights.pth"])
def test_pickled_weights_are_refused_with_the_way_to_convert_them(folder: Path, pickle: str) -> None:
    (folder / "model.safetensors").rename(folder / pickle)
    with pytest.raises(UnsupportedModel, match=f"{pickle}.*umekomi models convert"):
        opened(folder)


def test_a_folder_that_is_no_model_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BrokenModel, match=r"config\.json.*is missing"):
        opened(tmp_path)
    with pytest.raises(UnknownModel, match="does not exist"):
        opened(tmp_path / "gone")


def test_a_pipe_in_the_place_of_the_readme_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "README.md")
    assert opened(folder).card.licence is None


@pytest.mark.parametrize("prompt", ["\ud800", "a\0b"])
def test_a_prompt_that_no_tokenizer_takes_is_refused(folder: Path, prompt: str) -> None:
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps({"prompts": {"query": prompt}}), encoding="utf-8")
    with pytest.raises(BrokenModel, match=r"transformers\.json: the prompt 'query' holds NUL or half"):
        opened(folder)


@pytest.mark.parametrize(
    ("file", "class_name", "counts"),
    [
        ("tokenizer_config.json", "BertJapaneseTokenizer", True),
        ("config.json", "BertJapaneseTokenizer", True),
        ("tokenizer_config.json", "BertTokenizer", False),
    ],
)
def test_the_vocabulary_that_is_read_decides_the_digest(
    folder: Path, file: str, class_name: str, counts: bool
) -> None:
    """MeCab's words are looked up in vocab.txt, whatever tokenizer.json beside it says."""
    edit_json(folder / file, tokenizer_class=class_name)
    digests = []
    for words in ("[PAD]\n[UNK]\n", "[PAD]\n[UNK]\na\n"):
        (folder / "vocab.txt").write_text(words, encoding="utf-8")
        digests.append(opened(folder).card.tokenizer_digest)
    assert (digests[0] != digests[1]) is counts


@pytest.mark.parametrize("saved_as", ["LlamaForCausalLM", "GPT2LMHeadModel"])
def test_a_model_for_generating_text_pools_as_fastchat_does(folder: Path, saved_as: str) -> None:
    (folder / "modules.json").unlink()
    edit_json(folder / "config.json", model_type="llama", architectures=[saved_as])
    said: list[str] = []
    card = open_bundle(
        folder, Origin(name="x", source="y"), digests=DigestCache(folder / "digests"), notify=said.append
    ).card
    assert (card.pooling, card.normalize, card.in_pieces, card.capabilities) == ("mean", True, True, ("embedding",))
    assert card.notice is not None
    assert said == [f"x: {card.notice}"]


@pytest.mark.parametrize(
    ("sizes", "tokens"),
    [
        ({"max_position_embeddings": ..., "n_positions": 40, "n_embd": 8, "hidden_size": ...}, 40),
        ({"max_position_embeddings": -1, "max_seq_len": 30}, 30),
        ({"model_type": "t5", "max_position_embeddings": ..., "n_positions": 16}, 512),
    ],
)
def test_sizes_under_other_names(folder: Path, sizes: dict[str, Any], tokens: int) -> None:
    (folder / "sentence_bert_config.json").unlink()
    edit_json(folder / "config.json", **sizes)
    card = opened(folder).card
    assert (card.dim, card.max_tokens) == (HIDDEN, tokens)


def test_a_classifier_whose_states_are_pooled_is_refused(folder: Path) -> None:
    edit_json(folder / "sentence_bert_config.json", transformer_task="sequence-classification")
    with pytest.raises(UnsupportedModel, match="its transformer classifies"):
        opened(folder)
