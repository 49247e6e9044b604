"""`export`: a mixture of base and tuned weights as a folder that umekomi and sentence-transformers open."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from umekomi.engines.onnx import export_graph
from umekomi.errors import BrokenModel, StoreError, UnsupportedModel
from umekomi.evaluate.settings import Watch
from umekomi.models.architectures import BUILDABLE
from umekomi.models.bundle import Bundle
from umekomi.models.card import ModelCard
from umekomi.models.checkpoint import Checkpoint
from umekomi.models.sources import open_model
from umekomi.models.weights import SINGLE
from umekomi.train.exporting.files import write_files
from umekomi.train.exporting.readme import Provenance, write_readme
from umekomi.train.exporting.tensors import match_names, rewrite_weights
from umekomi.train.fitting.loading import build_model
from umekomi.train.merging import Merge
from umekomi.types import Precision
from umekomi.writing import sync_path, sync_tree

CHECKED = "model"
UNCHECKED = "model.unchecked"
FAILED = "model.failed"
"""Names of the exported folder: only what passed the gate is called ``model``."""

_PARTIAL = ".model.partial"
_OLD = ".model.old"

GRAPHS = "onnx"
"""Folder of the graphs: ``onnx/fp32`` and ``onnx/int8``. Not ``onnx/model.onnx``, by which other libraries know
graphs with other inputs."""

_PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")


@dataclass(frozen=True, slots=True)
class Exported:
    """A whole exported folder in ``out``.

    card      as the folder is opened; its fingerprint is the base's where no weight changed
    measured  fingerprint of the candidate that was measured in memory
    graphs    precisions whose graphs are in the folder; none for a model that runs in torch only
    notes     what a user must know about this export
    """

    out: Path
    folder: Path
    card: ModelCard
    measured: str
    graphs: tuple[Precision, ...]
    notes: tuple[str, ...]

    @property
    def engine(self) -> str:
        return "onnx" if self.graphs else "torch"

    def renamed(self, name: str) -> Exported:
        """The same folder under another name in ``out``; what has that name goes. Raises `StoreError`."""
        target, old = self.out / name, self.out / _OLD
        try:
            shutil.rmtree(old, ignore_errors=True)
            if target.exists():
                target.rename(old)
            self.folder.rename(target)
            sync_path(self.out)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise StoreError(f"{target}: cannot be written: {error.strerror or error}") from None
        return replace(self, folder=target)


def check_exportable(base: Bundle, *, notify: Callable[[str], None]) -> None:
    """Tell ``notify`` at the start of a training what its export will not be.

    Raises `BrokenModel` where the library keeps weights under names that the base's files do not have.
    """
    card = base.card
    if card.architecture not in BUILDABLE:
        model = build_model(base, max_length=None)
        match_names(_state(model[0].auto_model), Checkpoint(base.weights).names)
        notify(_torch_only(card.name, card.architecture))
    if card.licence is None:
        notify(f"{card.name}: its licence is not known; find out before you pass on what you train from it")


def export(merge: Merge, *, alpha: float, out: Path, provenance: Provenance, watch: Watch) -> Exported:
    """Write the mixture of ``alpha`` to ``out``, under the name `UNCHECKED` until `check_parity` has passed it.

    Whole or not at all: it is written beside and renamed. What an earlier export left behind is removed; a folder
    that passed stays until the next one passes. Raises `BrokenModel` where the weights do not fit the base's files,
    `StoreError` where ``out`` or the store cannot be written.
    """
    base = merge.bundle.card
    measured = merge.candidate(alpha).fingerprint
    with _partial(out) as folder, watch.stage("exporting the tuned model", total=3) as advance:
        notes = _write_model(merge, alpha, folder)
        advance(1)
        graphs, missing = _write_graphs(folder, name=base.name)
        advance(1)
        write_readme(folder, merge.bundle, alpha=alpha, provenance=provenance, graphs=bool(graphs))
        card = open_model(str(folder.resolve())).card
        _check_card(card, base)
        sync_tree(folder)
        advance(1)
    unsaid = missing if base.architecture in BUILDABLE else ()  # of the others `check_exportable` has told
    for note in (*notes, *unsaid):
        watch.notify(note)
    return Exported(out, folder, card, measured, graphs, (*notes, *missing)).renamed(UNCHECKED)


@contextmanager
def _partial(out: Path) -> Iterator[Path]:
    """An empty folder in ``out`` to export to, gone again where that fails: the disk may be full."""
    folder = out / _PARTIAL
    try:
        _clean(out)
        folder.mkdir(parents=True)
        yield folder
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise StoreError(f"{folder}: cannot be written: {error.strerror or error}") from None
        raise


def _clean(out: Path) -> None:
    """Remove what a killed or failed export left. A model that was on its way out comes back."""
    if (out / _OLD).exists() and not (out / CHECKED).exists():
        (out / _OLD).rename(out / CHECKED)
    for name in (_PARTIAL, _OLD, UNCHECKED, FAILED):
        if (out / name).exists():
            shutil.rmtree(out / name)


def _write_model(merge: Merge, alpha: float, folder: Path) -> tuple[str, ...]:
    """Weights, tokenizer and settings; what there is to say of them."""
    base = merge.bundle
    merge.take(alpha)
    widened = rewrite_weights(base.weights, _state(merge.model[0].auto_model), folder=folder)
    layers = [module for module in list(merge.model)[1:] if len(module.state_dict())]
    for layer, module in zip(base.card.dense, layers, strict=True):
        source = base.folder / layer.path / SINGLE
        widened += rewrite_weights([source], _state(module), folder=folder / layer.path)
    write_files(base, folder, widened=bool(widened))
    if not widened:
        return ()
    return (f"{base.card.name} is stored in half precision; weights that changed were exported as float32",)


def _write_graphs(folder: Path, *, name: str) -> tuple[tuple[Precision, ...], tuple[str, ...]]:
    """The graphs that could be built, and why others could not."""
    bundle = open_model(str(folder.resolve()))
    if bundle.card.architecture not in BUILDABLE:
        return (), (_torch_only(name, bundle.card.architecture),)
    bundle = replace(bundle, card=replace(bundle.card, name=f"{name} (tuned)"))
    try:
        for precision in _PRECISIONS:
            export_graph(bundle, folder / GRAPHS / precision, precision=precision)
    except UnsupportedModel as error:
        shutil.rmtree(folder / GRAPHS, ignore_errors=True)
        return (), (f"{_torch_only(name, bundle.card.architecture)} ({error})",)
    return _PRECISIONS, ()


def _check_card(card: ModelCard, base: ModelCard) -> None:
    """Raise `BrokenModel` where the folder says anything but the base of what decides a vector, weights aside."""
    expected = replace(base, weights_digest=card.weights_digest)
    if card.fingerprint != expected.fingerprint:
        differing = [each.name for each in fields(card) if getattr(card, each.name) != getattr(expected, each.name)]
        raise BrokenModel(
            f"the exported folder does not say the same as {base.name} of {', '.join(differing)}; it was not kept"
        )


def _state(module: Any) -> dict[str, Any]:
    return {name: value.detach() for name, value in module.state_dict().items()}


def _torch_only(name: str, architecture: str) -> str:
    return (
        f"{name}: no ONNX graph can be built for {architecture}; the tuned model runs in torch only, without int8"
    )
