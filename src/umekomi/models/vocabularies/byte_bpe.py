"""A tokenizer from a byte-level BPE vocabulary: vocab.json and merges.txt, as RoBERTa's tokenizers split."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from umekomi.errors import BrokenModel
from umekomi.models.files import read_object
from umekomi.models.vocabularies.settings import TokenizerSettings
from umekomi.models.vocabularies.special_tokens import add_special_tokens, surround


def load_byte_bpe(path: Path, settings: TokenizerSettings) -> Tokenizer:
    """The tokenizer of the vocabulary in ``path`` and the merges beside it.

    Raises `BrokenModel` where one of the two files is missing or damaged, or they do not fit each other.
    """
    vocabulary = read_object(path)
    merges = _read_merges(path.with_name("merges.txt"))
    if not vocabulary or not all(isinstance(number, int) for number in vocabulary.values()):
        raise BrokenModel(f"{path}: expected an object of tokens and their ids")
    try:
        model = models.BPE(vocabulary, merges, fuse_unk=False)
    except Exception as error:  # the library raises plain Exception for a merge that the vocabulary lacks
        raise BrokenModel(f"{path}: does not fit merges.txt: {error}") from None
    prefix = settings.switch("add_prefix_space", False) is True
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    add_special_tokens(tokenizer, settings)
    surround(tokenizer, settings)
    return tokenizer


def _read_merges(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise BrokenModel(f"{path}: missing; vocab.json cannot be used without it") from None
    except OSError as error:
        raise BrokenModel(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BrokenModel(f"{path}: not UTF-8 at byte {error.start}") from None
    merges = []
    for number, line in enumerate(lines, start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        left, space, right = line.partition(" ")
        if not space or not left or not right or " " in right:
            raise BrokenModel(f"{path}: line {number} is not two tokens with a space between them")
        merges.append((left, right))
    return merges
