"""Which files of a repository a model needs: its settings, its tokenizer, and one form of its weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from umekomi.errors import UnsupportedModel
from umekomi.models.bundle import TOKENIZER_FILES, onnx_goes_first
from umekomi.models.files import read_optional_object
from umekomi.models.names import HubName
from umekomi.models.weights import INDEX, ONNX, ONNX_DATA, SINGLE

_SETTINGS = re.compile(
    r"(config|config_sentence_transformers|sentence_[a-z-]+_config|modules|tokenizer_config|special_tokens_map"
    r"|added_tokens|model\.safetensors\.index)\.json|README\.md|\d+_[A-Za-z]+/config\.json"
)
_MODULE_WEIGHTS = re.compile(r"\d+_[A-Za-z]+/model\.safetensors")
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_PICKLE = re.compile(r"(\d+_[A-Za-z]+/)?pytorch_model(-\d+-of-\d+)?\.bin(\.index\.json)?")


def choose_settings(sizes: Mapping[str, int], name: HubName) -> dict[str, int]:
    """Sizes of the files that say what the model is. Raises `UnsupportedModel` where it has no config.json."""
    if "config.json" not in sizes:
        raise UnsupportedModel(f"{name.text}: the repository has no config.json; is it an embedding model?")
    return {file: size for file, size in sizes.items() if _SETTINGS.fullmatch(file) or file in TOKENIZER_FILES}


def choose_all_weights(sizes: Mapping[str, int], folder: Path, name: HubName) -> tuple[list[str], list[str]]:
    """The weights to open, those of modules too, and the pickles of parts that have no others.

    ``folder`` holds the settings. Raises `UnsupportedModel` where there is neither.
    """
    weights = choose_weights(sizes, onnx_first=prefers_onnx(folder))
    pickled = choose_pickles(sizes, weights)
    weights += [file for file in sizes if _MODULE_WEIGHTS.fullmatch(file)]
    if not weights and not pickled:
        raise UnsupportedModel(f"{name.text}: the repository has no safetensors and no {ONNX}")
    return weights, pickled


def prefers_onnx(folder: Path) -> bool:
    """Whether a shipped ONNX file is opened rather than safetensors. Raises `BrokenModel`, `UnsupportedModel`."""
    return onnx_goes_first(folder, read_optional_object(folder / "config.json"))


def choose_weights(files: Iterable[str], *, onnx_first: bool) -> list[str]:
    """The files of a repository that `umekomi.models.weights.find_weights` will open; empty without any."""
    names = set(files)
    onnx = [file for file in (ONNX, ONNX_DATA) if file in names]
    safetensors = (
        [SINGLE] if SINGLE in names else sorted(n for n in names if INDEX in names and _SHARD.fullmatch(n))
    )
    if ONNX in names and (onnx_first or not safetensors):
        return onnx
    return safetensors


def choose_pickles(files: Iterable[str], weights: Iterable[str]) -> list[str]:
    """Pickles of a repository for which it has no ``weights``, and of its modules that have no safetensors."""
    names = set(files)
    served = {file.rpartition("/")[0] for file in names if _MODULE_WEIGHTS.fullmatch(file)} | (
        {""} if weights else set()
    )
    return sorted(file for file in names if _PICKLE.fullmatch(file) and file.rpartition("/")[0] not in served)
