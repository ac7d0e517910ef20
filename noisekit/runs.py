"""Runs as users have them: the results of a store, and the page about them."""

from __future__ import annotations

from pathlib import Path

from noisekit.results.run import Run as Results
from noisekit.store.store import Store


class Run(Results):
    """What a comparison came to: a store's images, scores and searches as tables, and a report."""

    def report(self) -> Path:
        """Write report.html into the run's folder, and return its path."""
        from noisekit.report import write_report  # with matplotlib, for which a look at a run need not wait

        return write_report(self, self.folder / "report.html")


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
