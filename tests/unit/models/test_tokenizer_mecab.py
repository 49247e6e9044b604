"""BertJapaneseTokenizer: the same ids as transformers gives, by both dictionaries and both kinds of subwords."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from tokenizers import Tokenizer
from transformers import BertJapaneseTokenizer

from kit.awkward_texts import AWKWARD, texts
from umekomi.errors import BrokenModel, MissingExtra, UnsupportedModel
from umekomi.models.tokenizer import load_tokenizer

# None of these characters is newer than the Unicode tables of either side.
VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *(
        "東京",
        "都",
        "##都",
        "日本",
        "日本語",
        "##語",
        "モデル",
        "##デル",
        "で",
        "動かす",
        "##む",
        "を",
        "社内",
        "埋め込み",
    ),
    *dict.fromkeys(c for text in AWKWARD for c in text + text.lower() if c.isprintable() and not c.isspace()),
    *dict.fromkeys(f"##{c}" for text in AWKWARD for c in text.lower() if c.isalnum()),
]
OPTIONS: dict[str, dict[str, Any]] = {
    "unidic_lite": {"mecab_kwargs": {"mecab_dic": "unidic_lite"}},
    "ipadic": {"mecab_kwargs": {"mecab_dic": "ipadic"}},
    "lower case": {"mecab_kwargs": {"mecab_dic": "unidic_lite"}, "do_lower_case": True},
    "as is": {"mecab_kwargs": {"mecab_dic": "ipadic", "normalize_text": False}},
    "characters": {"mecab_kwargs": {"mecab_dic": "unidic_lite"}, "subword_tokenizer_type": "character"},
}


def write_mecab(folder: Path, **options: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(VOCABULARY)) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, **options}), encoding="utf-8")
    return folder


class Pair:
    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        write_mecab(folder, **options)
        self.ours: Tokenizer = load_tokenizer(folder)
        self.theirs = BertJapaneseTokenizer.from_pretrained(folder)

    def check(self, text: str) -> None:
        assert self.ours.encode(text).ids == self.theirs(text, truncation=False)["input_ids"], text


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    folder = tmp_path_factory.mktemp("mecab")
    return {name: Pair(folder / name, options) for name, options in OPTIONS.items()}


@pytest.mark.parametrize("name", OPTIONS)
def test_awkward_texts_split_as_transformers_splits_them(pairs: dict[str, Pair], name: str) -> None:
    for text in AWKWARD:
        pairs[name].check(text)


@pytest.mark.parametrize("name", OPTIONS)
@given(text=texts)
@example("東京都\u2028に\u0085 住む")
@example("ΑΣ ΟΔΟΣ")
def test_any_text_splits_as_transformers_splits_it(pairs: dict[str, Pair], name: str, text: str) -> None:
    pairs[name].check(text)


def test_a_long_text_is_cut_where_it_changes_nothing(pairs: dict[str, Pair]) -> None:
    for text in ("東京都に住む人は、社内のモデルを動かす。" * 1000, "埋め込み model " * 1000, "日本\n" * 3000):
        pairs["unidic_lite"].check(text)


@pytest.mark.parametrize(
    ("part", "times"), [("a b ", 100_000), *((part, 50_000) for part in ("a", "1", "ア", "ｶﾞ", "😀", " ", "。"))]
)
def test_very_long_texts_neither_crash_mecab_nor_take_long(pairs: dict[str, Pair], part: str, times: int) -> None:
    """Given whole, the first of these ends the process, and the time of others grows with their square."""
    text = part * times + "\n東京"
    encoding = pairs["unidic_lite"].ours.encode(text)
    assert encoding.ids[-2] == VOCABULARY.index("東京")
    assert encoding.offsets[-2] == (len(text) - 2, len(text))


def test_offsets_point_into_the_text(pairs: dict[str, Pair]) -> None:
    text = "社内の ﾓﾃﾞﾙ を動かす"
    encoding = pairs["unidic_lite"].ours.encode(text, add_special_tokens=False)
    assert [text[start:end] for start, end in encoding.offsets if end - start > 1][:2] == ["社内", "ﾓﾃﾞﾙ"]


def test_threads_get_the_same_ids(pairs: dict[str, Pair]) -> None:
    """Batches run on threads of the library that all come back into Python for MeCab."""
    ours = pairs["unidic_lite"].ours
    batch = [text for text in AWKWARD if len(text) < 200] * 5
    expected = [ours.encode(text).ids for text in batch]
    with ThreadPoolExecutor(4) as pool:
        for encodings in pool.map(lambda _: ours.encode_batch(batch), range(8)):
            assert [encoding.ids for encoding in encodings] == expected


@pytest.mark.parametrize(
    ("version", "dictionary"),
    [(None, "ipadic"), ("4.45.2", "ipadic"), ("4.46.0", "unidic_lite"), ("5.1", "unidic_lite")],
)
def test_the_dictionary_of_models_that_name_none(
    tmp_path: Path, pairs: dict[str, Pair], version: str | None, dictionary: str
) -> None:
    text = "東京都知事は令和の日本語モデルを社内で動かす。国家公務員共済組合連合会の外国人参政権"
    assert pairs["ipadic"].ours.encode(text).tokens != pairs["unidic_lite"].ours.encode(text).tokens
    folder = write_mecab(tmp_path / "model")
    if version:
        (folder / "config.json").write_text(json.dumps({"model_type": "bert", "transformers_version": version}))
    assert load_tokenizer(folder).encode(text).ids == pairs[dictionary].ours.encode(text).ids


def test_a_tokenizer_json_beside_this_class_is_not_the_models(tmp_path: Path, pairs: dict[str, Pair]) -> None:
    folder = write_mecab(tmp_path / "model", **OPTIONS["ipadic"])
    (folder / "tokenizer.json").write_text("{}")
    assert load_tokenizer(folder).encode("日本語").ids == pairs["ipadic"].ours.encode("日本語").ids


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"word_tokenizer_type": "sudachi"}, "word_tokenizer_type 'sudachi'; supported: mecab"),
        ({"word_tokenizer_type": "jumanpp"}, "'jumanpp'"),
        ({"subword_tokenizer_type": "sentencepiece"}, "'sentencepiece'; supported: wordpiece, character"),
        ({"do_subword_tokenize": False}, "do_subword_tokenize"),
        ({"mecab_kwargs": {"mecab_dic": "unidic"}}, "dictionary 'unidic'"),
        ({"mecab_kwargs": {"mecab_dic": None, "mecab_option": "-d /etc"}}, "options '-d /etc'"),
        ({"mecab_kwargs": {"mecab_dic": "ipadic", "mecab_option": "-r /etc/passwd"}}, "'-r /etc/passwd'"),
    ],
)
def test_what_cannot_be_rebuilt_is_named(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedModel, match=f"tokenizer_config.json: .*{message}"):
        load_tokenizer(write_mecab(tmp_path / "model", **options))


def test_broken_folders_are_named(tmp_path: Path) -> None:
    folder = write_mecab(tmp_path / "model", mecab_kwargs="ipadic")
    with pytest.raises(BrokenModel, match="mecab_kwargs is 'ipadic'"):
        load_tokenizer(folder)
    write_mecab(folder, **OPTIONS["ipadic"])
    (folder / "vocab.txt").unlink()
    with pytest.raises(BrokenModel, match=r"has neither tokenizer\.json nor vocab\.txt"):
        load_tokenizer(folder)


@pytest.mark.parametrize("package", ["fugashi", "ipadic"])
def test_without_the_extra_the_error_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"'{package}'.*umekomi\[japanese\]"):
        load_tokenizer(write_mecab(tmp_path / "model", **OPTIONS["ipadic"]))
