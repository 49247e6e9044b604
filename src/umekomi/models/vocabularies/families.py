"""The tokenizer classes that we can rebuild: which vocabulary they use and which tokens stand around a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

Role: TypeAlias = Literal[
    "cls_token", "sep_token", "bos_token", "eos_token", "unk_token", "pad_token", "mask_token"
]
Kind: TypeAlias = Literal["sentencepiece", "wordpiece", "byte-bpe", "mecab"]


@dataclass(frozen=True)
class Family:
    """A tokenizer class.

    kind            the vocabulary that it uses
    tokens          its special tokens, where the model declares no others
    before, after   the roles of the tokens that stand around a text
    between         how many of ``after`` stand between the two texts of a pair
    second_type     token type of the second text of a pair
    """

    kind: Kind
    tokens: Mapping[Role, str]
    before: Role | None = "cls_token"
    after: Role | None = "sep_token"
    between: int = 1
    second_type: int = 0


_BERT: Mapping[Role, str] = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
    "pad_token": "[PAD]",
    "mask_token": "[MASK]",
}
_ROBERTA: Mapping[Role, str] = {
    "cls_token": "<s>",
    "sep_token": "</s>",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}
_T5: Mapping[Role, str] = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
_LLAMA: Mapping[Role, str] = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "BertJapaneseTokenizer": Family("mecab", _BERT, second_type=1),
        "BertTokenizer": Family("wordpiece", _BERT, second_type=1),
        "DistilBertTokenizer": Family("wordpiece", _BERT, second_type=1),
        "ElectraTokenizer": Family("wordpiece", _BERT, second_type=1),
        "MPNetTokenizer": Family("wordpiece", {**_ROBERTA, "unk_token": "[UNK]"}, between=2),
        "LukeTokenizer": Family("byte-bpe", _ROBERTA, between=2),
        "RobertaTokenizer": Family("byte-bpe", _ROBERTA, between=2),
        "LlamaTokenizer": Family("sentencepiece", _LLAMA, before="bos_token", after=None),
        "MLukeTokenizer": Family("sentencepiece", _ROBERTA, between=2),
        "T5Tokenizer": Family("sentencepiece", _T5, before=None, after="eos_token"),
        "XLMRobertaTokenizer": Family("sentencepiece", _ROBERTA, between=2),
    }
)
"""By class name, without ``Fast``."""
