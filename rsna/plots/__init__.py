"""Figures from tables, as PNG files."""

from rsna.plots.cases import hardest_cases
from rsna.plots.run import write_run_plots

__all__ = ["hardest_cases", "write_run_plots"]
