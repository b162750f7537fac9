"""Measures a candidate: how good it is, how certain that is, on which rows, and compared with the champion and two
baselines.
"""
