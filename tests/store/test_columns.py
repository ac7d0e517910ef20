"""Columns say what the lines say, whatever became of the files; and tables are written for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from noisekit.cli import main
from noisekit.comparison import compare
from noisekit.errors import BadValue, Unwritable
from noisekit.results import load_run
from noisekit.store.columns import Form, read_scores
from noisekit.store.store import Store
from noisekit.types import LARGEST_SEED
from tests.engine.toys import SELECTION, CountingModel
from tests.store.lines import image, score

FORMS: dict[str, Form] = {
    "id": "key",
    "prompt": "text",
    "kind": "text",
    "seed": "json",
    "optimised": "json",
    "score": "number",
}


def some_rows(start: int) -> list[dict[str, Any]]:
    """Rows of every kind: texts that need escapes, missing and null values, lists, large numbers, and further fields."""
    texts = ["a red circle", 'ein "grüner" Kreis\n\\', "", "🟥 'x' <b>"]
    return [
        image(
            f"{i}",
            prompt=texts[i % 4],
            kind=texts[i % 4],
            seed=LARGEST_SEED if i == 3 else i % 3,
            score=i / 7,
            optimised=["a", "ü"],
        )
        | ({} if i % 5 else {"kind": None, "score": None, "optimised": [], "metadata": {"x": [1, {"y": 2}]}})
        for i in range(start, start + 20)
    ]


def as_read(lines: list[dict[str, Any]]) -> pd.DataFrame:
    """What `read` should make of lines, by the book."""
    columns = {name: [line.get(name) for line in lines] for name in FORMS}
    columns["optimised"] = [tuple(names) for names in columns["optimised"]]
    return pd.DataFrame(
        {name: pd.Series(values, dtype=object).infer_objects() for name, values in columns.items()}
    )


def test_columns_are_what_the_lines_are(tmp_path: Path) -> None:
    folder = tmp_path / "a [1] * 'run' ?"  # names that a glob or a query could stumble over
    with Store.prepare(folder, "per_prompt") as one, Store.prepare(folder, "per_prompt") as two:
        for start in range(0, 100, 20):
            (one if start % 40 else two).append("rows", some_rows(start))
        (folder / "rows" / "never-wrote.jsonl").touch()
        table, lines = one.columns("rows", FORMS), one.lines("rows")
    assert len(table) == 100
    pd.testing.assert_frame_equal(table, as_read(lines))
    assert table["seed"][3] == LARGEST_SEED
    prompts = table["prompt"].to_numpy()
    assert prompts[1] is prompts[21]  # kept once
    nothing = Store.prepare(tmp_path / "new", "per_prompt").columns("rows", FORMS)
    assert list(nothing) == list(FORMS) and nothing.empty


def test_of_every_metric_the_newest_weights_count(tmp_path: Path) -> None:
    with Store.prepare(tmp_path, "per_prompt") as store:
        assert store.scores(["a"]).values.shape == (1, 0)
        store.append(
            "scores", [score("a", "truth", "t", truth=1, truth_shape=None), score("b", "hps", "old", hps=1)]
        )
        store.append(
            "scores", [score("a", "hps", "old", hps=2), score("gone", "aesthetic", "x", aesthetic=5)]
        )
        store.append("scores", [score("c", "truth", "t", truth=0, truth_count=1)])
        store.append("scores", [score("b", "hps", "new", hps=3)])
        scores = store.scores(["c", "b", "a"])
        assert scores.metrics["metric"].tolist() == ["truth", "hps"]
        assert scores.metrics["metric_id"].tolist() == ["t", "new"]
        expected = {
            "truth": [0, np.nan, 1],
            "truth_shape": [np.nan] * 3,
            "truth_count": [1, np.nan, np.nan],
            "hps": [np.nan, 3, np.nan],
        }
        pd.testing.assert_frame_equal(
            scores.values, pd.DataFrame(expected), check_like=True, check_dtype=False
        )
        assert store.scores([]).values.empty
    assert read_scores([], ["a"]).metrics.empty


# --- tables for other programs ---------------------------------------------------------------------------------------


def test_exported_tables_hold_the_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prompts.csv").write_text('prompt,category\n"a ""red"", circle",colour\ntwo blue squares,\n')
    store = tmp_path / "store"
    run = compare(
        CountingModel(),
        SELECTION,
        tmp_path / "prompts.csv",
        seeds=2,
        metrics=["truth"],
        store=store,
        progress=False,
    )
    frame = run.frame()
    assert frame["categories"].map(bool).any()
    parquet, csv = tmp_path / "table.parquet", tmp_path / "table.csv"
    assert run.export(parquet) == parquet
    assert main(["export", str(store), "-o", str(csv)]) == 0
    assert capsys.readouterr().out == f"{csv}\n"
    loose = ["kind", "unseen", "suite", "categories"]
    for table in (duckdb.read_parquet(str(parquet)).df(), pd.read_csv(csv)):
        assert list(table) == list(frame)
        pd.testing.assert_frame_equal(
            table.drop(columns=loose), frame.drop(columns=loose), check_dtype=False, rtol=1e-15
        )
        for name in loose:
            values = [None if pd.isna(value) else value for value in table[name]]
            given = [None if value is None or value != value else value for value in frame[name]]
            texts = name == "categories"
            assert [value and json.loads(value) if texts else value for value in values] == given
    types = dict(duckdb.sql(f"SELECT column_name, column_type FROM (DESCRIBE FROM '{parquet}')").fetchall())
    assert types["unseen"] == "BOOLEAN" and types["seed"] == "BIGINT" and types["kind"] == "VARCHAR"
    assert {types[name] for name in ("truth", "calls", "seconds", "noise_norm")} == {"DOUBLE"}


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_table_that_finds_no_room_is_one_sentence(ending: str, root: Path, tmp_path: Path) -> None:
    run = load_run(root / "tests" / "data" / "store-1")
    full = tmp_path / f"full.{ending}"
    full.symlink_to("/dev/full")
    with pytest.raises(Unwritable, match="No space left on device"):
        run.export(full)
    with pytest.raises(BadValue, match="nowhere"):
        run.export(tmp_path / "nowhere" / f"x.{ending}")
    with pytest.raises(BadValue, match=r"'.*x\.xlsx' does not end in \.parquet or \.csv"):
        run.export(tmp_path / "x.xlsx")
