"""Loads a torch module from a bundle: the library's own class for its architecture, and safetensors.

The library is given a configuration and tensors, never a folder or a name: so it reads no file that we did not
check, fetches nothing, and finds no code or pickle to run.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal, TypeAlias

from umekomi.engines.torch.device import COMPUTING, torch_dtype
from umekomi.errors import BrokenModel, EngineError, UnsupportedModel
from umekomi.extras import require
from umekomi.models.bundle import Bundle
from umekomi.types import NumberFormat

Task: TypeAlias = Literal["encode", "rank"]
"""Token states of a text, or one number for a pair of texts."""

_ENCODERS = {
    "t5": "T5EncoderModel",
    "mt5": "MT5EncoderModel",
    "umt5": "UMT5EncoderModel",
    "longt5": "LongT5EncoderModel",
}
"""The half that makes token states of a text, of models that also write one."""

_NOT_TAKEN = frozenset({"auto_map", "transformers_weights", "attn_implementation", "experts_implementation"})
"""Keys of config.json that would name code or files; so may those that start with an underscore."""

_COUNT = re.compile(r".*(layers?|experts|blocks|depth)")
_MOST = 1000
"""Each layer and expert is built as objects before a tensor is looked for."""

_LOADING = threading.Lock()

_POOLER = "pooler"
"""A part that some classes have, not every checkpoint, and that no token state depends on."""

_SPARE_NUMBERS = 10_000_000
"""What a model may lack in its files: the pooler of the widest."""


def load_module(bundle: Bundle, *, task: Task, device: Any, number_format: NumberFormat) -> Any:
    """The model of ``bundle`` as a torch module in inference mode on ``device``, every weight from its files.

    Raises `UnsupportedModel` for an architecture that the library does not know or that cannot do the task,
    `BrokenModel` where configuration and tensors do not fit, `EngineError` where memory is short, `MissingExtra`.
    """
    torch = require("torch", extra="train")
    config = _build_config(bundle)
    model_class = _model_class(bundle, config, task)
    with quietly(), named(bundle):
        tensors = _read_tensors(bundle)
        _check_size(bundle, model_class, config, tensors)
        with nullcontext() if number_format == "fp32" else COMPUTING:
            loaded, report = _load(model_class, config, tensors, torch_dtype(number_format))
        _check_report(bundle, report, unused=_POOLER if task == "encode" else None)
        return loaded.eval().to(torch.device(device))


def _build_config(bundle: Bundle) -> Any:
    transformers = require("transformers", extra="train")
    file = bundle.folder / "config.json"
    if bundle.config.get("quantization_config"):
        raise UnsupportedModel(
            f"{file}: quantization_config is set; use the model's unquantised weights, or a GGUF file"
        )
    if (bundle.folder / "adapter_config.json").exists():
        raise UnsupportedModel(f"{bundle.folder}: holds an adapter; merge it into the weights first")
    _check_counts(bundle.config, file)
    config_class = _look_up(transformers.CONFIG_MAPPING, bundle.card.architecture)
    if config_class is None:
        raise UnsupportedModel(
            f"{file}: model_type is '{bundle.card.architecture}', which transformers "
            f"{transformers.__version__} does not know; a newer one may"
        )
    values = {k: v for k, v in bundle.config.items() if k not in _NOT_TAKEN and not k.startswith("_")}
    with quietly(), named(bundle):
        config = config_class.from_dict({**values, "use_cache": False})
        config.use_cache = False  # a cache of the past would only take memory
    return config


def _check_counts(values: Mapping[str, Any], file: Path) -> None:
    """Of the model and of every part of it."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            _check_counts(value, file)
        elif _COUNT.fullmatch(key) and isinstance(value, int) and value > _MOST:
            raise BrokenModel(f"{file}: {key} is {value}; expected {_MOST} at most")


def rows_of(module: Any) -> int:
    """Rows of the word table."""
    return int(module.get_input_embeddings().weight.shape[0])


def _model_class(bundle: Bundle, config: Any, task: Task) -> Any:
    transformers = require("transformers", extra="train")
    if task == "rank":
        found = _look_up(transformers.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, type(config))
        if found is None:
            raise UnsupportedModel(f"{bundle.card.name}: {bundle.card.architecture} is no classifier of texts")
        return found
    if name := _ENCODERS.get(bundle.card.architecture):
        return getattr(transformers, name)
    found = _look_up(transformers.MODEL_MAPPING, type(config))
    if found is None or config.is_encoder_decoder:
        raise UnsupportedModel(
            f"{bundle.card.name}: {bundle.card.architecture} gives no states of a text's tokens; supported are "
            f"encoders, decoders, and the encoders of {', '.join(_ENCODERS)}"
        )
    return found[0] if isinstance(found, tuple) else found


def _look_up(mapping: Any, key: Any) -> Any:
    try:
        return mapping[key]
    except KeyError:
        return None


def _read_tensors(bundle: Bundle) -> dict[str, Any]:
    """Views of the mapped files, in the number format in which they are stored."""
    load_file = require("safetensors.torch", extra="train").load_file
    tensors: dict[str, Any] = {}
    for path in bundle.weights:
        tensors |= load_file(path)
    return tensors


def _check_size(bundle: Bundle, model_class: Any, config: Any, tensors: Mapping[str, Any]) -> None:
    """Refuses a configuration that would fill the memory with numbers that are not in the files."""
    torch = require("torch", extra="train")
    with torch.device("meta"):
        needed = sum(parameter.numel() for parameter in model_class(config).parameters())
    found = sum(tensor.numel() for tensor in tensors.values())
    if needed > found + _SPARE_NUMBERS:
        raise BrokenModel(
            f"{bundle.folder / 'config.json'}: describes {needed:,} numbers, but the files hold {found:,}"
        )


def _load(model_class: Any, config: Any, tensors: dict[str, Any], dtype: Any) -> tuple[Any, Mapping[str, Any]]:
    def load(attention: str) -> tuple[Any, Mapping[str, Any]]:
        loaded, report = model_class.from_pretrained(
            None,
            config=config,
            state_dict=tensors,
            dtype=dtype,
            attn_implementation=attention,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are reported, and not only said to exist
        )
        return loaded, report

    try:
        return load("sdpa")
    except ValueError as error:
        if "attn_implementation" not in str(error) and "scaled_dot_product" not in str(error):
            raise
        return load("eager")


def _check_report(bundle: Bundle, report: Mapping[str, Any], *, unused: str | None) -> None:
    """Raises `BrokenModel` where a weight did not come from the files, but for the part that is not used."""
    missing = sorted(name for name in report["missing_keys"] if unused not in name.split("."))
    if missing:
        raise BrokenModel(
            f"{bundle.weights[0]}: lacks the tensor {missing[0]}, which config.json asks for "
            f"({len(missing)} missing in all)"
        )
    for name, found, expected in sorted(report["mismatched_keys"]):
        raise BrokenModel(
            f"{bundle.weights[0]}: the tensor {name} has shape {list(found)}; config.json asks for {list(expected)}"
        )


@contextmanager
def named(bundle: Bundle) -> Iterator[None]:
    """Turns whatever the libraries say of a damaged model into an error that names its folder."""
    torch = require("torch", extra="train")
    try:
        yield
    except (EngineError, BrokenModel, UnsupportedModel):
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise EngineError(f"{bundle.card.name}: not enough memory to load it: {first_line(error)}") from None
    except Exception as error:
        raise BrokenModel(f"{bundle.folder}: cannot be loaded and run: {first_line(error)}") from None


@contextmanager
def quietly() -> Iterator[None]:
    """Without the library's progress bars and reports: what matters of them becomes an error.

    One load at a time: these switches, and what the library changes while it builds a model, are the process's.
    """
    logging = require("transformers.utils.logging", extra="train")
    with _LOADING:
        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity(logging.CRITICAL)
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()


def first_line(error: BaseException) -> str:
    """What ``error`` says, in one line of at most 300 characters."""
    return " ".join(str(error).split())[:300] or type(error).__name__
