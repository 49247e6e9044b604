"""One HTML file that shows an evaluation, and a PNG map for each model."""

from __future__ import annotations

from umekomi.evaluate.report.views import View

__all__ = ["View"]
