"""The public names: all there, and none costs anything before it is used."""

from __future__ import annotations

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


def test_the_version_is_the_installed_one() -> None:
    assert noisekit.__version__ == version("noisekit")


def test_importing_noisekit_imports_nothing_heavy() -> None:
    program = "import sys, noisekit; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "noisekit" in modules
    assert not {"torch", "pandas", "numpy", "typer"} & set(modules)
