"""The site: it builds strictly and offline, its links lead somewhere, a browser shows it, and its commands and plans read.

What the code does not document stops the build.
"""

from __future__ import annotations

import logging
import re
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

import noisekit as nk
from noisekit import registry
from noisekit.errors import NotSupported
from noisekit.methods.parameters import parameter
from noisekit.methods.standard import Standard
from noisekit.models.analytic import AnalyticModel
from noisekit.testing import PROMPTS, MethodConformance, RewardConformance

mkdocs = pytest.importorskip("mkdocs", reason="needs the extra docs")
ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of one language in a page."""
    fenced = rf"^```{language}\n(.*?)^```"
    return re.findall(fenced, path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def hooks() -> Iterator[ModuleType]:
    sys.path.insert(0, str(DOCS))
    import hooks

    yield hooks
    sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, by a process that may open no connection."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    def refused(*_: Any) -> None:
        raise AssertionError("the build wants a network")

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refused)
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))
    logging.getLogger("mkdocs").handlers.clear()
    return folder


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing of it."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served, on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Page(HTMLParser):
    """The anchors of a page, where its links lead, and what it loads by itself."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(given["href"])
        elif "src" in given:
            self.loaded.append(given["src"])


def test_every_link_leads_to_a_page_and_an_anchor(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) >= 30
    wrong = []
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            if re.match(r"(https?|mailto|data):", link):
                continue
            place, _, anchor = link.partition("#")
            target = (path.parent / unquote(place)).resolve() if place else path
            if not target.exists() or (
                anchor and target in pages and unquote(anchor) not in pages[target].anchors
            ):
                wrong.append(f"{path.relative_to(site)}: {link}")
    assert not wrong, "\n".join(wrong)


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        assert not [place for place in Page(path).loaded if "//" in place], path
    for path in site.rglob("*.css"):
        assert not re.findall(
            r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", path.read_text(encoding="utf-8")
        ), path


def test_the_page_of_a_method_has_what_the_code_says(site: Path) -> None:
    text = (site / "methods" / "reno.html").read_text(encoding="utf-8")
    assert text.count("<math ") >= 4
    assert 'arithmatex">\\' not in text
    for said in (
        "through_steps",
        "reward evaluations n; one update less",
        "reno(steps=50, rewards=",
        "class</span>",
    ):
        assert said in text, said


def test_equations_are_mathml_everywhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        assert not re.search(
            r"\\\[|\\\(|\$\$", re.sub(r"<pre.*?</pre>", "", path.read_text("utf-8"), flags=re.S)
        ), path


def test_the_search_finds_a_setting(address: str, browser: Any) -> None:
    browser.get(f"{address}/index.html?q=through_steps")
    deadline = time.monotonic() + 20
    found: list[str] = []
    while not found and time.monotonic() < deadline:
        time.sleep(0.1)
        found = browser.execute_script(
            "return [...document.querySelectorAll('.md-search-result__link')].map(link => link.href)"
        )
    assert any("/methods/reno.html" in place for place in found)


SHOWN = {
    "index.html": "noisekit",
    "methods/reno.html": "reno",
    "guides/statistics.html": "What the intervals mean",
    "guides/models.html": "Models",
    "api/index.html": "The package",
}


@pytest.mark.parametrize(("page", "heading"), SHOWN.items())
def test_a_browser_shows_it(address: str, browser: Any, page: str, heading: str) -> None:
    browser.get_log("browser")
    browser.get(f"{address}/{page}")
    assert browser.execute_script("return document.querySelector('h1').innerText").startswith(heading)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 1280
    broken = "return [...document.images].filter(image => image.complete && !image.naturalWidth).length"
    assert browser.execute_script(broken) == 0
    formulas = (
        "return [...document.querySelectorAll('math')].filter(m => !m.getBoundingClientRect().height).length"
    )
    assert browser.execute_script(formulas) == 0
    fetched = browser.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert not [place for place in fetched if not place.startswith((address, "data:", "blob:"))]
    assert browser.get_log("browser") == []


# --- what the code does not say stops the build ----------------------------------------------------------------------


@dataclass(frozen=True)
class Silent(Standard):
    """A setting without a meaning."""

    name = "silent"
    lr: float = parameter(" ", default=1.0)


@dataclass(frozen=True)
class Plain(Standard):
    """A field that is no setting."""

    name = "plain"
    lr: float = 1.0


@dataclass(frozen=True)
class Mixed(Standard):
    name = "mixed"
    lr: float = parameter("step size", default=1.0)
    ways: list[int] = field(default_factory=list)


@pytest.mark.parametrize("cls", [Silent, Plain, Mixed])
def test_an_undocumented_setting_stops_the_build(hooks: ModuleType, cls: type[nk.NoiseMethod]) -> None:
    with pytest.raises(hooks.generate.Undocumented, match=f"{cls.name}"):
        hooks.generate.settings_table(cls)


def test_a_method_without_a_page_stops_the_build(hooks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.setitem(registry.METHODS, "unheard_of", "noisekit.methods.standard:Standard")  # type: ignore[misc]
    with pytest.raises(Exception, match="'unheard_of' has no page"):
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir="unused", strict=True))


@pytest.mark.parametrize("part", ["$$", "{{ settings }}", "{{ costs }}", "{{ measured }}", "{{ source }}"])
def test_a_page_without_a_part_stops_the_build(hooks: ModuleType, tmp_path: Path, part: str) -> None:
    for page in (DOCS / "methods").glob("*.md"):
        (tmp_path / page.name).write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    hooks.check_methods(tmp_path)
    page = tmp_path / "cosine.md"
    page.write_text(page.read_text(encoding="utf-8").replace(part, ""), encoding="utf-8")
    with pytest.raises(hooks.generate.Undocumented, match=re.escape(f"cosine.md lacks {part}")):
        hooks.check_methods(tmp_path)


def test_a_public_name_on_no_page_stops_the_build(hooks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks.check_public(DOCS / "api")
    monkeypatch.setattr(nk, "__all__", [*nk.__all__, "new_name"])
    with pytest.raises(hooks.generate.Undocumented, match="new_name"):
        hooks.check_public(DOCS / "api")


@pytest.mark.parametrize("latex", [r"\operatornam{x}", r"\left( x"])
def test_a_formula_that_does_not_read_stops_the_build(hooks: ModuleType, latex: str) -> None:
    with pytest.raises(hooks.generate.Undocumented, match="formula"):
        hooks.mathml(latex, "block")


def test_figures_that_are_not_there_stop_the_build(hooks: ModuleType) -> None:
    with pytest.raises(hooks.generate.Undocumented, match="no heading 'Nowhere'"):
        hooks.generate.measured("reno", ["Nowhere"])
    with pytest.raises(hooks.generate.Undocumented, match="says nothing of 'then'"):
        hooks.generate.measured("then", ["`tiny`"])


# --- what the pages say is so ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", sorted((DOCS / "methods").glob("*.md")), ids=lambda path: path.stem)
def test_figures_in_words_stand_in_the_benchmarks(page: Path) -> None:
    figures = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    _, _, told = page.read_text(encoding="utf-8").partition("## What was measured")
    for number in re.findall(r"[+−]?\d*\.\d+|best-of-\d+|\d+ calls", told.partition("{{")[0]):
        assert number in figures, number


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "bash")], ids=lambda path: path.stem)
def test_commands_read(page: Path) -> None:
    """Every `noisekit` line has the commands and options that there are; nothing is run."""
    import shlex

    import typer

    from noisekit.cli.app import app

    lines = [line for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[:1] != ["noisekit"]:
            continue
        command: Any = typer.main.get_command(app)
        rest, name = words[1:], ""
        while hasattr(command, "commands") and (rest or not command.invoke_without_command):
            short = "serve" in command.commands and rest[0] not in command.commands
            name, *rest = ["serve", *rest] if short else rest
            command = command.commands[name]
        command.make_context(name, rest)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "yaml")], ids=lambda path: path.stem)
def test_plans_load(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(page, "yaml"):
        if "methods:" in block.splitlines()[2] or "search:" in block:
            nk.load_plan(yaml.safe_load(block))


def test_every_key_of_a_plan_is_explained() -> None:
    with pytest.raises(nk.errors.BadValue) as refused:
        nk.load_plan({"nonsense": 1})
    known = re.findall(r"\w+", str(refused.value).rpartition("known: ")[2])
    assert len(known) > 10
    said = re.findall(
        r"^\| `(\w+)` \|", (DOCS / "guides" / "plans.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(said) == sorted(known)


def written(page: str) -> dict[str, Any]:
    """What the Python of a page defines."""
    module = ModuleType(f"of_{Path(page).stem}")
    sys.modules[module.__name__] = module  # dataclasses look it up
    for block in blocks(DOCS / "extend" / page, "python"):
        exec(compile(block, page, "exec"), module.__dict__)
    return vars(module)


@pytest.mark.parametrize("steps", [1, 4])
def test_the_method_of_the_guide_keeps_the_laws(steps: int) -> None:
    names = written("method.md")
    laws, model = names["TestMirror"](), AnalyticModel(steps=steps, batch=5)
    assert isinstance(laws, MethodConformance)
    method = names["Mirror"](n=2, rewards="color_red:1")
    laws.test_a_batch_in_any_order_equals_its_singles(method, model, PROMPTS)
    laws.test_the_images_are_those_of_its_noise(method, model, PROMPTS)
    laws.test_the_announced_cost_is_the_cost(method, model, PROMPTS)
    laws.test_a_budget_of_calls_is_kept(method, model, PROMPTS, calls=15)
    laws.test_gradients_are_left_off_outside(method, model, PROMPTS)
    assert names["Mirror"]().optimised == {"clip_score"}


@pytest.mark.parametrize("path", ["diffusion", "flow"])
def test_the_walks_of_the_guide_keep_the_laws(path: Any) -> None:
    names = written("method.md")
    laws, model = names["TestMirror"](), AnalyticModel(steps=4, eta=1.0, path=path, batch=5)
    method = names["SameStart"](n=3, rewards="color_red:1")
    laws.test_a_batch_in_any_order_equals_its_singles(method, model, PROMPTS)
    laws.test_the_images_are_those_of_its_noise(method, model, PROMPTS)
    laws.test_it_chooses_injected_noises_if_it_says_so(method, model, PROMPTS)
    laws.test_the_announced_cost_is_the_cost(method, model, PROMPTS)
    with pytest.raises(NotSupported, match="eta=1"):
        method(AnalyticModel(steps=4), PROMPTS)


def test_what_the_guide_learns_is_worth_something(tmp_path: Path) -> None:
    from noisekit.methods.by_method import ByMethod
    from noisekit.npnet.collect import collect

    names, model = written("method.md"), AnalyticModel(steps=1, components=1, batch=16)
    taught = nk.load_method("reno(steps=6, rewards='color_red:1', weights='tiny')")
    collect(
        model,
        [f"{text} {i}" for text in PROMPTS for i in range(8)],
        [0],
        tmp_path / "pairs",
        recipe=ByMethod(taught),
    )
    names["learn_shift"](tmp_path / "pairs", tmp_path / "shift")
    method = names["Shift"](artefact=str(tmp_path / "shift"))
    laws = names["TestMirror"]()
    laws.test_a_batch_in_any_order_equals_its_singles(method, model, PROMPTS)
    laws.test_the_images_are_those_of_its_noise(method, model, PROMPTS)
    laws.test_the_announced_cost_is_the_cost(method, model, PROMPTS)
    red = nk.load_reward("color_red")
    before, after = (way(model, PROMPTS).images for way in (nk.load_method("standard"), method))
    assert (red(after, PROMPTS) - red(before, PROMPTS)).mean() > 0
    with pytest.raises(nk.errors.BadValue, match="learn one first"):
        names["Shift"]()(model, PROMPTS)


def test_the_metric_of_the_guide_keeps_the_laws() -> None:
    import torch

    names = written("metric.md")
    laws, reward = names["TestContrast"](), names["Contrast"](None, "none", "cpu")
    assert isinstance(laws, RewardConformance)
    images = 0.3 + 0.4 * torch.rand((3, 3, 24, 28), generator=torch.Generator().manual_seed(0))
    laws.test_a_batch_in_any_order_equals_its_singles(reward, images, PROMPTS[:3])
    laws.test_scores_are_finite_and_in_their_bounds(reward, images, PROMPTS[:3])
    laws.test_the_gradient_is_that_of_the_score(reward, images, PROMPTS[:3])
    laws.test_it_reads_the_prompt_if_it_says_so(reward, images)
