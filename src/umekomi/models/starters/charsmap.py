"""SentencePiece's named normalisation rules in the compiled form that tokenizers read."""

from __future__ import annotations

from typing import Literal

NormalizationRule = Literal["nmt_nfkc", "nmt_nfkc_cf", "nfkc", "nfkc_cf"]


def charsmap(rule: NormalizationRule) -> bytes:
    """The compiled rule: a double-array trie and its replacement texts, about 240 kB."""
    from sentencepiece import SentencePieceNormalizer, sentencepiece_model_pb2

    spec = sentencepiece_model_pb2.NormalizerSpec()
    spec.ParseFromString(SentencePieceNormalizer(rule_name=rule).serialized_normalizer_spec())
    compiled: bytes = spec.precompiled_charsmap
    return compiled
