"""Cells of a spec -> the de-duplicated graph of its stages. Pure functions: no files, no clock, no randomness."""
