"""A console that shows texts as they are: no markup is read out of them, and nothing in them steers the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from noisekit.shown import shown


class Screen(Console):
    """rich's console. Every text on its way to it, in a table or alone, goes through `shown`."""

    def __init__(self, width: int | None = None) -> None:
        super().__init__(width=width, markup=False, emoji=False, highlight=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        if isinstance(renderable, str):
            renderable = shown(renderable, lines=True)
        elif isinstance(renderable, Text):
            renderable = _shown(renderable)
        return super().render(renderable, options)

    def on_broken_pipe(self) -> None:
        """Leave it to the caller, as any other error; rich's own console would end the program."""
        raise


def _shown(text: Text) -> Text:
    """The text with its styles, what has to be escaped replaced."""
    steering = [i for i, letter in enumerate(text.plain) if shown(letter, lines=True) != letter]
    if not steering:
        return text
    parts = text.divide(sorted({edge for i in steering for edge in (i, i + 1)}))
    for part in parts:
        part.plain = shown(part.plain, lines=True)
    return text.blank_copy().join(parts)
