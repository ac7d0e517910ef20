"""Why a key misses: which resolved values of a setting differ from the nearest setting that a store holds.

Of an image that is there and lacks a score: what of the metric differs from the one that scored before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from noisekit import registry
from noisekit.engine.units import Job
from noisekit.errors import BadValue
from noisekit.hashing import digest
from noisekit.metrics import Metric, MetricInfo
from noisekit.store.store import Store
from noisekit.types import Arm

#: Stands for a value that one of two settings does not have.
ABSENT = "(none)"


@dataclass(frozen=True)
class Difference:
    """A resolved value that differs: its dotted name, what is stored and what is wanted."""

    name: str
    stored: Any
    wanted: Any

    def __str__(self) -> str:
        return f"{self.name}: stored {_shown(self.stored)}, wanted {_shown(self.wanted)}"


@dataclass(frozen=True)
class Nearest:
    """The stored setting with the fewest differences, by its labels, and whether it is the very same."""

    model: str
    method: str
    differences: tuple[Difference, ...]
    same: bool = False


def nearest(job: Job, store: Store) -> Nearest | None:
    """The stored setting nearest to a job's; None in a store without any.

    Settings are compared by the values that were written down when their first image was made.
    """
    wanted = flat(job.fields)
    found: list[tuple[int, Nearest]] = []
    seen = {row["setting"] for row in store.lines("rows") if store.has(row["image"])}
    for row in {row["setting"]: row for row in store.lines("settings") if row["setting"] in seen}.values():
        name = str(Arm.read(row))
        if row["setting"] == job.setting:
            return Nearest(row["model"], name, (), same=True)
        stored = flat(row["fields"])
        names = list(dict.fromkeys([*stored, *wanted]))
        differences = tuple(
            Difference(name, stored.get(name, ABSENT), wanted.get(name, ABSENT))
            for name in names
            if stored.get(name, ABSENT) != wanted.get(name, ABSENT)
        )
        # Another method differs in more than the number of its settings tells.
        far = 100 * any(d.name in ("method", "model.name", "model.pipeline") for d in differences)
        found.append((far + len(differences), Nearest(row["model"], name, differences)))
    return min(found, key=lambda pair: pair[0], default=(0, None))[1]


def flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Resolved values by dotted names; those of the method, which `fields` holds as a text, each by its own."""
    try:
        method = registry.parse(fields["method"])
        named = {"method": method.name} | {f"method.{key}": value for key, value in method.settings.items()}
        named |= {f"method.wrapped[{i}]": inner for i, inner in enumerate(method.wrapped)}
    except BadValue:
        named = {"method": fields["method"]}
    others = {name: value for name, value in fields.items() if name != "method"}
    return named | dict(_flat(others, ""))


def _flat(values: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(values, Mapping) and values:
        for name, value in values.items():
            yield from _flat(value, f"{where}.{name}" if where else str(name))
    elif values not in ({}, None):
        yield where, values


def _shown(value: Any) -> str:
    return value if value == ABSENT else registry.printed(value)


def explain(job: Job, store: Store | None) -> Sequence[str]:
    """Lines that say why the images of a job are not in a store."""
    found = None if store is None else nearest(job, store)
    if found is None:
        return ["the store holds no image yet"]
    if found.same:
        return ["the store holds this very setting: only these prompts and seeds are new"]
    return [
        f"nearest in the store is {found.method} on {found.model}; it differs in",
        *map(str, found.differences),
    ]


def explain_score(metric: Metric, store: Store | None) -> Sequence[str]:
    """Lines that say why images of a store lack the score of a metric."""
    rows = [] if store is None else store.lines("metrics")
    described = {row["metric_id"]: row for row in rows if row["name"] == metric.info.name}
    if not described:
        return ["no image in the store has such a score"]
    if digest(metric.identity) in described:
        return ["only these images lack such a score"]
    *_, last = described.values()
    stored, wanted = (asdict(info) for info in (MetricInfo.read(last), metric.info))
    facts = [name for name in wanted if stored[name] != wanted[name]]
    if not facts:
        return ["scores in the store are by other weights of it"]
    differences = [Difference(name, stored[name], wanted[name]) for name in facts]
    return ["scores in the store are by another metric of this name; it differs in", *map(str, differences)]
