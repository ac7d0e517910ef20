"""Which method to use within a budget, from what a run says of quality and cost.

Arms are all settings of one model that the run can say something about (`curves`), those that fit the budget, and
`noisekit.evaluation.best` chooses among them: the best of those that are told from standard sampling as better, and
standard where there is none, since what cannot be told from it is not worth its cost.

Settings of a model compete: "tiny(steps=4)" and "tiny" are judged by metrics of images, whatever made them. Standard is
then the image of the model as its card has it or, where that is too dear, the dearest standard image that is not. Another
model is picked for by itself.

The metrics are those that no method of the model optimised (`judges`), or one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, Literal

import pandas as pd

from noisekit.errors import BadValue, unknown
from noisekit.evaluation.best import Race, race
from noisekit.evaluation.statistics import STANDARD, prompt_mean
from noisekit.results.calibration import Calibration, Mode, calibrations
from noisekit.results.curves import costs
from noisekit.results.eligible import Eligible, eligible
from noisekit.results.run import Run
from noisekit.types import Arm

Scale = float | Literal["auto"]


@dataclass(frozen=True)
class Difference:
    """An arm, and a difference with its simultaneous 95 % interval: in a metric, or in minus the mean rank of several.

    shrunk: what is left of the difference when having been chosen for it is taken out; see `evaluation.best`.
    """

    model: str
    method: str
    difference: float
    low: float
    high: float
    shrunk: float

    @property
    def significant(self) -> bool:
        """Whether the two are told apart."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        interval = (
            "(too few shared seeds for an interval)"
            if isnan(self.low)
            else f"[{self.low:+.3g}, {self.high:+.3g}]"
        )
        return f"{self.difference:+.3g} {interval}{'' if self.significant else ', not told apart'}"


@dataclass(frozen=True)
class Choice:
    """The answer of `pick`; printed, it says all of it in sentences.

    model: as in tables. arm: the method and its budget. seconds, calls, equivalents: of an image, NaN where not known.
    means: the choice's, by metric. gain: the reference, and what the choice has over it; None where it is the reference.
    runner_up: the best arm of another method, against the choice. doubled: what twice the budget would choose, against the
    choice; None where it chooses the same. Both hold for all pairs of arms, since the choice came of the same figures.
    settings, prompts: how many were compared, and on how many. notes: what else to know.
    """

    model: str
    arm: Arm
    seconds: float
    calls: float
    equivalents: float
    means: Mapping[str, float]
    gain: Difference | None
    runner_up: Difference | None
    doubled: Difference | None
    settings: int
    prompts: int
    notes: tuple[str, ...]

    @property
    def method(self) -> str:
        """The arm as in tables; `load_method(arm.method)(model, prompts, budget=arm.budget)` runs it."""
        return str(self.arm)

    @property
    def _worth(self) -> str:
        return "" if isnan(self.equivalents) else f"{self.equivalents:.3g} denoiser equivalents, "

    def __str__(self) -> str:
        by = next(iter(self.means)) if len(self.means) == 1 else f"mean rank by {', '.join(self.means)}"
        by += "" if len(self.means) == 1 else f" among these {self.settings} settings"
        means = ", ".join(f"{metric} {mean:.4g}" for metric, mean in self.means.items())
        compared = f"{self.settings} settings within the budget, {self.prompts} prompts"
        lines = [
            f"{self.model}: {self.method}",
            f"  {self.calls:g} calls, {self._worth}{self.seconds:.3g} s an image; {means}",
        ]
        if self.settings == 1:
            lines.append("  it is all that fits the budget")
        elif self.gain is None:
            lines.append(f"  nothing is told from it as better in {by} ({compared})")
        else:
            lines.append(f"  {by} over {self.gain.method}: {self.gain} ({compared})")
            lines.append(
                f"  expect {self.gain.shrunk:+.3g} of it on new prompts: the best of several was lucky too"
            )
        if self.runner_up is not None:
            lines.append(f"  runner-up {_name(self.runner_up, self.model)}: {self.runner_up}")
        if self.doubled is None:
            lines.append("  twice the budget would choose the same")
        else:
            lines.append(f"  twice the budget would choose {_name(self.doubled, self.model)}: {self.doubled}")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def pick(
    run: Run,
    *,
    seconds: float | None = None,
    calls: float | None = None,
    equivalents: float | None = None,
    memory: float | None = None,
    metric: str | Sequence[str] | None = None,
    model: str | None = None,
    throughput: bool = False,
    device_scale: Scale = 1.0,
    allow_optimised: bool = False,
) -> Choice:
    """The method and parameters to use for one image within a budget.

    Args:
        run: what was measured.
        seconds: the most that an image may take; see `Cost`, and so for the other limits.
        calls: of the denoiser.
        equivalents: operations of all networks, in evaluations of the denoiser.
        memory: bytes.
        metric: one, or several by mean rank (None: all that no method of the model optimised).
        model: needed where a run holds several.
        throughput: seconds in batches instead of at batch 1.
        device_scale: how many times as long the device takes that it is for; "auto" times this machine.
        allow_optimised: whether optimised metrics count as evidence.

    Returns:
        The setting, what it gains over standard sampling, the runner-up, and what twice the budget would buy.

    Raises:
        BadValue: where nothing fits the limits, where a metric is missing or no evidence, and where the settings have fewer
            than two prompts in common.
    """
    limits = _limits({"seconds": seconds, "calls": calls, "equivalents": equivalents, "peak_memory": memory})
    by = eligible(run, _of_model(run, model), metric, allow_optimised)
    settings, uncounted = _counted(costs(by.table), equivalents)
    settings["seconds"], source = _seconds(
        run, settings, "throughput" if throughput else "latency", device_scale
    )
    now, later = (_Field.of(run, by, settings, some) for some in (limits, _doubled(limits)))
    chosen = now.race.best(now.reference)
    own = now.settings.loc[[chosen]].iloc[0]
    images = by.table[_key(by.table) == chosen]
    return Choice(
        model=own["model"],
        arm=Arm.read({**dict[str, Any](own), "method": own["expression"]}),
        seconds=float(own["seconds"]),
        calls=float(own["calls"]),
        equivalents=float(own["equivalents"]),
        means={name: prompt_mean(images, column) for name, column in by.columns.items()},
        gain=None if chosen == now.reference else now.gain(chosen),
        runner_up=now.runner_up(chosen),
        doubled=later.beyond(chosen),
        settings=len(now.settings),
        prompts=now.race.prompts,
        notes=(*by.notes, *uncounted, source, *_prepared(own), *_memory(settings, memory)),
    )


@dataclass(frozen=True)
class _Field:
    """The arms within some limits: `settings` by their key in the race, and the key of the reference."""

    settings: pd.DataFrame
    race: Race
    reference: str

    @classmethod
    def of(cls, run: Run, by: Eligible, settings: pd.DataFrame, limits: Mapping[str, float]) -> _Field:
        fits = pd.Series(True, index=settings.index)
        for name, limit in limits.items():
            fits &= ~(settings[name] > limit * (1 + 1e-9))
        standards = settings[fits & (settings["search"] == STANDARD)]
        if standards.empty:
            least = settings[settings["search"] == STANDARD].nsmallest(1, "calls").iloc[0]
            needs = f"{least['calls']:g} calls and {least['seconds']:.3g} s an image"
            if least["equivalents"] > 0:
                needs += f", or {least['equivalents']:.3g} denoiser equivalents"
            if least["peak_memory"] > 0:
                needs += f", and {least['peak_memory'] / 2**30:.3g} GiB"
            raise BadValue(
                f"not even standard sampling fits the budget: on {least['model']} it takes {needs}; give more, or run the "
                "model with fewer steps and pick again"
            )
        own = standards[standards["model"] == standards["model_name"]]
        reference = (own if len(own) else standards).nlargest(1, "calls").iloc[0]
        within = settings[fits].set_index(_key(settings[fits]))
        images = by.table[_key(by.table).isin(within.index)]
        started = race(images.assign(method=_key(images)), list(by.columns.values()), run.shared)
        if started.figures is None and len(within) > 1:
            raise BadValue(
                f"the {len(within)} settings within the budget have fewer than two prompts in common; run them on the same "
                "prompts and seeds"
            )
        return cls(within, started, f"{reference['model']}\n{reference['method']}")

    def gain(self, arm: str) -> Difference:
        """Over the reference, which it names."""
        return self._versus(self.reference, self.race.against(self.reference), arm)

    def runner_up(self, chosen: str) -> Difference | None:
        against = self.race.against(chosen, chosen=True)
        method = self.settings["expression"]
        another = method.loc[against.index] != method[chosen]
        # A search whose first candidate is the standard image is no other method there.
        others = against[another & (against["low"] != against["high"])]
        return None if others.empty else self._versus(str(others["difference"].idxmax()), others)

    def beyond(self, chosen: str) -> Difference | None:
        """What this field, wider than the one that `chosen` is from, would choose instead."""
        best = self.race.best(self.reference)
        return None if best == chosen else self._versus(best, self.race.against(chosen, chosen=True))

    def _versus(self, named: str, differences: pd.DataFrame, arm: str | None = None) -> Difference:
        """The difference of an arm, by default the one that is named."""
        model, method = self.settings.loc[[named], ["model", "method"]].to_numpy()[0]
        return Difference(model, method, *differences.loc[[arm or named]].to_numpy(float)[0].tolist())


def _limits(given: Mapping[str, float | None]) -> dict[str, float]:
    limits = {name: limit for name, limit in given.items() if limit is not None}
    for name, limit in limits.items():
        if not limit > 0:
            raise BadValue(f"budget {name.removeprefix('peak_')}={limit!r} is not a positive number")
    if not limits:
        raise BadValue("no budget was given; give seconds, calls, equivalents or memory")
    return limits


def _doubled(limits: Mapping[str, float]) -> dict[str, float]:
    """Twice the time; memory stays what it is."""
    return {name: limit * (1 if name == "peak_memory" else 2) for name, limit in limits.items()}


def _of_model(run: Run, model: str | None) -> pd.DataFrame:
    """`curves` of one model, whatever its settings, or with the settings of a label."""
    table = run.curves()
    names = list(table["model_name"].unique())
    if not names:
        raise BadValue(f"run {str(run.folder)!r} holds no images yet; run `noisekit compare` on it first")
    if model is None and len(names) > 1:
        raise BadValue(f"run {str(run.folder)!r} holds several models; pick for one of {', '.join(names)}")
    chosen = model or names[0]
    if chosen not in (*names, *table["model"]):
        raise unknown(f"model of run {str(run.folder)!r}:", chosen, names)
    return table[(table["model"] == chosen) | (table["model_name"] == chosen)]


def _measured_scale(found: Calibration) -> float:
    from noisekit.results.measuring import measured_scale  # loads the model, as nothing else here does

    return measured_scale(found)


def _seconds(run: Run, settings: pd.DataFrame, mode: Mode, scale: Scale) -> tuple[pd.Series, str]:
    """Seconds of every setting, and a sentence that says where they are from."""
    name = settings["model_name"].iloc[0]
    found = calibrations(run, mode).get(name)
    if found is None:
        if scale == "auto":
            raise BadValue(
                f"run {str(run.folder)!r} has no calibration of {name!r} to scale; run `noisekit calibrate` on it"
            )
        source = "seconds are the run's own, in its batches and under whatever load; `noisekit calibrate` measures them"
        return settings["seconds"] * scale, source
    factor = _measured_scale(found) if scale == "auto" else scale
    records = settings.to_dict("records")
    priced = [found.image(row, run.optimised(row["search"])) * factor for row in records]  # type: ignore[arg-type]
    where = "this machine" if found.is_here else f"another machine ({found.hardware['cpu']})"
    scaled = "" if factor == 1 else f", times {factor:.3g}"
    source = f"seconds are calibrated at batch {found.batch} on {where}{scaled}"
    return pd.Series(priced, settings.index), source


def _prepared(own: pd.Series) -> list[str]:
    if not own["preparation"] > 0:
        return []
    total, images = own["preparation"], own["images"]
    return [
        f"{total:g} calls were spent before its first image: {total / images:g} an image over the run's {images}"
    ]


def _counted(settings: pd.DataFrame, equivalents: float | None) -> tuple[pd.DataFrame, list[str]]:
    """The settings that a limit of equivalents can be asked of, and a note of the others."""
    known = settings["equivalents"].notna()
    if equivalents is None or known.all():
        return settings, []
    if not known[settings["search"] == STANDARD].any():
        raise BadValue(
            "the operations of these images were not counted, as they were made before noisekit did; pick by calls or "
            "seconds, or make them anew in another store"
        )
    return settings[known], [
        f"the operations of {int((~known).sum())} settings are unknown: they are left out"
    ]


def _memory(settings: pd.DataFrame, memory: float | None) -> list[str]:
    unmeasured = int(settings["peak_memory"].isna().sum())
    if memory is None or not unmeasured:
        return []
    return [
        f"the memory of {unmeasured} of {len(settings)} settings is unknown (a CPU does not tell) and rules none out"
    ]


def _name(other: Difference, model: str) -> str:
    return other.method if other.model == model else f"{other.method} on {other.model}"


def _key(table: pd.DataFrame) -> pd.Series:
    """One text for model and method."""
    return table["model"] + "\n" + table["method"]
