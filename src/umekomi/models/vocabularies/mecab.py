"""BertJapaneseTokenizer: words by MeCab, then WordPiece or single characters. Needs the ``japanese`` extra."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any, Final

from tokenizers import (
    NormalizedString,
    PreTokenizedString,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
)

from umekomi.errors import BrokenModel, UnsupportedModel
from umekomi.extras import require
from umekomi.models.vocabularies.settings import CONFIG_FILE, TokenizerSettings
from umekomi.models.vocabularies.special_tokens import add_special_tokens, surround
from umekomi.models.vocabularies.wordpiece import read_vocabulary

_EXTRA: Final = "japanese"
_DICTIONARIES: Final = ("unidic_lite", "ipadic")
# transformers 4.46 changed the default dictionary (its pull request 33372). A model that was saved before it
# and names none was trained with the old one.
_DEFAULT_CHANGED_IN: Final = (4, 46)
_NOT_SPACE: Final = re.compile(r"\S+")

_STRETCH: Final = 2048
"""Characters that MeCab gets at once. On 400,000 it has crashed the process, and a run of 100,000 letters took
12 s, as its time grows with the square of the run (fugashi 1.5.2, 2026-11)."""

_ENDS: Final = ("\n", "。", " ")
"""Where a longer text is best cut, best first: words on both sides come out as in the whole text."""


def load_mecab(path: Path, settings: TokenizerSettings) -> Tokenizer:
    """The tokenizer of the vocabulary in ``path``; it cannot be saved or pickled, as a part of it is Python.

    Raises `MissingExtra` without the extra, `UnsupportedModel` for another word or subword splitter,
    `BrokenModel` where the vocabulary cannot be used.
    """
    subword = _choice(settings, "subword_tokenizer_type", "wordpiece", ("wordpiece", "character"))
    _choice(settings, "word_tokenizer_type", "basic", ("mecab",))
    if settings.switch("do_word_tokenize", True) is False or settings.switch("do_subword_tokenize", True) is False:
        raise UnsupportedModel(f"{settings.named_in}: do_word_tokenize and do_subword_tokenize must be true")
    options = settings.options.get("mecab_kwargs") or {}
    if not isinstance(options, dict):
        raise BrokenModel(f"{settings.folder / CONFIG_FILE}: mecab_kwargs is {options!r}, expected an object")
    words = MecabWords(
        _tagger(options, settings),
        lowercase=settings.switch("do_lower_case", False) is True,
        keep_spaces=subword == "character",
    )
    vocabulary = read_vocabulary(path, settings)
    unknown = settings.token("unk_token")
    tokenizer = Tokenizer(
        models.WordPiece(vocabulary, unk_token=unknown)
        if subword == "wordpiece"
        else models.WordLevel(vocabulary, unk_token=unknown)
    )
    if options.get("normalize_text", True):
        tokenizer.normalizer = normalizers.NFKC()
    split = [pre_tokenizers.PreTokenizer.custom(words)]
    if subword == "character":
        split.append(pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    add_special_tokens(tokenizer, settings)
    surround(tokenizer, settings)
    return tokenizer


class MecabWords:
    """Splits a text into MeCab's words; spaces between words are dropped. Safe to call from several threads."""

    def __init__(self, tagger: Any, *, lowercase: bool, keep_spaces: bool) -> None:
        self._tagger = tagger
        self._lowercase = lowercase
        self._keep_spaces = keep_spaces
        # A tagger holds the text that it is working on.
        self._lock = threading.Lock()

    def pre_tokenize(self, text: PreTokenizedString) -> None:
        """Called by the tokenizer with what lies between two special tokens."""
        text.split(_stretches)
        text.split(self._words)

    def _words(self, _: int, text: NormalizedString) -> list[NormalizedString]:
        content = text.normalized
        with self._lock:
            words = [word.surface for word in self._tagger(content)]
        parts: list[NormalizedString] = []
        position = 0
        for word in words:
            start = content.index(word, position)
            position = start + len(word)
            parts += self._parts(text, word, start)
        return parts

    def _parts(self, text: NormalizedString, word: str, start: int) -> list[NormalizedString]:
        """The word as pieces of ``text``: itself, or what lies between spaces that MeCab takes for letters."""
        bounds = [(0, len(word))] if self._keep_spaces else [m.span() for m in _NOT_SPACE.finditer(word)]
        parts: list[NormalizedString] = []
        for first, last in bounds:
            part = _slice(text, start + first, start + last)
            surface = word[first:last]
            if self._lowercase and surface != surface.lower():
                part.replace(surface, surface.lower())
            parts.append(part)
        return parts


def _stretches(_: int, text: NormalizedString) -> list[NormalizedString]:
    """The text in stretches of at most `_STRETCH` characters."""
    content = text.normalized
    stretches: list[NormalizedString] = []
    start = 0
    while start < len(content):
        stop = start + _STRETCH
        if stop < len(content):
            ends = (content.rfind(end, start, stop) + 1 for end in _ENDS)
            stop = next((end for end in ends if end > 0), stop)
        stretches.append(_slice(text, start, stop))
        start = stop
    return stretches


def _slice(text: NormalizedString, start: int, stop: int) -> NormalizedString:
    part = text[start:stop]
    assert part is not None  # the bounds lie inside the text
    return part


def _choice(settings: TokenizerSettings, name: str, default: str, supported: tuple[str, ...]) -> str:
    value = settings.options.get(name, default)
    if value not in supported:
        raise UnsupportedModel(
            f"{settings.named_in}: BertJapaneseTokenizer with {name} '{value}'; supported: {', '.join(supported)}"
        )
    return str(value)


def _tagger(options: dict[str, Any], settings: TokenizerSettings) -> Any:
    default = "ipadic" if settings.version < _DEFAULT_CHANGED_IN else "unidic_lite"
    name = options.get("mecab_dic", default)
    # mecab_option is MeCab's command line, which may name any file of the machine.
    if name not in _DICTIONARIES or options.get("mecab_option"):
        raise UnsupportedModel(
            f"{settings.named_in}: MeCab dictionary '{name}' with options '{options.get('mecab_option') or ''}'; "
            f"supported: {', '.join(_DICTIONARIES)} without options"
        )
    fugashi = require("fugashi", extra=_EXTRA)
    dictionary = Path(require(name, extra=_EXTRA).DICDIR)
    return fugashi.GenericTagger(f'-d "{dictionary}" -r "{dictionary / "mecabrc"}"')
