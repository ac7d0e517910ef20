"""The suite never changes: figures on it are comparable for ever."""

import hashlib
from collections import Counter

from noisekit.world import KINDS, parse, suite


def test_the_suite_is_frozen():
    text = "\n".join(suite()) + "\n"
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "1253b1bf4aca1cbacd1b3db1d5b79da7be15447f4afb386f6271d54fbb162026"
    )


def test_every_prefix_is_balanced():
    scenes = [parse(caption) for caption in suite()]
    assert len(scenes) == len(set(suite())) == 250
    for length in range(5, 251, 5):
        assert Counter(scene.kind for scene in scenes[:length]) == dict.fromkeys(KINDS, length // 5)
        assert sum(scene.unseen for scene in scenes[:length]) == length // 5
    for kind in KINDS:
        assert sum(scene.unseen for scene in scenes if scene.kind == kind) == 10
