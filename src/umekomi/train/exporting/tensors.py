"""The weights of a base's files with other numbers: the same files, names and order, and bytes that did not change.

So nothing comes in that the base did not have (a pooler that a library filled at random), its untrained parts stay
(the head of its pretraining), and a training that changed nothing gives the very files of the base.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from umekomi.errors import BrokenModel
from umekomi.extras import require
from umekomi.models.checkpoint import Stored, modern_name, read_header
from umekomi.train.candidate import UNUSED

_ALIGNMENT = 8
"""The header is filled up with spaces to a multiple of it, as the format asks."""

_BLOCK_BYTES = 1 << 22


def rewrite_weights(sources: Iterable[Path], state: Mapping[str, Any], *, folder: Path) -> int:
    """Write ``sources``, a base's safetensors files, into ``folder`` with the numbers of ``state``, by their names.

    state  a module's tensors in float32; its names may lack a prefix that the files have (``bert.``)

    Tensors that changed are written as float32, whatever they were: small steps would be lost in half precision.
    Gives how many were not float32 before. Raises `BrokenModel` for a weight that no file has a place for.
    """
    files = {path: read_header(path) for path in sources}
    places = match_names(state, (name for header in files.values() for name in header))
    widened = 0
    for path, header in files.items():
        values = {name: state[places[name]] for name in header if name in places}
        widened += _rewrite(path, header, values, folder / path.name)
    return widened


def match_names(state: Mapping[str, Any], stored: Iterable[str]) -> dict[str, str]:
    """Name in the files to the name in ``state`` that it is loaded as; what is not loaded is left out.

    Raises `BrokenModel` for a weight without a place, unless no vector depends on it, or it shares its numbers with
    one that has a place.
    """
    modern = {modern_name(name): name for name in stored}
    prefix = _prefix(state, modern)
    places = {modern[prefix + name]: name for name in state if prefix + name in modern}
    kept = {state[name].data_ptr() for name in places.values()}
    for name in state.keys() - set(places.values()):
        if UNUSED not in name.split(".") and state[name].data_ptr() not in kept:
            raise BrokenModel(
                f"the weights {name} have no place in the base's files, so that the tuned model cannot be exported"
            )
    return places


def _prefix(state: Iterable[str], modern: Iterable[str]) -> str:
    """What stands before most names in the files; the shortest of several."""
    names = list(modern)
    found = Counter(
        stored.removesuffix(name)
        for name in state
        for stored in names
        if stored == name or stored.endswith(f".{name}")
    )
    return min(found, key=lambda prefix: (-found[prefix], len(prefix)), default="")


def _rewrite(source: Path, header: Mapping[str, Stored], values: Mapping[str, Any], target: Path) -> int:
    safe_open = require("safetensors", extra="train").safe_open
    torch = require("torch", extra="train")
    target.parent.mkdir(parents=True, exist_ok=True)
    with safe_open(source, framework="pt") as stored:
        changed = {
            name: value.cpu().contiguous()
            for name, value in values.items()
            if value.is_floating_point() and not torch.equal(stored.get_tensor(name).float(), value.cpu())
        }
        metadata = stored.metadata()
    if not changed:
        shutil.copyfile(source, target)
        return 0
    order = sorted(header, key=lambda name: header[name].offset)
    with source.open("rb") as old, target.open("wb") as new:
        new.write(_header({name: header[name] for name in order}, changed, metadata))
        for name in order:
            if name in changed:
                new.write(changed[name].reshape(-1).view(torch.uint8).numpy().data)
            else:
                _copy(old, new, header[name])
    return sum(header[name].dtype != "F32" for name in changed)


def _header(stored: Mapping[str, Stored], changed: Mapping[str, Any], metadata: Mapping[str, str] | None) -> bytes:
    """The header of a safetensors file whose tensors lie in the order of ``stored``."""
    content: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    start = 0
    for name, entry in stored.items():
        wide = name in changed
        size = changed[name].nbytes if wide else entry.size_bytes
        content[name] = {
            "dtype": "F32" if wide else entry.dtype,
            "shape": list(entry.shape),
            "data_offsets": [start, start + size],
        }
        start += size
    encoded = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % _ALIGNMENT)
    return len(encoded).to_bytes(8, "little") + encoded


def _copy(old: Any, new: Any, entry: Stored) -> None:
    old.seek(entry.offset)
    left = entry.size_bytes
    while left:
        block = old.read(min(left, _BLOCK_BYTES))
        if not block:
            raise BrokenModel(f"{entry.path}: ended while it was copied; was it written to?")
        new.write(block)
        left -= len(block)
