"""The report of a training as a reader meets it: opened from disk, without network and without script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from selenium import webdriver

from kit.evaluating import RecordingWatch
from kit.proofs import alphas, labelled, open_hashing, questions, ratings, story, training_pairs
from umekomi.prove.inputs import ProofSettings, ProofTasks
from umekomi.prove.output.publishing import publish
from umekomi.prove.output.report import REPORT
from umekomi.prove.run import prove


@pytest.fixture(scope="module")
def page(chromium: webdriver.Chrome, tmp_path_factory: pytest.TempPathFactory) -> webdriver.Chrome:
    folder = tmp_path_factory.mktemp("proof")
    report = prove(
        open_hashing(16),
        open_hashing(256),
        ProofTasks(questions(), preference=ratings(), general=(labelled(),)),
        ProofSettings(resamples=200, cache=folder / "vectors"),
        folder=folder,
        watch=RecordingWatch(),
        pairs=training_pairs(),
        alphas=alphas(),
        story=story(),
    )
    publish(folder, report)
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get_log("performance")
    chromium.get(Path(folder / REPORT).as_uri())
    return chromium


def test_it_asks_for_nothing_and_complains_of_nothing(page: webdriver.Chrome) -> None:
    assert page.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("file://")] == []


def test_the_verdict_comes_first_and_every_picture_is_drawn_inside_its_frame(page: webdriver.Chrome) -> None:
    headings = page.execute_script("return [...document.querySelectorAll('h2')].map(each => each.textContent)")
    assert headings[0] == "IMPROVED"
    outside = """
        return [...document.querySelectorAll('svg')].flatMap(svg => {
          const frame = svg.getBoundingClientRect();
          return [...svg.querySelectorAll('text, path')].filter(each => {
            const box = each.getBoundingClientRect();
            return box.left < frame.left - 4 || box.right > frame.right + 4
              || box.top < frame.top - 4 || box.bottom > frame.bottom + 4;
          }).map(each => each.outerHTML);
        })"""
    assert page.execute_script("return document.querySelectorAll('svg').length") == 4
    assert page.execute_script(outside) == []


def test_japanese_is_shown_as_text_in_a_font_that_has_it(page: webdriver.Chrome) -> None:
    assert page.execute_script("return document.body.innerText.includes('出張旅費.pdf, page 7')")
    # Characters that no font has are all drawn as the same box.
    drawn = """
        const draw = text => {
          const canvas = document.createElement('canvas');
          const context = canvas.getContext('2d');
          context.font = '40px ' + getComputedStyle(document.body).fontFamily;
          context.fillText(text, 0, 60);
          return canvas.toDataURL();
        };
        return new Set(['出', '張', '旅', '費', '\\u{10FFFE}'].map(draw)).size"""
    assert page.execute_script(drawn) == 5


def test_on_a_phone_only_tables_and_pictures_scroll(page: webdriver.Chrome) -> None:
    size = page.get_window_size()
    try:
        page.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True},
        )
        assert page.execute_script("return document.documentElement.scrollWidth") <= 390
        narrow = """
            return [...document.querySelectorAll('td')].filter(each => each.textContent.length > 3
              && each.getBoundingClientRect().width < 40).map(each => each.textContent)"""
        assert page.execute_script(narrow) == []
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.set_window_size(size["width"], size["height"])
