"""Models that only torch runs, behind the server."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from kit.server import LocalServer, serving
from kit.tiny_models import save_tiny_decoder, save_tiny_model
from umekomi.config import ModelSettings, TorchSettings

LONG = "緑の果物は甘くて長い " * 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("models")
    decoder = str(save_tiny_decoder(folder / "decoder", "gpt_neox"))
    encoder = str(save_tiny_model(folder / "encoder", "mpnet"))
    on_cpu = TorchSettings(device="cpu", long_texts="cut", dtype="bf16")
    with serving(
        ModelSettings(name="decoder", source=decoder),
        ModelSettings(name="cut", source=decoder, torch=on_cpu),
        ModelSettings(name="encoder", source=encoder, engine="torch", preload=False),
        ModelSettings(name="wrong", source=encoder, torch=TorchSettings(device="tpu9"), preload=False),
    ) as running:
        yield running


def test_a_long_text_is_whole_for_a_decoder_and_cut_where_asked(server: LocalServer) -> None:
    answers = {
        name: server.post({"model": name, "input": ["", "short", LONG][1:], "encoding_format": "float"})
        for name in ("decoder", "cut", "encoder")
    }
    cut = {name: answer.headers["x-umekomi-truncated"] for name, answer in answers.items()}
    assert cut == {"decoder": "0", "cut": "1", "encoder": "1"}
    tokens = {name: answer.json()["usage"]["prompt_tokens"] for name, answer in answers.items()}
    assert tokens["decoder"] > 100 > tokens["cut"]
    rows = np.array([row["embedding"] for row in answers["decoder"].json()["data"]])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    entries = {name: server.get(f"/v1/models/{name}").json() for name in answers}
    assert {name: entry["precision"] for name, entry in entries.items()} == {
        "decoder": "fp32",
        "cut": "bf16",
        "encoder": "fp32",
    }
    assert "generating text" in entries["decoder"]["notice"]
    assert len({entry["fingerprint"] for entry in entries.values()}) == 3


def test_an_empty_text_has_a_vector(server: LocalServer) -> None:
    answer = server.post({"model": "decoder", "input": "", "encoding_format": "float"}).json()
    assert np.isfinite(answer["data"][0]["embedding"]).all()


def test_a_device_that_is_not_there_is_named_in_the_log_only(server: LocalServer) -> None:
    answer = server.post({"model": "wrong", "input": "x"})
    assert answer.status_code == 503, answer.text
