"""What every test stands on: no network, one thread a worker, markers that say why they skip, and the shared data.

The environment is set before anything imports torch, transformers or matplotlib, and subprocesses inherit it.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ["MPLBACKEND"] = "Agg"
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers are the parallelism; threads in each would only fight
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")

# Torch that is told of fewer instructions than oneDNN finds has no bf16 kernels for what oneDNN then asks of it. On a
# processor that lacks them the two agree, and so they shall where a test run plays one.
if capability := {"avx2": "AVX2", "default": "SSE41"}.get(os.environ.get("ATEN_CPU_CAPABILITY", "")):
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", capability)

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]

# Deadlines measure the machine, and random examples make a red test that nobody else can repeat.
hypothesis.settings.register_profile("noisekit", deadline=None, derandomize=True)
hypothesis.settings.load_profile("noisekit")


gc.disable()  # what imports leave is there to stay: a third of their time would go into looking through it again and again


imported = 0  # modules of which garbage collection knows that they stay


def put_aside() -> None:
    """Whatever lives now is not looked at any more when garbage is collected."""
    global imported
    gc.freeze()
    imported = len(sys.modules)


def pytest_collection_finish() -> None:
    """From here on garbage is collected again, but not among what was imported."""
    put_aside()
    gc.enable()


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Libraries that a test imports stay, too: a thousand modules would make each collection after them dear."""
    if nextitem is not None and len(sys.modules) > imported + 100:
        gc.collect()
        put_aside()


def pytest_sessionfinish() -> None:
    """At the end all of it is taken apart in order, or some libraries tell of what they miss."""
    gc.unfreeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")
    parser.addoption(
        "--weights", action="store_true", help="also run the tests that load published weights from a hub"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip by marker, each with a reason that the closing summary shows."""
    reasons = {}
    if not config.getoption("--slow"):
        reasons["slow"] = "slow: give --slow to run it"
    if not config.getoption("--weights"):
        reasons["weights"] = (
            "needs published weights from a model hub: give --weights, with HF_HUB_OFFLINE=0, to run it"
        )
    if any(item.get_closest_marker("gpu") for item in items) and not cuda():
        reasons["gpu"] = "needs a CUDA device, and there is none here"
    for item in items:
        for marker, reason in reasons.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


# --- what the tests cost -----------------------------------------------------------------------------------------------

#: Seconds of processors, of all tests together and of one, that are told where they are exceeded: eight minutes by the clock
#: on two cores, with a margin, and a test that is slow.
TOGETHER, ALONE = 780, 20


def spent() -> float:
    """Seconds that this process and those that it started and waited for have computed; other processes are left out."""
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


@contextmanager
def counted(item: pytest.Item) -> Iterator[None]:
    before = spent()
    yield
    item.user_properties.append(("processors", spent() - before))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with counted(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with counted(item):
        return (yield)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what the tests took, and name those that are too long for what everybody runs."""
    done = [report for report in terminalreporter.stats.get("passed", []) if report.when == "call"]
    took = {
        report.nodeid: sum(s for name, s in report.user_properties if name == "processors") for report in done
    }
    terminalreporter.write_line(f"{sum(took.values()):.0f} s of processors within tests")
    if config.getoption("--slow"):
        return
    if sum(took.values()) > TOGETHER:
        terminalreporter.write_line(f"that is more than {TOGETHER} s: see CONTRIBUTING.md, Time", yellow=True)
    for name, seconds in took.items():
        if seconds > ALONE:
            said = f"{name} took {seconds:.0f} s of processors: cut it, or mark it slow beside a shorter one"
            terminalreporter.write_line(said, yellow=True)


def cuda() -> bool:
    """Whether there is a CUDA device; asked only when a test wants one, since importing torch takes seconds."""
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public data (prompt lists, a published aesthetic head): $NOISEKIT_SHARED, by default ../shared."""
    folder = Path(os.environ.get("NOISEKIT_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        pytest.skip("needs public data: set NOISEKIT_SHARED to its folder (default: ../shared)")
    return folder


FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking --no-first-run "
    "--disable-component-update --disable-sync --hide-scrollbars --window-size=1280,1000"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium whose console and requests can be read."""
    webdriver = pytest.importorskip("selenium.webdriver")
    names = ("chromium", "chromium-browser", "google-chrome")
    program, driver = next(filter(None, map(shutil.which, names)), None), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("needs chromium and chromedriver: install them from the system's packages")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()
