"""A tokenizer from a SentencePiece model file: unigram and BPE, as SentencePiece itself would split.

The normaliser here is nearer to SentencePiece than the ``Precompiled`` one that converted models usually
ship: that one works on grapheme clusters and so leaves half-width katakana with a voiced sound mark (ｶﾞ)
and decomposed kana in two pieces. The tests compare both sides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeAlias

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from umekomi.errors import BrokenModel, UnsupportedModel
from umekomi.models.vocabularies.settings import TokenizerSettings
from umekomi.models.vocabularies.special_tokens import add_special_tokens, surround

FILES: Final = ("sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "spm.model")

Pieces: TypeAlias = list[tuple[str, float]]
"""Pieces with their scores (log probabilities of a unigram model), by id."""

_SPACE = "▁"
_UNIGRAM, _BPE = 1, 2
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED = 1, 2, 3, 4, 5
_FAIRSEQ_HEAD: Final = ("<s>", "<pad>", "</s>", "<unk>")
_T5_EXTRA_IDS: Final = 100


def load_sentencepiece(path: Path, settings: TokenizerSettings) -> Tokenizer:
    """The tokenizer of the SentencePiece model in ``path``, with the ids of the model's tokenizer class.

    Raises `BrokenModel` where the file is damaged, `UnsupportedModel` where it uses what we do not rebuild.
    """
    proto = _read(path)
    _check(proto, path)
    pieces, unknown = _pieces(proto, path, settings)
    tokenizer = Tokenizer(_model(proto, pieces, unknown))
    tokenizer.normalizer = _normalizer(proto, path)
    if not any(_SPACE in piece[1:] for piece, _ in pieces):
        # No piece spans two words: splitting before them changes nothing and is faster.
        tokenizer.pre_tokenizer = pre_tokenizers.Split(_SPACE, "merged_with_next")
    prefix = 1 if proto.normalizer_spec.add_dummy_prefix else 0
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(_SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", left=prefix),
        ]
    )
    control = [piece.piece for piece in proto.pieces if piece.type == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in control])
    add_special_tokens(tokenizer, settings)
    surround(tokenizer, settings)
    return tokenizer


def _read(path: Path) -> Any:
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()
    try:
        proto.ParseFromString(path.read_bytes())
    except OSError as error:
        raise BrokenModel(f"{path}: cannot be read: {error.strerror}") from None
    except DecodeError:
        raise BrokenModel(f"{path}: not a SentencePiece model, or cut short; fetch the model again") from None
    return proto


def _check(proto: Any, path: Path) -> None:
    trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
    if not proto.pieces:
        raise BrokenModel(f"{path}: a SentencePiece model without pieces; fetch the model again")
    if trainer.model_type not in (_UNIGRAM, _BPE):
        raise UnsupportedModel(
            f"{path}: SentencePiece model type {trainer.model_type}; supported: unigram (1) and BPE (2)"
        )
    if trainer.treat_whitespace_as_suffix or not normalizer.escape_whitespaces:
        raise UnsupportedModel(f"{path}: SentencePiece options of whitespace that are not supported")
    long = [p.piece for p in proto.pieces if p.type == _USER_DEFINED and len(p.piece) > 1]
    if trainer.model_type == _BPE and long:
        raise UnsupportedModel(
            f"{path}: a BPE model with user-defined symbols such as '{long[0]}'; save a tokenizer.json beside it"
        )
    if any(p.type == _UNUSED for p in proto.pieces):
        raise UnsupportedModel(f"{path}: a SentencePiece model with unused pieces; save a tokenizer.json beside it")


def _pieces(proto: Any, path: Path, settings: TokenizerSettings) -> tuple[Pieces, int]:
    """The vocabulary by the model's ids, and the id of the unknown token."""
    # SentencePiece gives a user-defined symbol this score for every byte, so that it is always chosen.
    best = max((p.score for p in proto.pieces if p.type == _NORMAL), default=0.0)
    own = [
        (p.piece, len(p.piece.encode()) * best - 0.1 if p.type == _USER_DEFINED else p.score) for p in proto.pieces
    ]
    unknown = next((i for i, p in enumerate(proto.pieces) if p.type == _UNKNOWN), None)
    if unknown is None:
        raise BrokenModel(f"{path}: a SentencePiece model without an unknown piece")
    if settings.class_name in ("XLMRobertaTokenizer", "MLukeTokenizer"):
        return _fairseq(own, path)
    if settings.class_name == "T5Tokenizer":
        count = settings.options.get("extra_ids", _T5_EXTRA_IDS)
        own += [(f"<extra_id_{i}>", 0.0) for i in reversed(range(count))]
    return own, unknown


def _fairseq(own: Pieces, path: Path) -> tuple[Pieces, int]:
    """The ids of XLM-RoBERTa: four tokens of its own instead of SentencePiece's three, and a mask at the end."""
    if [piece for piece, _ in own[:3]] != ["<unk>", "<s>", "</s>"]:
        raise BrokenModel(f"{path}: starts with {[piece for piece, _ in own[:3]]}, expected <unk>, <s>, </s>")
    head = [(piece, 0.0) for piece in _FAIRSEQ_HEAD]
    return [*head, *own[3:], ("<mask>", 0.0)], len(head) - 1


def _model(proto: Any, pieces: Pieces, unknown: int) -> models.Model:
    if proto.trainer_spec.model_type == _UNIGRAM:
        return models.Unigram(pieces, unk_id=unknown, byte_fallback=proto.trainer_spec.byte_fallback)
    # A merge is worth its piece's score: the better, the earlier.
    ids = {piece: number for number, (piece, _) in enumerate(pieces)}
    normal = {p.piece for p in proto.pieces if p.type in (_NORMAL, _USER_DEFINED)}
    merges = [
        (-score, piece[:cut], piece[cut:])
        for piece, score in pieces
        if piece in normal
        for cut in range(1, len(piece))
        if piece[:cut] in normal and piece[cut:] in normal
    ]
    merges.sort(key=lambda merge: merge[0])
    return models.BPE(
        ids,
        [(left, right) for _, left, right in merges],
        unk_token=pieces[unknown][0],
        fuse_unk=True,
        byte_fallback=proto.trainer_spec.byte_fallback,
    )


def _normalizer(proto: Any, path: Path) -> normalizers.Normalizer:
    spec = proto.normalizer_spec
    steps: list[normalizers.Normalizer] = []
    if spec.precompiled_charsmap:
        rules = _charsmap(spec.precompiled_charsmap, path)
        # SentencePiece's NFKC rules compose characters; Precompiled composes only some, and drops a mark
        # that follows a character with a rule of its own.
        steps += [normalizers.NFC(), rules, normalizers.NFC()] if "nfkc" in spec.name else [rules]
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex(r"\A +"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    if spec.add_dummy_prefix:
        steps.append(normalizers.Prepend(_SPACE))
    steps.append(normalizers.Replace(" ", _SPACE))
    if spec.remove_extra_whitespaces:
        steps.append(normalizers.Replace(Regex(rf"{_SPACE}+\z"), ""))
    return normalizers.Sequence(steps)


def _charsmap(compiled: bytes, path: Path) -> normalizers.Normalizer:
    try:
        return normalizers.Precompiled(compiled)
    except Exception:  # the library raises plain Exception
        raise BrokenModel(f"{path}: the charsmap of its normaliser is damaged; fetch the model again") from None
