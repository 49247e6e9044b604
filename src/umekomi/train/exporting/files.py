"""Everything of a model's folder but its weights: copied from the base, and written out where the base is silent.

A base may leave its prompts, pooling or context to the catalog, which knows it by its name; a tuned model has
another name, so its files must say all of it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from umekomi.models.architectures import hidden_size
from umekomi.models.bundle import Bundle
from umekomi.models.files import inside, read_json, read_object, read_optional_object
from umekomi.models.layout import LEGACY_POOLING, MODULES, TRANSFORMER_CONFIGS
from umekomi.models.weights import INDEX

_SUFFIXES = (".json", ".txt", ".model", ".jinja")
_LICENCES = ("LICENSE*", "LICENCE*", "COPYING*", "NOTICE*")
_NOT_COPIED = ("adapter_", "trainer_state", "training_", "optimizer", "README")
"""How names begin of what belongs to another training, or is written anew."""

_INDEX_SUFFIX = ".index.json"
"""Of lists of weights; the one that is used is taken by its name."""

_PROMPTS = "config_sentence_transformers.json"
_PREFIX = "sentence_transformers.models."
"""Module types as every release of sentence-transformers reads them."""


def write_files(bundle: Bundle, folder: Path, *, widened: bool) -> None:
    """Write the files of ``bundle`` but its weights and README into ``folder``, so that they state its whole card.

    widened  the weights became float32, which config.json has to say, since libraries load in its number format

    Raises `BrokenModel` for a file that cannot be read.
    """
    for path in _plain_files(bundle):
        shutil.copyfile(path, folder / path.name)
    _write_modules(bundle, folder)
    _write_prompts(bundle, folder)
    _write_context(bundle, folder)
    if widened:
        _edit(folder / "config.json", dtype="float32", torch_dtype="float32")


def _plain_files(bundle: Bundle) -> list[Path]:
    licences = [path for pattern in _LICENCES for path in bundle.folder.glob(pattern)]
    plain = [
        path
        for path in bundle.folder.iterdir()
        if path.suffix in _SUFFIXES
        and not path.name.endswith(_INDEX_SUFFIX)
        and not path.name.startswith(_NOT_COPIED)
    ]
    index = [bundle.folder / INDEX] if len(bundle.weights) > 1 else []
    return sorted(path for path in {*plain, *licences, *index} if path.is_file())


def _write_modules(bundle: Bundle, folder: Path) -> None:
    """The folders that modules.json names, less their weights; where there is none, all of it from the card."""
    modules = bundle.folder / MODULES
    if not modules.exists():
        _write_unstated_modules(bundle, folder)
        return
    for module in read_json(modules):
        source = inside(bundle.folder, module["path"], stated_in=modules)
        target = inside(folder, module["path"], stated_in=modules)
        target.mkdir(parents=True, exist_ok=True)
        if source != bundle.folder and (source / "config.json").is_file():
            shutil.copyfile(source / "config.json", target / "config.json")


def _write_unstated_modules(bundle: Bundle, folder: Path) -> None:
    card = bundle.card
    kinds = ["Transformer", "Pooling", *(["Normalize"] if card.normalize else [])]
    places = [f"{number}_{kind}" if number else "" for number, kind in enumerate(kinds)]
    modules = [
        {"idx": number, "name": str(number), "path": place, "type": _PREFIX + kind}
        for number, (kind, place) in enumerate(zip(kinds, places, strict=True))
    ]
    for place in places:
        (folder / place).mkdir(exist_ok=True)
    _write(folder / MODULES, modules)
    width = hidden_size(bundle.config, bundle.folder / "config.json")
    modes = {key: pooling == card.pooling for key, pooling in LEGACY_POOLING.items()}
    _write(folder / places[1] / "config.json", {"word_embedding_dimension": width, **modes})


def _write_prompts(bundle: Bundle, folder: Path) -> None:
    stated = read_optional_object(folder / _PROMPTS).get("prompts") or {}
    if {**stated, **bundle.card.prompts} != stated:
        _edit(folder / _PROMPTS, prompts={**stated, **bundle.card.prompts})


def _write_context(bundle: Bundle, folder: Path) -> None:
    name = next((name for name in TRANSFORMER_CONFIGS if (folder / name).exists()), TRANSFORMER_CONFIGS[0])
    if read_optional_object(folder / name).get("max_seq_length") != bundle.card.max_tokens:
        _edit(folder / name, max_seq_length=bundle.card.max_tokens)


def _edit(path: Path, **values: Any) -> None:
    _write(path, (read_object(path) if path.exists() else {}) | values)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
