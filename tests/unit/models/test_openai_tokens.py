"""Token ids back into text, against tiktoken."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import get_args

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from kit.tiktoken_table import write_tiktoken_tables
from umekomi.errors import InvalidInput
from umekomi.models.openai_tokens import OpenAIVocabulary, decode

VOCABULARIES: tuple[OpenAIVocabulary, ...] = get_args(OpenAIVocabulary)
LAST: dict[OpenAIVocabulary, int] = {"cl100k_base": 100_255, "o200k_base": 199_997}

vocabularies = st.sampled_from(VOCABULARIES)


@pytest.fixture(scope="module", autouse=True)
def _tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("tiktoken")
    write_tiktoken_tables(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        for vocabulary in VOCABULARIES:  # so that no example pays for reading a table
            tiktoken.get_encoding(vocabulary)
            decode(vocabulary, [0])
        yield


@given(vocabulary=vocabularies, text=st.text(st.characters(exclude_categories=["Cs"])))
def test_text_comes_back(vocabulary: OpenAIVocabulary, text: str) -> None:
    assert decode(vocabulary, tiktoken.get_encoding(vocabulary).encode_ordinary(text)) == text


@given(vocabulary=vocabularies, ids=st.lists(st.integers(0, 100_255)))
def test_any_ids_decode_as_tiktoken_decodes_them(vocabulary: OpenAIVocabulary, ids: list[int]) -> None:
    assert decode(vocabulary, ids) == tiktoken.get_encoding(vocabulary).decode(ids)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_every_token_is_tiktokens(vocabulary: OpenAIVocabulary) -> None:
    theirs = tiktoken.get_encoding(vocabulary)
    for token in range(LAST[vocabulary] + 1):
        assert decode(vocabulary, [token]) == theirs.decode([token])


def test_a_cut_character_becomes_the_replacement_character() -> None:
    ids = tiktoken.get_encoding("cl100k_base").encode_ordinary("蕎麦")
    whole = decode("cl100k_base", ids)
    halves = decode("cl100k_base", ids[:-1]), decode("cl100k_base", ids[-1:])
    assert whole == "蕎麦"
    assert all("\ufffd" in half for half in halves)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("beyond", [1, 2, 10, 21, 2**31, 2**63, 2**80])
def test_ids_beyond_the_text_tokens_are_refused(vocabulary: OpenAIVocabulary, beyond: int) -> None:
    wrong = LAST[vocabulary] + beyond  # the special tokens are among them
    with pytest.raises(InvalidInput, match=f"token id {wrong} at position 2 .*0 to {LAST[vocabulary]}") as caught:
        decode(vocabulary, [1, 2, wrong, -5])
    assert caught.value.param == "input"


def test_negative_ids_are_refused() -> None:
    with pytest.raises(InvalidInput, match="token id -1 at position 1"):
        decode("cl100k_base", [0, -1])


def test_no_ids_are_no_text() -> None:
    assert decode("cl100k_base", []) == ""


def test_the_slow_package_stays_unloaded() -> None:
    program = (
        "import sys; from umekomi.models.openai_tokens import decode; "
        "assert decode('cl100k_base', [9906]) == 'Hello'; assert 'bpe_openai' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ.copy())
