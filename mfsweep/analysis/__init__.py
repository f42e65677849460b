"""Records -> tables -> transfer laws -> figures -> report. Reads a store's records and nothing else."""

from __future__ import annotations
