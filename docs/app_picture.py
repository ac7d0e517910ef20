"""Take the picture of the app in the guide: `python docs/app_picture.py` makes docs/app.png.

It serves the app, searches once as it stands when it is opened, and wants chromium with its chromedriver.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

DOCS = Path(__file__).parent
SIZE = (1280, 940)
OVER = "document.querySelector('#status')?.innerText.includes('all candidates were tried')"


def draw(browser: Any, link: str, picture: Path, patience: float = 120.0) -> None:
    """Search in the app at a link, and keep what the browser shows when the search is over."""
    browser.set_window_size(*SIZE)
    browser.get(link)
    for ready, then in (
        ("document.querySelector('#costs')?.innerText.includes('calls an image')", "#begin"),
        (OVER, "#handover > button"),
    ):
        deadline = time.monotonic() + patience
        while not browser.execute_script(f"return {ready}"):
            if time.monotonic() > deadline:
                raise TimeoutError(browser.execute_script("return document.body.innerText"))
            time.sleep(0.1)
        browser.execute_script("document.querySelector(arguments[0]).click()", then)
    time.sleep(1.0)  # the editor draws the script
    picture.write_bytes(browser.get_screenshot_as_png())


def main() -> None:
    from selenium import webdriver

    from noisekit.app.offer import Offer
    from noisekit.app.serving import Serving

    options = webdriver.ChromeOptions()
    options.binary_location = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    )
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(flag)
    with TemporaryDirectory() as runs, Serving(Offer.of(["tiny-turbo", "tiny"], [], runs), port=0) as serving:
        Thread(target=serving.run, daemon=True).start()
        browser = webdriver.Chrome(
            options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))
        )
        try:
            draw(browser, serving.link, DOCS / "app.png")
        finally:
            browser.quit()


if __name__ == "__main__":
    main()
