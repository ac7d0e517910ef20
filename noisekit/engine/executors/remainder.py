"""What is left of a unit whose worker was lost: what the store lacks of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from noisekit.engine.units import Generation, Scoring, Unit
from noisekit.engine.worker import prompt_of
from noisekit.metrics import Evaluator
from noisekit.store.store import Row, Store


def remainder(unit: Unit, store: Store, evaluator: Evaluator) -> Iterator[Unit]:
    """Units that cover the images and scores of a unit that the store lacks; images that are there are scored only."""
    if isinstance(unit, Generation):
        wanted = {cell.id for cell in unit.cells}
        stored = (row for row in store.lines("rows") if row["id"] in wanted)
        rows = {row["id"]: row for row in stored if store.has(row["image"])}
        yield from unit.without(rows)
        metrics = tuple(evaluator.metrics)
    else:
        rows, metrics = {row["id"]: row for row in unit.rows}, unit.metrics
    scored = {row["score_id"] for row in store.lines("scores") if row["id"] in rows}
    lacking: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for key, row in rows.items():
        prompt = prompt_of(row)
        own = [name for name in metrics if evaluator.score_id(key, name, prompt) not in scored]
        lacking[tuple(own)].append(row)
    yield from (Scoring(tuple(some), names) for names, some in lacking.items())
