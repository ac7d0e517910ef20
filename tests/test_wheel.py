"""The wheel alone compares methods: in an environment of its own, outside the checkout, of which nothing is read."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: Refuses whatever opens a file of the checkout; libraries may lie in an environment inside of it.
WATCH = """
import os, sys
checkout, libraries = {checkout!r} + os.sep, {libraries!r} + os.sep

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if path.startswith(checkout) and not path.startswith(libraries):
            os.write(2, f"READ FROM THE CHECKOUT: {{path}}\\n".encode())
            os._exit(77)

sys.addaudithook(watch)
"""


def done(*command: str | Path, cwd: Path) -> str:
    """What a command prints, in an environment that knows nothing of this one."""
    plain = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [str(c) for c in command], cwd=cwd, env=plain, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"{ran.returncode}: {ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by setuptools, the backend that pyproject.toml names, from the files that git carries."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("this is not a git checkout")
    for name in filter(None, listing.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(out)!r})"
    done(sys.executable, "-c", build, cwd=source)
    (built,) = out.glob("noisekit-*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_compares_methods_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Libraries are those of the environment that runs the tests; noisekit is the wheel's."""
    libraries = Path(sysconfig.get_paths()["purelib"]).resolve()
    done(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    done(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    own = Path(
        done(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=tmp_path).strip()
    )
    (own / "libraries.pth").write_text(f"{libraries}\n", encoding="utf-8")
    watch = WATCH.format(checkout=str(ROOT), libraries=str(libraries))
    (own / "sitecustomize.py").write_text(watch, encoding="utf-8")

    assert Path(
        done(python, "-c", "import noisekit; print(noisekit.__file__)", cwd=tmp_path).strip()
    ).is_relative_to(own)
    spied = f"open({str(ROOT / 'README.md')!r})"
    caught = subprocess.run([python, "-c", spied], cwd=tmp_path, env={}, capture_output=True, check=False)
    assert caught.returncode == 77  # so the watch is on

    program = tmp_path / "env" / "bin" / "noisekit"
    shown = done(
        *(program, "compare", "--model", "tiny", "--methods", "npnet,best_of(n=2)"),
        *("--prompts", "tiny", "--limit", "2", "--store", "runs"),
        cwd=tmp_path,
    )
    assert "npnet" in shown
    assert (tmp_path / "runs" / "report.html").is_file()
    assert len(list((tmp_path / "runs" / "images").glob("*.png"))) == 6


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"noisekit"}
    carried = subprocess.run(
        ["git", "ls-files", "noisekit"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    missing = [name for name in carried.stdout.split() if (ROOT / name).is_file() and name not in names]
    assert not missing
