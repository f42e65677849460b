"""Multi-fidelity training sweeps for machine-learned force fields, from a spec to a transfer law."""

__version__ = "0.1.0"
