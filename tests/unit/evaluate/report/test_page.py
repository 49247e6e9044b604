"""The file of a report: what it holds, and that no text ends an element of it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.evaluations import evaluation, label_task
from umekomi.errors import InvalidInput
from umekomi.evaluate.report import View, write_report
from umekomi.evaluate.report.page import PAGE, SCRIPTS, load_words
from umekomi.evaluate.report.payload import FEWEST_CHARACTERS, characters_kept, corpus_rows, escaped
from umekomi.evaluate.tasks import RetrievalTask


class Scripts(HTMLParser):
    """The script elements of a page, as a browser tells them apart."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[dict[str, str | None], str]] = []
        self.metas: list[dict[str, str | None]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.found.append((dict(attrs), ""))
        if tag == "meta":
            self.metas.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        if self.found and self.cdata_elem == "script":
            attributes, text = self.found[-1]
            self.found[-1] = (attributes, text + data)

    def named(self, name: str) -> str:
        return next(text for attributes, text in self.found if attributes.get("id") == name)


def page_of(path: Path) -> Scripts:
    return Scripts(path.read_text(encoding="utf-8"))


def test_what_is_written_is_what_was_measured(tmp_path: Path) -> None:
    sample = evaluation(90)
    write_report(tmp_path / "report.html", sample.results, sample.views)
    page = page_of(tmp_path / "report.html")
    assert json.loads(page.named("results")) == json.loads(sample.results.model_dump_json(by_alias=True))
    index = json.loads(page.named("index"))
    assert [(view["dataset"], view["model"]) for view in index["views"]] == [
        (v.dataset, v.model) for v in sample.views
    ]
    shown = index["views"][0]
    points = np.frombuffer(base64.b64decode(page.named(shown["points"])), "<f4").reshape(-1, 2)
    near = np.frombuffer(base64.b64decode(page.named(shown["neighbours"])), "<i4").reshape(-1, shown["k"])
    assert np.array_equal(points, sample.views[0].layout.points)
    assert np.array_equal(near, sample.views[0].neighbours)
    texts = json.loads(page.named(index["datasets"]["随筆"]["texts"]))
    numbers = np.frombuffer(base64.b64decode(page.named(index["datasets"]["随筆"]["labels"])), "<i4")
    assert tuple(texts["texts"]) == sample.views[0].task.texts
    assert tuple(texts["labels"][number] for number in numbers) == sample.views[0].task.labels


@pytest.mark.parametrize("library", [None, "let a = '</script><!--';\r\nlet b = 1;\rlet c = '</SCRIPT >';"])
def test_the_policy_allows_the_two_scripts_and_no_connection(
    library: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if library:
        monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: library)
    sample = evaluation(90)
    write_report(tmp_path / "report.html", sample.results, sample.views)
    page = page_of(tmp_path / "report.html")
    policy = next(meta["content"] for meta in page.metas if meta.get("http-equiv") == "Content-Security-Policy")
    run = [text for attributes, text in page.found if not attributes]
    assert len(run) == 2
    for text in run:
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert not re.search(r"https?:|\*", policy)


@given(
    st.text(st.characters(codec=None), max_size=40)
    | st.sampled_from(["</script>", "<!--", "\u2028", "]]>", "\ud800"])
)
def test_no_text_ends_its_element_and_every_text_comes_back(text: str) -> None:
    written = escaped([text, {text: float("nan")}])
    assert not re.search(rb"[<>&]|\xe2\x80[\xa8\xa9]", written)
    read = json.loads(written)
    plain = text.encode("utf-8", "replace").decode()
    assert read == [plain, {plain: None}]


def test_a_page_holds_all_of_small_data_sets_and_the_starts_of_large_ones() -> None:
    assert characters_kept(["あ" * 512] * 2700) is None
    cut = characters_kept(["あ" * 512, "い" * 20] * 50, budget=20_000)
    assert cut is not None
    assert 3 * (50 * cut + 50 * 20) <= 20_000 < 3 * (50 * (cut + 1) + 50 * 20)
    assert characters_kept(["あ" * 512] * 100, budget=10) == FEWEST_CHARACTERS


def test_cut_texts_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umekomi.evaluate.report.payload.characters_kept", lambda texts: 5)
    sample = evaluation(90)
    write_report(tmp_path / "report.html", sample.results, sample.views)
    page = page_of(tmp_path / "report.html")
    index = json.loads(page.named("index"))
    assert index["datasets"]["随筆"]["cut"] == 5
    assert {len(text) for text in json.loads(page.named("data-0"))["texts"]} == {5}


def test_of_a_corpus_without_a_map_only_what_is_shown_is_kept() -> None:
    task = next(view.task for view in evaluation(90).views if isinstance(view.task, RetrievalTask))
    wide = replace(task, corpus=task.corpus * 100, corpus_ids=tuple(str(at) for at in range(900)))
    view = View("a", "b", wide, neighbours=np.array([[800, 3]] * 9, np.int64))
    assert corpus_rows(wide, [view]).tolist() == [*range(9), 800]


def test_views_of_unknown_models_and_languages_are_refused(tmp_path: Path) -> None:
    sample = evaluation(90)
    stranger = replace(sample.views[0], model="stranger")
    with pytest.raises(InvalidInput, match="do not know 'stranger'"):
        write_report(tmp_path / "report.html", sample.results, [stranger])
    short = replace(sample.views[0], neighbours=np.zeros((3, 3), np.int64))
    with pytest.raises(InvalidInput, match="neighbours of 3 rows where there are 90"):
        write_report(tmp_path / "report.html", sample.results, [short])
    with pytest.raises(InvalidInput, match="speaks en, ja"):
        write_report(tmp_path / "report.html", sample.results, [], language="fr")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def scripts() -> list[str]:
    return [f"scripts/{name}" for name in SCRIPTS]


def test_every_script_is_part_of_the_page() -> None:
    assert {path.name for path in (PAGE / "scripts").iterdir()} == set(SCRIPTS)


def test_both_languages_say_the_same_things() -> None:
    english, japanese = load_words("en"), load_words("ja")
    assert list(english) == list(japanese)
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", japanese[key])), key


def test_every_label_that_the_scripts_name_exists_and_is_named() -> None:
    code = "".join((PAGE / name).read_text(encoding="utf-8") for name in (*scripts(), "report.html"))
    words = load_words("en")
    named = set(re.findall(r"""\bt\("([\w.]+)"[,)]""", code)) | set(re.findall(r'data-t="(\w+)"', code))
    assert named <= set(words)
    families = ("metric.", "space.", "kind.", "role.", "method.", "curves.", "cost.", "map.")
    quoted = set(re.findall(r'"([\w./]+)"', code))
    assert not [
        key
        for key in words
        if key not in named | quoted and not key.startswith(families) and not key.endswith(".help")
    ]


def test_no_script_writes_markup() -> None:
    code = "".join((PAGE / name).read_text(encoding="utf-8") for name in scripts())
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", code)


def test_memory_does_not_grow_with_the_texts(tmp_path: Path) -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    task = label_task(20_000)
    sample = evaluation(90)
    long = replace(task, texts=tuple(text + "長い文章" * 60 for text in task.texts))
    view = replace(sample.views[0], task=long, layout=None, neighbours=None)
    tracemalloc.start()
    write_report(tmp_path / "report.html", sample.results, [view])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "report.html").stat().st_size > 15_000_000
    assert peak < 45_000_000
