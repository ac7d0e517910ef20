"""The page in a real browser: people vote by keys alone, browsers and servers die, and no vote is lost or doubled."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from importlib.resources import files
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from noisekit.results import Run
from noisekit.store.store import Store
from noisekit.vote import questions
from noisekit.vote.pairs import pairs
from noisekit.vote.serving import Serving
from noisekit.vote.study import Rules, Study
from tests.conftest import FLAGS
from tests.vote.conftest import HOSTILE, METHODS

PROGRAM = "import sys; from noisekit.cli import main; sys.exit(main())"
ARROWS = {"left": "ArrowLeft", "right": "ArrowRight", "tie": "ArrowUp", "both_bad": "ArrowDown"}


class Server:
    """`noisekit vote` in a process of its own, that can be killed and started again on the same port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options, self.port = folder, options, 0
        self.start()

    def start(self) -> None:
        command = ["vote", str(self.folder), "--port", str(self.port), *self.options]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *command], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.link = self.process.stdout.readline().split()[-1]
        self.port = int(self.link.rpartition(":")[2].partition("/")[0])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def serve(run: Run) -> Iterator[Callable[..., Server]]:
    started = []

    def served(*options: str) -> Server:
        started.append(Server(run.folder, *options))
        return started[-1]

    yield served
    for server in started:
        server.kill()


def answering(serving: Serving) -> None:
    """Until it is closed under its feet."""
    with suppress(OSError):
        serving.run()


@pytest.fixture
def page(run: Run) -> Iterator[Callable[..., str]]:
    """Serves a study from this process, and gives its link."""
    with ExitStack() as after:

        def served(asked: Sequence[str], rules: Rules) -> str:
            store = after.enter_context(Store.prepare(run.folder, "per_prompt"))
            wanted = questions.chosen(asked)
            study = Study(store, pairs(run.frame()), list(wanted), rules)
            serving = after.enter_context(Serving(study, wanted, run.folder))
            Thread(target=answering, args=(serving,), daemon=True).start()
            return serving.link

        yield served


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Opens browsers that share nothing, and that a test may kill."""
    webdriver = pytest.importorskip("selenium.webdriver")
    names = ("chromium", "chromium-browser", "google-chrome")
    program, driver = next(filter(None, map(shutil.which, names)), None), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("needs chromium and chromedriver: install them from the system's packages")
    opened: list[Any] = []

    def one() -> Any:
        options = webdriver.ChromeOptions()
        options.binary_location = program
        for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path / str(len(opened))}"):
            options.add_argument(flag)
        opened.append(webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)))
        return opened[-1]

    yield one
    for browser in opened:
        if browser.service.process.poll() is None:
            browser.quit()


def killed(browser: Any) -> None:
    """End a browser as a crash would: it can send nothing more."""
    driver = browser.service.process.pid
    below = children(driver)
    for process in (driver, *below):
        os.kill(process, signal.SIGKILL)
    browser.service.process.wait()


def children(process: int) -> list[int]:
    """All processes below a process."""
    listing = Path(f"/proc/{process}/task/{process}/children").read_text()
    own = [int(number) for number in listing.split()]
    return own + [child for one in own for child in children(one)]


def pressed(browser: Any, *keys: str) -> None:
    """Keys as a keyboard sends them, to whatever has the focus."""
    for key in keys:
        for kind in ("keyDown", "keyUp"):
            browser.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": key})


def shown(browser: Any, other_than: str = "") -> str:
    """The ballot on the screen, when there is another; "" at the end."""
    script = (
        "return document.getElementById('end').hidden ? (document.getElementById('ballot').hidden ? null : "
        "document.body.dataset.ballot) : ''"
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = browser.execute_script(script)
        if found is not None and found != other_than:
            return str(found)
        time.sleep(0.02)
    raise AssertionError(browser.execute_script("return document.body.innerText"))


@pytest.mark.slow
def test_thirty_votes_survive_killed_browsers_and_servers(
    browser: Any, another: Callable[[], Any], serve: Callable[..., Server], run: Run
) -> None:
    server = serve("--questions", "alignment,overall", "--each", "10", "--attention", "0.1")
    windows = {"ann": browser, "ben": another(), "cem": another()}
    voted: dict[str, list[str]] = {voter: [] for voter in windows}
    for voter, window in windows.items():
        window.get(f"{server.link}?voter={voter}")

    def last(voter: str) -> str:
        return voted[voter][-1] if voted[voter] else ""

    def vote(voter: str, turn: int) -> None:
        ballot = shown(windows[voter], last(voter))
        pressed(windows[voter], *(list(ARROWS.values())[(turn + more) % 4] for more in (0, 1)))
        voted[voter].append(ballot)

    for turn in range(4):
        for voter in voted:
            vote(voter, turn)
    half = shown(windows["cem"], last("cem"))
    pressed(windows["cem"], "ArrowLeft")  # one question of two
    killed(windows["cem"])
    for voter in ("ann", "ben"):
        shown(windows[voter], last(voter))
    server.kill()
    vote("ann", 4)  # sent to nobody, and kept until there is somebody
    time.sleep(0.3)
    assert "not lost" in browser.execute_script("return document.getElementById('problem').textContent")
    server.start()
    windows["cem"] = another()
    windows["cem"].get(f"{server.link}?voter=cem")
    assert shown(windows["cem"]) == half  # the ballot that was open, all of whose questions are asked again
    for turn in range(10):
        for voter in voted:
            if len(voted[voter]) < 10:
                vote(voter, turn)
    for voter, window in windows.items():
        assert shown(window, last(voter)) == ""
        assert "Thank you" in window.execute_script("return document.body.innerText")
    lines = Store.read(run.folder).lines("votes")
    assert sum(map(len, voted.values())) == 30
    assert Counter((line["ballot"], line["question"]) for line in lines) == Counter(
        (ballot, question)
        for own in voted.values()
        for ballot in own
        for question in ("alignment", "overall")
    )


def test_methods_stay_hidden_and_prompts_stay_text(browser: Any, page: Callable[..., str]) -> None:
    link = page(["overall"], Rules(0, 0, 12))
    browser.get_log("browser")
    browser.get(f"{link}?voter=dee")
    last, prompts = "", set()
    while last := shown(browser, last):
        prompts.add(browser.execute_script("return document.getElementById('prompt').textContent"))
        text = browser.execute_script(
            "return document.documentElement.outerHTML + JSON.stringify(sessionStorage) + JSON.stringify(localStorage)"
        )
        assert not [name for name in (*METHODS, "standard", "cosine", "reno", "images/") if name in text]
        sizes = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
        assert sizes == [24, 24]
        pressed(browser, "ArrowUp")
    assert HOSTILE in prompts
    assert browser.title == "Which picture is better?"
    assert browser.get_log("browser") == []
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert all(place.startswith(link) for place in fetched if not place.startswith("data:"))


def test_a_choice_can_be_taken_back_and_a_wrong_code_is_told(
    browser: Any, page: Callable[..., str], run: Run
) -> None:
    link = page(["alignment", "overall"], Rules(0, 0, None, frozenset({"fay"})))
    browser.get(link)
    browser.execute_script("sessionStorage.clear()")
    browser.get(link)
    assert browser.execute_script("return document.activeElement.id") == "code"
    browser.switch_to.active_element.send_keys("eve\n")
    deadline = time.monotonic() + 10
    said = ""
    while not said and time.monotonic() < deadline:
        said = browser.execute_script("return document.getElementById('problem').textContent")
    assert "none of this study" in said
    browser.find_element("id", "code").clear()
    browser.find_element("id", "code").send_keys("fay\n")
    first = shown(browser)
    pressed(browser, "ArrowLeft", "Backspace", "ArrowRight", "ArrowDown")
    shown(browser, first)
    lines = Store.read(run.folder).lines("votes")
    assert {line["question"]: line["answer"] for line in lines} == {
        "alignment": "right",
        "overall": "both_bad",
    }


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("light", 1280),
        ("dark", 360),
        *(pytest.param(*other, marks=pytest.mark.slow) for other in (("light", 360), ("dark", 1280))),
    ],
)
def test_axe_finds_nothing_wrong(browser: Any, page: Callable[..., str], scheme: str, width: int) -> None:
    """WCAG 2.1 A and AA and the best practices that axe-core knows, on all three screens."""
    pytest.importorskip("axe_core_python", reason="needs axe-core-python, which carries axe-core")
    axe = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    link = page(["alignment", "overall"], Rules(0, 0, 1))
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(link)
    browser.execute_script("sessionStorage.clear()")
    browser.get(link)

    def check() -> None:
        browser.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
        found = browser.execute_async_script("axe.run().then(arguments[0])")
        wrong = [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]]
        assert not wrong, wrong
        assert len(found["passes"]) > 10
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width

    check()
    browser.find_element("id", "code").send_keys(f"axe-{scheme}-{width}\n")
    first = shown(browser)
    check()
    browser.find_element("css selector", "[data-question=alignment] [data-answer=tie]").click()
    check()
    browser.find_element("css selector", "[data-question=overall] [data-answer=right]").click()
    assert shown(browser, first) == ""
    check()
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
