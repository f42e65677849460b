"""Strategies side by side, at equal labels and at equal cost: a table that a paper could print, and what it says.

settings.py     cells -> settings: one strategy with one budget of labels, over its replicates
equal_labels.py settings with equal labels, each paired with the strategy that all are compared with
equal_cost.py   the error that each strategy reaches for a cost, of training or of labels, within what was measured
blocks.py       what both of these make: blocks of rows, each with the record of a claim
words.py        the same in sentences; label_words.py numbers of labels
formats.py      the same as text of a table: CSV, LaTeX, Markdown
"""
