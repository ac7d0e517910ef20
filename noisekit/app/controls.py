"""The controls of a method, made from its fields: what each shows, and what is read from it.

A control begins at the value that the setting has on the model when nobody gives one; what is left so is not given, so that
the method is written as somebody would write it, `reno(steps=20)`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from noisekit import registry
from noisekit.app.offer import Offer, kind_of
from noisekit.errors import BadValue
from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import resolved_values, settings
from noisekit.methods.wrapper import Wrapper
from noisekit.models.cards import Card
from noisekit.types import Budget


@dataclass(frozen=True)
class Control:
    """One setting on the page.

    kind: what is shown. value: where it begins. choices: of a choice. about: its meaning, and its range. numeric: whether a
    text may be a number, as where there may be none.
    """

    name: str
    kind: Literal["switch", "choice", "number", "whole", "text"]
    value: Any
    about: str
    choices: tuple[Any, ...] = ()
    numeric: bool = False

    def component(self, key: str) -> Any:
        """As gradio shows it. key: of the method on its model, by which gradio takes no other's control for it."""
        import gradio as gr

        given = {"value": self.value, "label": self.name, "info": self.about, "interactive": True}
        given |= {"elem_id": f"setting-{self.name}", "key": f"{key} {self.name}"}
        if self.kind == "switch":
            return gr.Checkbox(**given)
        if self.kind == "choice":
            return gr.Dropdown(choices=list(self.choices), **given)
        if self.kind == "text":
            return gr.Textbox(**given | {"value": "" if self.value is None else str(self.value)}, max_lines=1)
        return gr.Number(**given, step=1 if self.kind == "whole" else 0.01)

    def read(self, shown: Any) -> Any:
        """The value that it stands at; None where that is where it began, or nothing."""
        if isinstance(shown, str):
            shown = shown.strip()
            shown = _number(shown) if self.numeric else shown
        shown = whole(shown) if self.kind == "whole" else shown
        return None if shown in ("", self.value) else shown


def inside(method: str) -> str | None:
    """The methods in the brackets of a wrapper; None where it is no wrapper."""
    name, _, wrapped = registry.parse(method)
    is_wrapper = issubclass(registry.load("method", name, registry.METHODS), Wrapper)
    return ", ".join(wrapped) if is_wrapper else None


def controls(method: str, card: Card, offer: Offer) -> list[Control]:
    """The controls of a method as it runs on a model with this card."""
    cls = type(loaded := offer.method(method))
    values, hints = resolved_values(loaded, card), get_type_hints(cls)
    return [
        _control(cls, setting, hints[setting], values[setting], facts.metadata, offer)
        for setting, facts in settings(cls).items()
    ]


def expression(method: str, brackets: str, own: Sequence[Control], shown: Sequence[Any]) -> str:
    """The method that its controls stand at. brackets: the methods that a wrapper runs, with commas between."""
    name, given, _ = registry.parse(method)
    read = {control.name: control.read(value) for control, value in zip(own, shown, strict=True)}
    changed = {setting: value for setting, value in read.items() if value is not None}
    return registry.render(name, given | changed, registry.split(brackets))


def budget(**limits: str) -> Budget:
    """The budget that texts give by the names of its limits; an empty one is no limit."""
    given = {name: _number(text.strip()) for name, text in limits.items() if text.strip()}
    for name, limit in given.items():
        if (
            isinstance(limit, str)
            or not math.isfinite(limit)
            or (name == "candidates" and limit != int(limit))
        ):
            kind = "whole number" if name == "candidates" else "number"
            raise BadValue(
                f"budget {name}={limit!r} is no positive {kind}; give more than 0, or leave it empty"
            )
    return Budget(**given)


def whole(number: Any) -> Any:
    """What a field for a number holds, as a whole number where it is one; checks come later."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _control(
    cls: type[NoiseMethod], setting: str, hint: Any, value: Any, facts: Mapping[str, Any], offer: Offer
) -> Control:
    kinds = [
        kind
        for kind in (get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,))
        if kind is not type(None)
    ]
    literals = tuple(choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind))
    plain = [kind for kind in kinds if get_origin(kind) is not Literal]
    about = "; ".join(part for part in (facts["doc"], _range(facts)) if part)
    if names := kind_of(cls, setting):
        offered = dict.fromkeys([*([] if value is None else [value]), *offer.named(names)])
        return Control(setting, "choice", value, about, tuple(offered))
    if literals and not plain:
        return Control(setting, "choice", value, about, literals)
    if plain == [bool]:
        return Control(setting, "switch", bool(value), about)
    if plain in ([int], [float]) and value is not None and not literals:
        return Control(setting, "whole" if plain == [int] else "number", value, about)
    more = f" ({', '.join(map(repr, literals))})" if literals else ""
    return Control(setting, "text", value, about + more, numeric=not {int, float}.isdisjoint(plain))


def _number(text: str) -> Any:
    """The number that a text is, whole where it can be; else the text."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _range(facts: Mapping[str, Any]) -> str:
    low, high = facts["at_least"], facts["at_most"]
    if low > float("-inf") and high < float("inf"):
        return f"{low:g} to {high:g}"
    return f"{low:g} or more" if low > float("-inf") else f"up to {high:g}" if high < float("inf") else ""
