"""Do units of work: `execute(units) → rows`, in batches, each written into the store before the next one counts.

One image that fails is written down with the reason, and the others go on; whatever stops a run, finished images stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tqdm.auto import tqdm

from noisekit.engine.executors import load_executor
from noisekit.engine.missing import Attempt
from noisekit.engine.stopping import Stop
from noisekit.engine.units import Generation, Unit
from noisekit.engine.worker import Resources
from noisekit.store.store import Row, Store


@dataclass(frozen=True)
class Progress:
    """How far a comparison has come.

    Args:
        done: images that are finished, earlier ones included, or failed.
        total: images in all.
        failed: of those of this time.
        doing: model and method of the last batch; "" before the first.
    """

    done: int
    total: int
    failed: int = 0
    doing: str = ""


#: Called before the first batch and after every one; no more are begun where it returns what is true.
Observer = Callable[[Progress], object]


def execute(
    units: Iterable[Unit],
    resources: Resources,
    store: Store,
    *,
    executor: str = "inprocess",
    attempts: Mapping[Attempt, int],
    done: int,
    total: int,
    progress: bool = True,
    observe: Observer | None = None,
) -> list[Row]:
    """Have an executor do the units. Workers write rows and scores of what they make into the store.

    Args:
        units: are pulled when there is a worker for them.
        resources: what workers work with.
        store: takes the rows of what fails.
        executor: by name; see `load_executor`.
        attempts: how often images were tried before, and failed.
        done: images that are finished already.
        total: images in all, the finished ones included.
        progress: show a bar.
        observe: see `Observer`.

    Returns:
        The rows of what failed.

    Raises:
        KeyboardInterrupt: when all that was under way is finished, after a first Ctrl-C or SIGTERM.
    """
    failures: list[Row] = []
    with Stop() as stop, tqdm(total=total, initial=done, unit="image", disable=not progress) as bar:

        def look(doing: str = "") -> None:
            if observe is not None and observe(Progress(done, total, len(failures), doing)):
                stop.ended = True

        look()
        for outcome in load_executor(executor, resources).run(stop.until(units)):
            rows = [row | {"attempt": attempts[row["id"], row["metric"]] + 1} for row in outcome.failures]
            store.append("failures", rows)
            failures += rows
            unit = outcome.unit
            name = f"{unit.job.model} · {unit.job.arm}" if isinstance(unit, Generation) else "scoring"
            bar.set_description_str(name, refresh=False)
            if failures:
                bar.set_postfix(failed=len(failures), refresh=False)
            bar.update(len(unit))
            done += len(unit)
            look(name)
    if stop.asked:
        raise KeyboardInterrupt
    return failures
