"""Reports: a page to look at, tables for the terminal and for papers, from anything that looks like a run.

Names are imported when they are first used: to look at numbers takes no figure.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from noisekit.report.page import write_report
    from noisekit.report.source import ReportedRun
    from noisekit.report.terminal import show
    from noisekit.report.texts import write_tables

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "page": ["write_report"],
        "source": ["ReportedRun"],
        "terminal": ["show"],
        "texts": ["write_tables"],
    },
)

__all__ = ["ReportedRun", "show", "write_report", "write_tables"]
