"""Turns pickled weights into safetensors once, with torch's loader that takes tensors and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umekomi.errors import BrokenModel, UnsupportedModel
from umekomi.extras import require
from umekomi.models.bundle import Bundle
from umekomi.models.converted import folder_key, snapshot_key
from umekomi.models.names import FolderName, HubName, parse_name
from umekomi.models.sources import Notify, Progress, default_store, open_model
from umekomi.models.sources.hub import Hub
from umekomi.models.store import Store
from umekomi.models.weights import INDEX, SINGLE, pickled_files

if TYPE_CHECKING:
    import torch

_HEADS = ("cls.", "lm_head.", "entity_predictions.", "classifier.")
"""Names of tensors that pretraining left behind; an encoder does not use them."""

_NOT_COPIED = (".bin", ".bin.index.json", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx")
"""Weights in other formats. Safetensors come along, for the modules that have them."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What to convert: the folder with the pickles, and the entry that it becomes."""

    folder: Path
    key: str
    about: Mapping[str, Any]


def convert(
    name: str,
    *,
    notify: Notify | None = None,
    progress: Progress | None = None,
    store: Store | None = None,
    hub: Hub | None = None,
) -> Bundle:
    """The model of this name with its pickled weights turned into safetensors, kept in the store and opened.

    `open_model` finds it under the same name from then on. A model that needs no converting is opened as it is.
    Raises `MissingExtra` without torch, `UnsupportedModel` for a pickle that holds more than tensors, `BrokenModel`
    for one that is damaged, and what `open_model` raises.
    """
    store, hub = store or default_store(), hub or Hub()
    job = _plan(name, store, hub, progress)
    if job is not None:
        pickles = pickled_files(job.folder)
        require("torch", extra="train")
        store.build("converted", job.key, lambda out: _convert_folder(job.folder, pickles, out), about=job.about)
    elif notify:
        notify(f"{name}: has no pickled weights that keep it from being loaded; nothing to convert")
    return open_model(name, notify=notify, progress=progress, store=store, hub=hub)


def _plan(name: str, store: Store, hub: Hub, progress: Progress | None) -> _Job | None:
    """What is to be done; None where the model can be loaded as it is."""
    match parse_name(name):
        case FolderName(path=path, text=text):
            folder = path.resolve()
            key = folder_key(folder, store)
            about = {"name": text, "source": f"folder:{folder}"}
            return _Job(folder, key, about) if key else None
        case HubName() as ref:
            snapshot = hub.fetch(ref, store, pickles=True, progress=progress)
            if not pickled_files(snapshot.folder):
                return None
            about = {
                "name": ref.hub_id,
                "hub_id": ref.hub_id,
                "revision": ref.revision,
                "source": f"hub:{ref.hub_id}@{snapshot.commit}",
            }
            return _Job(snapshot.folder, snapshot_key(ref.hub_id, snapshot.commit), about)
    return None


def _convert_folder(folder: Path, pickles: list[Path], out: Path) -> None:
    """Write ``folder`` to ``out`` with safetensors in the place of pickles, and whatever else it needs."""
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if path.is_file() and len(place.parts) <= 2 and not path.name.endswith(_NOT_COPIED):
            (out / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, out / place)
    for place in dict.fromkeys(pickle.parent for pickle in pickles):
        parts = [pickle for pickle in pickles if pickle.parent == place]
        _convert_parts(parts, out / place.relative_to(folder))


def _convert_parts(parts: list[Path], out: Path) -> None:
    """One safetensors file for each pickle, and the index that ties several together."""
    names = (
        [SINGLE]
        if len(parts) == 1
        else [f"model-{i + 1:05}-of-{len(parts):05}.safetensors" for i in range(len(parts))]
    )
    weight_map: dict[str, str] = {}
    for part, name in zip(parts, names, strict=True):
        tensors = _without_copies(_load_tensors(part))
        _save_checked(tensors, out / name)
        weight_map |= dict.fromkeys(tensors, name)
    if len(parts) > 1:
        (out / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}, indent=1), encoding="utf-8")


def _load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a pickle by name, as views of shared storage where the file shares it."""
    torch = require("torch", extra="train")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # whatever a stranger's bytes bring about in a parser
        if type(error).__name__ == "UnpicklingError":
            raise UnsupportedModel(
                f"{path}: holds more than tensors and was not loaded, since reading it could run code; "
                f"get the model as safetensors ({_first_line(error)})"
            ) from None
        raise BrokenModel(f"{path}: not a whole file of tensors: {_first_line(error)}") from None
    if not isinstance(content, dict) or not content:
        raise UnsupportedModel(f"{path}: holds a {type(content).__name__}, not tensors by name")
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
            raise UnsupportedModel(f"{path}: the entry {str(name)[:80]!r} is no plain tensor")
    return content


def _without_copies(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Each tensor once: where a pretraining head shares one with the encoder, under the encoder's name."""
    kept: dict[tuple[Any, ...], str] = {}
    for name in sorted(tensors, key=lambda name: (name.startswith(_HEADS), name)):
        tensor = tensors[name]
        place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype) if tensor.numel() else (name,)
        kept.setdefault(place, name)
    return {name: tensors[name].detach().clone().contiguous() for name in sorted(kept.values())}


def _save_checked(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write a safetensors file and read it back: every tensor must come back bit by bit."""
    torch = require("torch", extra="train")
    from safetensors.torch import load_file, save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), path, metadata={"format": "pt"})
    written = load_file(path)
    for name, tensor in tensors.items():
        same = tensor.dtype == written[name].dtype and torch.equal(_bits(tensor), _bits(written[name]))
        if not same:
            raise BrokenModel(f"{path}: {name} was not written as it was read; check the disk and convert again")


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    torch = require("torch", extra="train")
    return tensor.reshape(-1).view(torch.uint8) if tensor.numel() else tensor.reshape(-1)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    offending = [line for line in lines if "Unsupported" in line or "GLOBAL" in line]
    return " ".join((offending or lines or [type(error).__name__])[0].split())[:200]
