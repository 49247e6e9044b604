"""Pickles to safetensors: the same tensors under the same name, and nothing of a pickle is ever run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from kit.hub import HubStandIn, serve_hub
from kit.model_folders import HIDDEN, write_dense, write_model, write_modules
from umekomi.errors import BrokenModel, SourceUnavailable, UnsupportedModel
from umekomi.models.sources import open_model
from umekomi.models.sources.hub import Hub
from umekomi.models.store import Store
from umekomi.train.convert import convert

torch = pytest.importorskip("torch")

MODEL = "someone/pickled"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", weights=False)


def state() -> dict[str, Any]:
    """Tensors as checkpoints have them: shared, half precision, empty, scalar, and seen through strides."""
    words = torch.arange(32, dtype=torch.float32).reshape(4, HIDDEN)
    return {
        "cls.predictions.decoder.weight": words,
        "embeddings.word_embeddings.weight": words,
        "embeddings.position_ids": torch.arange(4)[None],
        "layer.half": torch.tensor([1.5, float("nan"), -0.0], dtype=torch.float16),
        "layer.brain": torch.ones(3, dtype=torch.bfloat16),
        "layer.turned": torch.arange(6.0).reshape(2, 3).T,
        "layer.empty": torch.empty(0),
        "layer.scalar": torch.tensor(7),
    }


def test_a_converted_folder_opens_under_its_own_name(folder: Path, store: Store) -> None:
    torch.save(state(), folder / "pytorch_model.bin")
    with pytest.raises(UnsupportedModel, match="umekomi models convert"):
        open_model(str(folder), store=store)
    bundle = convert(str(folder), store=store)
    assert bundle.card == open_model(str(folder), store=store).card
    assert bundle.card.prompts == {"query": "q: "}
    assert bundle.folder != folder
    assert not list(bundle.folder.rglob("*.bin"))


def test_every_tensor_comes_through_bit_by_bit_and_shared_ones_once(folder: Path, store: Store) -> None:
    torch.save(state(), folder / "pytorch_model.bin")
    bundle = convert(str(folder), store=store)
    from safetensors.torch import load_file as load_tensors

    written = load_tensors(bundle.weights[0])
    expected = state()
    assert set(written) == set(expected) - {"cls.predictions.decoder.weight"}
    for name, tensor in written.items():
        assert tensor.dtype == expected[name].dtype
        assert torch.equal(torch.nan_to_num(tensor.float()), torch.nan_to_num(expected[name].float()))


def test_parts_become_shards_with_an_index(folder: Path, store: Store) -> None:
    for part in (1, 2):
        torch.save(
            {f"part.{part}": torch.full((3,), float(part))}, folder / f"pytorch_model-0000{part}-of-00002.bin"
        )
    bundle = convert(str(folder), store=store)
    assert [list(load_file(path)) for path in bundle.weights] == [["part.1"], ["part.2"]]


def test_a_pickled_dense_layer_beside_safetensors_is_converted_too(folder: Path, store: Store) -> None:
    write_model(folder)
    place = write_dense(folder, 2, (HIDDEN, 4))
    write_modules(folder, ["Transformer", "Pooling", "Dense"])
    tensors = {name: torch.from_numpy(values) for name, values in load_file(place / "model.safetensors").items()}
    torch.save(tensors, place / "pytorch_model.bin")
    (place / "model.safetensors").unlink()
    with pytest.raises(UnsupportedModel, match="umekomi models convert"):
        open_model(str(folder), store=store)
    bundle = convert(str(folder), store=store)
    assert bundle.card.dim == 4
    assert np.array_equal(
        load_file(bundle.folder / "2_Dense/model.safetensors")["linear.weight"], np.ones((4, HIDDEN))
    )


def test_a_changed_pickle_is_another_model(folder: Path, store: Store) -> None:
    torch.save(state(), folder / "pytorch_model.bin")
    first = convert(str(folder), store=store)
    torch.save(state() | {"more": torch.ones(1)}, folder / "pytorch_model.bin")
    with pytest.raises(UnsupportedModel):
        open_model(str(folder), store=store)
    assert convert(str(folder), store=store).card.fingerprint != first.card.fingerprint


def test_a_model_that_needs_none_is_opened_as_it_is(folder: Path, store: Store) -> None:
    write_model(folder)
    said: list[str] = []
    assert convert(str(folder), store=store, notify=said.append).folder == folder
    assert "nothing to convert" in said[0]
    assert store.entries("converted") == []


class Trap:
    """Unpickled by a loader that runs what it reads, this would make a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_malicious_pickle_is_refused_and_not_run(
    folder: Path, store: Store, tmp_path: Path, zipped: bool
) -> None:
    content = {"layer": torch.ones(2), "trap": Trap(tmp_path / "ran")}
    torch.save(content, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UnsupportedModel, match=r"pytorch_model\.bin: holds more than tensors") as raised:
        convert(str(folder), store=store)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "ran").exists()
    assert store.entries("converted") == []


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04 cut short"])
def test_a_damaged_pickle_is_broken(folder: Path, store: Store, content: bytes) -> None:
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises((BrokenModel, UnsupportedModel), match=r"pytorch_model\.bin"):
        convert(str(folder), store=store)


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 1}, {"nested": {"a": torch.ones(1)}}])
def test_a_pickle_without_named_tensors_is_refused(folder: Path, store: Store, content: Any) -> None:
    torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(UnsupportedModel, match=r"pytorch_model\.bin"):
        convert(str(folder), store=store)


@pytest.fixture
def hub(folder: Path) -> Iterator[HubStandIn]:
    torch.save(state(), folder / "pytorch_model.bin")
    with serve_hub() as stand_in:
        stand_in.repositories[MODEL] = folder
        yield stand_in


def test_a_hub_model_is_converted_once_and_found_again_without_the_hub(
    hub: HubStandIn, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    client = Hub(endpoint=hub.url, cache=tmp_path / "cache")
    converted = convert(MODEL, store=store, hub=client)
    assert converted.card.source == f"hub:{MODEL}@{hub.commit(MODEL)}"
    assert open_model(MODEL, store=store, hub=client).card == converted.card
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    bare = Hub(endpoint=hub.url, cache=tmp_path / "emptied cache")
    assert open_model(MODEL, store=store, hub=bare).card == converted.card
    with pytest.raises(SourceUnavailable):
        open_model(f"{MODEL}@v2", store=store, hub=bare)
