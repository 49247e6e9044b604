"""From a bundle to the module that is trained: which models can be, and how they are put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from umekomi.engines.hashing import PREFIX as HASHING_PREFIX
from umekomi.engines.torch.loading import first_line
from umekomi.errors import BrokenModel, ConfigError, UnsupportedModel
from umekomi.extras import check_installed, require
from umekomi.models.bundle import Bundle, by_safetensors
from umekomi.models.card import ModelCard, Pooling
from umekomi.models.digests import DigestCache
from umekomi.models.files import read_json
from umekomi.models.layout import MODULES
from umekomi.models.names import FolderName, parse_name
from umekomi.models.sources import default_store, open_model
from umekomi.types import Precision

INSTEAD = "intfloat/multilingual-e5-small, BAAI/bge-base-en-v1.5 or cl-nagoya/ruri-v3-70m"
"""Models that can be trained, to name where one cannot."""

_POOLING_WORDS: dict[Pooling, str] = {"mean_sqrt_len": "mean_sqrt_len_tokens"}
"""Where sentence-transformers' word is another."""

_STATIC = ("StaticEmbedding", "model2vec")
_PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")


def check_training_extra() -> None:
    """Raise `MissingExtra` where a package is missing that training needs."""
    check_installed(
        "torch",
        "transformers",
        "sentence_transformers",
        "accelerate",
        "datasets",
        "peft",
        "tensorboardX",
        extra="train",
    )


def open_base(name: str, *, notify: Callable[[str], None] | None = None) -> Bundle:
    """The model of this name by weights that can be trained: safetensors, also where it runs from an ONNX file.

    Raises what `open_model` raises, and `UnsupportedModel`.
    """
    if name.startswith(("http://", "https://")):
        raise UnsupportedModel(
            f"{name}: a served model's weights are not here; train a folder or a hub id: {INSTEAD}"
        )
    if name.startswith(HASHING_PREFIX):
        raise UnsupportedModel(f"{name}: makes vectors from hashes and has no weights; train {INSTEAD}")
    stem, _, suffix = name.rpartition(":")
    if stem and suffix in _PRECISIONS:
        raise ConfigError(f"{name}: training needs the whole weights; write -m {stem}")
    _refuse_static(name)
    opened = open_model(name, notify=notify)
    bundle = by_safetensors(opened, digests=DigestCache(default_store().digests))
    check_base(bundle)
    if bundle is not opened and notify:
        notify(f"{name}: runs from the ONNX file that it ships; the safetensors beside it are trained")
    return bundle


def check_base(bundle: Bundle) -> None:
    """Raise `UnsupportedModel`, saying what to use, for a model whose weights cannot be trained here."""
    card = bundle.card
    if card.format == "gguf":
        reason = "is a GGUF file, whose weights are packed for running"
    elif card.format != "safetensors":
        reason = f"has {card.format} weights only, which run but cannot be trained{_fetching(card)}"
    elif "embedding" not in card.capabilities:
        reason = f"makes no vectors ({', '.join(card.capabilities)})"
    elif card.in_pieces:
        reason = "was made for generating text"
    else:
        return
    raise UnsupportedModel(
        f"{card.name}: {reason}; train the safetensors model that it was made from, or {INSTEAD}"
    )


def _fetching(card: ModelCard) -> str:
    """How to get the safetensors of a repository, of which only what runs was pulled."""
    if not card.source.startswith("hub:"):
        return ""
    name, _, commit = card.source.removeprefix("hub:").rpartition("@")
    return f" (where it has safetensors too: hf download {name} --revision {commit} --include '*.safetensors')"


def build_model(bundle: Bundle, *, max_length: int | None) -> Any:
    """The ``SentenceTransformer`` of ``bundle`` in float32 on the CPU, with the card's prompts.

    Texts are cut at ``max_length`` tokens, the card's limit at most. Raises `BrokenModel` where weights do not fit.
    """
    card = bundle.card
    model = open_sentence_model(bundle.folder, unstated=card)
    if model.get_embedding_dimension() != card.dim:
        raise BrokenModel(
            f"{card.name}: gives vectors of {model.get_embedding_dimension()} numbers; its card says {card.dim}"
        )
    model.prompts = {role: card.prompts.get(role, "") for role in ("query", "document")} | dict(card.prompts)
    model.max_seq_length = min(max_length or card.max_tokens, card.max_tokens)
    # Else the library looks for training texts to show in a card of its own; ours is written at the export.
    model.model_card_data.widget = [{}]
    return model


def open_sentence_model(folder: Path, *, unstated: ModelCard | None = None) -> Any:
    """The ``SentenceTransformer`` in ``folder`` in float32 on the CPU, as anybody gets it who opens the folder.

    unstated  says how token states become a vector where the folder has no modules.json

    Raises `MissingExtra`, and `BrokenModel` where the library cannot open the folder.
    """
    torch = require("torch", extra="train")
    library = require("sentence_transformers", extra="train")
    # A checkpoint in half precision must not be trained in it: small steps would round to nothing.
    options = {"dtype": torch.float32, "use_safetensors": True}
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet():
            if unstated is None or (folder / MODULES).exists():
                model = library.SentenceTransformer(str(folder), device="cpu", model_kwargs=options, **safe)
            else:
                parts = _unstated_modules(folder, unstated, {**options, **safe})
                model = library.SentenceTransformer(modules=parts, device="cpu")
    except Exception as error:  # whatever the libraries say of a folder that they cannot open
        raise BrokenModel(f"{folder}: sentence-transformers cannot open it: {first_line(error)}") from None
    return model.float().eval()


@contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' progress bars and advice: ours is the only progress, and errors are raised anyway."""
    transformers = require("transformers.utils.logging", extra="train")
    datasets = require("datasets", extra="train")
    level, bars = transformers.get_verbosity(), transformers.is_progress_bar_enabled()
    set_bars = datasets.are_progress_bars_disabled()
    transformers.set_verbosity_error()
    transformers.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        transformers.set_verbosity(level)
        if bars:
            transformers.enable_progress_bar()
        if not set_bars:
            datasets.enable_progress_bars()


def _unstated_modules(folder: Path, card: ModelCard, options: dict[str, Any]) -> list[Any]:
    """The parts of a model that ships no modules.json, by what the catalog knows of it."""
    modules = require("sentence_transformers.sentence_transformer.modules", extra="train")
    transformer = modules.Transformer(str(folder), max_seq_length=card.max_tokens, model_kwargs=options)
    width = transformer.get_embedding_dimension()
    pooling = modules.Pooling(width, pooling_mode=_POOLING_WORDS.get(card.pooling, card.pooling))
    return [transformer, pooling, *([modules.Normalize()] if card.normalize else [])]


def _refuse_static(name: str) -> None:
    """Such a model has one vector for each token and nothing that gradients of ours would reach."""
    place = parse_name(name)
    if not isinstance(place, FolderName):
        return
    files = [place.path / MODULES, place.path / "config.json"]
    if any(word in str(read_json(file)) for file in files if file.exists() for word in _STATIC):
        raise UnsupportedModel(
            f"{name}: is a static model, a table of token vectors without a transformer to train; train {INSTEAD}, "
            "and distil a static model from the result if you need one"
        )
