"""Machine-learned potentials: architecture.py says what an architecture must give, base.py what its models do.

registry.py names the architectures. Importing it imports no torch, so a plan can ask for sizes and costs.
"""
