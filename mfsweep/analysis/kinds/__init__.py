"""The kinds of figure that a spec may name (spec/figures.py), one module each.

A kind is a function `(name, figure, study, analysis) -> Picture | Sheet`: pure, and a FitError where the records do not
carry it. gallery.py holds the table of them.
"""

from __future__ import annotations
