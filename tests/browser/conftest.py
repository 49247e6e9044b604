"""A headless Chromium without network, with a Japanese font, whose console and requests can be read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from kit.evaluations import Evaluation
from umekomi.evaluate.report import Language, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
PATIENCE_S = 60

# The map is drawn by WebGL, in software here; nothing is to be fetched by the browser on its own account.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1400,1000"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
)
FONTS = '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>{}</fontconfig>'


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    if not CHROMIUM or not DRIVER:
        pytest.skip("no Chromium with its driver here (Debian, Ubuntu: apt-get install chromium chromium-driver)")
    folder = tmp_path_factory.mktemp("chromium")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(DRIVER, env={**os.environ, "FONTCONFIG_FILE": str(fonts(folder))})
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.execute_cdp_cmd("Network.enable", {})
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        yield driver
    finally:
        driver.quit()


def fonts(folder: Path) -> Path:
    """Containers often have no Japanese font; the one for PNG maps does here too."""
    package = find_spec("matplotlib_fontja")
    assert package is not None
    assert package.origin is not None
    places = ["/usr/share/fonts", str(Path(package.origin).parent / "fonts")]
    lines = [f"<dir>{place}</dir>" for place in places] + [f"<cachedir>{folder / 'fonts'}</cachedir>"]
    file = folder / "fonts.conf"
    file.write_text(FONTS.format("".join(lines)), encoding="utf-8")
    return file


@dataclass(frozen=True)
class Page:
    """An open report."""

    driver: webdriver.Chrome
    downloads: Path
    file: Path

    def js(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        return str(self.js("return document.querySelector(arguments[0]).textContent", selector))

    def wait(self, condition: str) -> None:
        """Until the JavaScript expression holds."""
        WebDriverWait(self.driver, PATIENCE_S, 0.1).until(lambda driver: self.js(f"return Boolean({condition})"))

    def ready(self) -> None:
        self.wait("document.body.dataset.ready === 'yes'")

    def click(self, selector: str) -> None:
        self.js("document.querySelector(arguments[0]).click()", selector)

    def choose(self, selector: str, value: str) -> None:
        change = "const s = document.querySelector(arguments[0]); s.value = arguments[1];"
        self.js(change + "s.dispatchEvent(new Event('change', {bubbles: true}))", selector, value)

    def downloaded(self, pattern: str) -> bytes:
        def file(driver: object) -> Path | None:
            return next((path for path in self.downloads.glob(pattern) if path.stat().st_size), None)

        return Path(WebDriverWait(self.driver, PATIENCE_S, 0.1).until(file)).read_bytes()

    def console(self) -> list[str]:
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
        ]


@pytest.fixture(scope="session")
def open_report(chromium: webdriver.Chrome, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Page]:
    """Writes a report and opens it; the page that was open before is gone then."""

    def open_(evaluation: Evaluation, language: Language = "en") -> Page:
        folder = tmp_path_factory.mktemp("report")
        file = folder / "report.html"
        write_report(file, evaluation.results, evaluation.views, language=language)
        chromium.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
        chromium.get("about:blank")
        page = Page(chromium, folder, file)
        page.console()
        page.requests()
        chromium.get(file.as_uri())
        page.ready()
        return page

    return open_
