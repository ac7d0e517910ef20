"""Names to classes, imported late; and strings such as "reno(steps=50, lr=5.0)" to instances and back.

    expression = name | name(expression, ..., key=literal, ...)

Settings are Python literals given by keyword; what stands without a keyword is a method that this one wraps, as in
"best_of(reno(steps=5), n=4)". Printing uses the shortest literals that parse back, so the string of a resolved method is
its name in tables, keys and tests.

An installed package adds its own by entry points of the groups "noisekit.methods", "noisekit.rewards" and
"noisekit.metrics"; the last is for metrics that are no rewards.
"""

from __future__ import annotations

import ast
import warnings
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from noisekit.errors import BadValue, unknown


def with_installed(own: Mapping[str, str], declared: Iterable[EntryPoint]) -> dict[str, str]:
    """`own` and the entry points that installed packages declare; a name of ours is never replaced."""
    table = dict(own)
    for entry in declared:
        if entry.name in own:
            warnings.warn(
                f"{entry.value!r} wants the name {entry.name!r}, which noisekit has itself; rename it in the entry "
                f"points {entry.group!r} of its package",
                stacklevel=2,
            )
        table.setdefault(entry.name, entry.value)
    return table


OWN_METHODS = {
    "standard": "noisekit.methods.standard:Standard",
    "selection": "noisekit.methods.selection:Selection",
    "cosine": "noisekit.methods.cosine:Cosine",
    "reno": "noisekit.methods.reno:ReNO",
    "npnet": "noisekit.methods.npnet:GoldenNoise",
    "hypernoise": "noisekit.methods.hypernoise:HyperNoise",
    "golden_seeds": "noisekit.golden_seeds.method:GoldenSeeds",
    "inversion": "noisekit.methods.inversion:Inversion",
    "repaint": "noisekit.methods.repaint:Repaint",
    "best_of": "noisekit.methods.best_of:BestOf",
    "random_search": "noisekit.methods.random_search:RandomSearch",
    "zero_order": "noisekit.methods.zero_order:ZeroOrder",
    "pcn": "noisekit.methods.pcn:PCN",
    "trs": "noisekit.methods.trs:TRS",
    "ses": "noisekit.methods.ses:SES",
    "initno": "noisekit.methods.initno:InitNO",
    "low_band": "noisekit.methods.low_band:LowBand",
    "pink": "noisekit.methods.pink:Pink",
    "fk": "noisekit.methods.fk:FK",
    "das": "noisekit.methods.das:DAS",
    "dno": "noisekit.methods.dno:DNO",
    "evosearch": "noisekit.methods.evosearch:EvoSearch",
    "rbf": "noisekit.methods.rbf:RBF",
    "then": "noisekit.methods.then:Then",
    "transfer": "noisekit.methods.transfer:Transfer",
}

_REWARDS = {
    "clip_score": "noisekit.rewards.clip_score:CLIPScore",
    "clip_score_l14": "noisekit.rewards.clip_score:CLIPScore",
    "clip_score_h14": "noisekit.rewards.clip_score:CLIPScore",
    "clip_score_raw": "noisekit.rewards.clip_score:CLIPScore",
    "clip_score_hessel": "noisekit.rewards.clip_score:CLIPScore",
    "clip_score_photo": "noisekit.rewards.clip_score:CLIPScore",
    "hps": "noisekit.rewards.hps:HPS",
    "hps_v2.0": "noisekit.rewards.hps:HPS",
    "pick_score": "noisekit.rewards.pick_score:PickScore",
    "image_reward": "noisekit.rewards.image_reward:ImageReward",
    "mps": "noisekit.rewards.mps:MPS",
    "mps_0.3": "noisekit.rewards.mps:MPS",
    "mps_aesthetics": "noisekit.rewards.mps:MPS",
    "mps_detail": "noisekit.rewards.mps:MPS",
    "mps_semantic": "noisekit.rewards.mps:MPS",
    "aesthetic": "noisekit.rewards.aesthetic:Aesthetic",
    "color_red": "noisekit.rewards.color:Red",
    "color_green": "noisekit.rewards.color:Green",
    "color_blue": "noisekit.rewards.color:Blue",
}

_METRICS = {
    "truth": "noisekit.metrics.truth:Truth",
    "geneval": "noisekit.metrics.geneval.metric:GenEval",
    "compbench": "noisekit.metrics.compbench.metric:CompBench",
    "blip_vqa": "noisekit.metrics.compbench.metric:Attributes",
    "vqa_score": "noisekit.metrics.vqa.vqa_score:VQAScore",
    "vqa_score_4bit": "noisekit.metrics.vqa.vqa_score:VQAScore4Bit",
    "soft_tifa": "noisekit.metrics.vqa.soft_tifa:SoftTIFA",
    "soft_tifa_4bit": "noisekit.metrics.vqa.soft_tifa:SoftTIFA4Bit",
    "hpsv3": "noisekit.metrics.vqa.hpsv3:HPSv3",
    "ssim": "noisekit.metrics.views:SSIM",
    "psnr": "noisekit.metrics.views:PSNR",
    "lpips": "noisekit.metrics.views:LPIPS",
    "clip_s": "noisekit.metrics.views:CLIPS",
}

#: Rewards are metrics.
OWN_METRICS = _REWARDS | _METRICS

_INSTALLED = entry_points()  # a look at every package, once
METHODS = with_installed(OWN_METHODS, _INSTALLED.select(group="noisekit.methods"))
REWARDS = with_installed(_REWARDS, _INSTALLED.select(group="noisekit.rewards"))
#: Every reward is a metric, those that are registered later included.
METRICS = ChainMap(REWARDS, with_installed(OWN_METRICS, _INSTALLED.select(group="noisekit.metrics")))

#: What a comparison scores by where nobody says.
DEFAULT_METRICS = ("hps", "pick_score", "image_reward", "mps", "clip_score", "aesthetic", "truth")


def checked_metrics(metrics: str | Sequence[str]) -> list[str]:
    """Metric names as a list; raise `BadValue` on none, unknown and repeated ones."""
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    if not names:
        raise BadValue("no metrics were given; give at least one")
    for name in names:
        if name not in METRICS:
            raise unknown("metric", str(name), METRICS)
        if names.count(name) > 1:
            raise BadValue(f"metric {name!r} was given twice; give it once")
    return names


def load(kind: str, name: str, table: Mapping[str, str]) -> Any:
    """The class registered as `name`, imported now."""
    if name not in table:
        raise unknown(kind, name, table)
    module, _, attribute = table[name].partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        if module.partition(".")[0] == "noisekit":
            raise
        raise BadValue(
            f"{kind} {name!r} cannot be imported from {table[name]!r} ({error}); mend or reinstall the package that "
            "declares it"
        ) from error


#: Characters of a string beyond which it describes no method.
LONGEST = 10_000


class Expression(NamedTuple):
    """What a string says: a name, its settings, and the expressions that it wraps, each as `render` prints it."""

    name: str
    settings: dict[str, Any]
    wrapped: tuple[str, ...] = ()


def parse(text: str, kind: str = "method") -> Expression:
    """Read "name(other, ..., key=literal, ...)"; names are looked up by nobody yet."""
    try:
        if len(text) > LONGEST:
            raise ValueError
        return _read(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, TypeError, ValueError, MemoryError, RecursionError):
        raise BadValue(
            f"{kind} {shortened(text)!r} does not read as a name with literal settings; write it as "
            "'reno(steps=50, lr=5.0)'"
        ) from None


def _read(node: ast.expr) -> Expression:
    """The expression of a syntax tree; nothing in it is ever evaluated. Raises `ValueError` on anything else."""
    if isinstance(node, ast.Name):
        return Expression(node.id, {})
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise ValueError
    settings = {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg is not None}
    if len(settings) < len(node.keywords):  # a key twice, or **settings
        raise ValueError
    wrapped = tuple(render(*_read(inner)) for inner in node.args)
    return Expression(node.func.id, settings, wrapped)


def split(text: str) -> list[str]:
    """Split "selection, cosine(steps=2, lr=1.0)" at the commas outside brackets and quotes."""
    parts, depth, quote, current = [], 0, "", ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(current)
            current = ""
            continue
        current += letter
    return [part.strip() for part in [*parts, current] if part.strip()]


def render(name: str, settings: Mapping[str, Any], wrapped: Sequence[str] = ()) -> str:
    """The string that `parse` reads back; a method without settings is its bare name."""
    inside = ", ".join([*wrapped, *(f"{key}={value!r}" for key, value in settings.items())])
    return f"{name}({inside})" if inside else name


def shortened(text: str, length: int = 80) -> str:
    """`text`, cut in the middle when longer than `length`, for error messages."""
    return text if len(text) <= length else f"{text[: length // 2]} … {text[-length // 4 :]}"


def printed(value: Any) -> str:
    """A value of a user's as error messages show it: its `repr`, shortened."""
    try:
        return shortened(repr(value))
    except (ValueError, RecursionError):  # a number of thousands of digits, lists within lists within …
        return f"a value of type {type(value).__name__} that is too large to be shown"
