"""`benchmarks/predictors.py` teaches one network in three ways, and goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import predictors


@pytest.mark.slow
def test_three_networks_of_one_size_are_taught_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(predictors, "WATCHED", 2)
    given = ["--prompts", "16", "--epochs", "1", "--updates", "2", "--limit", "3", "--seeds", "1"]
    monkeypatch.setattr("sys.argv", ["predictors.py", *given, "--out", str(tmp_path / "out")])
    predictors.main()
    table = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert [row[0] for row in rows[2:5]] == ["`standard`", "re-denoised", "found"]
    assert rows[5][0] == "rewards"
    assert len({row[1] for row in rows[3:6]}) == 1
    predictors.main()
    assert capsys.readouterr().out == table
