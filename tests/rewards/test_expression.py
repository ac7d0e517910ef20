from __future__ import annotations

import pytest

from noisekit.errors import BadValue
from noisekit.rewards import parse_coefficients


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("clip_score", {"clip_score": 1.0}),
        ("clip_score:0.01 + aesthetic:0.3", {"clip_score": 0.01, "aesthetic": 0.3}),
        (" aesthetic : 2+clip_score ", {"aesthetic": 2.0, "clip_score": 1.0}),
        ("clip_score:-1e-2", {"clip_score": -0.01}),
    ],
)
def test_reads(expression: str, expected: dict[str, float]) -> None:
    assert parse_coefficients(expression) == expected
    assert list(parse_coefficients(expression)) == list(expected)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "names no reward"),
        ("clip_score + ", "without a name"),
        ("clipscore:1", "did you mean 'clip_score'"),
        ("clip_score:much", "'much' of reward 'clip_score' is not a number"),
        ("clip_score:", "not a number"),
        ("clip_score:0", "other than 0"),
        ("clip_score:inf", "not a number"),
        ("clip_score + clip_score:2", "twice"),
    ],
)
def test_refuses(expression: str, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        parse_coefficients(expression)
