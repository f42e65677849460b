"""Machine-learned potentials behind one interface (base.py); registry.py builds them by the name of an architecture.

Importing the package imports nothing: overlay.py and versions.py are read by a process that never loads torch.
"""
