"""One HTML file that shows an evaluation, and a PNG map for each model."""

from __future__ import annotations

from umekomi.evaluate.report.page import Language, write_report
from umekomi.evaluate.report.pictures import write_map_png
from umekomi.evaluate.report.views import View

__all__ = ["Language", "View", "write_map_png", "write_report"]
