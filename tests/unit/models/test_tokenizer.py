"""The door to tokenizers: tokenizer.json as models ship it, and what is said of folders that cannot be used."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from kit.awkward_texts import AWKWARD
from umekomi.errors import BrokenModel, UnsupportedModel, UserError
from umekomi.models.tokenizer import load_tokenizer

VOCABULARY = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "[PAD]": 3, "Big": 4, "big": 5, "word": 6}


def write_model(folder: Path, tokenizer: Tokenizer | None = None, **options: Any) -> Path:
    """A folder whose tokenizer.json has truncation and padding baked in, as many published ones have."""
    tokenizer = tokenizer or whole_words(TEMPLATE)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=8, pad_id=3, pad_token="[PAD]")
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(options))
    return folder


def whole_words(post_processor: Any = None) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if post_processor is not None:
        tokenizer.post_processor = post_processor
    return tokenizer


TEMPLATE = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])


def test_truncation_and_padding_are_switched_off(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_model(tmp_path / "model"))
    assert tokenizer.encode("big word").ids == [1, 5, 6, 2]
    assert len(tokenizer.encode("word " * 1000).ids) == 1002
    assert [len(e.ids) for e in tokenizer.encode_batch(["", "big", "big word"])] == [2, 3, 4]


def test_models_of_equal_files_share_one_while_it_is_in_use(tmp_path: Path) -> None:
    one = load_tokenizer(write_model(tmp_path / "one"))
    assert load_tokenizer(write_model(tmp_path / "two")) is one
    (tmp_path / "two" / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    other = load_tokenizer(tmp_path / "two")
    assert other.encode("Big").ids != one.encode("Big").ids
    words = whole_words(TEMPLATE)
    words.add_tokens(["new"])
    assert load_tokenizer(write_model(tmp_path / "two", words)).encode("new").ids == [1, 7, 2]
    (tmp_path / "one" / "tokenizer.json").write_text("{}")
    with pytest.raises(BrokenModel):
        load_tokenizer(tmp_path / "one")


@pytest.mark.parametrize(
    ("options", "around"),
    [
        ({"tokenizer_class": "BertTokenizer"}, ([1], [2])),
        ({"tokenizer_class": "BertTokenizerFast"}, ([1], [2])),
        ({"tokenizer_class": "LlamaTokenizer", "bos_token": "[PAD]", "eos_token": "[SEP]"}, ([3], [])),
        (
            {
                "tokenizer_class": "LlamaTokenizer",
                "eos_token": "[SEP]",
                "add_bos_token": False,
                "add_eos_token": True,
            },
            ([], [2]),
        ),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, ([], [])),
        ({"tokenizer_class": "NeverHeardOf"}, ([], [])),
        ({}, ([], [])),
    ],
)
def test_special_tokens_that_the_file_forgot_come_from_the_class(
    tmp_path: Path, options: dict[str, Any], around: tuple[list[int], list[int]]
) -> None:
    tokenizer = load_tokenizer(write_model(tmp_path / "model", whole_words(), **options))
    assert tokenizer.encode("big word").ids == [*around[0], 5, 6, *around[1]]


def test_offsets_are_kept_where_special_tokens_are_added(tmp_path: Path) -> None:
    tokenizer = whole_words(processors.ByteLevel(trim_offsets=True))
    tokenizer = load_tokenizer(write_model(tmp_path / "model", tokenizer, tokenizer_class="BertTokenizer"))
    assert tokenizer.encode("big word").ids == [1, 5, 6, 2]
    assert tokenizer.encode("big word").offsets == [(0, 0), (0, 3), (4, 8), (0, 0)]


@pytest.mark.parametrize("normalizer", [None, normalizers.Strip()])
def test_sentence_transformers_lower_case_switch(tmp_path: Path, normalizer: Any) -> None:
    tokenizer = whole_words()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    folder = write_model(tmp_path / "model", tokenizer)
    assert load_tokenizer(folder).encode("Big").ids == [4]
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 8, "do_lower_case": true}')
    assert load_tokenizer(folder).encode("Big").ids == [5]


def test_threads_get_the_same_ids(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_model(tmp_path / "model"))
    expected = [encoding.ids for encoding in tokenizer.encode_batch(list(AWKWARD))]
    with ThreadPoolExecutor(4) as pool:
        for encodings in pool.map(lambda _: tokenizer.encode_batch(list(AWKWARD)), range(8)):
            assert [encoding.ids for encoding in encodings] == expected


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "names no tokenizer class"),
        ({"model_type": "cohere"}, "config.json names no tokenizer class"),
        ({"tokenizer_class": "CohereTokenizerFast"}, "config.json names its tokenizer class 'CohereTokenizer'"),
    ],
)
def test_a_class_that_cannot_be_rebuilt_is_named(tmp_path: Path, config: dict[str, str], message: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "vocab.txt").write_text("a\n")
    with pytest.raises(
        UnsupportedModel, match=rf"has no tokenizer\.json, and .*{message}; supported .*BertTokenizer"
    ):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("model_type", "missing"),
    [("bert", "vocab.txt"), ("roberta", "vocab.json"), ("xlm-roberta", "sentencepiece.bpe.model nor spiece.model")],
)
def test_a_missing_vocabulary_is_named(tmp_path: Path, model_type: str, missing: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(BrokenModel, match=f"has neither tokenizer.json nor {missing}"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b"{}", b'{"model": {"type": "Magic"}}', b"null"]
)
def test_a_broken_tokenizer_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(BrokenModel, match=r"tokenizer\.json: not a tokenizer") as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("normalizer", {"type": "Precompiled", "precompiled_charsmap": "QQ=="}),
        ("post_processor", {"type": "TemplateProcessing", "pair": [], "special_tokens": {}}
         | {"single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}]}),
        ("model", {"type": "Unigram", "unk_id": None, "vocab": [["a", -1.0]]}),
    ],
)  # fmt: skip
def test_damage_that_makes_the_library_panic_or_only_shows_in_use(
    tmp_path: Path, part: str, content: dict[str, Any]
) -> None:
    folder = write_model(tmp_path / "model")
    whole = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**whole, part: content}))
    with pytest.raises(BrokenModel, match="not a tokenizer that can be used"):
        load_tokenizer(folder)


@given(data=st.data())
def test_a_damaged_tokenizer_json_never_surprises(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut anywhere, or with a byte changed: it loads, or the error is one that names the file."""
    folder = write_model(tmp_path_factory.mktemp("damaged") / "model")
    content = bytearray((folder / "tokenizer.json").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place] = data.draw(st.integers(0, 255))
    (folder / "tokenizer.json").write_bytes(bytes(content))
    try:
        load_tokenizer(folder)
    except UserError as error:
        assert str(folder) in str(error)


def test_replacements_that_would_turn_a_text_into_gigabytes_are_refused(tmp_path: Path) -> None:
    tokenizer = whole_words(TEMPLATE)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace("a", "a" * 1000)] * 4)
    with pytest.raises(UnsupportedModel, match="a replacement of 1000 characters; supported are up to 16"):
        load_tokenizer(write_model(tmp_path / "model", tokenizer))
