"""Which files hold a model's weights: safetensors, ONNX or GGUF, checked. Pickled weights are refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from umekomi.errors import BrokenModel, UnsupportedModel
from umekomi.models.card import Format
from umekomi.models.checkpoint import read_header
from umekomi.models.files import inside, read_object

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
ONNX = "onnx/model.onnx"
ONNX_DATA = "onnx/model.onnx_data"
PICKLED_PATTERNS = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_MODULES = ("Dense", "LayerNorm")
_TRAINING_STATE = ("training_args", "optimizer", "scheduler", "rng_state", "scaler")


@dataclass(frozen=True, slots=True)
class Weights:
    """files    what an engine opens: shards in order, or one ONNX or GGUF file
    content  every file whose bytes are weights, for the digest; an ONNX file may keep its tensors beside it"""

    format: Format
    files: tuple[Path, ...]
    content: tuple[Path, ...]


def find_weights(folder: Path, *, name: str, onnx_first: bool) -> Weights:
    """The weights in ``folder``: safetensors, else ONNX, else one GGUF file; checked down to every tensor's bounds.

    A shipped ONNX file goes before safetensors with ``onnx_first``. Raises `BrokenModel` naming a
    file that is missing or cut short, `UnsupportedModel` where there is nothing but pickled weights.
    """
    onnx = folder / ONNX
    has_safetensors = (folder / SINGLE).exists() or (folder / INDEX).exists()
    if onnx.exists() and (onnx_first or not has_safetensors):
        return _onnx_weights(folder)
    if has_safetensors:
        shards = _safetensors(folder)
        return Weights("safetensors", shards, shards)
    ggufs = sorted(folder.glob("*.gguf"))
    if len(ggufs) > 1:
        raise UnsupportedModel(
            f"{folder}: holds {len(ggufs)} GGUF files; name one of them, such as {ggufs[0].name}"
        )
    if ggufs:
        return Weights("gguf", (ggufs[0],), (ggufs[0],))
    if pickled := find_pickled(folder):
        raise UnsupportedModel(
            f"{name}: {pickled[0].name} is a pickle, which can run code when it is read; "
            f"turn it into safetensors once: umekomi models convert {name}"
        )
    raise BrokenModel(f"{folder}: no weights; looked for {SINGLE}, {INDEX}, {ONNX} and *.gguf")


def find_pickled(folder: Path) -> list[Path]:
    """Pickled weights in the folder itself: ``pytorch_model.bin`` or its parts, else what else looks like some."""
    if named := sorted(folder.glob("pytorch_model*.bin")):
        return named
    found = {path for pattern in PICKLED_PATTERNS for path in folder.glob(pattern)}
    return sorted(path for path in found if not path.name.startswith(_TRAINING_STATE))


def pickled_files(folder: Path) -> list[Path]:
    """The pickles that keep a folder from being loaded: of the folder itself, and of its modules with weights.

    Empty where every part has safetensors, ONNX or GGUF weights.
    """
    needed: list[Path] = []
    modules = sorted(path.parent for kind in _MODULES for path in folder.glob(f"*_{kind}/config.json"))
    for place in [folder, *modules]:
        loadable = (place / SINGLE, place / INDEX, place / ONNX)
        if not any(path.exists() for path in loadable) and not any(place.glob("*.gguf")):
            needed += find_pickled(place)
    return needed


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of a safetensors file's tensors by name, from its header alone. Raises `BrokenModel`."""
    return {name: stored.shape for name, stored in read_header(path).items()}


def _safetensors(folder: Path) -> tuple[Path, ...]:
    single = folder / SINGLE
    if single.exists():
        tensor_shapes(single)
        return (single,)
    index = folder / INDEX
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise BrokenModel(f"{index}: has no weight_map")
    shards: dict[Path, set[str]] = {}
    for tensor, shard in weight_map.items():
        shards.setdefault(inside(folder, shard, stated_in=index), set()).add(tensor)
    for shard, tensors in shards.items():
        if not shard.is_file():
            raise BrokenModel(f"{index}: names the shard {shard.name}, which is missing; fetch the model again")
        if missing := tensors - tensor_shapes(shard).keys():
            raise BrokenModel(f"{index}: the tensor {min(missing)} is not in its shard {shard.name}")
    return tuple(sorted(shards))


def _onnx_weights(folder: Path) -> Weights:
    onnx, data = folder / ONNX, folder / ONNX_DATA
    if not onnx.is_file() or onnx.stat().st_size == 0:
        raise BrokenModel(f"{onnx}: is no ONNX file; fetch it again")
    return Weights("onnx", (onnx,), (onnx, data) if data.is_file() else (onnx,))
