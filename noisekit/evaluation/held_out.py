"""Which metrics are evidence for which methods: the one rule, which plans, reports and `pick` follow.

A metric that a method climbed, or was filtered by, shows that it climbs and nothing more. So does one that reads the same
weights, or that sees through the same backbone: towers that were tuned from one public checkpoint are fooled alike. A metric
is held out where none of the methods that it should judge had a hand in it so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from noisekit.rewards.cards import same_weights, variants


def in_hand(
    metrics: Iterable[str], climbed: Collection[str], backbone: Callable[[str], str]
) -> frozenset[str]:
    """The metrics that are no evidence for a method that climbed some: those, and their kin among `metrics`.

    Args:
        metrics: that might judge.
        climbed: what the method maximised or was filtered by, whether it is among `metrics` or not.
        backbone: of a metric or reward by its name; "" where it has none or nobody knows.
    """
    towers = {backbone(name) for name in climbed} - {""}
    weights = frozenset[str]().union(*(same_weights(name) for name in climbed))
    return frozenset(climbed) | {name for name in metrics if name in weights or backbone(name) in towers}


def held_out(metrics: Iterable[str], hands: Iterable[Collection[str]]) -> list[str]:
    """The metrics that nobody had a hand in; hands: of each method what `in_hand` gives."""
    taken = frozenset[str]().union(*hands)
    return [metric for metric in metrics if metric not in taken]


def published_backbone(name: str) -> str:
    """The backbone of a reward's published weights by its card."""
    card = variants().get(name)
    return "" if card is None else card.checkpoint.backbone
