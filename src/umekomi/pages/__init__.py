"""HTML pages that run no script, and drawings in them as SVG. A leaf: knows texts and numbers only."""

from umekomi.pages.parts import figures, notes, page, section, shorten, table, tag

__all__ = ["figures", "notes", "page", "section", "shorten", "table", "tag"]
