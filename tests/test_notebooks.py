"""The notebooks run from the first cell to the last, in an empty folder, and are committed without outputs."""

from __future__ import annotations

import ast
import os
from importlib import import_module
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


def test_all_that_a_notebook_asks_of_noisekit_is_there(notebook: nbformat.NotebookNode) -> None:
    """What is looked up under `nk.` or imported, without running it."""
    asked = set()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                if (
                    isinstance(node, ast.Attribute)
                    and isinstance(node.value, ast.Name)
                    and node.value.id == "nk"
                ):
                    asked.add(("noisekit", node.attr))
                elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("noisekit"):
                    asked |= {(node.module, alias.name) for alias in node.names}
    assert asked
    assert [named for named in sorted(asked) if not hasattr(import_module(named[0]), named[1])] == []


@pytest.mark.slow
def test_a_notebook_runs(
    notebook: nbformat.NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cell, in a kernel of its own, down to figures and a report."""
    folder = tmp_path
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
