"""Records -> points -> transfer laws -> figures -> report. It reads a store's records and nothing else.

    records.py     a study's trained stages, each read once
    metric.py      a metric by its path
    table.py       cells -> points (x, y)
    reml.py        linear mixed models: arrays only
    gradient.py    a gradient with its interval, errors of x allowed for: arrays only
    pooled.py      the gradient that groups of points share, and one less another
    regression.py  whether groups have one gradient: arrays only
    law.py         a law as a result: lines, verdicts, sentences, rows
    transfer.py    points -> law
    replicates.py  what a replicate is: a partition, else a seed
    gain.py        the change against direct training
    curves.py      error against fine-tune size
    selection.py   which cells are meant, and how replicates spread
    ratios.py      the ratio of two selections of cells over replicates
    molecules.py   what a ratio is worth for other molecules, from predictions
    claims.py      statements of a spec, held against the records
    verdicts.py    agree, disagree, cannot tell, and how many replicates would
    suite.py       claims together: variances that borrow, adjusted p-values
    shares.py, search.py    what mixtures realised, what a search found
    best.py        which of several cannot be told from the best
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
