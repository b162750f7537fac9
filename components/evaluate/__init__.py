"""Measures a candidate: how good, how surely, where, and beside the champion and two baselines on the same rows."""
