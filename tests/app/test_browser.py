"""The app as its users have it, in a real browser: they watch, stop, compare, open, and are told what is wrong."""

from __future__ import annotations

import base64
import io
import re
import runpy
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

from noisekit.app.serving import Serving
from noisekit.runs import load_run

HOSTILE = (
    "a red circle ${document.title='owned'} {{constructor}} <img src=x onerror=\"document.title='owned'\">"
)


class Page:
    """The app in a browser. Parts are named by their id in the page."""

    def __init__(self, browser: Any, link: str) -> None:
        self.browser, self.link = browser, link
        browser.get_log("browser")
        browser.get(link)
        self.until(lambda: "calls an image" in self.text("costs"))

    def js(self, script: str, *given: Any) -> Any:
        return self.browser.execute_script(f"return {script}", *given)

    def text(self, part: str) -> str:
        return str(self.js("(document.getElementById(arguments[0]) || {}).innerText || ''", part))

    def html(self, part: str) -> str:
        return str(self.js("(document.getElementById(arguments[0]) || {}).innerHTML || ''", part))

    def until(self, holds: Callable[[], Any], seconds: float = 90) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := holds():
                return found
            time.sleep(0.05)
        raise AssertionError(self.js("document.body.innerText"))

    def click(self, part: str) -> None:
        self.js("document.getElementById(arguments[0]).click()", part)

    def tab(self, name: str) -> None:
        self.js(
            "[...document.querySelectorAll('[role=tab]')].find(tab => tab.innerText == arguments[0]).click()",
            name,
        )

    def unfold(self, part: str) -> None:
        self.js("document.querySelector('#' + arguments[0] + ' > button').click()", part)

    def write(self, part: str, text: str) -> None:
        """Put a text into a field as typing does, which a framework is to notice: a page of gradio's that has just been
        turned to may still be filling its fields, and then the text is put there again.
        """
        script = (
            "(([field, text]) => { const kind = field.tagName == 'TEXTAREA' ? HTMLTextAreaElement : HTMLInputElement; "
            "Object.getOwnPropertyDescriptor(kind.prototype, 'value').set.call(field, text); "
            "field.dispatchEvent(new Event('input', {bubbles: true})); field.dispatchEvent(new Event('change', "
            "{bubbles: true})); field.blur() })"
        )

        def stays() -> bool:
            self.js(f"{script}([document.querySelector(arguments[0]), arguments[1]])", field_of(part), text)
            time.sleep(0.3)
            return self.js("document.querySelector(arguments[0]).value", field_of(part)) == text

        self.until(
            lambda: self.js("(document.querySelector(arguments[0]) || {}).offsetParent", field_of(part))
        )
        self.until(stays)

    def choose(self, part: str, option: str) -> None:
        """Choose from a list by the keyboard."""
        field = self.browser.find_element("css selector", f"#{part} input")
        field.click()
        field.send_keys("\ue009a\ue000", option)
        self.until(
            lambda: self.js("[...document.querySelectorAll('[role=option]')].map(o => o.innerText.trim())")[
                :1
            ]
        )
        self.js(
            "[...document.querySelectorAll('[role=option]')].find(one => one.innerText.replace('✓', '').trim() == "
            "arguments[0]).dispatchEvent(new MouseEvent('mousedown', {bubbles: true}))",
            option,
        )

    def pictures(self) -> list[np.ndarray]:
        """The pixels of the images that are shown."""
        found = []
        for source in self.js("[...document.querySelectorAll('#images img')].map(image => image.src)"):
            with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as file:
                found.append(np.asarray(file.convert("RGB"), dtype=int))
        return found


def field_of(part: str) -> str:
    return f"#{part} textarea, #{part} input"


@pytest.fixture
def page(browser: Any, served: Serving) -> Iterator[Page]:
    page = Page(browser, served.link)
    yield page
    own = page.js("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert not [place for place in own if not place.startswith((served.link, "data:", "blob:"))]
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    assert browser.title == "noisekit"


def test_a_search_is_watched_and_stopped_and_its_script_makes_the_image(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.choose("method", "random_search")
    page.until(lambda: "random_search:" in page.text("costs"))
    page.write("setting-steps", "5000")
    page.until(lambda: "random_search(steps=5000): 5001 candidates" in page.text("costs"))
    page.write("prompt", HOSTILE)
    page.write("seed", "3")
    page.click("begin")
    seen = set()

    def counted() -> int:
        if found := re.search(
            r"candidate (\d+) of 5001 · best reward [-\d.]+ · (\d+) calls", page.text("status")
        ):
            seen.add(int(found[1]))
            assert int(found[2]) >= int(found[1])
        return len(seen)

    page.until(lambda: counted() >= 3)
    assert len(page.pictures()) == 2 and "best so far" in page.text("images")
    page.click("stop")
    page.until(lambda: "stopped; the best so far is kept" in page.text("status"))
    assert "found" in page.text("images") and HOSTILE in page.js("document.querySelector('#images img').alt")
    standard, found = page.pictures()
    assert (standard != found).any()

    page.unfold("handover")
    lines = "[...document.querySelectorAll('#code .cm-line')].map(line => line.textContent).join('\\n')"
    script = page.until(lambda: page.js(lines))
    link = page.js("document.querySelector('#noise a').href")
    with urlopen(link) as file:
        (tmp_path / "noise.safetensors").write_bytes(file.read())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    runpy.run_path("script.py")
    with Image.open("image.png") as image:
        assert np.abs(np.asarray(image.convert("RGB"), dtype=int) - found).max() <= 1


@pytest.mark.slow
def test_the_picture_of_the_guide_is_drawn(browser: Any, served: Serving, tmp_path: Path) -> None:
    size = browser.get_window_size()
    script = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "app_picture.py"))
    script["draw"](browser, served.link, tmp_path / "app.png")
    browser.set_window_size(size["width"], size["height"])
    with Image.open(tmp_path / "app.png") as picture:
        assert picture.width == script["SIZE"][0]


def test_wrong_inputs_are_told_in_the_sentences_of_the_command_line(page: Page) -> None:
    wrong = [
        ("prompt", "   ", "is not a text with at least one word"),
        ("seed", "-1", "is not a whole number of 0 or more"),
        ("calls", "many", "budget calls='many' is no positive number"),
        ("candidates", "0", "budget candidates=0 is not a positive number"),
    ]
    for part, text, sentence in wrong:
        before = page.js("document.querySelector(arguments[0]).value", field_of(part))
        page.write(part, text)
        page.click("begin")
        page.until(lambda sentence=sentence: sentence in page.text("status"))
        assert 'role="alert"' in page.html("status")
        page.write(part, before)
    page.choose("method", "selection")
    page.until(lambda: "needs a model that is invertible" in page.text("costs"))
    page.choose("model", "tiny")
    page.until(lambda: "selection: 16 candidates, 272 calls an image" in page.text("costs"))
    page.choose("method", "then(best_of(n=4), random_search(steps=8))")
    page.until(lambda: "then(best_of(n=4), random_search(steps=8)):" in page.text("costs"))
    page.write("brackets", "best_of(n=2), nonsense")
    page.until(lambda: "unknown method 'nonsense'" in page.text("costs"))
    page.write("brackets", "npnet(artefact='/etc/passwd')")
    page.until(lambda: "is no artefact that this app offers" in page.text("costs"))


@pytest.mark.parametrize("scheme", [pytest.param("light", marks=pytest.mark.slow), "dark"])
def test_axe_finds_nothing_wrong(page: Page, scheme: str) -> None:
    """WCAG 2.1 A and AA and the best practices that axe-core knows, on all three pages, everything unfolded."""
    pytest.importorskip("axe_core_python", reason="needs axe-core-python, which carries axe-core")
    axe = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    wanted = [{"name": "prefers-color-scheme", "value": scheme}]
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})
    page.browser.get(page.link)
    page.until(lambda: "an image" in page.text("costs"))
    page.choose("method", "standard")
    page.until(lambda: "standard: 0 candidates, 1 call an image" in page.text("costs"))
    page.click("begin")
    page.until(lambda: "the standard noise · 1 call" in page.text("status"))
    page.unfold("handover")
    page.browser.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
    for tab in ("Try", "Runs", "Vote"):
        page.tab(tab)
        if tab == "Runs":
            page.unfold("comparison")
        time.sleep(0.5)  # colours are still on their way, and no event says when they are there
        found = page.browser.execute_async_script("axe.run().then(arguments[0])")
        wrong = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
        assert not wrong, wrong
        assert len(found["passes"]) > 10
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.slow
def test_a_comparison_is_begun_stopped_gone_on_with_and_opened(page: Page, served: Serving) -> None:
    page.tab("Runs")
    page.unfold("comparison")
    page.write("name", "../outside")
    page.click("compare")
    page.until(lambda: "is no name of a run" in page.text("came"))
    page.write("name", "first")
    page.write("methods", "best_of(n=2, rewards='hps:1')")
    page.write("prompts", f"{HOSTILE}\ntwo green triangles")
    metrics = page.browser.find_element("css selector", "#metrics input")
    metrics.send_keys(*["\ue003"] * 6, "\ue00c")  # the first of seven stays
    page.click("compare")
    page.until(lambda: re.search(r"[1-9]\d* of 8 images", page.text("came")))
    page.click("compare-stop")
    page.until(lambda: "the same comparison goes on from there" in page.text("came"))
    store = served.desk.offer.runs / "first"
    kept = len(load_run(store))
    assert 0 < kept < 8
    page.click("compare")
    page.until(lambda: "8 of 8 images · done" in page.text("came"))
    assert len(load_run(store)) == 8
    frame = page.until(lambda: page.js("(document.querySelector('#opened iframe') || {}).src"))
    assert frame.startswith(f"{served.link}report/first/?")
    page.browser.switch_to.frame(page.browser.find_element("css selector", "#opened iframe"))
    page.until(
        lambda: (
            "best_of(n=2" in page.js("document.body.textContent")
            and HOSTILE in page.js("document.body.textContent")
        )
    )
    with urlopen(page.js("document.querySelector('a.picture').href")) as picture:
        assert picture.headers["Content-Type"] == "image/png" and picture.read(4) == b"\x89PNG"
    page.browser.switch_to.default_content()
    page.tab("Vote")
    page.choose("voted-run", "first")
    page.until(lambda: "nobody has voted on this run yet" in page.text("rates"))
    page.click("serve")
    page.until(lambda: "4 pairs:" in page.text("served"))
    link = page.js("document.querySelector('#served a').href")
    with urlopen(link) as answer:
        assert b"Which picture is better?" in answer.read()
    page.click("close")
    page.until(lambda: "votes are kept" in page.text("served"))
    with pytest.raises(OSError):
        urlopen(link, timeout=5)
