"""The public names: all there, and none costs anything before it is used."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.metadata import version

import pytest

import noisekit


def test_every_public_name_is_there() -> None:
    assert set(noisekit._HOMES) | {"errors", "__version__"} == set(noisekit.__all__) == set(dir(noisekit))
    for name in noisekit.__all__:
        assert getattr(noisekit, name) is not None
    assert noisekit.load_model.__module__.startswith("noisekit.models")
    with pytest.raises(AttributeError, match="'noisekit' has no attribute 'load_modle'"):
        _ = noisekit.load_modle


def functions() -> list[str]:
    names = [name for name in noisekit.__all__ if inspect.isfunction(getattr(noisekit, name))]
    assert {"compare", "load_model", "pick"} <= set(names)
    return names


def test_every_public_function_says_what_it_takes_gives_and_refuses() -> None:
    for name in functions():
        function = getattr(noisekit, name)
        said = inspect.getdoc(function) or ""
        assert {"Returns:", "Raises:"} <= set(said.split()) or name == "parameter", name
        _, _, arguments = said.partition("Args:")
        lacking = [one for one in inspect.signature(function).parameters if f" {one}: " not in arguments]
        assert not lacking, f"{name} does not say what {lacking} are"


def test_the_version_is_the_installed_one() -> None:
    assert noisekit.__version__ == version("noisekit")


def test_importing_noisekit_imports_nothing_heavy() -> None:
    program = "import sys, noisekit; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "noisekit" in modules
    assert not {"torch", "pandas", "numpy", "typer"} & set(modules)


def test_scripts_find_what_has_a_room_of_its_own_now_where_it_was() -> None:
    program = (
        "from noisekit.experiment import compare, load_plan, load_run\n"
        "from noisekit.experiment.folder import match\n"
        "from noisekit.experiment.png import read_image\n"
        "from noisekit.experiment.store import Store\n"
        "import noisekit\n"
        "assert compare is noisekit.compare and load_plan is noisekit.load_plan and load_run is noisekit.load_run\n"
        "print(match.__module__, read_image.__module__, Store.__module__)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["noisekit.scoring.folder", "noisekit.store.png", "noisekit.store.store"]


def test_golden_seeds_are_found_where_they_were() -> None:
    from noisekit.golden_seeds import method, ranking
    from noisekit.methods import golden_seeds as former

    assert former.SeedRanking is ranking.SeedRanking and former.GoldenSeeds is method.GoldenSeeds
    assert not hasattr(former, "nothing")
    from noisekit.npnet import pairs, stream

    assert pairs.load_pairs is stream.select
