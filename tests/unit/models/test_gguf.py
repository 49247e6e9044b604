"""GGUF headers: what a card takes from one, and what a damaged or hostile one does."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from umekomi.errors import BrokenModel, UmekomiError, UnsupportedModel
from umekomi.models.sources import open_model
from umekomi.models.store import Store

EMBEDDING = {
    "general.architecture": "bert",
    "general.license": "mit",
    "bert.embedding_length": 384,
    "bert.context_length": 512,
    "bert.pooling_type": 1,
    "tokenizer.ggml.tokens": ["a", "漢字", ""],
    "tokenizer.ggml.scores": [0.5, 0.25],
}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def header(entries: dict[str, Any], *, version: int = 3) -> bytes:
    content = b"GGUF" + struct.pack("<IQQ", version, 0, len(entries))
    for key, value in entries.items():
        content += text(key)
        if isinstance(value, str):
            content += struct.pack("<I", 8) + text(value)
        elif isinstance(value, int):
            content += struct.pack("<II", 4, value)
        elif isinstance(value[0], str):
            content += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
        else:
            content += struct.pack("<IIQ", 9, 6, len(value)) + struct.pack(f"<{len(value)}f", *value)
    return content


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def opened(path: Path) -> Any:
    return open_model(str(path), store=Store(path.parent / "home"))


@pytest.mark.parametrize(("kind", "pooling"), [(1, "mean"), (2, "cls"), (3, "lasttoken")])
def test_a_card_is_read_from_the_header(path: Path, kind: int, pooling: str) -> None:
    path.write_bytes(header(EMBEDDING | {"bert.pooling_type": kind}) + b"tensors")
    bundle = opened(path)
    card = bundle.card
    assert (card.format, card.architecture, card.dim, card.max_tokens, card.pooling, card.licence) == (
        "gguf", "bert", 384, 512, pooling, "mit")  # fmt: skip
    assert bundle.weights == (path.resolve(),)


def test_a_chat_model_is_told_from_an_embedding_model(path: Path) -> None:
    path.write_bytes(header({key: value for key, value in EMBEDDING.items() if "pooling" not in key}))
    assert opened(path).card.capabilities == ("chat",)
    path.write_bytes(header(EMBEDDING))
    assert opened(path).card.capabilities == ("embedding",)
    path.write_bytes(header(EMBEDDING | {"bert.pooling_type": 4}))
    assert opened(path).card.capabilities == ("rerank",)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", BrokenModel),
        (b"GGUF", BrokenModel),
        (b"GGML" + bytes(100), BrokenModel),
        (header(EMBEDDING)[:-60], BrokenModel),
        (header(EMBEDDING, version=1), UnsupportedModel),
        (header(EMBEDDING | {"bert.pooling_type": 0}), UnsupportedModel),
        (header(EMBEDDING | {"bert.pooling_type": 9}), UnsupportedModel),
        (header(EMBEDDING | {"bert.embedding_length": 0}), BrokenModel),
        (header({}), BrokenModel),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), BrokenModel),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62), BrokenModel),
    ],
)
def test_a_wrong_header_is_one_clear_error(path: Path, content: bytes, kind: type[UmekomiError]) -> None:
    path.write_bytes(content)
    with pytest.raises(kind, match=r"model\.gguf"):
        opened(path)


def test_tensors_must_lie_within_the_file(path: Path) -> None:
    def with_tensor(dimensions: int, shape: tuple[int, ...], kind: int, offset: int, *, data: int) -> bytes:
        table = text("weights") + struct.pack(f"<I{len(shape)}QIQ", dimensions, *shape, kind, offset)
        head = header(EMBEDDING)
        whole = head[:8] + struct.pack("<Q", 1) + head[16:] + table
        return whole + bytes(-len(whole) % 32 + data)

    path.write_bytes(with_tensor(2, (32, 2), 0, 32, data=288))
    assert opened(path).card.dim == 384
    for broken in (
        with_tensor(2, (32, 2), 0, 32, data=287),
        with_tensor(2, (32, 2), 0, 2**63, data=288),
        with_tensor(2, (2**62, 2), 0, 0, data=288),
        with_tensor(2, (33, 1), 2, 0, data=288),
        with_tensor(2, (0, 1), 0, 0, data=288),
        with_tensor(9, (1,), 0, 0, data=288),
        with_tensor(1, (9,), 0, 0, data=288)[:-300],
    ):
        path.write_bytes(broken)
        with pytest.raises(BrokenModel, match=r"model\.gguf"):
            opened(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data())
def test_a_damaged_header_never_surprises(path: Path, data: st.DataObject) -> None:
    content = bytearray(header(EMBEDDING))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    with suppress(BrokenModel, UnsupportedModel):
        opened(path)
