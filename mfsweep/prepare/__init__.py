"""A spec on its data and in a store: a plan that is checked, before anything runs.

`prepare` (preparing.py) makes a `Plan` (plan.py).
"""

from mfsweep.prepare.plan import Plan
from mfsweep.prepare.preparing import prepare

__all__ = ["Plan", "prepare"]
