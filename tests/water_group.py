"""Changes to the group of water in an HDF5 file of the ANI-1x layout (not a test)."""

from __future__ import annotations


def exchange(key, value):
    """Return a change that puts a whole data set in the place of one."""

    def change(file):
        group = file["H2O"]
        del group[key]
        group[key] = value

    return change


def put(key, place, value):
    """Return a change of a few numbers."""

    def change(file):
        file["H2O"][key][place] = value

    return change
