"""A tokenizer from a WordPiece vocabulary: vocab.txt, one token a line, as BERT's tokenizers split."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from umekomi.errors import BrokenModel, UnsupportedModel
from umekomi.models.vocabularies.settings import TokenizerSettings
from umekomi.models.vocabularies.special_tokens import add_special_tokens, surround


def load_wordpiece(path: Path, settings: TokenizerSettings) -> Tokenizer:
    """The tokenizer of the vocabulary in ``path``, with the case, accent and kanji options of the model.

    Raises `BrokenModel` where the file cannot be used, `UnsupportedModel` for options that we do not rebuild.
    """
    if settings.switch("do_basic_tokenize", True) is False or settings.options.get("never_split"):
        raise UnsupportedModel(
            f"{settings.named_in}: the options do_basic_tokenize and never_split are not supported; "
            "save a tokenizer.json beside it"
        )
    tokenizer = Tokenizer(models.WordPiece(read_vocabulary(path, settings), unk_token=settings.token("unk_token")))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.switch("tokenize_chinese_chars", True) is not False,
        strip_accents=settings.switch("strip_accents", None),
        lowercase=settings.switch("do_lower_case", True) is not False,
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    add_special_tokens(tokenizer, settings)
    surround(tokenizer, settings)
    return tokenizer


def read_vocabulary(path: Path, settings: TokenizerSettings) -> dict[str, int]:
    """Tokens with their ids: the numbers of their lines, from 0. Raises `BrokenModel` where it cannot be used."""
    try:
        text = path.read_text(encoding="utf-8")  # reads every kind of line end as \n
    except OSError as error:
        raise BrokenModel(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BrokenModel(f"{path}: not UTF-8 at byte {error.start}") from None
    # Not splitlines(): a vocabulary may hold U+2028 and the like as tokens.
    vocabulary = {token: number for number, token in enumerate(text.removesuffix("\n").split("\n"))}
    unknown = settings.token("unk_token")
    if unknown not in vocabulary:
        raise BrokenModel(f"{path}: lacks the unknown token '{unknown}'")
    return vocabulary
