"""Which files of a folder are read, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from umekomi.documents.files import Found, find_files
from umekomi.errors import InvalidInput


def test_a_folder_is_walked_in_order_and_nothing_is_left_unsaid(tmp_path: Path) -> None:
    for name in (
        "b.txt",
        "a.PDF",
        "sub/c.md",
        "sub/.hidden.txt",
        ".git/config.txt",
        "~$a.docx",
        "photo.jpg",
        "README",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / "sub" / "gone.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "sub" / "self.txt").symlink_to(tmp_path / "sub" / "self.txt")
    (tmp_path / "sub" / "z.txt").symlink_to(tmp_path / "b.txt")
    found = list(find_files([tmp_path, tmp_path / "b.txt"]))
    read = [str(each.path.relative_to(tmp_path)) for each in found if isinstance(each, Found)]
    assert read == ["a.PDF", "b.txt", "sub/c.md"]
    skipped = {str(each.path.relative_to(tmp_path)): each.why for each in found if not isinstance(each, Found)}
    assert skipped.pop("sub/self.txt") in ("a broken link", "cannot be followed: Too many levels of symbolic links")
    assert skipped == {
        ".git": "hidden",
        "~$a.docx": "hidden",
        "README": "no suffix: name it to have it read",
        "photo.jpg": "no reader for '.jpg'",
        "sub/.hidden.txt": "hidden",
        "sub/gone.txt": "a broken link",
        "sub/loop": "a link to a folder: name the folder itself",
        "sub/z.txt": "the same file as one before, by another path",
        "b.txt": "the same file as one before, by another path",
    }


def test_a_named_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / ".notes").write_text("x")
    assert list(find_files([tmp_path / ".notes"])) == [Found(tmp_path / ".notes")]


@pytest.mark.parametrize("name", ["none.txt", "x" * 300, "a\0b"])
def test_a_path_that_is_none_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput):
        list(find_files([tmp_path / name]))
