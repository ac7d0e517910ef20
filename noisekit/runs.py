"""Runs as users have them: the results of a store, and the page about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from noisekit.results.run import Run as Results
from noisekit.store.store import Store

if TYPE_CHECKING:
    from PIL.Image import Image


class Run(Results):
    """What a comparison came to: a store's images, scores and searches as tables, and a report."""

    def report(self) -> Path:
        """Write report.html into the run's folder.

        Returns:
            The file.
        """
        from noisekit.report import write_report  # for which a look at a run need not wait

        return write_report(self, self.folder / "report.html")

    def gallery(
        self,
        prompts: int | Sequence[str] = 3,
        methods: Sequence[str] | None = None,
        *,
        model: str | None = None,
        seed: int | None = None,
        dots: int = 200,
    ) -> Image:
        """A sheet of images for a paper's figure: a row a prompt, a column a method, a row from one noise.

        `noisekit gallery` writes the same as PDF or SVG.

        Args:
            prompts: How many, in turn one with a large agreed gain, one with a loss, and a typical one; or which.
            methods: By label, in full or by bare name; default: all, standard first.
            model: Needed where the run holds several.
            seed: Default: the one that shows what the prompt was chosen for, the first for prompts that were asked for.
            dots: An inch; a picture is 1.5 inches wide.

        Returns:
            A PIL image.

        Raises:
            BadValue: The run lacks one of them, or holds several models and none was given.
        """
        from noisekit.report.sheet import sheet

        return sheet(self, prompts, methods, model, seed).image(dots)

    def _repr_html_(self) -> str:
        """What a notebook shows: the first screen of the report."""
        from noisekit.report.first.screen import first_screen

        return first_screen(self)


def load_run(folder: str | Path) -> Run:
    """Open the run in a folder.

    Args:
        folder: The store that a comparison wrote.

    Returns:
        Its tables, none of which is made before it is asked for.

    Raises:
        BadValue: There is no run, one of another schema, or one with a damaged line.
    """
    return Run(Store.read(folder))
