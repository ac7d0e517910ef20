"""The notebooks run from the first cell to the last, in an empty folder, and are committed without outputs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    return nbformat.read(request.param, as_version=4)


def test_there_is_one_for_every_beginning() -> None:
    assert {path.stem for path in NOTEBOOKS} >= {"quickstart", "comparison", "write_a_method"}


def test_a_notebook_is_committed_as_it_is_written(notebook: nbformat.NotebookNode) -> None:
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert not any(cell.outputs or cell.execution_count for cell in cells)


#: What stands for how long a search or a comparison takes.
LENGTHS = re.compile(r"\b(n|steps|limit)=\d+")


@pytest.mark.slow
def test_a_notebook_runs(
    notebook: nbformat.NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(notebook, tmp_path, monkeypatch)


def test_the_first_notebook_runs_with_its_searches_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook, cut = nbformat.read(ROOT / "notebooks" / "quickstart.ipynb", as_version=4), set()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cut |= set(LENGTHS.findall(cell.source))
            cell.source = LENGTHS.sub(r"\1=2", cell.source)
    assert cut == {"n", "steps", "limit"}
    runs(notebook, tmp_path, monkeypatch)


def runs(notebook: nbformat.NotebookNode, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell, in a kernel of its own, down to figures and a report."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))  # this checkout, wherever the kernel starts
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as in a browser
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    client = NotebookClient(
        notebook,
        timeout=600,
        startup_timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert figures
    assert list(folder.glob("runs/*/report.html"))
