"""A small comparison as the page watches it: how far it is, and in the end the run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Event

from noisekit import registry
from noisekit.app.device import Device, progress_of
from noisekit.app.offer import Offer
from noisekit.comparison import compare
from noisekit.engine.execute import Progress
from noisekit.errors import BadValue
from noisekit.types import Budget

#: Images of one comparison that is begun in the app; the command line has no such limit.
MOST = 500


@dataclass(frozen=True)
class Comparison:
    """What is compared: prompts a line each. seeds: how many. metrics: names."""

    run: str
    model: str
    methods: str
    prompts: str
    seeds: int
    metrics: tuple[str, ...]
    budget: Budget


@dataclass(frozen=True)
class Came:
    """How far it is. over: "done" or "stopped", "" while it goes on. notes: warnings."""

    progress: Progress
    over: str = ""
    notes: tuple[str, ...] = ()


def comparison(device: Device, offer: Offer, asked: Comparison, stop: Event) -> Iterator[Came]:
    """Compare on the device, image by image, so that `stop` ends it soon; what is finished stays, and it goes on from there.

    Raises `NoisekitError` on all that the command line would refuse.
    """
    methods = [offer.method(text) for text in registry.split(asked.methods)]
    source, folder = offer.source(asked.model), offer.new_folder(asked.run)
    prompts = [line.strip() for line in asked.prompts.splitlines() if line.strip()]
    if not isinstance(asked.seeds, int) or asked.seeds < 1:
        raise BadValue(f"seeds {asked.seeds!r} is no number of images; give 1 or more")
    images = len(prompts) * asked.seeds * (len(methods) + 1)
    if images > MOST:
        raise BadValue(
            f"{images} images are more than the {MOST} that are made from here; take fewer prompts, seeds or methods, or "
            "`noisekit compare`"
        )

    def work(show: Callable[[Came], None]) -> Came:
        last = Progress(0, images)

        def look(progress: Progress) -> bool:
            nonlocal last
            last = progress
            show(Came(progress))
            return stop.is_set()

        with device.model(source) as model, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", UserWarning)
            compare(
                model,
                methods,
                list(dict.fromkeys(prompts)),
                seeds=asked.seeds,
                metrics=list(asked.metrics),
                store=folder,
                budget=asked.budget,
                batch=1,
                progress=False,
                observe=look,
            )
            notes = tuple(dict.fromkeys(str(one.message) for one in said if one.category is UserWarning))
        return Came(last, "stopped" if stop.is_set() and last.done < last.total else "done", notes)

    yield from progress_of(work)
