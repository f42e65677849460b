"""The command line: `main` holds the commands, `run` and `show` what they do and print."""

from pathlib import Path

DEFAULT_STORE = Path("mfsweep-store")
"""Where records go when no store is named."""
