"""Looking at what there is imports no network library: it has to answer at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STORE = Path(__file__).parent / "data" / "store-1"
NETWORKS = {"torch", "torchvision", "diffusers", "transformers", "open_clip"}
SCRIPT = (
    "import sys; from noisekit.cli import main; code = main(sys.argv[1:]); "
    f"print(*([name for name in {sorted(NETWORKS)!r} if name in sys.modules]), file=sys.stderr); "
    "sys.exit(code)"
)


@pytest.mark.parametrize(
    "command",
    [
        "list models",
        "list prompts",
        "status STORE",
        "report STORE",
        "pick STORE --calls 100",
        "export STORE -o rows.csv",
        "plan new",
        "plan schema",
    ],
)
def test_looking_imports_no_network_library(command: str, tmp_path: Path) -> None:
    shutil.copytree(STORE, tmp_path / "STORE")
    shutil.rmtree(tmp_path / "STORE" / "calibrations")  # whether they are this machine's, torch knows
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    imported = set((done.stderr.splitlines() or [""])[-1].split())
    assert not imported & NETWORKS
