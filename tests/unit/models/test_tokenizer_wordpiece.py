"""WordPiece and byte-level BPE vocabularies without a tokenizer.json: the same ids as transformers gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, BertTokenizer, RobertaTokenizer

from kit.awkward_texts import AWKWARD, texts
from umekomi.errors import BrokenModel, UnsupportedModel
from umekomi.models.tokenizer import load_tokenizer

CORPUS = [text for text in AWKWARD if len(text) < 200] * 3
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_wordpiece(folder: Path, **options: Any) -> Path:
    """A BERT folder whose vocabulary knows letters, kana and a few words, and the end of a word apart."""
    letters = sorted({c for text in CORPUS for c in text.lower() + text if not c.isspace() and c.isprintable()})
    words = ["line", "##line", "two", "##ing", "日本", "モデル", "##デル", "word", "##ord", "ab", "##cd"]
    lines = [*SPECIAL, *letters, *(f"##{c}" for c in letters), *words]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(lines)) + "\n", encoding="utf-8")
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", **options}))
    return folder


def write_byte_bpe(folder: Path, **options: Any) -> Path:
    """A RobertaTokenizer's folder with a vocabulary trained on the awkward texts."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    trained.train_from_iterator(CORPUS, trainer)
    folder.mkdir()
    trained.model.save(str(folder))
    (folder / "config.json").write_text('{"model_type": "roberta"}')
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RobertaTokenizer", **options}))
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, BertTokenizer]:
    folder = write_wordpiece(tmp_path_factory.mktemp("bert") / "model")
    return load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, RobertaTokenizer]:
    folder = write_byte_bpe(tmp_path_factory.mktemp("roberta") / "model")
    return load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)


@given(text=texts)
def test_wordpiece_splits_as_transformers_does(bert: tuple[Tokenizer, BertTokenizer], text: str) -> None:
    ours, theirs = bert
    assert ours.encode(text).ids == theirs(text)["input_ids"]


@given(text=texts)
def test_byte_bpe_splits_as_transformers_does(roberta: tuple[Tokenizer, RobertaTokenizer], text: str) -> None:
    ours, theirs = roberta
    assert ours.encode(text).ids == theirs(text)["input_ids"]


@pytest.mark.parametrize(
    ("write", "options"),
    [
        (write_wordpiece, {}),
        (write_wordpiece, {"do_lower_case": False}),
        (write_wordpiece, {"strip_accents": False}),
        (write_wordpiece, {"do_lower_case": False, "strip_accents": True}),
        (write_wordpiece, {"tokenize_chinese_chars": False}),
        (write_wordpiece, {"tokenizer_class": "BertTokenizerFast"}),
        (write_byte_bpe, {}),
        (write_byte_bpe, {"add_prefix_space": True}),
    ],
)
def test_awkward_texts_under_every_option(
    tmp_path: Path, write: Callable[..., Path], options: dict[str, Any]
) -> None:
    folder = write(tmp_path / "model", **options)
    ours, theirs = load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)
    for text in AWKWARD:
        assert ours.encode(text).ids == theirs(text, truncation=False)["input_ids"], text


def test_the_type_of_the_model_tells_the_class_where_nothing_else_does(tmp_path: Path) -> None:
    folder = write_wordpiece(tmp_path / "model")
    named = load_tokenizer(folder).encode("日本 line").ids
    (folder / "tokenizer_config.json").unlink()
    assert load_tokenizer(folder).encode("日本 line").ids == named


def test_declared_tokens_are_found_in_a_text(tmp_path: Path) -> None:
    folder = write_wordpiece(tmp_path / "model")
    size = load_tokenizer(folder).get_vocab_size()
    (folder / "added_tokens.json").write_text(json.dumps({"<one>": size, "<two>": size + 1}))
    (folder / "special_tokens_map.json").write_text('{"additional_special_tokens": ["<two>", "<nowhere>"]}')
    tokenizer = load_tokenizer(folder)
    assert tokenizer.encode("<one>a<two>").ids[1::2] == [size, size + 1]
    assert tokenizer.decode(tokenizer.encode("<one>a<two>").ids) == "<one> a"
    assert tokenizer.token_to_id("<nowhere>") is None, "a token without an id has no row in the model"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("added_tokens.json", '{"<one>": 7000}', "'<one>' is declared with the id 7000"),
        ("added_tokens.json", '{"[MASK]": 77}', r"'\[MASK\]' is declared with the id 77, but .* 4"),
        ("added_tokens.json", '{"<one>": -1}', "added_tokens.json: the token '<one>' has the id -1"),
        ("added_tokens.json", '["<one>"]', "added_tokens.json: .*expected a JSON object"),
        ("tokenizer_config.json", "{", "tokenizer_config.json: not valid JSON"),
        ("tokenizer_config.json", '{"do_lower_case": "yes"}', "'do_lower_case' is 'yes'"),
        ("tokenizer_config.json", '{"cls_token": 5}', "5 is not a token"),
        ("tokenizer_config.json", '{"cls_token": "<cls>"}', "lacks '<cls>', which BertTokenizer needs"),
        ("tokenizer_config.json", '{"unk_token": "<unk>"}', "vocab.txt: lacks the unknown token '<unk>'"),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"x": "y"}}', "'x' .*is not a token id"),
        ("vocab.txt", "\ud800", "vocab.txt: not UTF-8 at byte 0"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path: Path, file: str, content: str, message: str) -> None:
    folder = write_wordpiece(tmp_path / "model")
    (folder / file).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(BrokenModel, match=message):
        load_tokenizer(folder)


def test_merges_are_checked(tmp_path: Path) -> None:
    folder = write_byte_bpe(tmp_path / "model")
    merges = folder / "merges.txt"
    merges.write_text("#version: 0.2\na b c\n")
    with pytest.raises(BrokenModel, match=r"merges\.txt: line 2 is not two tokens"):
        load_tokenizer(folder)
    merges.write_text("x1 x2\n")
    with pytest.raises(BrokenModel, match=r"vocab\.json: does not fit merges\.txt"):
        load_tokenizer(folder)
    merges.unlink()
    with pytest.raises(BrokenModel, match=r"merges\.txt: missing"):
        load_tokenizer(folder)


def test_options_that_cannot_be_rebuilt_are_refused(tmp_path: Path) -> None:
    folder = write_wordpiece(tmp_path / "model", never_split=["umekomi"])
    with pytest.raises(UnsupportedModel, match="never_split"):
        load_tokenizer(folder)


def test_pairs_are_put_together_as_transformers_does(
    bert: tuple[Tokenizer, BertTokenizer], roberta: tuple[Tokenizer, RobertaTokenizer]
) -> None:
    for ours, theirs in (bert, roberta):
        found = ours.encode("two words", "日本")
        expected = theirs(["two words"], ["日本"], return_token_type_ids=True)
        assert (found.ids, found.type_ids) == (expected.input_ids[0], expected.token_type_ids[0])
