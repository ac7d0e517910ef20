"""Wrappers are named by what they wrap, and in full only where that tells them apart."""

from noisekit.report.source import labels
from tests.report.conftest import arm


def short(names: list[str]) -> dict[str, str]:
    return labels(map(arm, names))


def test_wrappers_are_named_by_what_they_wrap():
    five, six = "best_of(reno(steps=5), n=4)", "best_of(reno(steps=6), n=4)"
    both = "then(npnet(alpha=1.0), best_of(reno(steps=3), n=2)) @ 5 calls"
    assert short([five]) == {five: "best_of(reno)"}
    assert short([five, six]) == {five: "best_of(reno(steps=5))", six: "best_of(reno(steps=6))"}
    assert short([five, "best_of(n=4)", both]) == {
        five: "best_of(reno)",
        "best_of(n=4)": "best_of",
        both: "then(npnet, best_of) @ 5 calls",
    }
