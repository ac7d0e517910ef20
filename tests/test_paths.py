"""Paths: "~" is the home folder wherever one is given, on the command line, in plans and from Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import noisekit as nk
from noisekit.cli import main
from noisekit.errors import BadValue, NoisekitError
from noisekit.image_prompts import ControlledPrompt
from noisekit.paths import given_path
from noisekit.prompts import load_prompts
from noisekit.store.store import Store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with pictures and prompts, and an empty folder to work in."""
    (tmp_path / "home" / "pictures").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    Image.new("RGB", (32, 32), "red").save(tmp_path / "home" / "pictures" / "a.png")
    (tmp_path / "home" / "prompts.txt").write_text("a red circle\n")
    (tmp_path / "home" / "pairs.csv").write_text("image,prompt\n~/pictures/a.png,a red circle\n")
    (tmp_path / "home" / "controls.csv").write_text("prompt,control\na red circle,~/pictures/a.png\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def test_only_a_tilde_at_the_beginning_is_the_home_folder(home: Path) -> None:
    assert given_path("~") == home and given_path("~/a b") == home / "a b"
    assert given_path(Path("~/a")) == home / "a"
    for name in ("a~", "a/~/b", "./~", "/~", "~nobody-of-this-name/a", ""):
        assert given_path(name) == Path(name)
    with pytest.raises(BadValue, match="zero character"):
        given_path("a\0b")


def test_a_command_line_takes_a_tilde_everywhere(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in --store=~/run, which no shell expands."""
    plan = {
        "models": ["tiny-turbo"],
        "methods": ["standard"],
        "prompts": "~/prompts.txt",
        "metrics": ["color_red"],
    }
    (home / "plan.yaml").write_text(json.dumps(plan | {"store": "~/other"}))
    compare = "compare --model tiny-turbo --methods standard --prompts ~/prompts.txt --metrics color_red --store ~/run"
    for typed, made in {
        compare: "run/report.html",
        "run ~/plan.yaml": "other/report.html",
        "run ~/plan.yaml --store ~/run --dry-run": "run",
        "status ~/run --plan ~/plan.yaml": "run",
        "report ~/run -o ~/page.html": "page.html",
        "report ~/run --format markdown -o ~/tables.md": "tables.md",
        "compare-runs ~/run ~/other -o ~/changes.html": "changes.html",
        "pick ~/run --calls 9": "run",
        "export ~/run -o ~/run.csv": "run.csv",
        "generate red --model tiny-turbo -o ~/red.png": "red.png",
        "score ~/pictures --prompts ~/prompts.txt --metrics color_red --weights tiny": "pictures/scores.csv",
        "score ~/pictures --prompts ~/pairs.csv --metrics color_red --weights tiny -o ~/s.json": "s.json",
        "npnet collect --model tiny --limit 2 --metrics color_red --steps 1 --out ~/pairs": "pairs/collection.json",
        "method new mine --out ~/mine": "mine",
    }.items():
        code = main(typed.split())
        said = capsys.readouterr()
        assert code == 0, (typed, said.err)
        assert (home / made).exists(), typed
    assert not list(Path().iterdir())


TAKEN: dict[str, Callable[[], object]] = {
    "a run": lambda: nk.load_run("~/gone"),
    "a plan": lambda: nk.load_plan("~/gone.yaml"),
    "a store": lambda: Store.read("~/gone"),
    "prompts": lambda: load_prompts("~/gone.txt"),
    "a copy of a suite": lambda: load_prompts("drawbench=~/gone.csv"),
    "an image": lambda: ControlledPrompt("a red circle", "~/gone.png"),
    "a reward's weights": lambda: nk.load_reward("hps", weights="~/gone"),
    "a network": lambda: nk.load_method("npnet(artefact='~/gone.pth')")(
        nk.load_model("tiny"), "a red circle"
    ),
    "pairs": lambda: main(["npnet", "train", "~/gone", "--out", "~/net"]),
}


@pytest.mark.parametrize("what", TAKEN)
def test_what_is_not_in_the_home_folder_is_refused_and_nothing_is_made(
    home: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert TAKEN[what]() == 2
    except NoisekitError as error:
        assert "gone" in str(error)  # noqa: PT017
    else:
        assert "gone" in capsys.readouterr().err
    assert not list(Path().iterdir())


def test_python_takes_a_tilde_everywhere(home: Path) -> None:
    assert load_prompts("~/prompts.txt").texts == ["a red circle"]
    assert isinstance(load_prompts("~/controls.csv").texts[0], ControlledPrompt)
    with Store.prepare("~/store", "per_prompt") as store:
        assert store.folder == home / "store"
    assert Store.read("~/store").folder == home / "store"
    assert nk.load_plan({"models": ["tiny"], "methods": ["standard"], "store": "~/x"}).folder() == home / "x"
    assert nk.load_plan({"models": ["tiny"], "methods": ["standard"]}).folder("~/y") == home / "y"
    nk.load_reward("color_red", weights="~/anything")  # a formula needs none
    assert not list(Path().iterdir())
