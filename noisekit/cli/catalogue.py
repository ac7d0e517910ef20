"""What `noisekit list` says of methods and metrics, kept in a file that is made from their classes.

Settings and definitions stand in classes that import torch, and a metric's range and tie in its weights: seconds, where a
list should be there at once. What installed packages add is asked of their classes.

    python -m noisekit.cli.catalogue        writes the file anew, after a method, a setting or a definition has changed
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from noisekit import registry

FILE = Path(__file__).with_name("catalogue.json")


def methods() -> dict[str, Any]:
    """Every method by name: its `summary`, and by setting the `value` that it has by default and what it means (`doc`)."""
    return _listed("methods", registry.METHODS, described_method)


def metrics() -> dict[str, Any]:
    """Every metric by name, rewards among them: score, range, tie and backbone of its tiny weights, and what it reads."""
    return _listed("metrics", registry.METRICS, described_metric)


def described_method(name: str) -> dict[str, Any]:
    """One entry of `methods`, from the class."""
    from noisekit.methods.parameters import paper_values, settings

    cls = registry.load("method", name, registry.METHODS)
    paper = paper_values(cls)
    return {
        "summary": (cls.__doc__ or "").strip().partition("\n")[0],
        "settings": {
            setting: {
                "value": f"{paper[setting]!r} (paper)"
                if setting in paper
                else repr(field.metadata["default"]),
                "doc": field.metadata["doc"],
            }
            for setting, field in settings(cls).items()
        },
    }


def described_metric(name: str) -> dict[str, str]:
    """One entry of `metrics`, from the metric with its tiny weights."""
    from noisekit.errors import CorruptWeights, NotSupported
    from noisekit.metrics import load_metric

    facts = dict.fromkeys(("score", "range", "tie", "backbone", "reads the prompt"), "")
    try:
        metric = load_metric(name)
    except CorruptWeights:
        return facts | {"score": "its weights are missing or damaged"}
    except NotSupported:
        return facts | {"score": "published weights only"}
    info = metric.info
    return {
        "score": info.version + (" (preference over standard)" if info.pairwise else ""),
        "range": info.range,
        "tie": f"{info.tie:.3g}",
        "backbone": info.family,
        "reads the prompt": "yes" if metric.reads_prompt else "no",
    }


def made() -> str:
    """What the file should hold: all that comes with noisekit."""
    own = {
        "methods": {name: described_method(name) for name in registry.OWN_METHODS},
        "metrics": {name: described_metric(name) for name in registry.OWN_METRICS},
    }
    return json.dumps(own, indent=1, ensure_ascii=False) + "\n"


def _listed(kind: str, names: Any, described: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    known = _kept()[kind]
    return {name: known[name] if name in known else described(name) for name in names}


@cache
def _kept() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return kept


if __name__ == "__main__":
    FILE.write_text(made(), encoding="utf-8")
