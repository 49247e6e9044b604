"""PNG maps: the labels' characters have glyphs, or are told of."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from umekomi.errors import InvalidInput
from umekomi.evaluate.projection import Layout
from umekomi.evaluate.report import write_map_png
from umekomi.evaluate.report.fonts import load_fonts
from umekomi.evaluate.report.page import PAGE
from umekomi.evaluate.report.pictures import COLOURS

POINTS = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
LAYOUT = Layout(POINTS, "tsne", 0, 0.9)
LABELS = [("料理", "鉄道", "天文", "travel")[at % 4] for at in range(300)]


def test_a_map_is_a_picture_with_a_colour_for_each_label(tmp_path: Path) -> None:
    said: list[str] = []
    write_map_png(tmp_path / "map.png", LAYOUT, LABELS, title="随筆 · モデル $x_1$", notify=said.append)
    picture = Image.open(tmp_path / "map.png").convert("RGB")
    assert picture.size == (1600, 1200)
    assert {(58, 110, 224), (229, 133, 27), (38, 161, 119), (207, 74, 151)} <= {
        c for _, c in picture.getcolors(1 << 24)
    }
    assert said == []
    assert [path.name for path in tmp_path.iterdir()] == ["map.png"]


def test_pictures_and_the_page_have_the_same_colours() -> None:
    script = (
        (PAGE / "scripts" / "core.js").read_text(encoding="utf-8").partition("LABEL_COLOURS")[2].partition("]")[0]
    )
    assert tuple(re.findall(r"#\w{6}", script)) == COLOURS


def test_japanese_has_glyphs_of_a_packaged_font() -> None:
    fonts = load_fonts(["埋め込み、鬱・髙﨑"], notify=pytest.fail)
    assert fonts.families == ["DejaVu Sans", "IPAexGothic"]


def test_characters_without_a_glyph_are_told_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    fonts = load_fonts(["𓀀 ok"], notify=said.append)
    assert fonts.writable("𓀀 ok") == "? ok"
    assert said == ["1 character shown as '?' in the picture, because no font at hand has them: 𓀀"]
    load_fonts(["half a pair \ud83d"], notify=said.append)
    assert said.pop().endswith("has them: U+D83D")
    monkeypatch.setattr("umekomi.evaluate.report.fonts._japanese_family", lambda: None)
    assert load_fonts(["埋め込み"], notify=said.append).writable("埋め込み") == "????"
    assert "4 characters" in said[1]
    assert "pip install 'umekomi[evaluate]' brings a Japanese font" in said[1]


def test_many_labels_share_the_last_colour(tmp_path: Path) -> None:
    many = [f"label {at % 40}" for at in range(300)]
    write_map_png(tmp_path / "map.png", LAYOUT, many, title="", notify=pytest.fail)
    assert (180, 186, 198) in {c for _, c in Image.open(tmp_path / "map.png").convert("RGB").getcolors(1 << 24)}


def test_long_names_leave_room_for_the_map(tmp_path: Path) -> None:
    names = [f"{'とても長い分類名' * 20}\n{label}" for label in LABELS]
    write_map_png(tmp_path / "map.png", LAYOUT, names, title="題\n" * 300, notify=pytest.fail)
    picture = np.asarray(Image.open(tmp_path / "map.png").convert("RGB"), int)
    frame = np.flatnonzero((np.abs(picture - (223, 226, 232)).max(axis=2) < 3).sum(axis=0) > 500)
    assert np.ptp(frame) > 1000


def test_a_corpus_has_no_labels_and_labels_must_fit(tmp_path: Path) -> None:
    write_map_png(tmp_path / "map.png", LAYOUT, None, title="corpus", notify=pytest.fail)
    with pytest.raises(InvalidInput, match="3 labels for a map of 300 texts"):
        write_map_png(tmp_path / "other.png", LAYOUT, ["a"] * 3, title="", notify=pytest.fail)
