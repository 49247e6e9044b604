"""What a model folder says about its tokenizer: its class, its options and its special tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tokenizers import AddedToken

from umekomi.errors import BrokenModel
from umekomi.models.files import read_optional_object
from umekomi.models.vocabularies.families import FAMILIES, Family, Role

CONFIG_FILE = "tokenizer_config.json"

# Older folders name no class and only say the model's type.
_CLASS_OF_MODEL = {
    "bert": "BertTokenizer",
    "distilbert": "DistilBertTokenizer",
    "luke": "LukeTokenizer",
    "mpnet": "MPNetTokenizer",
    "roberta": "RobertaTokenizer",
    "t5": "T5Tokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
}
# These name a library, and no way of splitting text.
_NO_CLASS = {"PreTrainedTokenizer", "TokenizersBackend", "SentencePieceBackend"}


@dataclass(frozen=True)
class TokenizerSettings:
    """A model folder's words on its tokenizer.

    class_name   without ``Fast``; None where no file names one and the model's type does not tell
    named_in     the file that names the class, for messages
    options      tokenizer_config.json
    special      special tokens by role, as far as they are declared
    declared     every declared token with its id, or None where no file tells the id
    version      the transformers release that saved the model; ``(0, 0)`` where it is not told
    """

    folder: Path
    class_name: str | None
    named_in: Path
    options: Mapping[str, Any]
    special: Mapping[Role, AddedToken]
    declared: tuple[tuple[AddedToken, int | None], ...]
    version: tuple[int, int]

    @property
    def family(self) -> Family | None:
        """How this class of tokenizers works; None for a class that we do not know."""
        return FAMILIES.get(self.class_name or "")

    def token(self, role: Role) -> str | None:
        """The text of the special token in this role: as declared, else as its class has it."""
        if role in self.special:
            return str(self.special[role].content)
        return self.family.tokens.get(role) if self.family else None

    def switch(self, name: str, default: bool | None) -> bool | None:
        """An option that is true, false or null. Raises `BrokenModel` where it is anything else."""
        value = self.options.get(name, default)
        if value is not None and not isinstance(value, bool):
            raise BrokenModel(f"{self.folder / CONFIG_FILE}: '{name}' is {value!r}, expected true or false")
        return value


def read_settings(folder: Path) -> TokenizerSettings:
    """Settings of the tokenizer in ``folder``, from whichever of its JSON files are there.

    Raises `BrokenModel` where one of them is not a JSON object, or declares a token wrongly.
    """
    options = read_optional_object(folder / CONFIG_FILE)
    config = read_optional_object(folder / "config.json")
    named = read_optional_object(folder / "special_tokens_map.json")
    class_name, named_in = _class_name(folder, options, config)
    special: dict[Role, AddedToken] = {}
    for role in get_args(Role):
        value = options.get(role) or named.get(role)
        if value:
            special[role] = _token(folder, value, special=True)
    return TokenizerSettings(
        folder=folder,
        class_name=class_name,
        named_in=named_in,
        options=options,
        special=special,
        declared=tuple(_declared(folder, options, named, list(special.values()))),
        version=_version(config),
    )


def _class_name(folder: Path, options: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[str | None, Path]:
    for content, file in ((options, CONFIG_FILE), (config, "config.json")):
        name = content.get("tokenizer_class")
        if isinstance(name, str) and (short := name.removesuffix("Fast")) not in _NO_CLASS:
            return short, folder / file
    return _CLASS_OF_MODEL.get(str(config.get("model_type"))), folder / "config.json"


def _declared(
    folder: Path, options: Mapping[str, Any], named: Mapping[str, Any], special: list[AddedToken]
) -> Iterator[tuple[AddedToken, int | None]]:
    """Every declared token once: with its id where a file tells it, in the words of the file that says most."""
    ids = dict(_ids_by_token(folder))
    more = (*special, *_additional(folder, options), *_additional(folder, named))
    rest = [AddedToken(content, normalized=False) for content in ids]
    seen: set[str] = set()
    for token, number in (
        *_tokens_by_id(folder, options),
        *((token, ids.get(token.content)) for token in (*more, *rest)),
    ):
        if token.content not in seen:
            seen.add(token.content)
            yield token, number


def _tokens_by_id(folder: Path, options: Mapping[str, Any]) -> Iterator[tuple[AddedToken, int]]:
    table = options.get("added_tokens_decoder")
    for number, value in table.items() if isinstance(table, dict) else ():
        if not number.isdecimal():
            raise BrokenModel(f"{folder / CONFIG_FILE}: '{number}' in added_tokens_decoder is not a token id")
        yield _token(folder, value, special=False), int(number)


def _ids_by_token(folder: Path) -> Iterator[tuple[str, int]]:
    path = folder / "added_tokens.json"
    for content, number in read_optional_object(path).items():
        if not content or not isinstance(number, int) or number < 0:
            raise BrokenModel(f"{path}: the token {content!r} has the id {number!r}, expected a number from 0")
        yield content, number


def _additional(folder: Path, place: Mapping[str, Any]) -> Iterator[AddedToken]:
    values = place.get("additional_special_tokens")
    for value in values if isinstance(values, list) else ():
        yield _token(folder, value, special=True)


def _token(folder: Path, value: Any, *, special: bool) -> AddedToken:
    """A token as the files write it: its text, or an object with its text and how it takes spaces."""
    fields = value if isinstance(value, dict) else {"content": value}
    content = fields.get("content")
    if not isinstance(content, str) or not content:
        raise BrokenModel(f"{folder / CONFIG_FILE}: {value!r} is not a token: a text that is not empty")
    special = bool(fields.get("special", special))
    return AddedToken(
        content,
        single_word=bool(fields.get("single_word", False)),
        lstrip=bool(fields.get("lstrip", False)),
        rstrip=bool(fields.get("rstrip", False)),
        normalized=bool(fields.get("normalized", False)),
        special=special,
    )


def _version(config: Mapping[str, Any]) -> tuple[int, int]:
    numbers = str(config.get("transformers_version", "")).split(".")[:2]
    if len(numbers) == 2 and all(number.isdecimal() for number in numbers):
        return int(numbers[0]), int(numbers[1])
    return 0, 0
