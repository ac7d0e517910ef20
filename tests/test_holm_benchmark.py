"""`benchmarks/holm.py` reads what the tables of verdicts print, and says what of it stands."""

from pathlib import Path

import pytest

from benchmarks.holm import HEADS, README, claims, main
from noisekit.evaluation.significance import holm

TABLE = """
### `tiny`

Words before the table.

| method | truth | hps | calls per image |
| --- | --- | --- | --- |
| `standard` | 0.8 | 0.9 | 16 |
| `a` | 0.7 (-0.100 [-0.140, -0.060]) | 0.9† (+0.000 [-0.010, +0.010]) | 16 |
| `b` | 0.8 (+0.020 [+0.000, +0.040]) | 0.9 (+0.005 [-0.005, +0.015]) | 272 |

| another | table |
"""


def test_it_reads_differences_that_claim_something():
    found = claims(TABLE, "### `tiny`")
    assert [(one.method, one.metric, one.difference) for one in found] == [
        ("a", "truth", -0.1),
        ("b", "truth", 0.02),
        ("b", "hps", 0.005),
    ]
    assert [one.p for one in found] == pytest.approx([9e-7, 0.05, 0.33], rel=0.1)
    assert [one.p_holm for one in found] == pytest.approx(holm([one.p for one in found]))


def test_what_the_page_says_of_its_families_is_what_its_tables_say(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["holm"])
    main()
    said = capsys.readouterr().out
    text = " ".join(Path(README).read_text(encoding="utf-8").split())
    sizes = [len(claims(README.read_text(encoding="utf-8"), head)) for head in HEADS]
    assert f"{sizes[0]} on `tiny`" in text
    assert f"{sizes[1]} on `tiny-turbo`" in text
    assert f"{sizes[2]} of the ablations" in text
    for head, size in zip(HEADS, sizes, strict=True):
        standing = sum(one.p_holm <= 0.05 for one in claims(README.read_text(encoding="utf-8"), head))
        assert f"{size} comparisons" in said
        assert f"{standing} after Holm" in said
        assert f"{standing} after Holm" in text or standing == size or f", {standing})" in text
