"""Small GGUF files written in code: headers alone, and working models with random weights."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ALIGNMENT = 32
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_F32_TENSOR = 0


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def entry(key: str, value: Any) -> bytes:
    return text(key) + _value(value)


def _value(value: Any) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", _BOOL, value)
        case int():
            return struct.pack("<II", _UINT32, value)
        case float():
            return struct.pack("<If", _FLOAT32, value)
        case str():
            return struct.pack("<I", _STRING) + text(value)
    if isinstance(value[0], str):
        return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(map(text, value))
    kind, code = (_INT32, "i") if isinstance(value[0], int) else (_FLOAT32, "f")
    return struct.pack("<IIQ", _ARRAY, kind, len(value)) + struct.pack(f"<{len(value)}{code}", *value)


def gguf(
    entries: Mapping[str, Any], tensors: Mapping[str, NDArray[np.float32]] | None = None, *, version: int = 3
) -> bytes:
    """A whole file. Shapes are numpy's; the format writes them the other way round."""
    tensors = tensors or {}
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries))
    head += b"".join(entry(key, value) for key, value in entries.items())
    table, data = b"", b""
    for name, tensor in tensors.items():
        shape = tensor.shape[::-1]
        table += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, _F32_TENSOR, len(data))
        data += tensor.astype("<f4").tobytes()
        data += bytes(-len(data) % _ALIGNMENT)
    head += table
    return head + bytes(-len(head) % _ALIGNMENT) + data


MEAN, RANK = 1, 4
"""Kinds of pooling, as the format counts them."""


def write_bert(path: Path, words: Sequence[str], *, pooling: int, context: int = 64) -> None:
    """A BERT of one layer over ``words``, random but always the same; with a ranking head for `RANK`."""
    tensors = _bert_tensors(len(words) + 5, context)
    if pooling != RANK:
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("cls.")}
    path.write_bytes(gguf(_bert_entries(words, context) | {"bert.pooling_type": pooling}, tensors))


_DIM, _FEED = 32, 64


def _bert_entries(words: Sequence[str], context: int) -> dict[str, Any]:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return {
        "general.architecture": "bert",
        "bert.block_count": 1,
        "bert.context_length": context,
        "bert.embedding_length": _DIM,
        "bert.feed_forward_length": _FEED,
        "bert.attention.head_count": 2,
        "bert.attention.layer_norm_epsilon": 1e-12,
        "bert.attention.causal": False,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.tokens": [*special, *("\u2581" + word for word in words)],
        "tokenizer.ggml.token_type": [3] * len(special) + [1] * len(words),
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.unknown_token_id": 1,
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.cls_token_id": 2,
        "tokenizer.ggml.eos_token_id": 3,
        "tokenizer.ggml.seperator_token_id": 3,
        "tokenizer.ggml.mask_token_id": 4,
    }


def _bert_tensors(tokens: int, context: int) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(7)

    def weights(*shape: int) -> NDArray[np.float32]:
        return random.normal(0, 0.3, shape).astype(np.float32)

    ones, zeros = np.ones(_DIM, np.float32), np.zeros(_DIM, np.float32)
    block = {f"blk.0.attn_{name}.weight": weights(_DIM, _DIM) for name in ("q", "k", "v", "output")}
    block |= {f"blk.0.attn_{name}.bias": zeros for name in ("q", "k", "v", "output")}
    for norm in ("attn_output_norm", "layer_output_norm"):
        block |= {f"blk.0.{norm}.weight": ones, f"blk.0.{norm}.bias": zeros}
    return {
        "token_embd.weight": weights(tokens, _DIM),
        "token_types.weight": weights(2, _DIM),
        "position_embd.weight": weights(context, _DIM),
        "token_embd_norm.weight": ones,
        "token_embd_norm.bias": zeros,
        **block,
        "blk.0.ffn_up.weight": weights(_FEED, _DIM),
        "blk.0.ffn_up.bias": np.zeros(_FEED, np.float32),
        "blk.0.ffn_down.weight": weights(_DIM, _FEED),
        "blk.0.ffn_down.bias": zeros,
        "cls.weight": weights(_DIM, _DIM),
        "cls.bias": zeros,
        "cls.output.weight": weights(1, _DIM),
        "cls.output.bias": np.zeros(1, np.float32),
    }
