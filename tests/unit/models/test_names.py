"""What a user types, and what it names."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umekomi.errors import UnknownModel, UnsupportedModel, UserError
from umekomi.models.names import FileName, FolderName, HubName, StarterName, parse_name

E5 = "multilingual-e5-small"


def test_a_starter_is_meant_by_its_bare_name_in_any_case() -> None:
    for text in (E5, E5.upper()):
        name = parse_name(text)
        assert isinstance(name, StarterName)
        assert name.starter.name == E5


def test_a_starter_wins_over_a_folder_of_its_name_unless_a_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / E5).mkdir()
    assert isinstance(parse_name(E5), StarterName)
    assert isinstance(parse_name(f"./{E5}"), FolderName)


def test_a_hub_id_may_carry_a_branch_tag_or_commit() -> None:
    assert parse_name("intfloat/multilingual-e5-small") == HubName(
        "intfloat/multilingual-e5-small", "intfloat/multilingual-e5-small", "main"
    )
    for revision in ("main", "v1.0", "refs/pr/7", "0a" * 20):
        name = parse_name(f"BAAI/bge-m3@{revision}")
        assert isinstance(name, HubName)
        assert (name.hub_id, name.revision) == ("BAAI/bge-m3", revision)


def test_a_folder_that_exists_wins_over_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner/name").mkdir(parents=True)
    assert isinstance(parse_name("owner/name"), FolderName)
    assert isinstance(parse_name("owner/other"), HubName)


def test_a_file_is_a_gguf_or_is_refused(tmp_path: Path) -> None:
    for name in ("model.gguf", "model.safetensors"):
        (tmp_path / name).write_bytes(b"")
    assert isinstance(parse_name(str(tmp_path / "model.gguf")), FileName)
    with pytest.raises(UnsupportedModel, match="folder that holds the model"):
        parse_name(str(tmp_path / "model.safetensors"))


NO_NAMES = ["", " ", "\n", "a\0b", "\ud800", "x" * 500, "owner/na..me", "owner/a--b", "own er/x", "モデル"]
NO_PATHS = [
    "./missing",
    "/missing/model",
    "C:\\models\\x",
    "../../no/such",
    "owner/../x",
    "owner//x",
    "owner/",
    "~no/x",
]
NO_REVISIONS = ["owner/x@", "owner/x@../y", "owner/x@-f", "owner/x@a b", "owner/x@a//b", f"{E5}@main"]


@pytest.mark.parametrize("text", [*NO_NAMES, *NO_PATHS, *NO_REVISIONS, "owner/" + "x" * 96])
def test_what_names_nothing_is_an_unknown_model_in_one_line(text: str) -> None:
    with pytest.raises(UnknownModel) as raised:
        parse_name(text)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("multilingual-e5-smal", E5),
        ("bge-m3", "BAAI/bge-m3"),
        ("ruri-v3-310", "cl-nagoya/ruri-v3-310m"),
        ("all-minilm-l6", "all-MiniLM-L6-v2"),
    ],
)
def test_the_nearest_known_name_is_offered(text: str, nearest: str) -> None:
    with pytest.raises(UnknownModel, match=f"did you mean.*'{nearest}'"):
        parse_name(text)


@given(st.text(max_size=60))
def test_any_text_names_something_or_is_refused_as_a_users_mistake(text: str) -> None:
    try:
        parse_name(text)
    except UserError as error:
        assert "\n" not in str(error)
