"""The papers' tables: a ready plan each, what they print, and whether our own numbers agree.

A folder a paper, a YAML file a table or figure: an ordinary plan, whose first comment says what is printed, what it costs
and what is unknown. `papers.yaml` lists them in the papers' order, with what is left out and why; what is printed stands in
the report's published.yaml. Names are imported when they are first used.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from noisekit.papers.agreement import Agreement, agreements
    from noisekit.papers.tables import Table, load_table, tables

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={"agreement": ["Agreement", "agreements"], "tables": ["Table", "load_table", "tables"]},
)

__all__ = ["Agreement", "Table", "agreements", "load_table", "tables"]
