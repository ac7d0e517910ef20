"""What the site takes from the code and from the figures of `benchmarks/README.md`, as Markdown.

Nothing is loaded: costs come from model cards alone. Each function raises `Undocumented` where the code leaves a reader
without an answer.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from noisekit import registry
from noisekit.errors import BadValue
from noisekit.methods import NoiseMethod, load_method
from noisekit.methods.parameters import resolved_values, settings
from noisekit.metrics import weights
from noisekit.models.cards import Card, cards
from noisekit.models.outline import Outline
from noisekit.rewards.cards import variants
from noisekit.types import COUNTED, Cost

ROOT = Path(__file__).resolve().parents[1]

#: The models that costs are told for: two that ship with noisekit, two that are published.
SHOWN = ("tiny", "tiny-turbo", "sdxl-turbo", "sdxl")

#: What counted evaluations are called at the head of a table.
HEADINGS = {name: name.replace("_", " ") for name in COUNTED}

_TYPES = {int: "whole number", float: "number", bool: "True or False", str: "text", type(None): "None"}


class Undocumented(ValueError):
    """Something that a user can name has no words on the site."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- methods ---------------------------------------------------------------------------------------------------------


def method_classes() -> dict[str, type[NoiseMethod]]:
    """The methods that come with noisekit, by name; those of other installed packages left out."""
    found = {name: registry.load("method", name, registry.METHODS) for name in registry.METHODS}
    return {name: cls for name, cls in found.items() if cls.__module__.startswith("noisekit.")}


def methods() -> str:
    """Every method with its first sentence, and how many settings it has."""
    rows = [
        [f"[`{name}`]({name}.md)", first_sentence(cls, name), f"{len(settings(cls))}"]
        for name, cls in method_classes().items()
    ]
    return table(["method", "what it does", "settings"], rows)


def first_sentence(cls: type, name: str) -> str:
    """The first line of a class's docstring."""
    text = (cls.__doc__ or "").strip()
    if not text:
        raise Undocumented(f"method {name!r}: its class {cls.__name__} has no docstring")
    return text.splitlines()[0]


def settings_table(cls: type[NoiseMethod]) -> str:
    """Every setting: type, where its value comes from, range and meaning; then what cards of known models say.

    Raises:
        Undocumented: where a field was not made with `parameter`, or its meaning is empty.
    """
    hints, known = get_type_hints(cls), settings(cls)
    for field in fields(cls):
        if field.name not in known and not _wraps(hints[field.name]):
            raise Undocumented(
                f"field {field.name!r} of method {cls.name!r} says nothing of itself; make it with `parameter`"
            )
    rows = []
    for name, field in known.items():
        facts = field.metadata
        if not facts["doc"].strip():
            raise Undocumented(
                f"setting {name!r} of method {cls.name!r} has no meaning; write it into `parameter`"
            )
        paper = (
            f"{_literal(facts['paper'])}, as published" if "paper" in facts else _literal(facts["default"])
        )
        rows.append([f"`{name}`", _type(hints[name]), paper, _range(facts), facts["doc"].replace("|", "\\|")])
    if not rows:
        return "It has none."
    parts = [table(["setting", "type", "without it", "range", "meaning"], rows), _carded(cls)]
    return "\n\n".join(part for part in parts if part)


def _carded(cls: type[NoiseMethod]) -> str:
    """The settings that differ on models with a card."""
    try:
        method = cls()
    except BadValue:
        return ""  # a wrapper that is nothing without a method in its brackets
    elsewhere = resolved_values(method, Card("any other model"))
    rows = []
    for card in cards().values():
        here = {k: v for k, v in resolved_values(method, card).items() if v != elsewhere[k]}
        if here:
            rows.append([f"`{card.name}`", ", ".join(f"`{name}={value!r}`" for name, value in here.items())])
    if not rows:
        return ""
    return f"On these models it has other values where none is given:\n\n{table(['model', 'settings'], rows)}"


def _wraps(hint: Any) -> bool:
    return any(isinstance(kind, type) and issubclass(kind, NoiseMethod) for kind in (hint, *get_args(hint)))


def _type(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(f"`{choice!r}`" for choice in get_args(hint))
    kinds = get_args(hint) or (hint,)
    return " or ".join(_type(kind) if get_origin(kind) else _TYPES[kind] for kind in kinds)


def _literal(value: Any) -> str:
    return f"`{value:.6g}`" if isinstance(value, float) else f"`{value!r}`"


def _range(facts: Mapping[str, Any]) -> str:
    low, high = facts["at_least"], facts["at_most"]
    bounds = [f"≥ {low:g}" if low > float("-inf") else "", f"≤ {high:g}" if high < float("inf") else ""]
    return ", ".join(bound for bound in bounds if bound) or "–"


def costs_table(expression: str) -> str:
    """What an image costs by a method on each of the `SHOWN` models, with the settings of their cards.

    Args:
        expression: a method as `load_method` reads it.
    """
    method = load_method(expression)
    rows, costs = [], {name: _cost(method, cards()[name]) for name in SHOWN}
    spent = [cost for cost in costs.values() if isinstance(cost, Cost)]
    shown = [kind for kind in COUNTED if any(getattr(cost, kind) for cost in spent)]
    for name, cost in costs.items():
        if isinstance(cost, Cost):
            counts = [f"{getattr(cost, kind):g}" for kind in shown]
            rows.append([f"`{name}`", *counts, f"**{cost.calls:g}**"])
        else:
            rows.append([f"`{name}`", cost, *[""] * len(shown)])
    return table(["model", *(HEADINGS[kind] for kind in shown), "calls"], rows)


def _cost(method: NoiseMethod, card: Card) -> Cost | str:
    """The cost of an image, or the reason why there is none."""
    model = Outline(card)
    resolved = method.resolved(model)
    if missing := [marker.value for marker in resolved.needs if marker not in model.markers]:
        return f"not {' and '.join(missing)}"
    return resolved.cost(model)


def source(cls: type[NoiseMethod]) -> str:
    """The module of a method, folded."""
    return folded(Path(inspect.getfile(cls)).resolve())


def folded(path: Path) -> str:
    """A file of Python that opens at a click."""
    code = path.read_text(encoding="utf-8").rstrip()
    block = "\n".join(f"    {line}" if line else "" for line in f"```python\n{code}\n```".splitlines())
    return f'??? quote "`{path.relative_to(ROOT).as_posix()}`"\n\n{block}'


# --- figures ---------------------------------------------------------------------------------------------------------


def sections(text: str) -> dict[str, str]:
    """The text under every heading of a Markdown file, by the heading; the first of each name."""
    found: dict[str, str] = {}
    parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        found.setdefault(heading.strip(), body)
    return found


def tables(text: str) -> Iterator[list[list[str]]]:
    """The Markdown tables of a text as rows of cells, the head first and the rule below it left out."""
    for block in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        yield [row for row in rows if set("".join(row)) - set("-: ")]


def measured(name: str, headings: Sequence[str]) -> str:
    """The rows of a method, and those of standard, in the tables of `benchmarks/README.md` under some headings.

    A table without a column "method" is taken whole.

    Raises:
        Undocumented: where a heading is not there, or says nothing of the method.
    """
    figures = sections((ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8"))
    parts = []
    for heading in headings:
        if heading not in figures:
            raise Undocumented(
                f"benchmarks/README.md has no heading {heading!r}, which the page of {name!r} names"
            )
        shown = [_rows_of(name, rows) for rows in tables(figures[heading])]
        if not any(shown):
            raise Undocumented(f"benchmarks/README.md says nothing of {name!r} under {heading!r}")
        parts += [f"**{heading}**", *(table(head, rows) for head, *rows in filter(None, shown))]
    return "\n\n".join(parts) or "Nothing was measured of it yet."


def _rows_of(name: str, rows: list[list[str]]) -> list[list[str]]:
    head, *body = rows
    if "method" not in head:
        return rows
    column = head.index("method")
    names = [re.match(r"`?(\w*)", row[column]) for row in body]
    found = [row for row, match in zip(body, names, strict=True) if match and match[1] in (name, "standard")]
    return [head, *found] if any(name in row[column] for row in found) else []


# --- models, metrics, prompts, commands ------------------------------------------------------------------------------


def models() -> str:
    """Every model card."""
    rows = []
    for card in cards().values():
        size = "bundled" if card.bundled else f"{card.gigabytes:g} GB" if card.gigabytes else "–"
        licence = f"{card.licence}, gated" if card.gated else card.licence
        run = f"{card.steps} × {card.guidance:g}"
        home = "noisekit" if card.bundled else f"[{card.repo}](https://huggingface.co/{card.repo})"
        able = ", ".join(card.abilities)
        rows.append([f"`{card.name}`", run, able, size, licence, home, card.note])
    head = ["model", "steps × guidance", "can do", "weights", "licence", "from", "note"]
    return table(head, rows)


#: Methods whose cost is shown on models of few steps; K stands for the steps of the model.
ON_FEW_STEPS = (
    "standard",
    "best_of(n=4)",
    "selection(candidates=4)",
    "cosine",
    "reno(through_steps=1)",
    "reno(through_steps=K)",
)


def few_steps() -> str:
    """What methods cost on every model of two to eight steps: evaluations of the denoiser, forward and backward."""
    rows = []
    for card in cards().values():
        if 1 < card.steps <= 8 and not card.bundled:
            costs = [_cost(load_method(said.replace("K", str(card.steps))), card) for said in ON_FEW_STEPS]
            told = [c if isinstance(c, str) else f"{c.denoiser + c.denoiser_backward:g}" for c in costs]
            rows.append([f"`{card.name}`", f"{card.steps}", *told])
    return table(["model", "steps K", *(f"`{said}`" for said in ON_FEW_STEPS)], rows)


def metrics() -> str:
    """Every metric that can be climbed: what it says, whether it reads the prompt, and its weights."""
    rows = []
    for name in registry.REWARDS:
        cls = registry.load("reward", name, registry.REWARDS)
        if not cls.__module__.startswith("noisekit."):
            continue
        card = variants().get(name)
        about = (inspect.getmodule(cls).__doc__ or "").strip().splitlines()[:1]  # type: ignore[union-attr]
        if not about:
            raise Undocumented(f"metric {name!r}: its module has no docstring")
        given = ", ".join(f"{key} {value}" for key, value in card.settings.items()) if card else ""
        weights = [card.version] if card and card.version else []
        tiny = "no" if card and card.tiny is None else "needs none" if cls.formula else "yes"
        which = ", ".join([*weights, *([given] if given else [])])
        rows.append([f"`{name}`", about[0], "yes" if cls.reads_prompt else "no", tiny, which or "–"])
    return table(
        ["metric", "what it is", "reads the prompt", "tiny weights", "published weights and settings"], rows
    )


def checkpoints() -> str:
    """The published checkpoint of every metric."""
    rows = [
        [
            f"`{name}`",
            card.checkpoint.sources[0].home,
            f"{card.checkpoint.gigabytes:g} GB",
            card.checkpoint.licence,
        ]
        for name, card in variants().items()
    ]
    return table(["metric", "from", "size", "licence"], rows)


def scorers() -> str:
    """The networks of every scorer of a benchmark, and the command that downloads each."""
    rows = [
        [f"`{name}`", part.name, part.home, f"{part.size:g} GB", part.terms, f"`{part.fetching}`"]
        for name, parts in weights.cards().items()
        for part in parts
    ]
    return table(["metric", "part", "from", "size", "licence", "fetched by"], rows)


def claims() -> str:
    """What became of the papers' claims, as it ships with noisekit."""
    from noisekit.papers.claims import HEADS, cells, legend, results

    return table(HEADS, [cells(claim, answer) for claim, answer in results()]) + f"\n\n{legend()}."


def suites() -> str:
    """Every prompt suite."""
    from noisekit.prompts import BUNDLED
    from noisekit.prompts.cards import cards as suite_cards

    rows = [
        [f"`{name}`", f"{suite.entries} prompts, bundled", suite.about, "Apache-2.0"]
        for name, suite in BUNDLED.items()
    ]
    rows += [
        [f"`{c.name}`", f"{c.entries} prompts, {c.home}", c.about, c.licence] for c in suite_cards().values()
    ]
    return table(["suite", "from", "what it is", "licence"], rows)


def commands() -> str:
    """Every command of the command line with its options, as `--help` words them.

    Raises:
        Undocumented: where a command or an option has no help.
    """
    import typer

    from noisekit.cli.app import app

    return "\n\n".join(_command("noisekit", typer.main.get_command(app)))


def _command(name: str, command: Any) -> Iterator[str]:
    children = getattr(command, "commands", None)
    if children is not None:
        for child_name, child in children.items():
            yield from _command(f"{name} {child_name}", child)
        return
    text = inspect.cleandoc(command.help or "")
    if not text:
        raise Undocumented(f"command {name!r} has no help")
    about, _, example = text.partition("\b\n")
    yield f"## `{name}`\n\n{about.strip()}"
    if example:
        lines = [line.strip() for line in example.splitlines()[1:] if line.strip()]
        yield "```bash\n" + "\n".join(lines) + "\n```"
    rows = []
    for parameter in command.params:
        named = parameter.param_type_name == "option"
        if parameter.name == "help":
            continue
        if not getattr(parameter, "help", None):
            raise Undocumented(f"{parameter.name!r} of command {name!r} has no help")
        flag = (
            ", ".join(f"`{option}`" for option in parameter.opts) if named else f"`{parameter.name.upper()}`"
        )
        default = (
            "" if parameter.default in (None, False, "") or callable(parameter.default) else parameter.default
        )
        needed = "needed" if parameter.required else f"`{default}`" if default != "" else ""
        rows.append([flag, parameter.help.replace("|", "\\|"), needed])
    if rows:
        yield table(["option", "meaning", "without it"], rows)
