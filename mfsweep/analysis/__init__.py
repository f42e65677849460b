"""Records -> points -> transfer laws -> figures -> report. It reads a store's records and nothing else.

    records.py     a study's trained stages, each read once
    metric.py      a metric by its path
    table.py       cells -> points (x, y)
    regression.py  straight lines through clustered points: arrays only
    law.py         a law as a result: lines, verdicts, sentences, rows
    transfer.py    points -> law
    gain.py        the change against direct training
    curves.py      error against fine-tune size
    study.py       all of it for one spec: `analyse`
    figures.py, style.py    the two figures and how they look
    gallery.py     the pictures of a study, each drawn once
    report.py, page.py      the HTML page
    tables.py      tables for a terminal

Nothing is imported here: matplotlib costs half a second, and a command that draws nothing need not pay it.
"""

from __future__ import annotations
