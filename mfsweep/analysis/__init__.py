"""Records -> points -> transfer laws -> figures -> report. It reads a store's records and nothing else.

    records.py     a study's trained stages, each read once
    metric.py      a metric by its path
    table.py       cells -> points (x, y)
    regression.py  straight lines through clustered points: arrays only
    law.py         a law as a result: lines, verdicts, sentences, rows
    transfer.py    points -> law
    gain.py        the change against direct training
    curves.py      error against fine-tune size
    selection.py   which cells are meant, and how replicates spread
    claims.py      statements of a spec: agree, disagree, cannot tell
    shares.py, search.py    what mixtures realised, what a search found
    study.py       all of it for one spec: `analyse`
    figures.py, style.py    errors and laws as figures, and how all figures look
    kinds/         one module for each kind of figure that a spec may name
    gallery.py, drawn.py    the figures of a study, each drawn once
    report.py, page.py      the HTML page
    index.py       one page of all reports of a store
    tables.py      tables for a terminal

Nothing is imported here: matplotlib costs half a second, and a command that draws nothing need not pay it.
"""

from __future__ import annotations
