"""The page in a real browser: pictures are filtered, enlarged and blended, budgets answered; nothing else happens."""

from __future__ import annotations

import io
import json
import re
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import noisekit as nk
from noisekit.report.page import write_report
from noisekit.report.tables import ranking
from tests.report.conftest import HOSTILE, METHODS, PROMPTS


@pytest.fixture(scope="module")
def place(shown_run: Any, page: str) -> Path:
    """The page where a run keeps it."""
    file = shown_run.folder / "report.html"
    file.write_text(page, encoding="utf-8")
    return Path(file)


@pytest.fixture
def opened(browser: Any, place: Path) -> Any:
    sized(browser, 1280)
    browser.get_log("browser"), requested(browser)
    browser.get(place.as_uri())
    return browser


def sized(browser: Any, width: int, scheme: str = "light") -> None:
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    colours = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": colours})


def requested(browser: Any) -> list[str]:
    """Addresses that the browser asked for since the last call, those in the page or in the browser left out."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in urls if not url.startswith(("data:", "chrome:"))]


def asked(browser: Any, script: str, *arguments: Any) -> Any:
    return browser.execute_script(f"return {script}", *arguments)


def pressed(browser: Any, *keys: str) -> None:
    for key in keys:
        for kind in ("keyDown", "keyUp"):
            browser.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": key})


def shot(browser: Any) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("L"), dtype=float)


def visible(browser: Any) -> list[str]:
    return list(
        asked(
            browser, "[...document.querySelectorAll('.scene')].filter(s => !s.hidden).map(s => s.innerText)"
        )
    )


def choose(browser: Any, name: str, value: str) -> None:
    browser.execute_script(
        "const field = document.querySelector(`.filters [name=${arguments[0]}]`); field.value = arguments[1];"
        "field.dispatchEvent(new Event('input', {bubbles: true}))",
        name,
        value,
    )


def test_all_of_it_shows_and_nothing_else_happens(opened: Any, shown_run: Any) -> None:
    assert opened.title.startswith("noisekit report")
    widths = asked(opened, "[...document.querySelectorAll('.cell img')].map(image => image.naturalWidth)")
    assert widths == [32] * len(shown_run.rows)
    assert (
        asked(opened, "getComputedStyle(document.querySelector('.cell img')).imageRendering") == "pixelated"
    )
    for model, lines in ranking(shown_run).models.items():
        rows = asked(
            opened,
            "[...document.querySelectorAll(`table.results[data-model='${arguments[0]}'] tbody tr`)]"
            ".map(row => row.dataset.method)",
            model,
        )
        assert rows == [line.method for line in lines]
    assert asked(opened, "document.scripts.length") == 1
    assert asked(opened, "document.querySelectorAll('.prompt *').length") == 0
    prompts = asked(opened, "[...document.querySelectorAll('.prompt')].map(cell => cell.textContent)")
    assert set(prompts) == set(shown_run.rows["prompt"])
    assert requested(opened) == [opened.current_url]
    assert opened.get_log("browser") == []


def test_pictures_are_filtered(opened: Any, shown_run: Any) -> None:
    everything = visible(opened)
    assert len(everything) == 2 * len(PROMPTS) * 3
    assert not asked(opened, "document.querySelector('.rest').open")
    choose(opened, "text", "BLUE SQUARES")
    assert len(visible(opened)) == 2 * 3
    assert asked(opened, "document.querySelector('.rest').open")
    choose(opened, "seed", "2")
    choose(opened, "model", "tiny-turbo")
    assert len(visible(opened)) == 1
    assert asked(opened, "document.querySelector('.filters output').value") == "1 of 30 prompts and seeds"
    for name in ("text", "seed", "model"):
        choose(opened, name, "")
    choose(opened, "category", "single")
    assert len(visible(opened)) == 2 * 2 * 3
    choose(opened, "category", "")
    choose(opened, "reason", "loss")
    assert visible(opened) and all("loss of" in text for text in visible(opened))
    choose(opened, "reason", "")
    opened.find_element("css selector", ".filters [value='standard']").click()
    labels = (
        "new Set([...document.querySelectorAll('.cell')].filter(c => !c.hidden).map(c => c.dataset.method))"
    )
    assert "standard" not in asked(opened, f"[...{labels}]")


def test_a_picture_is_enlarged_blended_and_left_by_keys(opened: Any, shown_run: Any) -> None:
    opened.execute_script("document.querySelector('.scene[data-model=\"tiny-turbo\"] a.picture').focus()")
    opened.switch_to.active_element.send_keys("\n")
    assert asked(opened, "document.getElementById('enlarged').open")
    name = "document.querySelector('[data-name=over]').textContent"
    labels = [line.label for line in ranking(shown_run).models["tiny-turbo"]]
    assert asked(opened, name) == "standard"
    assert asked(opened, "document.querySelector('dialog input[type=range]').disabled")
    pressed(opened, "ArrowRight")
    assert asked(opened, name) == labels[1]
    pressed(opened, "ArrowRight", "ArrowRight", "ArrowLeft")
    assert asked(opened, name) == labels[-1]
    first = asked(opened, "document.querySelector('#enlarged-prompt').textContent")
    pressed(opened, "ArrowDown")
    assert asked(opened, "document.querySelector('#enlarged-prompt').textContent") != first
    pressed(opened, "ArrowUp")
    assert asked(opened, "document.querySelector('#enlarged-prompt').textContent") == first
    assert asked(opened, name) == labels[-1]
    over = "document.querySelector('[data-side=over]')"
    slide = (
        "const slider = document.querySelector('dialog input[type=range]'); slider.value = arguments[0];"
        "slider.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    pictures = {}
    for share in (0, 40, 100):
        opened.execute_script(slide, share)
        assert float(asked(opened, f"{over}.style.opacity")) == share / 100
        pictures[share] = shot(opened)
    assert np.abs(pictures[0] - pictures[100]).max() > 50
    between = np.abs(0.6 * pictures[0] + 0.4 * pictures[100] - pictures[40])
    x, y, side = asked(
        opened, "(({x, y, width}) => [x, y, width])(document.querySelector('.stage').getBoundingClientRect())"
    )
    inside = between[int(y) + 2 : int(y + side) - 2, int(x) + 2 : int(x + side) - 2]
    assert inside.mean() < 3
    opened.find_element("css selector", "dialog [name=changed]").click()
    assert "difference" in asked(opened, f"getComputedStyle({over}).mixBlendMode")
    files_asked = [url for url in requested(opened) if url != opened.current_url]
    assert files_asked and all(url.startswith(shown_run.folder.as_uri()) for url in files_asked)
    opened.switch_to.active_element.send_keys("\ue00c")  # Escape
    assert not asked(opened, "document.getElementById('enlarged').open")
    assert asked(opened, "document.activeElement.matches('a.picture')")
    assert opened.get_log("browser") == []


@pytest.fixture(scope="module")
def turning(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two things turned by the bundled model of turns, in one step, from two noises each."""
    return nk.compare(
        models=["tiny-orbit(steps=1)"],
        methods=["standard", "pink"],
        prompts="turntable",
        limit=2,
        metrics=["ssim"],
        weights="tiny",
        store=tmp_path_factory.mktemp("turning") / "run",
        progress=False,
    )


def test_the_strip_of_frames_plays(browser: Any, turning: Any) -> None:
    """In its cell and enlarged: within two seconds the screen shows four of the eight views or more."""
    page = Path(turning.report())
    sized(browser, 1280)
    browser.get_log("browser")
    browser.get(page.as_uri())
    assert asked(browser, "document.querySelectorAll('.cell img').length") == 4
    assert "ssim" in asked(browser, "document.querySelector('.cell').innerText")
    for selector in (".cell img", "#enlarged [data-side=over]"):
        if selector.startswith("#"):
            browser.execute_script("document.querySelectorAll('a.picture')[1].click()")
        picture = browser.find_element("css selector", selector)
        assert asked(browser, "arguments[0].naturalWidth", picture) == 32
        shown, until = set(), time.monotonic() + 20
        while len(shown) < 4 and time.monotonic() < until:
            shown.add(picture.screenshot_as_png)
        assert len(shown) >= 4, f"{selector} stands still"
    assert browser.get_log("browser") == []


def test_the_budget_under_the_pointer_is_answered(opened: Any) -> None:
    chart = "document.querySelector('figure.chart')"
    opened.execute_script(f"{chart}.scrollIntoView()")
    low, high = (float(asked(opened, f"{chart}.dataset.{end}")) for end in ("low", "high"))
    x, y, width, height = asked(
        opened,
        f"(({{x, y, width, height}}) => [x, y, width, height])({chart}.querySelector('svg').getBoundingClientRect())",
    )
    for share, words in [(0.01, "not even the standard image"), (0.9, "standard: truth 0.")]:
        at = x + (64 + share * (720 - 64 - 18)) * width / 720
        event = {"type": "mouseMoved", "x": at, "y": y + height / 2}
        opened.execute_cdp_cmd("Input.dispatchMouseEvent", event)
        said = asked(opened, f"{chart}.querySelector('output').value")
        budget = float(re.findall(r"At ([0-9.e-]+) s: ", said)[0])
        assert budget == pytest.approx(low * (high / low) ** share, rel=0.06)
        assert words in said
    slider = opened.find_element("css selector", "figure.chart input")
    slider.send_keys("\ue011")  # Home
    assert "not even the standard image" in asked(opened, f"{chart}.querySelector('output').value")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_wrong_and_it_fits_the_screen(
    browser: Any, place: Path, width: int, scheme: str
) -> None:
    """WCAG 2.1 A and AA and the best practices that axe-core knows, with everything unfolded, and on an enlarged picture.

    Scenes are alike, and a few of them stand for all; what is inside a figure is hidden from whoever cannot see it.
    """
    pytest.importorskip("axe_core_python", reason="needs axe-core-python, which carries axe-core")
    axe = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    sized(browser, width, scheme)
    browser.get(place.as_uri())
    browser.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
    browser.set_script_timeout(120)

    def check(part: str = "html") -> None:
        script = "axe.run(arguments[0], {resultTypes: ['violations']}).then(arguments[1])"
        found = browser.execute_async_script(script, part)
        wrong = [(v["id"], [n["html"][:300] for n in v["nodes"]][:5]) for v in found["violations"]]
        assert not wrong, wrong
        assert len(found["passes"]) > 10
        assert asked(browser, "document.documentElement.scrollWidth") <= width

    browser.execute_script(
        "[...document.querySelectorAll('.scene')].slice(4, -2).forEach(scene => scene.remove())"
    )
    check("#first")
    browser.execute_script("document.querySelectorAll('details').forEach(folded => { folded.open = true })")
    sizes = asked(
        browser,
        "[...document.querySelectorAll('figure svg')].map(svg => svg.getBoundingClientRect().toJSON())",
    )
    assert all(size["width"] > 200 and size["height"] > 60 for size in sizes if size["width"] > 20)
    for selector in ("h1", "#cost figure svg", "#ranking figure svg", ".scene"):
        browser.execute_script(f"document.querySelector('{selector}').scrollIntoView()")
        picture = shot(browser)
        assert picture.shape[1] == width
        assert picture.std() > 10, f"the screen at {selector} is blank"
        plain = np.mean(picture > 200 if scheme == "light" else picture < 60)
        assert 0.3 < plain < 0.995, f"the screen at {selector} does not look like a page"
    browser.execute_script("document.querySelectorAll('.drawn svg').forEach(one => one.remove())")
    check()
    browser.execute_script("document.querySelectorAll('a.picture')[1].click()")
    check("dialog")
    sized(browser, 1280)


def test_without_its_script_the_page_is_whole(browser: Any, place: Path) -> None:
    """Pictures lead to their files, the advice stands in words, and no control is there that does nothing."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(place.as_uri())
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert asked(
        browser, "document.querySelector('.filters').hidden && document.querySelector('.ask').hidden"
    )
    assert "From 0.010 s on, standard: truth" in asked(
        browser, "document.querySelector('.chart figcaption').innerText"
    )
    link = asked(browser, "document.querySelector('a.picture').href")
    browser.get(link)
    assert asked(browser, "document.images[0].naturalWidth") == 32


@pytest.mark.slow
def test_two_thousand_pictures_open_and_filter_soon(browser: Any, make_run: Any) -> None:
    """The time is that of the browser alone; what the page takes to make is measured by benchmarks/report.py."""
    prompts = {f"prompt {number}": None for number in range(660)}
    run = make_run(prompts, {"tiny-turbo": METHODS["tiny-turbo"]}, side=8, seeds=1)
    run.points = run.points.iloc[:0]
    page = write_report(run, run.folder / "report.html")
    assert page.stat().st_size < 15e6
    browser.get(page.as_uri())
    assert asked(browser, "document.querySelectorAll('.cell img').length") == 660 * 3
    choose(browser, "text", "prompt 41")
    assert len(visible(browser)) == 11
    assert HOSTILE not in page.read_text(encoding="utf-8")
