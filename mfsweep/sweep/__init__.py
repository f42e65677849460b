"""One spec on one store: what a notebook and the command line both call.

`Sweep` (sweep.py) plans, estimates, runs, and reads what came out; `Store` (store.py) reads a store without a spec.
"""
