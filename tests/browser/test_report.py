"""The report as a reader meets it: opened from disk, without network, in a real browser."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains

from kit.evaluations import CATEGORIES, MODELS, Evaluation, evaluation, label_task
from umekomi.evaluate.report.pictures import COLOURS

from .conftest import Page

Open = Callable[..., Page]

COUNT = 270
HOSTILE = (
    "</script><script>document.title = 'owned'</script>",
    "<img src=x onerror=\"document.title = 'owned'\">",
    "<!--<script>",
    "line\u2028and paragraph\u2029end",
    "half a pair \ud83d, <b>bold</b> & &lt;not&gt;",
    "<a href=\"javascript:document.title='owned'\">link</a>",
    '"quoted", and,\nlines\tand $x^2$',
    "=HYPERLINK(1)",
)


@pytest.fixture(scope="module")
def sample() -> Evaluation:
    return evaluation(COUNT)


@pytest.fixture(scope="module")
def page(open_report: Open, sample: Evaluation) -> Page:
    """One page for the tests that leave it as it is, or do not mind what was selected: opening takes seconds."""
    return open_report(sample)


def test_it_draws_itself_without_an_error_or_a_request(page: Page) -> None:
    assert page.console() == []
    assert {url.partition(":")[0] for url in page.requests()} <= {"file", "data", "blob"}
    assert "First place is shared" in page.text("#verdict")
    shown = page.js(
        "return [...document.querySelectorAll('main > section:not([hidden]) h2')].map((h) => h.textContent)"
    )
    assert len(shown) == 12
    for colour in COLOURS[: len(CATEGORIES)]:
        assert pixels_of(colour, plane(page)) > 100, f"no dots in {colour} on the map"


def plane(page: Page) -> np.ndarray:
    page.js("document.getElementById('plane').scrollIntoView({block: 'center', behavior: 'instant'})")
    shot = page.driver.find_element("id", "plane").screenshot_as_png
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), float)


def pixels_of(colour: str, picture: np.ndarray) -> int:
    """Of a colour as it looks at 85 % on white."""
    wanted = 0.85 * np.array(list(bytes.fromhex(colour[1:]))) + 0.15 * 255
    return int((np.abs(picture - wanted).max(axis=2) < 8).sum())


def test_the_confusion_of_neighbours_agrees_with_the_score(page: Page, sample: Evaluation) -> None:
    tables = page.js("return [...document.querySelectorAll('#confusion .chart')].map((c) => c.data[0].z)")
    values = {score.model: score.value for score in sample.results.scores if score.metric == "precision@3"}
    for model, table in zip(MODELS, tables, strict=True):
        assert np.allclose(np.sum(table, axis=1), 1)
        # Categories are of one size, so the mean of the diagonal is the share over all texts.
        assert np.mean(np.diag(table)) == pytest.approx(values[model])


def test_search_selects_and_the_selection_is_exported(page: Page, sample: Evaluation) -> None:
    task = sample.views[0].task
    found = [at for at, text in enumerate(task.texts) if "望遠鏡" in text]
    page.driver.find_element("id", "search").send_keys("望遠鏡")
    page.wait(f"document.getElementById('selected').textContent.startsWith('{len(found)} ')")
    marked = page.js(
        "return document.getElementById('plane').data.reduce((n, t) => n + (t.selectedpoints || []).length, 0)"
    )
    assert marked == len(found) > 0
    page.click("#export-jsonl")
    rows = [json.loads(line) for line in page.downloaded("随筆-multilingual-e5-small-selection.jsonl").splitlines()]
    assert [(row["id"], row["text"], row["label"]) for row in rows] == [
        (task.ids[at], task.texts[at], task.labels[at]) for at in found
    ]
    points = sample.views[0].layout.points[found]
    assert np.array_equal(np.array([[row["x"], row["y"]] for row in rows], np.float32), points)
    assert page.console() == []


def test_a_box_selects_and_another_model_keeps_the_selection(page: Page, sample: Evaluation) -> None:
    box = page.driver.find_element("id", "plane")
    page.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", box)
    page.click('[data-mode="select"]')
    width, height = box.size["width"], box.size["height"]
    drag = ActionChains(page.driver).move_to_element_with_offset(box, 8 - width // 2, 8 - height // 2)
    drag.click_and_hold().move_by_offset(width // 4, 60).move_to_element_with_offset(box, 0, height // 2 - 8)
    drag.release().perform()
    page.wait("document.getElementById('selected').textContent.includes('selected')")
    edge = page.js("const p = document.getElementById('plane'); return p._fullLayout.xaxis.p2d(p.clientWidth / 2)")
    inside = int((sample.views[0].layout.points[:, 0] < edge).sum())
    assert 10 < inside < COUNT - 10
    chosen = int(page.text("#selected").split()[0])
    assert abs(chosen - inside) <= 2, "two points may lie under the pointer's own width"
    page.choose("#map select", MODELS[1])
    assert page.text("#selected").startswith(f"{chosen} ")
    moved = page.js("return Array.from(document.getElementById('plane').data[0].x)")
    labels = np.array(sample.views[1].task.labels)
    assert np.array_equal(np.array(moved, np.float32), sample.views[1].layout.points[labels == min(labels), 0])
    assert page.console() == []


def test_disagreements_are_exported_as_hard_negatives(page: Page, sample: Evaluation) -> None:
    page.click("#export-negatives")
    name = "随筆-all-MiniLM-L6-v2-hard-negatives.jsonl"
    rows = [json.loads(line) for line in page.downloaded(name).splitlines()]
    assert {row["query_id"]: (row["positive_id"], row["negative_ids"]) for row in rows} == expected_negatives(
        sample
    )
    texts = dict(zip(sample.views[0].task.ids, sample.views[0].task.texts, strict=True))
    for row in rows:
        assert row["query"] == texts[row["query_id"]]
        assert row["positive"] == texts[row["positive_id"]]
        assert row["negatives"] == [texts[each] for each in row["negative_ids"]]


def expected_negatives(sample: Evaluation) -> dict[str, tuple[str, list[str]]]:
    first, second = sample.views[:2]
    labels, ids = np.array(first.task.labels), np.array(first.task.ids)
    found = {}
    for row, label in enumerate(labels):
        ours, theirs = first.neighbours[row, :3], second.neighbours[row, :3]
        right, wrong = ours[labels[ours] == label], theirs[labels[theirs] != label]
        if len(right) > 3 - len(wrong):
            found[ids[row]] = (str(ids[right[0]]), [str(each) for each in ids[wrong]])
    return found


def test_pairs_and_retrieval_have_their_own_parts(page: Page) -> None:
    choose = (
        "const s = document.getElementById('dataset'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))"
    )
    page.js(choose, "文の類似")
    page.ready()
    assert page.js("return document.querySelector('#pairs .chart').data[0].x.length") == 60
    assert page.js("return document.documentElement.scrollWidth <= window.innerWidth")
    page.choose("#dataset", "質問と答え")
    page.ready()
    page.click("#export-negatives")
    name = "質問と答え-all-MiniLM-L6-v2-hard-negatives.jsonl"
    rows = [json.loads(line) for line in page.downloaded(name).splitlines()]
    assert [(row["query_id"], row["positive_id"], len(row["negative_ids"])) for row in rows] == [
        (f"q{at}", f"d{at}", 1) for at in (0, 3, 6)
    ]
    assert page.console() == []


def test_nothing_can_leave_the_page(page: Page) -> None:
    refused = page.driver.execute_async_script(
        "const done = arguments[0];"
        "document.addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));"
        "fetch('http://127.0.0.1:9/').catch(() => {});"
    )
    assert refused == "connect-src"
    page.js(
        "const s = document.createElement('script'); s.textContent = 'document.title = 1'; document.body.append(s)"
    )
    assert page.js("return document.title") != "1"


def test_on_a_phone_names_of_models_stay_readable(page: Page) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        page.wait("document.documentElement.clientWidth === 390")
        widths = page.js("return [...document.querySelectorAll('td:has(> .model)')].map((td) => td.clientWidth)")
        assert min(widths) >= 100  # of the models that the metric chosen by an earlier test has
        page.wait("document.documentElement.scrollWidth === 390")
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_hostile_texts_are_only_texts(open_report: Open) -> None:
    task = label_task(90)
    texts = tuple(HOSTILE[at % len(HOSTILE)] + text for at, text in enumerate(task.texts))
    names = dict(zip(sorted(set(task.labels)), HOSTILE, strict=False))
    labels = tuple(names.get(label, label) for label in task.labels)
    page = open_report(evaluation(task=replace(task, name=HOSTILE[0], texts=texts, labels=labels)))
    assert page.console() == []
    assert page.js("return document.title").startswith("umekomi")
    assert page.js("return document.querySelectorAll('img[src=x], script').length") < 20
    assert (
        page.js("return document.querySelectorAll('main img, main script, main a[href^=javascript]').length") == 0
    )
    legend = page.js(
        "return [...document.querySelectorAll('.legend button')].map((b) => b.childNodes[1].textContent)"
    )
    assert set(legend) == {label.replace("\ud83d", "?") for label in labels}
    axis = page.text("#confusion .chart .yaxislayer-above")
    assert "<img src=x on" in axis
    page.driver.find_element("id", "search").send_keys("hyperlink")
    found = [text for text in texts if "HYPERLINK" in text]
    page.wait(f"document.getElementById('selected').textContent.startsWith('{len(found)} ')")
    page.click("#export-csv")
    written = page.downloaded("*-selection.csv").decode("utf-8-sig")
    assert [row["text"] for row in csv.DictReader(io.StringIO(written, newline=""))] == [
        f"'{text}" for text in found
    ]


def test_japanese_is_written_with_japanese_glyphs(open_report: Open, sample: Evaluation) -> None:
    page = open_report(sample, "ja")
    assert page.js("return document.documentElement.lang") == "ja"
    assert "差は認められません。あと約 400 件" in page.text("#verdict")  # 391, as results.json rounds it
    # A font without them would draw one box for both.
    drawn = page.js(
        "return ['判', '釣'].map((character) => {"
        "const canvas = document.createElement('canvas'), pen = canvas.getContext('2d');"
        "pen.font = '40px ' + getComputedStyle(document.body).fontFamily;"
        "pen.fillText(character, 2, 60); return canvas.toDataURL(); })"
    )
    assert drawn[0] != drawn[1]
    headings = page.js(
        "return [...document.querySelectorAll('h2, h3, th, button, label')].map((n) => n.textContent)"
    )
    assert not [heading for heading in headings if re.fullmatch(r"[a-z]+\.[a-z]+", heading)]
    assert page.console() == []


def test_without_webgl_the_map_is_drawn_all_the_same_and_says_so(
    chromium: webdriver.Chrome, open_report: Open, sample: Evaluation
) -> None:
    hide = (
        "const own = HTMLCanvasElement.prototype.getContext; HTMLCanvasElement.prototype.getContext ="
        "function (kind, ...rest) { return kind.includes('webgl') ? null : own.call(this, kind, ...rest); };"
    )
    added = chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": hide})
    try:
        page = open_report(sample)
        assert page.js("return document.querySelectorAll('#plane .scatterlayer .point').length") >= COUNT
        assert "no WebGL" in page.text("#map")
    finally:
        chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_one_model_alone_without_views_needs_no_comparison(open_report: Open, sample: Evaluation) -> None:
    results = sample.results
    alone = results.model_copy(
        update={
            "models": results.models[:1],
            "datasets": results.datasets[:1],
            "scores": results.scores[:1],
            "ranking": results.ranking[:1],
            "comparisons": (),
            "curves": (),
            "space": (),
            "audits": (),
            "notes": (),
        }
    )
    page = open_report(Evaluation(alone, []))
    assert page.console() == []
    assert "measured alone" in page.text("#verdict")
    assert page.js(
        "return document.getElementById('map').hidden && document.getElementById('disagreements').hidden"
    )
