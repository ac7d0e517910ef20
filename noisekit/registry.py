"""Names to classes, imported late; and strings such as "reno(steps=50, lr=5.0)" to instances and back.

Arguments are Python literals given by keyword. Printing uses the shortest literals that parse back, so the string of a
resolved method is its name in tables, keys and tests.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from noisekit.errors import BadValue, unknown

METHODS: Mapping[str, str] = {
    "standard": "noisekit.methods.standard:Standard",
    "selection": "noisekit.methods.selection:Selection",
    "cosine": "noisekit.methods.cosine:Cosine",
    "reno": "noisekit.methods.reno:ReNO",
}

REWARDS: Mapping[str, str] = {
    "clip_score": "noisekit.rewards.clip_score:CLIPScore",
    "aesthetic": "noisekit.rewards.aesthetic:Aesthetic",
}


def load(kind: str, name: str, table: Mapping[str, str]) -> Any:
    """The class registered as `name`, imported now."""
    if name not in table:
        raise unknown(kind, name, table)
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)


def parse(text: str, kind: str = "method") -> tuple[str, dict[str, Any]]:
    """Split "name(key=literal, ...)" into the name and its keyword arguments."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        node = None
    if isinstance(node, ast.Name):
        return node.id, {}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
        try:
            return node.func.id, {str(k.arg): ast.literal_eval(k.value) for k in node.keywords if k.arg}
        except ValueError:
            pass
    raise BadValue(
        f"{kind} {shortened(text)!r} does not read as a name with literal settings; write it as 'reno(steps=50, lr=5.0)'"
    )


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


def render(name: str, settings: Mapping[str, Any]) -> str:
    """The string that `parse` reads back; a method without settings is its bare name."""
    inside = ", ".join(f"{key}={value!r}" for key, value in settings.items())
    return f"{name}({inside})" if inside else name


def shortened(text: str, length: int = 80) -> str:
    """`text`, cut in the middle when longer than `length`, for error messages."""
    return text if len(text) <= length else f"{text[: length // 2]} … {text[-length // 4 :]}"
