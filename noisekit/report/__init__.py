"""Reports: a page to look at and a table for the terminal, from anything that looks like a run."""

from noisekit.report.page import write_report
from noisekit.report.source import ReportedRun
from noisekit.report.terminal import show

__all__ = ["ReportedRun", "show", "write_report"]
