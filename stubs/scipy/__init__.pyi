# What mfsweep calls of SciPy, which has no types of its own. tests/test_stubs.py holds each name against SciPy.
