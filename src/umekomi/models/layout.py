"""Reads how a sentence-transformers folder makes one vector of token states: modules.json and what it names.

Understands the spelling of releases 2 to 6. What is unknown, contradictory or left open is an error, never a
default: a wrong pooling gives vectors that look fine and are not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umekomi.errors import BrokenModel, UnsupportedModel
from umekomi.models.architectures import positive_int
from umekomi.models.card import Activation, DenseLayer, NormLayer, Pooling
from umekomi.models.files import inside, read_json, read_object, read_optional_object
from umekomi.models.weights import SINGLE, find_pickled, tensor_shapes

MODULES = "modules.json"
TRANSFORMER_CONFIGS = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_xlm-roberta_config.json",
)

_MODULE_TYPE = re.compile(
    r"sentence_transformers\.(?:models|base\.modules|sentence_transformer\.modules)"
    r"(?:\.[a-z_]+)?\.(Transformer|Pooling|Dense|LayerNorm|Dropout|Normalize)"
)

# Boolean keys up to release 5, and the words of the pooling_mode key since.
LEGACY_POOLING: Mapping[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_POOLING_WORDS: Mapping[str, Pooling] = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weightedmean",
    "lasttoken": "lasttoken",
}
_ACTIVATIONS: Mapping[str, Activation] = {
    "Identity": "identity",
    "Tanh": "tanh",
    "ReLU": "relu",
    "GELU": "gelu",
    "Sigmoid": "sigmoid",
}
_LAYERS = ("Dense", "LayerNorm")
_OUTPUTS: Mapping[str, tuple[str, str]] = {
    "feature-extraction": ("token_embeddings", "last_hidden_state"),
    "sequence-classification": ("scores", "logits"),
}
"""What a transformer gives for each task: the module's own word and the library's."""

_DOCUMENT_PROMPTS = ("document", "passage", "corpus")  # the order in which sentence-transformers looks


@dataclass(frozen=True, slots=True)
class Layout:
    """What stands after the transformer, as the model ships it. The words are `umekomi.models.card.ModelCard`'s."""

    pooling: Pooling
    normalize: bool
    dense: tuple[DenseLayer | NormLayer, ...] = ()
    in_pieces: bool = False


def read_layout(folder: Path, hidden_size: int) -> Layout | None:
    """The modules after the transformer, checked against its ``hidden_size``; None without a modules.json.

    Raises `UnsupportedModel` for modules, orders or settings that no engine runs, naming file and value, and
    `BrokenModel` for files that are missing or do not fit one another.
    """
    path = folder / MODULES
    if not path.exists():
        return None
    modules = read_modules(path)
    kinds = [kind for kind, _ in modules]
    if not re.fullmatch(r"TP[DL]*N?", "".join(kind[0] for kind in kinds)):
        raise UnsupportedModel(
            f"{path}: the modules are {', '.join(kinds) or 'none'}; supported are Transformer, Pooling, any number "
            "of Dense and LayerNorm, and at most one Normalize, in this order"
        )
    if modules[0][1].strip("/.") != "":
        raise UnsupportedModel(
            f"{path}: the transformer lies in {modules[0][1]!r}; supported is the model's own folder"
        )
    pooling = _read_pooling(inside(folder, modules[1][1], stated_in=path) / "config.json", hidden_size)
    dense = _read_layers(folder, [module for module in modules if module[0] in _LAYERS], hidden_size)
    if kinds[-1] == "Normalize":
        normalize_config = inside(folder, modules[-1][1], stated_in=path) / "config.json"
        _require_sentence_embedding(read_optional_object(normalize_config), normalize_config)
    return Layout(pooling, kinds[-1] == "Normalize", dense)


def read_transformer_settings(folder: Path) -> Mapping[str, Any]:
    """sentence_bert_config.json or its namesakes; empty where there is none. Raises `UnsupportedModel`."""
    path = next((folder / name for name in TRANSFORMER_CONFIGS if (folder / name).exists()), None)
    if path is None:
        return {}
    settings = read_object(path)
    task = settings.get("transformer_task") or "feature-extraction"
    if task not in _OUTPUTS:
        raise UnsupportedModel(f"{path}: transformer_task is {task!r}; supported: {', '.join(_OUTPUTS)}")
    name, method = _OUTPUTS[task]
    if settings.get("module_output_name") not in (None, name):
        raise UnsupportedModel(
            f"{path}: module_output_name is {settings['module_output_name']!r}; supported is {name!r}"
        )
    for key in ("processing_kwargs", "query_length", "document_length", "query_expansion"):
        if settings.get(key):
            raise UnsupportedModel(f"{path}: {key} is set, which is not supported")
    modalities = settings.get("modality_config")
    text = modalities.get("text") if isinstance(modalities, dict) else None
    supported = {"method": "forward", "method_output_name": method}
    if modalities is not None and text != supported:
        raise UnsupportedModel(f"{path}: modality_config gives {text!r} for text; supported is {supported!r}")
    return settings


def read_prompts(folder: Path) -> dict[str, str]:
    """Shipped prompts by name, empty ones left out; what serves documents also stands under ``document``."""
    path = folder / "config_sentence_transformers.json"
    settings = read_optional_object(path)
    model_type = settings.get("model_type")
    if model_type not in (None, "SentenceTransformer"):
        raise UnsupportedModel(f"{path}: model_type is {model_type!r}; supported is 'SentenceTransformer'")
    stated = settings.get("prompts") or {}
    if not isinstance(stated, dict) or not all(isinstance(text, str | None) for text in stated.values()):
        raise BrokenModel(f"{path}: prompts must map names to texts")
    for name, text in stated.items():
        if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in f"{name}{text or ''}"):
            raise BrokenModel(f"{path}: the prompt {name!a} holds NUL or half a character")
    prompts = {name: text for name, text in stated.items() if text}
    document = next((prompts[name] for name in _DOCUMENT_PROMPTS if name in prompts), None)
    return prompts | ({"document": document} if document else {})


def read_modules(path: Path) -> list[tuple[str, str]]:
    """Kind and path of each module, in order; Dropout left out, which does nothing but in training.

    Raises `BrokenModel`, and `UnsupportedModel` for a module that is not known.
    """
    stated = read_json(path)
    if not isinstance(stated, list) or not all(isinstance(module, dict) for module in stated):
        raise BrokenModel(f"{path}: must hold a list of modules")
    modules: list[tuple[str, str]] = []
    for module in stated:
        kind, place = module.get("type"), module.get("path")
        if not isinstance(kind, str) or not isinstance(place, str):
            raise BrokenModel(f"{path}: a module lacks its type or path")
        known = _MODULE_TYPE.fullmatch(kind)
        if not kind.startswith("sentence_transformers."):
            raise UnsupportedModel(f"{path}: the module {kind!r} is code of the model's own, which is never run")
        if known is None:
            raise UnsupportedModel(
                f"{path}: the module {kind!r} is not supported; known: Transformer, Pooling, Dense, LayerNorm, "
                "Dropout, Normalize"
            )
        if known[1] != "Dropout":
            modules.append((known[1], place))
    return modules


def _read_pooling(path: Path, hidden_size: int) -> Pooling:
    settings = read_object(path)
    if settings.get("include_prompt", True) is not True:
        raise UnsupportedModel(
            f"{path}: include_prompt is {settings['include_prompt']!r}; leaving the prompt out of the pooling is "
            "not supported"
        )
    stated = settings.get("embedding_dimension", settings.get("word_embedding_dimension"))
    if positive_int(stated, "embedding_dimension", path) != hidden_size:
        raise BrokenModel(f"{path}: embedding_dimension is {stated}, but config.json gives {hidden_size}")
    modes = _pooling_modes(settings, path)
    if len(modes) != 1:
        raise UnsupportedModel(
            f"{path}: {len(modes)} pooling modes are set ({', '.join(modes) or 'none'}); exactly one is supported"
        )
    return modes[0]


def _pooling_modes(settings: Mapping[str, Any], path: Path) -> list[Pooling]:
    """The modes that are switched on. Raises `UnsupportedModel` for unknown words and for keys that disagree."""
    legacy_keys = [key for key in settings if key.startswith("pooling_mode_")]
    active = [key for key in legacy_keys if settings[key] is not False]
    for key in active:
        if key not in LEGACY_POOLING or settings[key] is not True:
            raise UnsupportedModel(f"{path}: unknown pooling: {key} is {settings[key]!r}")
    legacy = [LEGACY_POOLING[key] for key in active]
    if "pooling_mode" not in settings:
        return legacy
    words = settings["pooling_mode"]
    words = [words] if isinstance(words, str) else words
    if not isinstance(words, list) or not all(isinstance(word, str) and word in _POOLING_WORDS for word in words):
        raise UnsupportedModel(
            f"{path}: unknown pooling: pooling_mode is {settings['pooling_mode']!r}; "
            f"known: {', '.join(_POOLING_WORDS)}"
        )
    modes = [_POOLING_WORDS[word] for word in words]
    if legacy_keys and sorted(legacy) != sorted(modes):
        raise UnsupportedModel(
            f"{path}: pooling_mode says {modes}, the older keys say {legacy}; remove one of them"
        )
    return modes


def _read_layers(
    folder: Path, modules: Sequence[tuple[str, str]], hidden_size: int
) -> tuple[DenseLayer | NormLayer, ...]:
    layers: list[DenseLayer | NormLayer] = []
    width = hidden_size
    for kind, place in modules:
        layer = _read_dense(folder, place) if kind == "Dense" else _read_norm(folder, place)
        comes_in = layer.in_features if isinstance(layer, DenseLayer) else layer.out_features
        if comes_in != width:
            raise BrokenModel(f"{folder / place}: takes {comes_in} values, but {width} come in")
        width = layer.out_features
        layers.append(layer)
    return tuple(layers)


def _read_norm(folder: Path, place: str) -> NormLayer:
    module = inside(folder, place, stated_in=folder / MODULES)
    path = module / "config.json"
    size = positive_int(read_object(path).get("dimension"), "dimension", path)
    _check_module_weights(module, {"norm.weight": (size,), "norm.bias": (size,)})
    return NormLayer(place, size)


def _read_dense(folder: Path, place: str) -> DenseLayer:
    module = inside(folder, place, stated_in=folder / MODULES)
    path = module / "config.json"
    settings = read_object(path)
    _require_sentence_embedding(settings, path)
    if settings.get("use_residual"):
        raise UnsupportedModel(f"{path}: use_residual is not supported")
    layer = DenseLayer(
        path=place,
        in_features=positive_int(settings.get("in_features"), "in_features", path),
        out_features=positive_int(settings.get("out_features"), "out_features", path),
        bias=settings.get("bias", True) is True,
        activation=read_activation(settings, "activation_function", path),
    )
    expected: dict[str, tuple[int, ...]] = {"linear.weight": (layer.out_features, layer.in_features)}
    if layer.bias:
        expected["linear.bias"] = (layer.out_features,)
    _check_module_weights(module, expected)
    return layer


def read_activation(settings: Mapping[str, Any], key: str, path: Path) -> Activation:
    """The activation that ``key`` names, as torch calls it. Raises `UnsupportedModel`."""
    stated = settings.get(key)
    if isinstance(stated, str) and stated.startswith("torch.nn."):
        activation = _ACTIVATIONS.get(stated.rpartition(".")[2])
        if activation:
            return activation
    raise UnsupportedModel(f"{path}: {key} is {stated!r}; supported: {', '.join(_ACTIVATIONS)} of torch.nn")


def _check_module_weights(module: Path, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raises `BrokenModel` unless the module's file holds the ``expected`` tensors, by name and shape."""
    path = module / SINGLE
    if not path.exists() and find_pickled(module):
        raise UnsupportedModel(
            f"{module}: has pickled weights only, which can run code when they are read; "
            "turn the model into safetensors once: umekomi models convert NAME"
        )
    shapes = tensor_shapes(path)
    for tensor, shape in expected.items():
        if shapes.get(tensor) != shape:
            found = shapes.get(tensor, "missing")
            raise BrokenModel(f"{path}: {tensor} is {found}; its config.json says {shape}")


def _require_sentence_embedding(settings: Mapping[str, Any], path: Path) -> None:
    for key in ("module_input_name", "module_output_name"):
        if settings.get(key) not in (None, "sentence_embedding"):
            raise UnsupportedModel(f"{path}: {key} is {settings[key]!r}; supported is 'sentence_embedding'")
