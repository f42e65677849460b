"""A data set: structures and labels in one HDF5 file whose arrays every process maps.

The arrays are those of structures.py, contiguous and uncompressed, so that opening it reads nothing, and all workers of
a node share the one copy that the operating system keeps. The datasets of labels are named as a spec's `data.labels`
names them: `X.energy`, `X.forces`.

    /                     attributes format, schema
    geometry/             offsets, species, positions, formula, rank, formulae; perhaps charge, cell, pbc
    labels/X.energy       (S,) float64, eV
    labels/X.forces       (A, 3) float32, eV/angstrom
    columns/NAME/         codes, values
    labelling/X/          seconds, failures, provenance: of labels that mfsweep made itself
    provenance

What is no number (formulae, values, failures, provenance) is the bytes of a JSON text. Each array has its sha256 as an
attribute. What identifies the data of a training are those of its geometry and of the labels that it refers to
(`digests`): labels that come in later change no stage's key.
"""

from mfsweep.data.dataset.labelled import Labelling, NewLabels, add_labels, labellings
from mfsweep.data.dataset.reader import digests, is_dataset, keys, methods, provenance, read
from mfsweep.data.dataset.writer import Chunk, Writer

__all__ = [
    "Chunk",
    "Labelling",
    "NewLabels",
    "Writer",
    "add_labels",
    "digests",
    "is_dataset",
    "keys",
    "labellings",
    "methods",
    "provenance",
    "read",
]
