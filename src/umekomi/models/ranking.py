"""Rerankers as models ship them: which folder holds one, and how the number that it gives becomes a score.

The same rules as sentence-transformers' CrossEncoder (its release 6.2), in the spelling of releases 2 to 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from umekomi.errors import UnsupportedModel
from umekomi.models.architectures import classifies
from umekomi.models.card import Activation
from umekomi.models.files import read_optional_object
from umekomi.models.layout import MODULES, read_activation, read_modules
from umekomi.models.vocabularies.settings import CONFIG_FILE

_SETTINGS = "config_sentence_transformers.json"
_OLD_KEY = "sbert_ce_default_activation_function"


def is_reranker(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether the model was saved for classifying pairs of texts, and nothing says that it makes vectors.

    Raises `BrokenModel` and `UnsupportedModel` for a modules.json that cannot be read.
    """
    if not classifies(config):
        return False
    path = folder / MODULES
    return not path.exists() or [kind for kind, _ in read_modules(path)] == ["Transformer"]


def read_score_activation(folder: Path, config: Mapping[str, Any]) -> Activation:
    """What turns the model's one number into a score: as it is stated, else a sigmoid.

    Raises `UnsupportedModel` for a model with several labels, with a prompt of its own, or with another activation.
    """
    file = folder / "config.json"
    labels = _count_labels(config)
    if labels != 1:
        raise UnsupportedModel(f"{file}: the model tells {labels} labels apart; a reranker gives one number")
    settings = read_optional_object(folder / _SETTINGS) if (folder / MODULES).exists() else {}
    if settings.get("default_prompt_name"):
        raise UnsupportedModel(f"{folder / _SETTINGS}: default_prompt_name is set, which is not supported")
    nested = config.get("sentence_transformers")
    for place, key, values in (
        (folder / _SETTINGS, "activation_fn", settings),
        (file, "activation_fn", nested if isinstance(nested, dict) else {}),
        (file, _OLD_KEY, config),
    ):
        if values.get(key) is not None:
            return read_activation(values, key, place)
    return "sigmoid"


def tells_types(folder: Path) -> bool:
    """Whether the model was given token types of query and document, as its tokenizer's settings say.

    Where they do not: transformers 5 gives none for a tokenizer that names no class but its backend, and gave them
    for any before.
    """
    settings = read_optional_object(folder / CONFIG_FILE)
    names = settings.get("model_input_names")
    if isinstance(names, list):
        return "token_type_ids" in names
    return settings.get("tokenizer_class") != "TokenizersBackend"


def _count_labels(config: Mapping[str, Any]) -> int:
    """As transformers counts them: by their names, else by their number, which is 2 where it is not stated."""
    names, number = config.get("id2label"), config.get("num_labels", 2)
    if isinstance(names, dict) and names:
        return len(names)
    return number if isinstance(number, int) else 2
