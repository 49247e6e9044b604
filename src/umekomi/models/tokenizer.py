"""The door to tokenizers: one `tokenizers.Tokenizer` for any supported model folder, whatever it ships.

``tokenizer.json`` is read as it is. Without it, the tokenizer is rebuilt from the model's vocabulary by the
tokenizer class that the model names (``vocabularies``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

import orjson
from tokenizers import Tokenizer
from tokenizers.normalizers import Lowercase, Sequence

from umekomi.errors import BrokenModel, UnsupportedModel, UserError
from umekomi.models.layout import read_transformer_settings
from umekomi.models.vocabularies import byte_bpe, mecab, sentencepiece, wordpiece
from umekomi.models.vocabularies.families import FAMILIES, Kind
from umekomi.models.vocabularies.settings import TokenizerSettings, read_settings
from umekomi.models.vocabularies.special_tokens import surround

TOKENIZER_FILE: Final = "tokenizer.json"

_MAX_REPLACEMENT: Final = 16
"""Characters that one replacement of a normalizer may put in a text; real ones put one or two."""

_PROBE: Final = "a あ \ue000"
"""Encoded once at loading: some damage only shows then. The last character is in nobody's vocabulary."""

_NEEDS_MECAB: Final = "BertJapaneseTokenizer"
"""What MeCab does cannot stand in tokenizer.json, so that one beside this class is not the model's."""

_SETTINGS_FILES: Final = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")

_loaded: Final[WeakValueDictionary[str, Tokenizer]] = WeakValueDictionary()
"""Tokenizers in use, by what they were read from. A tuned model has its base's: reading its 250,000 words again
takes 0.8 s of Python's lock, in which a server answers nobody, and their memory once more (2026-11-21)."""

_Loader = Callable[[Path, TokenizerSettings], Tokenizer]
_LOADERS: Final[Mapping[Kind, tuple[tuple[str, ...], _Loader]]] = {
    "sentencepiece": (sentencepiece.FILES, sentencepiece.load_sentencepiece),
    "wordpiece": (("vocab.txt",), wordpiece.load_wordpiece),
    "byte-bpe": (("vocab.json",), byte_bpe.load_byte_bpe),
    "mecab": (("vocab.txt",), mecab.load_mecab),
}


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of the transformer in ``folder``.

    It neither truncates nor pads, puts the model's special tokens around every text, and may be used from
    several threads at once; models of equal files share it, so nobody may change it. Raises `BrokenModel` where a
    file is missing or damaged (it is named), `UnsupportedModel` for a tokenizer class that cannot be rebuilt,
    `MissingExtra` where it needs MeCab.
    """
    settings = read_settings(folder)
    lower = bool(read_transformer_settings(folder).get("do_lower_case"))
    key = _key(settings, lower)
    tokenizer = _loaded.get(key) if key is not None else None
    if tokenizer is None:
        tokenizer = _load(folder, settings, lower=lower)
        if key is not None and key == _key(settings, lower):  # not where the files were being replaced
            _loaded[key] = tokenizer
    return tokenizer


def _key(settings: TokenizerSettings, lower: bool) -> str | None:
    """All that decides what `_load` makes of a tokenizer.json; None where there is none that counts."""
    if settings.class_name == _NEEDS_MECAB:
        return None
    digest = sha256(f"{settings.class_name}\0{lower}".encode())
    for name in (TOKENIZER_FILE, *_SETTINGS_FILES):
        content = None
        with suppress(OSError):
            content = (settings.folder / name).read_bytes()
        if content is None and name == TOKENIZER_FILE:
            return None
        digest.update(f"\0{name}\0{-1 if content is None else len(content)}\0".encode() + (content or b""))
    return digest.hexdigest()


def _load(folder: Path, settings: TokenizerSettings, *, lower: bool) -> Tokenizer:
    path = folder / TOKENIZER_FILE
    if path.is_file() and settings.class_name != _NEEDS_MECAB:
        with _damage_named(path):
            tokenizer = _read(path, settings)
    else:
        tokenizer = _rebuild(settings)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    with _damage_named(folder):
        tokenizer.encode(_PROBE)
    if lower:
        # sentence-transformers' own switch, beside what the tokenizer does.
        own = tokenizer.normalizer
        tokenizer.normalizer = Sequence([Lowercase()] if own is None else [Lowercase(), own])
    return tokenizer


def _read(path: Path, settings: TokenizerSettings) -> Tokenizer:
    _check_growth(path)
    tokenizer = Tokenizer.from_file(str(path))
    if tokenizer.num_special_tokens_to_add(is_pair=False) == 0:
        surround(tokenizer, settings)
    return tokenizer


def _check_growth(path: Path) -> None:
    """Raises `UnsupportedModel` for a replacement so long that a few of them turn a text into gigabytes.

    The library would end the process, which no ``except`` can catch.
    """
    content = orjson.loads(path.read_bytes())
    sections = [content.get(name) for name in ("normalizer", "pre_tokenizer")] if isinstance(content, dict) else []
    while sections:
        section = sections.pop()
        if isinstance(section, list):
            sections += section
        elif isinstance(section, dict):
            sections += [value for value in section.values() if isinstance(value, dict | list)]
            added = section.get("content", section.get("prepend"))
            if isinstance(added, str) and len(added) > _MAX_REPLACEMENT:
                raise UnsupportedModel(
                    f"{path}: a replacement of {len(added)} characters; supported are up to {_MAX_REPLACEMENT}"
                )


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turns whatever the library says of a damaged file into a `BrokenModel` that names it.

    It raises plain `Exception`, or panics, which arrives as an exception beside that tree.
    """
    try:
        yield
    except UserError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = " ".join(str(error).split())[:200]
        raise BrokenModel(f"{path}: not a tokenizer that can be used: {reason}") from None


def _rebuild(settings: TokenizerSettings) -> Tokenizer:
    family = settings.family
    if family is None:
        named = f"its tokenizer class '{settings.class_name}'" if settings.class_name else "no tokenizer class"
        raise UnsupportedModel(
            f"{settings.folder}: has no {TOKENIZER_FILE}, and {settings.named_in.name} names {named}; "
            f"supported without that file: {', '.join(sorted(FAMILIES))}"
        )
    names, load = _LOADERS[family.kind]
    path = next((settings.folder / name for name in names if (settings.folder / name).is_file()), None)
    if path is None:
        raise BrokenModel(
            f"{settings.folder}: has neither {TOKENIZER_FILE} nor {' nor '.join(names)}, "
            f"which {settings.class_name} needs"
        )
    return load(path, settings)
