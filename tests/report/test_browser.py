"""The page in a real browser: pictures show, figures have a size, nothing runs, nothing is fetched, nothing overflows."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from noisekit.report.tables import ranking


@pytest.fixture
def page(browser: Any, page: str, tmp_path: Path) -> Any:
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    browser.get(file.as_uri())
    return browser


def requested(browser: Any) -> list[str]:
    """Addresses that the browser asked for since the last call, those in the page or in the browser left out."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in urls if not url.startswith(("data:", "chrome:"))]


def test_all_of_it_shows_and_nothing_else_happens(page: Any, run: Any) -> None:
    assert page.title.startswith("noisekit report")
    widths = page.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert widths == [32] * (5 * (2 + 1) + 5 * (3 + 2))  # images, and what the methods changed in them
    rendering = page.execute_script("return getComputedStyle(document.images[0]).imageRendering")
    assert rendering == "pixelated"
    for model, lines in ranking(run).models.items():
        rows = page.execute_script(
            "return [...document.querySelectorAll(`table.results[data-model='${arguments[0]}'] tbody tr`)]"
            ".map(row => row.dataset.method)",
            model,
        )
        assert rows == [line.method for line in lines]
    assert page.execute_script("return document.scripts.length") == 0
    assert page.execute_script("return document.querySelectorAll('.prompt *').length") == 0
    prompts = page.execute_script(
        "return [...document.querySelectorAll('.prompt')].map(cell => cell.textContent)"
    )
    assert set(prompts) == set(run.rows["prompt"])
    assert requested(page) == [page.current_url]
    assert page.get_log("browser") == []


@pytest.mark.parametrize("width", [1280, 400])
def test_it_fits_the_screen_and_is_not_blank(page: Any, width: int) -> None:
    metrics = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    page.execute_script("document.querySelectorAll('details').forEach(folded => { folded.open = true })")
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    sizes = page.execute_script(
        "return [...document.querySelectorAll('figure svg')].map(svg => svg.getBoundingClientRect().toJSON())"
    )
    assert len(sizes) == 13
    assert all(size["width"] > 200 and size["height"] > 60 for size in sizes)
    for selector in ("h1", "#ranking figure svg", "#images table"):
        page.execute_script(f"document.querySelector('{selector}').scrollIntoView()")
        shot = np.asarray(Image.open(io.BytesIO(page.get_screenshot_as_png())).convert("L"), dtype=float)
        assert shot.shape[1] == width
        assert shot.std() > 10, f"the screen at {selector} is blank"
        assert 0.5 < np.mean(shot > 200) < 0.995, f"the screen at {selector} does not look like a page"
