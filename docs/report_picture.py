"""Take the picture of the report in the README: `make demo`, then `python docs/report_picture.py` makes docs/report.png.

It shows the first screen of a run's report, runs/demo's by default, and wants chromium with its chromedriver.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from noisekit.runs import load_run

DOCS = Path(__file__).parent
SIZE = {"width": 1240, "height": 1130, "deviceScaleFactor": 1, "mobile": False}


def draw(browser: Any, run: str | Path, picture: Path) -> None:
    """Write the report of a run, and keep what a browser shows of it first."""
    page = load_run(run).report()
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", SIZE)
    browser.get(page.resolve().as_uri())
    shown = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    shown.save(picture, optimize=True)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def main() -> None:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    )
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        draw(browser, sys.argv[1] if len(sys.argv) > 1 else "runs/demo", DOCS / "report.png")
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
